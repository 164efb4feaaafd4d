"""What makes pictures move: short trainings that each change one thing of pocket's recipe.

Between two prompts pocket's picture flips: most of the path lies in one step of ten. Each recipe
here is trained for the same number of samples and then measured on the same pairs, as `motion`
says; what its pictures are worth is what a judge recognises in them.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel

from embedding_geometry.diffusion.loading import Provenance, TextToImageModel, load_model
from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.ground.disk import make_folder
from embedding_geometry.ground.grades import GRADES
from embedding_geometry.ground.machine import (
    library_versions,
    package_source,
    this_machine,
    utc_now,
)
from embedding_geometry.ground.places import POCKET_FOLDER, RESULTS
from embedding_geometry.ground.records import MOTION, write_record
from embedding_geometry.perception.weights import load_metric
from embedding_geometry.pocket.denoiser import new_scheduler
from embedding_geometry.pocket.evaluate import judge_pictures
from embedding_geometry.pocket.export import STEPS
from embedding_geometry.pocket.fit import Place, Plan
from embedding_geometry.pocket.latents import load_autoencoder
from embedding_geometry.pocket.motion import fresh_pairs, measure_motion
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
SHIPPED = {f"shipped, guidance {scale}": scale for scale in (1.0, SHORT.guidance_scale)}
"""The pocket model itself."""
PAIRS_A_GRADE, JUDGED = 8, 200


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
        default_guidance_scale=recipe.guidance_scale,
    )


def measure_causes(folder: Path) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """Train what is not trained yet in `folder`, and measure all recipes and the shipped model.

    Returns:
        The motion of every pair, as of `measure_motion`, with a column `cause`; and for each cause
        what the judge finds in pictures of held-out scenes.
    """
    motion, recognised = [], {}
    for name, recipe, model, scale in _models(folder):
        settings = RenderSettings(guidance_scale=scale).resolve(model)
        pairs = fresh_pairs(recipe.world, PAIRS_A_GRADE)
        found = measure_motion(model, pairs, load_metric("alex", device="cpu"), settings)
        motion.append(found.assign(cause=name))
        judge = Place(folder / f"judge_{recipe.world.name}")
        make_folder(judge.folder)
        recognised[name] = judge_pictures(model, recipe, judge, settings, JUDGED)
    return pd.concat(motion, ignore_index=True), recognised


def _models(folder: Path) -> Iterator[tuple[str, Recipe, TextToImageModel, float]]:
    """Each cause's name, recipe, trained model and guidance scale, then the shipped model's."""
    for name, recipe in CAUSES.items():
        make_folder(folder / name)
        train_cause(recipe, Place(folder / name))
        yield name, recipe, load_cause(recipe, folder / name), recipe.guidance_scale
    pocket = load_model("pocket", device="cpu")
    for name, scale in SHIPPED.items():
        yield name, Recipe(), pocket, scale


def record_causes(folder: Path) -> None:
    """Measure, and write the record `causes`: the table and what it was made with."""
    table, recognised = measure_causes(folder)
    manifest = {
        "pairs": PAIRS_A_GRADE * len(GRADES),
        "judged": JUDGED,
        "recognised": recognised,
        "samples": SHORT.unet.steps * SHORT.unet.batch,
        "steps": STEPS,
        "net": "alex",
        **this_machine(),
        **package_source(),
        **library_versions("torch", "diffusers", "lpips"),
        "recorded": utc_now(),
    }
    write_record(RESULTS / MOTION.name, table, manifest, digits=4)
