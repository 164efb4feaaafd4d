"""How good is a model? Figures on held-out scenes, and the model card that states them.

Held-out scenes are combinations that no training picture or caption shows (`Scene.held_out`).
What a generated image shows is decided by a *judge*: a convolutional classifier trained on the
world's own pictures that shares nothing with the generator, neither weights nor captions.
"""

import json
import math
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from embedding_geometry.diffusion.clouds import encode_prompts
from embedding_geometry.diffusion.generation import default_settings, initial_latent, render
from embedding_geometry.diffusion.loading import TextToImageModel, load_model
from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.ground.grades import MOST_SIMILAR
from embedding_geometry.perception.weights import load_metric
from embedding_geometry.pocket.fit import Place, fit
from embedding_geometry.pocket.motion import fresh_pairs, measure_motion
from embedding_geometry.pocket.pictographs.pictures import pixels
from embedding_geometry.pocket.recipes import Recipe, Scene, World
from embedding_geometry.pocket.recogniser import Recognising, draw_labelled
from embedding_geometry.pocket.text import Contrastive, convolution, load_tokenizer, tokenize

PROMPTS, SHOWN, SEED = 1000, 40, 7
PAIRS_A_GRADE = 24
JUDGE = "judge_final.safetensors"  # in the run folder
PAIRS = 5 * PAIRS_A_GRADE  # of grades 0 to 4


def untrained_judge(world: World) -> Recognising:
    """A recogniser of a world's pictures of random weights."""
    features = nn.Sequential(
        *convolution(3, 32, 2),
        *convolution(32, 64, 1),
        *convolution(64, 64, 2),
        *convolution(64, 96, 1),
        *convolution(96, 96, 2),
        *convolution(96, 128, 1),
        nn.AdaptiveAvgPool2d((3, 4)),
    )
    return Recognising(features, 128 * 12, world.recognisable)


def train_judge(place: Place, recipe: Recipe) -> Recognising:
    """Train the judge on pictures of training scenes; kept in the run folder."""
    torch.manual_seed(place.seed + 1)
    final = place.folder / JUDGE
    judge = untrained_judge(recipe.world)
    if final.exists():
        judge.load_state_dict(load_file(final))
        return judge.eval()
    fit("judge", judge, partial(draw_labelled, recipe.world), recipe.judge, place)
    save_file(judge.state_dict(), final)
    return judge


@torch.no_grad()
def _retrieval(run: Path, world: World, count: int, rng: np.random.Generator) -> float:
    """Share of captions whose most similar picture, among `count` scenes, is their own."""
    scenes: dict[Scene, None] = {}
    while len(scenes) < count:
        scenes[world.sample_scene(rng, held_out=True)] = None
    tokenizer = load_tokenizer(run)
    model = Contrastive(tokenizer)
    model.load_state_dict(load_file(run / "text_final.safetensors"))
    ids = tokenize(tokenizer, [world.caption(s, rng) for s in scenes])
    scores = model.eval().similarities(ids, world.pictured(list(scenes), rng))
    return float((scores.argmax(1) == torch.arange(count)).float().mean())


@torch.no_grad()
def _psnr(model: TextToImageModel, images: Tensor) -> float:
    """Peak signal-to-noise ratio of the mean squared error over all pictures, range 2."""
    errors = []
    for part in images.split(100):
        back = model.vae.decode(model.vae.encode(part).latent_dist.mean).sample.clamp(-1, 1)
        errors.append((back - part).square().mean((1, 2, 3)))
    return 10 * math.log10(4 / torch.cat(errors).mean().item())


def _generate(
    model: TextToImageModel, texts: list[str], settings: RenderSettings
) -> tuple[np.ndarray, float]:
    """One image a prompt, each from its own initial latent, and the seconds that one takes."""
    clouds = encode_prompts(model, texts)
    start = time.perf_counter()
    frames = [
        render(model, clouds[i : i + 1], initial_latent(model, SEED + i), settings)[0]
        for i in tqdm(range(len(texts)), "images")
    ]
    return np.stack(frames), round((time.perf_counter() - start) / len(texts), 2)


def contact_sheet(frames: np.ndarray) -> Image.Image:
    """The first `SHOWN` images at twice their size, eight a row in order; no choice made."""
    rows = min(SHOWN, len(frames)) // 8
    grid = frames[: 8 * rows].reshape(rows, 8, *frames.shape[1:])
    sheet = Image.fromarray(np.concatenate([np.concatenate(row, 1) for row in grid]))
    return sheet.resize((2 * sheet.width, 2 * sheet.height), Image.Resampling.LANCZOS)


def held_out_prompts(
    world: World, count: int, rng: np.random.Generator
) -> tuple[list[Scene], list[str]]:
    """The scenes of the evaluation and a prompt of each, which only seed and number determine."""
    scenes = [world.sample_scene(rng, held_out=True) for _ in range(count)]
    return scenes, [world.recognisable.prompt(scene, rng) for scene in scenes]


def _motion(model: TextToImageModel, world: World) -> dict[str, float]:
    """Medians over the fresh pairs of grades 0 to 4, with LPIPS (AlexNet)."""
    pairs = [pair for pair in fresh_pairs(world, PAIRS_A_GRADE) if pair.similarity < MOST_SIMILAR]
    metric = load_metric("alex", device="cpu")
    found = measure_motion(model, pairs, metric, default_settings(model))
    return dict(found[["gini", "largest_step"]].median())


def _recognised(
    judge: Recognising, scenes: list[Scene], images: Tensor, frames: np.ndarray
) -> dict[str, float]:
    """What the judge finds of the scenes, in their real pictures and in the generated frames."""
    wanted = np.array([judge.asked.labels(scene) for scene in scenes], float)
    return judge.asked.shares(wanted, judge.answers(images), judge.answers(pixels(list(frames))))


def judge_pictures(
    model: TextToImageModel,
    recipe: Recipe,
    place: Place,
    settings: RenderSettings,
    prompts: int,
) -> dict[str, float]:
    """What the judge finds in pictures of held-out scenes; it is trained in `place` if need be."""
    rng = np.random.default_rng(SEED)
    scenes, texts = held_out_prompts(recipe.world, prompts, rng)
    images = recipe.world.pictured(scenes, rng)
    frames, _ = _generate(model, texts, settings)
    return _recognised(train_judge(place, recipe), scenes, images, frames)


def evaluate(
    run: Path, folder: Path, recipe: Recipe, prompts: int = PROMPTS
) -> dict[str, int | float]:
    """Measure the finished model in `folder`; writes `evaluation.json` and `samples.png` there.

    Args:
        run: the run folder with the contrastive model; the judge is trained there if need be.
        folder: the finished model.
        recipe: what it was made by.
        prompts: number of held-out scenes, eight or more.

    Returns:
        The number of prompts; the autoencoder's PSNR in decibels; the seconds that an image takes,
        one at a time, at the default settings on this machine; how its pictures move; where the
        text encoder is contrastive, the share of captions that find their picture among those of
        as many scenes; and the shares of the world's own.
    """
    rng = np.random.default_rng(SEED)
    world = recipe.world
    scenes, texts = held_out_prompts(world, prompts, rng)
    images = world.pictured(scenes, rng)
    model = load_model(str(folder), device="cpu")
    frames, seconds = _generate(model, texts, default_settings(model))
    contrastive = recipe.encoder == "contrastive"
    shares = {
        **({"retrieval_top1": _retrieval(run, world, prompts, rng)} if contrastive else {}),
        **_motion(model, world),
        **_recognised(train_judge(Place(run), recipe), scenes, images, frames),
    }
    quality = {
        "prompts": prompts,
        "psnr": round(_psnr(model, images), 2),
        "seconds_per_image": seconds,
        **{name: round(float(share), 3) for name, share in shares.items()},
    }
    (folder / "evaluation.json").write_text(json.dumps(quality, indent=1) + "\n")
    contact_sheet(frames).save(folder / "samples.png", optimize=True)
    return quality
