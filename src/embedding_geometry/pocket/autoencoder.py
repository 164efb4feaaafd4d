"""The autoencoder between pixels and latents: 64x64x3 to 8x8x12 and back.

Source: latent diffusion, Rombach et al., CVPR 2022, arXiv:2112.10752.
"""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from embedding_geometry.pocket.fit import Batch, Place, fit
from embedding_geometry.pocket.recipes import Recipe, World

LATENT_CHANNELS = 12


def new_autoencoder() -> AutoencoderKL:
    """64x64 pixels to 8x8 latents of 12 channels."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=LATENT_CHANNELS,
        sample_size=64,
        block_out_channels=(16, 32, 64, 64),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )


def _edges(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., :, 1:] - x[..., :, :-1], x[..., 1:, :] - x[..., :-1, :]


def reconstruction_loss(out: Tensor, target: Tensor) -> Tensor:
    """L1 + squares + edges, with more weight where the target has detail."""
    detail = F.avg_pool2d(F.max_pool2d(target, 5, 1, 2) + F.max_pool2d(-target, 5, 1, 2), 3, 1, 1)
    weight = 1 + 2 * detail.mean(1, keepdim=True).clamp(max=1)
    error = (out - target) * weight
    edges = sum((a - b).abs().mean() for a, b in zip(_edges(out), _edges(target), strict=True))
    return error.abs().mean() + 2 * error.square().mean() + 0.3 * edges


class Autoencoding(nn.Module):
    """Reconstruction with a slight pull of the latents towards a standard normal."""

    vae: AutoencoderKL

    def __init__(self, vae: AutoencoderKL, *, decoder_only: bool = False):
        """With `decoder_only` the encoder, and with it the latents, stays as it is."""
        super().__init__()
        self.vae = vae
        if decoder_only:
            vae.encoder.requires_grad_(False)
            vae.quant_conv.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """The loss of a batch of pictures in [-1, 1]."""
        latents = self.vae.encode(images).latent_dist
        out = self.vae.decode(latents.sample()).sample
        return reconstruction_loss(out, images) + 2e-6 * latents.kl().mean() / LATENT_CHANNELS


def _pictures(world: World, rng: np.random.Generator, count: int) -> Batch:
    return (world.pictured([world.sample_scene(rng) for _ in range(count)], rng),)


@torch.no_grad()
def _latent_scale(vae: AutoencoderKL, pictures: Tensor) -> float:
    latents = vae.encode(pictures.to(vae.device)).latent_dist.mean
    return round(1 / latents.std().item(), 5)


def train_vae(place: Place, recipe: Recipe) -> None:
    """Train the autoencoder and set its scaling factor so that latents have unit deviation."""
    torch.manual_seed(place.seed)
    draw = partial(_pictures, recipe.world)
    vae = fit("vae", Autoencoding(new_autoencoder()), draw, recipe.vae, place).vae
    [pictures] = draw(np.random.default_rng(place.seed), 256)
    vae.register_to_config(scaling_factor=_latent_scale(vae, pictures))
    if place.first:
        vae.save_pretrained(place.folder / "vae")


def polish_decoder(place: Place, recipe: Recipe) -> None:
    """Train the decoder on, with the encoder as it is: the latents and the UNet stay valid.

    Raises:
        ValueError: the recipe leaves the decoder as it is.
    """
    if recipe.polish is None:
        raise ValueError("the recipe has no stage polish: its decoder stays as it was trained")
    vae = AutoencoderKL.from_pretrained(place.folder / "vae")
    draw = partial(_pictures, recipe.world)
    fit("polish", Autoencoding(vae, decoder_only=True), draw, recipe.polish, place)
    if place.first:
        vae.save_pretrained(place.folder / "vae")
