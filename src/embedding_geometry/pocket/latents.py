"""What the UNet is trained on: pictures as latents, and the token ids of their captions."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save
from torch import Tensor, nn
from tqdm import tqdm

from embedding_geometry.ground.disk import write_whole
from embedding_geometry.pocket.fit import Batch, Place
from embedding_geometry.pocket.recipes import Recipe
from embedding_geometry.pocket.text import TOKENS, load_tokenizer, tokenize

CAPTIONS_A_PICTURE, SHARD = 2, 4_000
DROPOUT = 0.1  # the share of texts that the empty one replaces, for guidance without a classifier


class Unshuffled(nn.Module):
    """In place of an autoencoder: a picture of half the size, 4 by 4 pixels in each place."""

    dtype = torch.float32
    config = SimpleNamespace(
        scaling_factor=1.87, block_out_channels=(0,) * 4, latents_mean=None, latents_std=None
    )

    def encode(self, images: Tensor) -> SimpleNamespace:
        """(n, 3, 64, 64) -> a distribution of mean (n, 48, 8, 8) and no spread."""
        mean = F.pixel_unshuffle(F.avg_pool2d(images, 2), 4)
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=mean))

    def decode(self, latents: Tensor) -> SimpleNamespace:
        """The picture, enlarged to the size of the others."""
        small = F.pixel_shuffle(latents, 4)
        return SimpleNamespace(sample=F.interpolate(small, scale_factor=2.0, mode="bilinear"))


def load_autoencoder(folder: Path, recipe: Recipe) -> AutoencoderKL | Unshuffled:
    """What turns pictures into the recipe's latents and back."""
    if recipe.latents == "pixels":
        return Unshuffled()
    return AutoencoderKL.from_pretrained(folder / "vae")


@torch.no_grad()
def encode_dataset(place: Place, recipe: Recipe) -> None:
    """Encode and caption pictures once, in shards of half precision; finished shards are kept."""
    folder, world = place.folder / "latents", recipe.world
    folder.mkdir(exist_ok=True)
    tokenizer = load_tokenizer(place.folder)
    vae = load_autoencoder(place.folder, recipe).to(place.device)
    mine = range(place.rank, recipe.pictures // SHARD, place.world)
    for number in tqdm(mine, "latents", disable=not place.first):
        path = folder / f"{number:03d}.safetensors"
        if path.exists():
            continue
        rng = np.random.default_rng([place.seed, 10**6 + number])
        latents, ids = [], []
        for _ in range(SHARD // 100):
            scenes = [world.sample_scene(rng) for _ in range(100)]
            images = world.pictured(scenes, rng).to(place.device)
            latents.append(vae.encode(images).latent_dist.mean * vae.config.scaling_factor)
            texts = [world.caption(s, rng) for s in scenes for _ in range(CAPTIONS_A_PICTURE)]
            ids.append(tokenize(tokenizer, texts).view(100, CAPTIONS_A_PICTURE, TOKENS))
        shard = {
            "latents": torch.cat(latents).half().cpu().contiguous(),
            "ids": torch.cat(ids).short(),
        }
        write_whole(path, save(shard))


@dataclass(frozen=True)
class Dataset:
    """Latents (n, c, 8, 8), the token ids (n, k, 77) of their captions, and those of ""."""

    latents: Tensor
    ids: Tensor
    empty: Tensor

    @classmethod
    def load(cls, folder: Path) -> "Dataset":
        """Read the shards of a run folder."""
        shards = [load_file(p) for p in sorted((folder / "latents").glob("*.safetensors"))]
        latents, ids = (
            torch.cat([shard[name] for shard in shards]) for name in ("latents", "ids")
        )
        return cls(latents, ids, tokenize(load_tokenizer(folder), [""])[0])

    def draw(self, rng: np.random.Generator, count: int, offset: float) -> Batch:
        """Latents, noise with a constant of deviation `offset` a channel, times, token ids."""
        index = torch.from_numpy(rng.integers(len(self.latents), size=count))
        which = torch.from_numpy(rng.integers(CAPTIONS_A_PICTURE, size=count))
        ids = self.ids[index, which].long()
        ids[torch.from_numpy(rng.random(count) < DROPOUT)] = self.empty
        noise = rng.standard_normal((count, *self.latents.shape[1:]), np.float32)
        if offset:
            noise += offset * rng.standard_normal((*noise.shape[:2], 1, 1), np.float32)
        times = torch.from_numpy(rng.integers(1000, size=count))
        return self.latents[index].float(), torch.from_numpy(noise), times, ids
