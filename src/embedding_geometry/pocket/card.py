"""The model card of an embedded model: every figure in it is read from the recorded files.

All cards have one form, `card.md`; what a world has to say is in its own `card.toml`.
"""

import json
import tomllib
from pathlib import Path
from string import Template

import numpy as np
from safetensors.numpy import load_file

from embedding_geometry.pocket import menagerie
from embedding_geometry.pocket.evaluate import PAIRS, SEED, SHOWN, held_out_prompts
from embedding_geometry.pocket.pictographs.scenes import OBJECTS, PLACES, TIMES
from embedding_geometry.pocket.recipes import RECIPES

STAGES = {
    "text": "text encoder",
    "vae": "autoencoder",
    "polish": "decoder alone, encoder fixed",
    "unet": "UNet",
}
NUMBERS = ("prompts", "psnr", "seconds_per_image", "gini", "largest_step")
"""Figures that are no shares of a hundred; nor are correlations."""
KINDS = {
    "n_objects": len(OBJECTS),
    "n_places": len(PLACES),
    "n_times": len(TIMES),
    "n_species": len(menagerie.SPECIES),
    "species_names": ", ".join(menagerie.SPECIES),
    "n_grounds": len(menagerie.GROUNDS),
    "ground_names": ", ".join(menagerie.GROUNDS),
}
"""What there is in the worlds."""
HERE = Path(__file__).parent


def _parameters(folder: Path) -> dict[str, int]:
    """Number of weights of each part."""
    files = sorted(folder.rglob("*.safetensors"))
    return {f.parent.name: sum(weight.size for weight in load_file(f).values()) for f in files}


def _stage_rows(training: dict[str, dict[str, object]], joint: bool) -> str:
    named = STAGES | ({"unet": "UNet and text encoder"} if joint else {})
    return "\n".join(
        f"| {named[name]} | {r['steps']} | {r['samples']} | {r['minutes']} | {r['device']} |"
        for name, r in training.items()
    )


def _figures(quality: dict[str, int | float]) -> dict[str, str]:
    """The figures of an evaluation as the card prints them."""
    plain = {name for name in quality if name in NUMBERS or name.endswith("correlation")}
    return {
        name: str(value) if name in plain else f"{100 * value:.1f} %"
        for name, value in quality.items()
    }


def collect_training(run: Path) -> dict[str, dict[str, object]]:
    """What each finished stage of a run cost."""
    files = {name: run / f"{name}.json" for name in STAGES}
    return {name: json.loads(f.read_text()) for name, f in files.items() if f.exists()}


def write_card(folder: Path, name: str) -> None:
    """Fill in `card.md` from the evaluation, the training record, the settings and the weights.

    Args:
        folder: the model.
        name: its recipe.

    Raises:
        FileNotFoundError: the model was not evaluated yet.
    """
    recipe = RECIPES[name]
    quality, settings, training = (
        json.loads((folder / f"{file}.json").read_text())
        for file in ("evaluation", "generation", "training")
    )
    _, prompts = held_out_prompts(recipe.world, quality["prompts"], np.random.default_rng(SEED))
    shown = "\n".join(f"{n}. {prompt}" for n, prompt in enumerate(prompts[:SHOWN], start=1))
    parts = [f"| {part} | {count:,} |" for part, count in _parameters(folder).items()]
    figures = KINDS | _figures(quality) | {"pairs": PAIRS}
    said = tomllib.loads((HERE / recipe.world.name / "card.toml").read_text(encoding="utf-8"))
    text = Template((HERE / "card.md").read_text(encoding="utf-8")).substitute(
        {key: Template(value).substitute(figures) for key, value in said.items()},
        name=name,
        option="" if name == "pocket" else f" --recipe {name}",
        shown=SHOWN,
        prompts=quality["prompts"],
        prompts_shown=shown,
        steps=settings["steps"],
        guidance=settings["guidance_scale"],
        seconds_per_image=quality["seconds_per_image"],
        parts="\n".join(parts),
        stages=_stage_rows(training, recipe.encoder == "joint"),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
