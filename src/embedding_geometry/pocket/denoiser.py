"""The UNet that removes noise from a latent while it attends to the text.

Sources: velocity prediction, Salimans and Ho 2022, arXiv:2202.00512; zero terminal signal-to-noise
ratio and trailing timesteps, Lin et al. 2024, arXiv:2305.08891; caption dropout for
classifier-free guidance, Ho and Salimans 2022, arXiv:2207.12598.
"""

from functools import partial

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel

from embedding_geometry.pocket.fit import Place, fit
from embedding_geometry.pocket.latents import Dataset
from embedding_geometry.pocket.recipes import Recipe
from embedding_geometry.pocket.text import WIDTH


def new_scheduler() -> DDIMScheduler:
    """Velocity prediction, zero terminal signal-to-noise ratio, trailing timesteps."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        steps_offset=1,
    )


def new_unet(channels: int) -> UNet2DConditionModel:
    """Two levels, cross-attention to all 77 tokens at both."""
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(64, 128),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
    )


class Denoising(nn.Module):
    """The velocity loss of a noised latent, given the text."""

    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel

    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel):
        """The noise schedule is that of the sampler; what requires gradients is trained."""
        super().__init__()
        self.unet, self.text_encoder, self.scheduler = unet, text_encoder, new_scheduler()

    def forward(self, latents: Tensor, noise: Tensor, times: Tensor, ids: Tensor) -> Tensor:
        """Mean squared error of the velocity at the given times."""
        noised = self.scheduler.add_noise(latents, noise, times)
        velocity = self.scheduler.get_velocity(latents, noise, times)
        texts = self.text_encoder(ids).last_hidden_state
        return F.mse_loss(self.unet(noised, times, texts).sample, velocity)


def train_unet(place: Place, recipe: Recipe) -> None:
    """Train the UNet on the cached latents, and the text encoder with it where the recipe says."""
    data = Dataset.load(place.folder)
    encoder = CLIPTextModel.from_pretrained(place.folder / "text_encoder")
    encoder.requires_grad_(recipe.encoder != "contrastive")
    torch.manual_seed(place.seed)
    objective = Denoising(new_unet(data.latents.shape[1]), encoder)
    draw = partial(data.draw, offset=recipe.offset)
    objective = fit("unet", objective, draw, recipe.unet, place)
    if place.first:
        objective.unet.save_pretrained(place.folder / "unet")
        objective.text_encoder.save_pretrained(place.folder / "text_encoder")
