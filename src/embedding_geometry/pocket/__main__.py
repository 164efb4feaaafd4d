"""`python -m embedding_geometry.pocket`: make the pocket model, evaluate it, write its prompt pairs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro

from embedding_geometry.pocket.fit import Place
from embedding_geometry.pocket.train import STAGES, run_stage

Stage = Literal["tokenizer", "text", "vae", "latents", "unet", "polish", "perceptual"]


@dataclass(frozen=True)
class Train:
    """Run stages of the training; a stage that was interrupted goes on from its checkpoint."""

    stages: tuple[Stage, ...] = tuple(STAGES)
    """Which stages, in this order."""
    folder: Path = Path("runs/pocket")
    """Where checkpoints and finished parts go."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    workers: int = 1
    """Single-threaded processes that share a stage; the contrastive stage takes one."""
    seed: int = 0


def train(options: Train) -> None:
    """Run the chosen stages one after another."""
    options.folder.mkdir(parents=True, exist_ok=True)
    for stage in options.stages:
        run_stage(stage, Place(options.folder, options.device, seed=options.seed), options.workers)


if __name__ == "__main__":
    train(tyro.cli(Train))
