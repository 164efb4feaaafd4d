"""Make the pocket model, evaluate it, write its prompt pairs."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

import torch
from tyro.conf import subcommand

from embedding_geometry.command import run_command
from embedding_geometry.pocket.card import collect_training, write_card
from embedding_geometry.pocket.evaluate import evaluate
from embedding_geometry.pocket.export import export
from embedding_geometry.pocket.fit import Place
from embedding_geometry.pocket.pairs import write_pocket_pairs
from embedding_geometry.pocket.train import run_stage

Stage = Literal["tokenizer", "text", "vae", "latents", "unet", "polish", "perceptual"]
ALL: tuple[Stage, ...] = get_args(Stage)
DATA = Path(__file__).resolve().parents[3] / "data"


@dataclass(frozen=True)
class Train:
    """Run stages of the training; a stage that was interrupted goes on from its checkpoint."""

    stages: tuple[Stage, ...] = ALL
    """Which stages, in this order."""
    run: Path = Path("runs/pocket")
    """Where checkpoints and finished parts go."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    workers: int = 1
    """Single-threaded processes that share a stage on a CPU."""
    seed: int = 0


@dataclass(frozen=True)
class Evaluate:
    """Export the run to the model folder and measure it on held-out captions."""

    run: Path = Path("runs/pocket")
    target: Path = DATA / "pocket"
    prompts: int = 1000


@dataclass(frozen=True)
class Pairs:
    """Write the graded prompt pairs of the recorded study."""

    target: Path = DATA / "prompts" / "pocket_pairs.csv"
    seed: int = 2026


Command = (
    Annotated[Train, subcommand("train")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Pairs, subcommand("pairs")]
)


def main(command: Command) -> None:
    """Run one command."""
    match command:
        case Train():
            command.run.mkdir(parents=True, exist_ok=True)
            for stage in command.stages:
                place = Place(command.run, command.device, seed=command.seed)
                run_stage(stage, place, command.workers)
        case Evaluate():
            export(command.run, command.target)
            training = json.dumps(collect_training(command.run), indent=1)
            (command.target / "training.json").write_text(training + "\n")
            quality = evaluate(command.run, command.target, command.prompts)
            write_card(command.target)
            sys.stdout.write(f"{quality}\n")
        case Pairs():
            write_pocket_pairs(command.target, command.seed)


if __name__ == "__main__":
    sys.exit(
        run_command(
            Command,
            main,
            None,
            program="python -m embedding_geometry.pocket",
            description=__doc__,
            kept="finished parts and checkpoints are kept, the same command goes on with them",
        )
    )
