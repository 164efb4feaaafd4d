"""How good is the pocket model? Figures on held-out scenes, and the model card that states them.

Held-out scenes are combinations that no training picture or caption shows (`Scene.held_out`).
What a generated image shows is decided by a *judge*: a convolutional classifier trained on the
world's own pictures that shares nothing with the generator, neither weights nor captions.
"""

import json
import math
import time
from dataclasses import asdict, dataclass
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
from embedding_geometry.pocket.fit import Place, fit
from embedding_geometry.pocket.pictographs.captions import caption
from embedding_geometry.pocket.pictographs.pictures import pictured, pixels
from embedding_geometry.pocket.pictographs.scenes import Scene, sample_scene
from embedding_geometry.pocket.recipes import Recipe
from embedding_geometry.pocket.recogniser import Recognising, draw_labelled, labels
from embedding_geometry.pocket.text import Contrastive, convolution, load_tokenizer, tokenize

PROMPTS, SHOWN, SEED = 1000, 40, 7


@dataclass(frozen=True)
class Quality:
    """Shares are of 1, PSNR is in decibels, all on `prompts` held-out scenes."""

    prompts: int
    retrieval_top1: float
    """A caption finds its picture among those of `prompts` different scenes."""
    psnr: float
    judge_objects: float
    """The judge names every object of a real picture: what it could reach at best."""
    judge_place: float
    objects: float
    """The judge names every object that the prompt asks for, wherever it stands."""
    single_objects: float
    """The same for prompts with one object."""
    two_objects: float
    """The same for prompts with two objects."""
    placed: float
    """The right objects also stand in the right positions."""
    place: float
    time: float
    seconds_per_image: float
    """At the default settings, one image at a time, on this machine."""


def _judge() -> Recognising:
    features = nn.Sequential(
        *convolution(3, 32, 2),
        *convolution(32, 64, 1),
        *convolution(64, 64, 2),
        *convolution(64, 96, 1),
        *convolution(96, 96, 2),
        *convolution(96, 128, 1),
        nn.AdaptiveAvgPool2d((3, 4)),
    )
    return Recognising(features, 128 * 12)


def train_judge(place: Place, recipe: Recipe) -> Recognising:
    """Train the judge on pictures of training scenes; kept in the run folder."""
    torch.manual_seed(place.seed + 1)
    final = place.folder / "judge_final.safetensors"
    judge = _judge()
    if final.exists():
        judge.load_state_dict(load_file(final))
        return judge.eval()
    fit("judge", judge, draw_labelled, recipe.judge, place)
    save_file(judge.state_dict(), final)
    return judge


@torch.no_grad()
def _verdicts(judge: Recognising, images: Tensor) -> np.ndarray:
    """Most likely label of each kind, int (images, 5)."""
    out = [torch.stack([o.argmax(1) for o in judge.logits(part)], 1) for part in images.split(100)]
    return torch.cat(out).numpy()


def _named(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Whether every wanted object is found in some slot, bool (images,)."""
    return np.array([set(w[:3]) - {0} <= set(f[:3]) for f, w in zip(found, wanted, strict=True)])


@torch.no_grad()
def _retrieval(run: Path, count: int, rng: np.random.Generator) -> float:
    """Share of captions whose most similar picture, among `count` scenes, is their own."""
    scenes: dict[Scene, None] = {}
    while len(scenes) < count:
        scenes[sample_scene(rng, held_out=True)] = None
    tokenizer = load_tokenizer(run)
    model = Contrastive(tokenizer)
    model.load_state_dict(load_file(run / "text_final.safetensors"))
    ids = tokenize(tokenizer, [caption(s, rng) for s in scenes])
    scores = model.eval().similarities(ids, pictured(scenes, rng))
    return float((scores.argmax(1) == torch.arange(count)).float().mean())


@torch.no_grad()
def _psnr(model: TextToImageModel, images: Tensor) -> float:
    """Peak signal-to-noise ratio of the mean squared error over all pictures, range 2."""
    errors = []
    for part in images.split(100):
        back = model.vae.decode(model.vae.encode(part).latent_dist.mean).sample.clamp(-1, 1)
        errors.append((back - part).square().mean((1, 2, 3)))
    return 10 * math.log10(4 / torch.cat(errors).mean().item())


def _generate(model: TextToImageModel, texts: list[str]) -> tuple[np.ndarray, float]:
    """One image a prompt, each from its own initial latent, and the seconds that one takes."""
    settings = default_settings(model)
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


def _judged(wanted: np.ndarray, real: np.ndarray, made: np.ndarray) -> dict[str, float]:
    """Shares of what is wanted, (images, 5), that is found in the real and the made pictures."""
    named, two = _named(made, wanted), (wanted[:, :3] > 0).sum(axis=1) == 2
    return {
        "judge_objects": _named(real, wanted).mean(),
        "judge_place": (real[:, 3] == wanted[:, 3]).mean(),
        "objects": named.mean(),
        "single_objects": named[~two].mean(),
        "two_objects": named[two].mean(),
        "placed": (made[:, :3] == wanted[:, :3]).all(1).mean(),
        "place": (made[:, 3] == wanted[:, 3]).mean(),
        "time": (made[:, 4] == wanted[:, 4]).mean(),
    }


def held_out_prompts(count: int, rng: np.random.Generator) -> tuple[list[Scene], list[str]]:
    """The scenes of the evaluation and a caption of each, which only seed and number determine."""
    scenes = [sample_scene(rng, held_out=True) for _ in range(count)]
    return scenes, [caption(scene, rng) for scene in scenes]


def evaluate(run: Path, folder: Path, recipe: Recipe, prompts: int = PROMPTS) -> Quality:
    """Measure the finished model in `folder`; writes `evaluation.json` and `samples.png` there.

    Args:
        run: the run folder with the contrastive model; the judge is trained there if need be.
        folder: the finished model.
        recipe: what it was made by.
        prompts: number of held-out scenes, eight or more.
    """
    rng = np.random.default_rng(SEED)
    scenes, texts = held_out_prompts(prompts, rng)
    images = pictured(scenes, rng)
    wanted = np.array([labels(s) for s in scenes])
    judge = train_judge(Place(run), recipe)
    model = load_model(str(folder), device="cpu")
    frames, seconds = _generate(model, texts)
    shares = {
        "retrieval_top1": _retrieval(run, prompts, rng),
        **_judged(wanted, _verdicts(judge, images), _verdicts(judge, pixels(list(frames)))),
    }
    quality = Quality(
        prompts=prompts,
        psnr=round(_psnr(model, images), 2),
        seconds_per_image=seconds,
        **{name: round(float(share), 3) for name, share in shares.items()},
    )
    (folder / "evaluation.json").write_text(json.dumps(asdict(quality), indent=1) + "\n")
    contact_sheet(frames).save(folder / "samples.png", optimize=True)
    return quality
