"""Make the pocket model, evaluate it, write its prompt pairs."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from tyro.conf import subcommand

from embedding_geometry.ground.command import run_command
from embedding_geometry.ground.devices import find_device
from embedding_geometry.ground.disk import make_folder
from embedding_geometry.ground.places import DATA, prompt_table
from embedding_geometry.pocket.card import collect_training, write_card
from embedding_geometry.pocket.evaluate import evaluate
from embedding_geometry.pocket.export import export
from embedding_geometry.pocket.fit import Place
from embedding_geometry.pocket.pairs import write_pocket_pairs
from embedding_geometry.pocket.recipes import RECIPES
from embedding_geometry.pocket.train import run_stage

Stage = Literal["tokenizer", "text", "vae", "latents", "unet", "polish", "perceptual"]
ALL: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True)
class Train:
    """Run stages of the training; a stage that was interrupted goes on from its checkpoint."""

    stages: tuple[Stage, ...] = ALL
    """Which stages, in this order."""
    run: Path = Path("runs/pocket")
    """Where checkpoints and finished parts go."""
    device: str | None = None
    """Where to train (cpu, cuda, cuda:1, mps ...); the best there is if not given."""
    workers: int = 1
    """Single-threaded processes that share a stage on a CPU."""
    seed: int = 0
    """Of the first weights and of every batch."""


@dataclass(frozen=True)
class Evaluate:
    """Export the run to the model folder and measure it on held-out captions."""

    run: Path = Path("runs/pocket")
    """Folder of the training."""
    target: Path = DATA / "pocket"
    """Folder of the model; what it holds is written over."""
    prompts: int = 1000
    """Held-out scenes to measure on, eight or more."""


@dataclass(frozen=True)
class Pairs:
    """Write the graded prompt pairs of the recorded study."""

    target: Path = prompt_table("pocket")
    """Table to write."""
    seed: int = 2026
    """Of the scenes and the sentences."""


Command = (
    Annotated[Train, subcommand("train")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Pairs, subcommand("pairs")]
)


def main(command: Command) -> None:
    """Run one command."""
    match command:
        case Train():
            device = str(find_device(command.device))
            make_folder(command.run)
            place = Place(command.run, device, seed=command.seed)
            for stage in command.stages:
                run_stage(stage, place, RECIPES["pocket"], command.workers)
        case Evaluate():
            export(command.run, command.target)
            training = json.dumps(collect_training(command.run), indent=1)
            (command.target / "training.json").write_text(training + "\n")
            quality = evaluate(command.run, command.target, RECIPES["pocket"], command.prompts)
            write_card(command.target)
            sys.stdout.write(f"{quality}\n")
        case Pairs():
            write_pocket_pairs(command.target, command.seed)


def what_stays(command: Command) -> str:
    """Say what an interrupted command leaves."""
    if isinstance(command, Train):
        return "finished parts and checkpoints are kept, the same command goes on with them"
    return "run the same command again"


if __name__ == "__main__":
    program = "python -m embedding_geometry.pocket"
    sys.exit(
        run_command(Command, main, None, program=program, description=__doc__, kept=what_stays)
    )
