"""The model card of the pocket model: every figure in it is read from the recorded files."""

import json
from pathlib import Path
from string import Template

import numpy as np
from safetensors.numpy import load_file

from embedding_geometry.pocket.evaluate import SEED, SHOWN, held_out_prompts
from embedding_geometry.pocket.pictographs.scenes import OBJECTS, PLACES, TIMES
from embedding_geometry.pocket.recipes import PICTOGRAPHS

TARGETS = {"retrieval_top1": 0.70, "psnr": 27.0, "objects": 0.80, "place": 0.90}
STAGES = {
    "text": "text encoder",
    "vae": "autoencoder",
    "polish": "decoder alone, encoder fixed",
    "unet": "UNet",
    "perceptual": "perceptual backbone",
}
CARD = Path(__file__).with_suffix(".md")


def _parameters(folder: Path) -> dict[str, int]:
    """Number of weights of each part."""
    files = sorted(folder.rglob("*.safetensors"))
    return {f.parent.name: sum(weight.size for weight in load_file(f).values()) for f in files}


def _stage_rows(training: dict[str, dict[str, object]]) -> str:
    return "\n".join(
        f"| {STAGES[name]} | {r['steps']} | {r['samples']} | {r['minutes']} | {r['device']} |"
        for name, r in training.items()
    )


def _shown_prompts(evaluated: int) -> str:
    """A numbered list of the prompts of the contact sheet, in its order."""
    _, texts = held_out_prompts(PICTOGRAPHS, evaluated, np.random.default_rng(SEED))
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts[:SHOWN], start=1))


def collect_training(run: Path) -> dict[str, dict[str, object]]:
    """What each finished stage of a run cost."""
    files = {name: run / f"{name}.json" for name in STAGES}
    return {name: json.loads(f.read_text()) for name, f in files.items() if f.exists()}


def write_card(folder: Path) -> None:
    """Fill in `card.md` from the evaluation, the training record, the settings and the weights.

    Raises:
        FileNotFoundError: the model was not evaluated yet.
    """
    quality = json.loads((folder / "evaluation.json").read_text())
    settings = json.loads((folder / "generation.json").read_text())
    training = json.loads((folder / "training.json").read_text())
    parts = [f"| {part} | {count:,} |" for part, count in _parameters(folder).items()]
    plain = ("prompts", "psnr", "seconds_per_image")
    shares = {
        key: value if key in plain else f"{100 * value:.1f} %" for key, value in quality.items()
    }
    aims = {
        f"aim_{key}": f"≥ {value if key == 'psnr' else f'{100 * value:.0f} %'}"
        for key, value in TARGETS.items()
    }
    text = Template(CARD.read_text(encoding="utf-8")).substitute(
        {**shares, **aims, "objects_named": shares["objects"]},
        shown=SHOWN,
        prompts_shown=_shown_prompts(quality["prompts"]),
        steps=settings["steps"],
        guidance=settings["guidance_scale"],
        objects=len(OBJECTS),
        places=len(PLACES),
        times=len(TIMES),
        parts="\n".join(parts),
        stages=_stage_rows(training),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
