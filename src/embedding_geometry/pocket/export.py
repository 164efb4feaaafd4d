"""Put the finished parts together in the standard diffusers folder format."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel

from embedding_geometry.pocket.denoiser import new_scheduler
from embedding_geometry.pocket.text import load_tokenizer

STEPS, GUIDANCE_SCALE = 16, 4.0
"""The sampler's defaults, as fixed in the study protocol."""


def _rounded(module: torch.nn.Module) -> torch.nn.Module:
    """Round weights to half precision but keep float32 files: they load anywhere and pack well."""
    return module.half().float()


def _forget_origin(config: Path) -> None:
    """Drop the path that the part was loaded from: it means nothing on another machine."""
    settings = json.loads(config.read_text())
    settings.pop("_name_or_path", None)
    config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")


def export(run: Path, target: Path) -> None:
    """Write tokenizer, text encoder, UNet, autoencoder, scheduler and backbone to `target`.

    Raises:
        FileNotFoundError: a stage of the run has not finished.
    """
    parts = ("tokenizer", "text_encoder", "vae", "unet", "perceptual")
    missing = [part for part in parts if not (run / part).is_dir()]
    if missing:
        raise FileNotFoundError(f"{run} lacks {', '.join(missing)}: finish those stages first")
    pipeline = StableDiffusionPipeline(
        tokenizer=load_tokenizer(run),
        text_encoder=_rounded(CLIPTextModel.from_pretrained(run / "text_encoder")),
        unet=_rounded(UNet2DConditionModel.from_pretrained(run / "unet")),
        vae=_rounded(AutoencoderKL.from_pretrained(run / "vae")),
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(target, safe_serialization=True)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(run / "tokenizer" / name, target / "tokenizer" / name)
    for name in ("unet", "vae"):
        _forget_origin(target / name / "config.json")
    shutil.copytree(run / "perceptual", target / "perceptual", dirs_exist_ok=True)
    settings = {"steps": STEPS, "guidance_scale": GUIDANCE_SCALE}
    (target / "generation.json").write_text(json.dumps(settings) + "\n")
