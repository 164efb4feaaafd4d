"""What a model of this wing is made of: its world, its parts, and how long each is trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from embedding_geometry.pocket import menagerie
from embedding_geometry.pocket.fit import Plan
from embedding_geometry.pocket.pictographs import captions, labels, pictures, scenes

Scene = Any
"""What a picture shows, a value of the world's own type; only the world looks into it."""


@dataclass(frozen=True)
class Recognisable:
    """What a classifier that shares nothing with the model is asked about a world's pictures."""

    classes: tuple[int, ...]
    """The number of answers to each question."""
    values: int
    """How many numbers it is asked for beside them."""
    labels: Callable[[Scene], list[float]]
    """The right answers, -1 where a question has none, then the numbers."""
    prompt: Callable[[Scene, np.random.Generator], str]
    """A sentence that asks for what the right answers are."""
    shares: Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, float]]
    """How good a model is: from what is wanted and what is seen in real and in made pictures."""


@dataclass(frozen=True)
class World:
    """Scenes, the sentences that describe them, and the pictures that show them."""

    name: str
    """The folder of this wing that it lies in."""
    sample_scene: Callable[..., Scene]
    """(generator, held_out=False) -> a scene of the training set, or of the held-out one."""
    changed: Callable[[Scene, int, np.random.Generator], Scene]
    """The scene with exactly so many of its values replaced by others."""
    caption: Callable[[Scene, np.random.Generator], str]
    """One of the scene's many sentences."""
    rigid_caption: Callable[[Scene], str]
    """The scene's sentence in the one form of the control stratum."""
    pictured: Callable[[Sequence[Scene], np.random.Generator], Tensor]
    """One picture of each scene, (n, 3, 64, 64) in [-1, 1]."""
    changeable: Callable[[Scene], Sequence[str]]
    """The names of the scene's values that `changed` can replace."""
    recognisable: Recognisable


PICTOGRAPHS = World(
    "pictographs",
    scenes.sample_scene,
    scenes.changed,
    captions.caption,
    captions.rigid_caption,
    pictures.pictured,
    scenes.changeable,
    Recognisable(labels.CLASSES, 0, labels.labels, captions.caption, labels.shares),
)
MENAGERIE = World(
    "menagerie",
    menagerie.sample_scene,
    menagerie.changed,
    menagerie.caption,
    menagerie.rigid_caption,
    menagerie.pictured,
    menagerie.changeable,
    Recognisable(
        menagerie.CLASSES,
        len(menagerie.VALUES),
        menagerie.labels,
        menagerie.complete_caption,
        menagerie.shares,
    ),
)


@dataclass(frozen=True)
class PairsAGrade:
    """How many prompt pairs a study of the model takes of a grade; the defaults are pocket's."""

    free: int = 52
    """Of each of six grades."""
    rigid: int = 18
    """Of each of the control's three."""


@dataclass(frozen=True)
class Recipe:
    """How a model is made; the defaults are those of the pocket model."""

    world: World = PICTOGRAPHS
    encoder: Literal["contrastive", "tuned", "joint"] = "contrastive"
    """Frozen after CLIP's training; trained on with the UNet; trained with the UNet alone."""
    latents: Literal["autoencoder", "pixels"] = "autoencoder"
    """What the UNet denoises: an autoencoder's latents, or squares of 4 by 4 pixels of pictures of
    half the size."""
    offset: float = 0.0
    """Deviation of noise that is constant over a channel, added to the noise in training."""
    pictures: int = 60_000
    """Pictures of the UNet's training set, each with two captions."""
    text: Plan = Plan(steps=1200, batch=192, rate=1.5e-3)
    vae: Plan = Plan(steps=3000, batch=32, rate=1.5e-3)
    polish: Plan | None = Plan(steps=3000, batch=32, rate=6e-4, hold=0.2)
    """Of the decoder alone, once the latents are made; None where it stays as it is."""
    unet: Plan = Plan(steps=5000, batch=64, rate=1e-3)
    judge: Plan = Plan(steps=1500, batch=96, rate=1.5e-3)
    pairs: PairsAGrade = PairsAGrade()
    guidance_scale: float = 4.0
    """What the finished model samples with where nothing else is said."""


RECIPES = {
    "pocket": Recipe(),
    "menagerie": Recipe(
        MENAGERIE,
        encoder="joint",
        pictures=48_000,
        vae=Plan(steps=5000, batch=32, rate=1.5e-3),
        unet=Plan(steps=6400, batch=64, rate=1e-3),
        polish=None,
        pairs=PairsAGrade(free=60, rigid=20),
        guidance_scale=9.0,
    ),
}
