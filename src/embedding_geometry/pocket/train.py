"""The stages that make the pocket model, in their order, and how a stage is run.

tokenizer → text encoder → autoencoder → latents → UNet.
Every stage reads what the earlier ones left in the run folder.
"""

import socket
from dataclasses import replace

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from embedding_geometry.pocket.autoencoder import polish_decoder, train_vae
from embedding_geometry.pocket.denoiser import train_unet
from embedding_geometry.pocket.fit import Place
from embedding_geometry.pocket.latents import encode_dataset
from embedding_geometry.pocket.recipes import Recipe
from embedding_geometry.pocket.text import train_text, train_tokenizer

STAGES = {
    "tokenizer": train_tokenizer,
    "text": train_text,
    "vae": train_vae,
    "latents": encode_dataset,
    "unet": train_unet,
    "polish": polish_decoder,
}
"""In the order in which they run; `text` and `vae` do not depend on each other."""


def stages(recipe: Recipe) -> list[str]:
    """The stages of a recipe, in their order."""
    return [stage for stage in STAGES if stage != "polish" or recipe.polish is not None]


LEAVES = {"tokenizer": "tokenizer", "text": "text_encoder", "vae": "vae", "latents": "latents"}
"""The folder that a stage leaves for later ones."""

NEEDS = {
    "text": ("tokenizer",),
    "latents": ("tokenizer", "text", "vae"),
    "unet": ("tokenizer", "text", "latents"),
    "polish": ("vae",),
}
"""The stages that must be finished before a stage."""


def run_stage(stage: str, place: Place, recipe: Recipe, workers: int = 1) -> None:
    """Run one stage of a recipe.

    The `workers` are single-threaded processes that average their gradients: on a CPU two of them
    are faster than one process with two threads. The stages `tokenizer` and `text` (whose loss
    compares all samples of a batch) always take one.

    Raises:
        FileNotFoundError: a stage that this one needs has not left its folder.
    """
    left = {need: (place.folder / LEAVES[need]).glob("*") for need in NEEDS.get(stage, ())}
    missing = [need for need, files in left.items() if not any(files)]
    if missing:
        raise FileNotFoundError(
            f"stage {stage} needs what {' and '.join(missing)} leave in {place.folder}: run with "
            f"--stages {' '.join([*missing, stage])}"
        )
    world = 1 if stage in ("tokenizer", "text") else workers
    if world == 1:
        STAGES[stage](place, recipe)
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            meeting = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        mp.spawn(_work, (stage, place, recipe, world, meeting), nprocs=world)


def _work(rank: int, stage: str, place: Place, recipe: Recipe, world: int, meeting: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", meeting, rank=rank, world_size=world)
    STAGES[stage](replace(place, rank=rank, world=world), recipe)
    dist.destroy_process_group()
