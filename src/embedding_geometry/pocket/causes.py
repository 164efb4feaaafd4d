"""What makes pictures move: short trainings that each change one thing of pocket's recipe.

Between two prompts pocket's picture flips: most of the path lies in one step of ten. Each recipe
here is trained for the same number of samples of the same world and then measured on the same
pairs, which no study uses, along row order alone: no coupling is compared with another.
"""

import shutil
from dataclasses import replace
from pathlib import Path

from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel

from embedding_geometry.diffusion.loading import Provenance, TextToImageModel
from embedding_geometry.ground.places import POCKET_FOLDER
from embedding_geometry.pocket.denoiser import new_scheduler
from embedding_geometry.pocket.export import GUIDANCE_SCALE, STEPS
from embedding_geometry.pocket.fit import Place, Plan
from embedding_geometry.pocket.latents import load_autoencoder
from embedding_geometry.pocket.recipes import MENAGERIE, PICTOGRAPHS, Recipe
from embedding_geometry.pocket.text import load_tokenizer
from embedding_geometry.pocket.train import run_stage

SHORT = Recipe(unet=Plan(steps=1000, batch=64, rate=1e-3), pictures=16_000)
CAUSES = {
    "pocket": SHORT,
    "joint": replace(SHORT, encoder="joint"),
    "tuned": replace(SHORT, encoder="tuned"),
    "pixels": replace(SHORT, latents="pixels"),
    "joint-pixels": replace(SHORT, encoder="joint", latents="pixels"),
    "continuous": replace(SHORT, encoder="joint", latents="pixels", world=MENAGERIE),
    "offset": replace(SHORT, offset=0.1),
}
"""Each has a fifth of pocket's samples."""


def train_cause(recipe: Recipe, place: Place) -> None:
    """Train a recipe's UNet, and its text encoder where it says so, on pocket's other parts."""
    for part in ("tokenizer", "text_encoder", "vae"):
        if not (place.folder / part).exists():
            shutil.copytree(POCKET_FOLDER / part, place.folder / part)
    if recipe.world is not PICTOGRAPHS:
        run_stage("tokenizer", place, recipe)
    if recipe.encoder == "joint" and not (place.folder / "unet.safetensors").exists():
        run_stage("text", place, recipe)
    for stage in ("latents", "unet"):
        run_stage(stage, place, recipe)


def load_cause(recipe: Recipe, folder: Path) -> TextToImageModel:
    """The model that a training left in its run folder."""
    return TextToImageModel(
        tokenizer=load_tokenizer(folder),
        text_encoder=CLIPTextModel.from_pretrained(folder / "text_encoder").eval(),
        unet=UNet2DConditionModel.from_pretrained(folder / "unet").eval(),
        vae=load_autoencoder(folder, recipe).eval(),
        scheduler=new_scheduler(),
        provenance=Provenance(folder.name, "", "cpu", "float32", {}),
        default_steps=STEPS,
        default_guidance_scale=GUIDANCE_SCALE,
    )
