"""Put the finished parts together in the standard diffusers folder format."""

import json
import shutil
from pathlib import Path

from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel

from embedding_geometry.pocket.denoiser import new_scheduler
from embedding_geometry.pocket.recipes import Recipe
from embedding_geometry.pocket.text import load_tokenizer

NETWORKS = {"text_encoder": CLIPTextModel, "unet": UNet2DConditionModel, "vae": AutoencoderKL}
STEPS = 16
"""Of the sampler by default, as fixed in the study protocol."""


def export(run: Path, target: Path, recipe: Recipe) -> None:
    """Write tokenizer, text encoder, UNet, autoencoder and scheduler to `target`.

    Raises:
        FileNotFoundError: a stage of the run has not finished.
    """
    missing = [part for part in ("tokenizer", *NETWORKS) if not (run / part).is_dir()]
    if missing:
        raise FileNotFoundError(f"{run} lacks {', '.join(missing)}: finish those stages first")
    # rounded to half precision, but in float32 files, which load anywhere and pack well
    networks = {
        name: network.from_pretrained(run / name).half().float()
        for name, network in NETWORKS.items()
    }
    pipeline = StableDiffusionPipeline(
        tokenizer=load_tokenizer(run),
        **networks,
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(target, safe_serialization=True)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(run / "tokenizer" / name, target / "tokenizer" / name)
    for name in ("unet", "vae"):  # where they were loaded from means nothing elsewhere
        path = target / name / "config.json"
        config = json.loads(path.read_text())
        config.pop("_name_or_path", None)
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    settings = {"steps": STEPS, "guidance_scale": recipe.guidance_scale}
    (target / "generation.json").write_text(json.dumps(settings) + "\n")
