"""The UNet that removes noise from a latent while it attends to the text, and its training set.

Sources: velocity prediction, Salimans and Ho 2022, arXiv:2202.00512; zero terminal signal-to-noise
ratio and trailing timesteps, Lin et al. 2024, arXiv:2305.08891; caption dropout for
classifier-free guidance, Ho and Salimans 2022, arXiv:2207.12598.
"""

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save
from torch import Tensor, nn
from tqdm import tqdm
from transformers import CLIPTextModel

from embedding_geometry.ground.disk import write_whole
from embedding_geometry.pocket.autoencoder import LATENT_CHANNELS
from embedding_geometry.pocket.captions import caption
from embedding_geometry.pocket.fit import Batch, Place, Plan, fit
from embedding_geometry.pocket.pictures import pictured
from embedding_geometry.pocket.text import TOKENS, WIDTH, load_tokenizer, tokenize
from embedding_geometry.pocket.world import sample_scene

PLAN = Plan(steps=5000, batch=64, rate=1e-3, hold=0.4)
PICTURES, CAPTIONS_A_PICTURE, SHARD = 60_000, 2, 4_000
DROPOUT = 0.1  # the share of texts that the empty one replaces


@torch.no_grad()
def encode_dataset(place: Place) -> None:
    """Encode pictures and captions once, in shards of float16; finished shards are kept."""
    folder = place.folder / "latents"
    folder.mkdir(exist_ok=True)
    tokenizer = load_tokenizer(place.folder)
    text_encoder = CLIPTextModel.from_pretrained(place.folder / "text_encoder").to(place.device)
    vae = AutoencoderKL.from_pretrained(place.folder / "vae").to(place.device)
    mine = range(place.rank, PICTURES // SHARD, place.world)
    for number in tqdm(mine, "latents", disable=not place.first):
        path = folder / f"{number:03d}.safetensors"
        if path.exists():
            continue
        rng = np.random.default_rng([place.seed, 10**6 + number])
        latents, texts = [], []
        for _ in range(SHARD // 100):
            scenes = [sample_scene(rng) for _ in range(100)]
            images = pictured(scenes, rng).to(place.device)
            latents.append(vae.encode(images).latent_dist.mean * vae.config.scaling_factor)
            for _ in range(CAPTIONS_A_PICTURE):
                ids = tokenize(tokenizer, [caption(s, rng) for s in scenes]).to(place.device)
                texts.append(text_encoder(ids).last_hidden_state.half().cpu())
        text = torch.stack(texts).view(-1, CAPTIONS_A_PICTURE, 100, TOKENS, WIDTH).transpose(1, 2)
        shard = {
            "latents": torch.cat(latents).half().cpu().contiguous(),
            "texts": text.reshape(SHARD, CAPTIONS_A_PICTURE, TOKENS, WIDTH).contiguous(),
        }
        write_whole(path, save(shard))


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


def new_unet() -> UNet2DConditionModel:
    """Two levels, cross-attention to all 77 tokens at both."""
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
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

    def __init__(self, unet: UNet2DConditionModel):
        """The noise schedule is that of the sampler."""
        super().__init__()
        self.unet, self.scheduler = unet, new_scheduler()

    def forward(self, latents: Tensor, noise: Tensor, times: Tensor, texts: Tensor) -> Tensor:
        """Mean squared error of the velocity at the given times."""
        noised = self.scheduler.add_noise(latents, noise, times)
        velocity = self.scheduler.get_velocity(latents, noise, times)
        return F.mse_loss(self.unet(noised, times, texts).sample, velocity)


def train_unet(place: Place) -> None:
    """Train the UNet on the cached latents; some of the texts are replaced by the empty one."""
    shards = [load_file(p) for p in sorted((place.folder / "latents").glob("*.safetensors"))]
    latents = torch.cat([s["latents"] for s in shards])
    texts = [s["texts"] for s in shards]
    empty = CLIPTextModel.from_pretrained(place.folder / "text_encoder")(
        tokenize(load_tokenizer(place.folder), [""])
    ).last_hidden_state.detach()[0]

    def draw(rng: np.random.Generator, count: int) -> Batch:
        index = rng.integers(len(latents), size=count)
        which = rng.integers(CAPTIONS_A_PICTURE, size=count)
        places = zip(index, which, strict=True)
        chosen = torch.stack([texts[i // SHARD][i % SHARD, k] for i, k in places]).float()
        chosen[torch.from_numpy(rng.random(count) < DROPOUT)] = empty
        noise = torch.from_numpy(rng.standard_normal((count, *latents.shape[1:]), np.float32))
        times = torch.from_numpy(rng.integers(1000, size=count))
        return latents[torch.from_numpy(index)].float(), noise, times, chosen

    torch.manual_seed(place.seed)
    unet = fit("unet", Denoising(new_unet()), draw, PLAN, place).unet
    if place.first:
        unet.save_pretrained(place.folder / "unet")
