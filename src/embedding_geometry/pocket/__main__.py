"""Make an embedded model, evaluate it, write its prompt pairs."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from embedding_geometry.ground.command import run_command
from embedding_geometry.ground.devices import find_device
from embedding_geometry.ground.disk import make_folder
from embedding_geometry.ground.places import DATA, PROMPTS
from embedding_geometry.pocket.card import collect_training, write_card
from embedding_geometry.pocket.causes import record_causes
from embedding_geometry.pocket.evaluate import evaluate
from embedding_geometry.pocket.export import export
from embedding_geometry.pocket.fit import Place
from embedding_geometry.pocket.pairs import draw_pairs
from embedding_geometry.pocket.recipes import RECIPES
from embedding_geometry.pocket.train import run_stage, stages

Stage = Literal["tokenizer", "text", "vae", "latents", "unet", "polish"]
RecipeName = Literal["pocket", "menagerie"]


def run_folder(recipe: RecipeName, given: Path | None) -> Path:
    """Where a training leaves its checkpoints and parts."""
    return given or Path("runs") / recipe


@dataclass(frozen=True)
class Train:
    """Run stages of the training; a stage that was interrupted goes on from its checkpoint."""

    recipe: RecipeName = "pocket"
    """What the model is made by."""
    stages: tuple[Stage, ...] = ()
    """Which stages, in this order; all that the recipe has if not given."""
    run: Path | None = None
    """Where checkpoints and finished parts go; runs/RECIPE if not given."""
    device: str | None = None
    """Where to train (cpu, cuda, cuda:1, mps ...); the best there is if not given."""
    workers: int = 1
    """Single-threaded processes that share a stage on a CPU."""
    seed: int = 0
    """Of the first weights and of every batch."""


@dataclass(frozen=True)
class Evaluate:
    """Export the run to the model folder and measure it on held-out scenes."""

    recipe: RecipeName = "pocket"
    """What the model was made by."""
    run: Path | None = None
    """Folder of the training; runs/RECIPE if not given."""
    target: Path | None = None
    """Folder of the model, what it holds is written over; data/RECIPE if not given."""
    prompts: int = 1000
    """Held-out scenes to measure on, eight or more."""


@dataclass(frozen=True)
class Pairs:
    """Write the graded prompt pairs of the recorded study."""

    recipe: RecipeName = "pocket"
    """The model whose world they speak of."""
    target: Path | None = None
    """Table to write; the model's own in data/prompts if not given."""
    seed: int = 2026
    """Of the scenes and the sentences."""


@dataclass(frozen=True)
class Causes:
    """Train the short recipes, measure how pictures move with each, and record both tables."""

    run: Path = Path("runs/causes")
    """Where the trainings go; a finished one is not repeated."""


Command = Train | Evaluate | Pairs | Causes


def main(command: Command) -> None:
    """Run one command."""
    if isinstance(command, Causes):
        record_causes(command.run)
        return
    recipe = RECIPES[command.recipe]
    match command:
        case Train():
            run, device = run_folder(command.recipe, command.run), str(find_device(command.device))
            make_folder(run)
            for stage in command.stages or stages(recipe):
                run_stage(stage, Place(run, device, seed=command.seed), recipe, command.workers)
        case Evaluate():
            run = run_folder(command.recipe, command.run)
            target = command.target or DATA / command.recipe
            export(run, target, recipe)
            training = json.dumps(collect_training(run), indent=1)
            (target / "training.json").write_text(training + "\n")
            quality = evaluate(run, target, recipe, command.prompts)
            write_card(target, command.recipe)
            sys.stdout.write(f"{quality}\n")
        case Pairs():
            target = command.target or PROMPTS / f"{command.recipe}_pairs.csv"
            table = pd.DataFrame(draw_pairs(recipe.world, recipe.pairs, command.seed))
            table.to_csv(target, index=False, lineterminator="\n")


def what_stays(command: Command) -> str:
    """Say what an interrupted command leaves."""
    if isinstance(command, Train | Causes):
        return "finished parts and checkpoints are kept, the same command goes on with them"
    return "run the same command again"


if __name__ == "__main__":
    program = "python -m embedding_geometry.pocket"
    sys.exit(
        run_command(Command, main, None, program=program, description=__doc__, kept=what_stays)
    )
