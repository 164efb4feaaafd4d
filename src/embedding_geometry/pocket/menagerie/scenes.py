"""Scenes of the second world, in which every value is continuous.

A *creature* is a point of one anatomy's parameter space: a mixture of species plus what makes it
an individual. It stands somewhere, in some size, on a mixture of grounds, at some time between
dawn and midnight. A small change of any value is a small change of the picture.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from embedding_geometry.pocket.menagerie.anatomy import SPECIES, VARIATION

GROUNDS = (
    "meadow",
    "beach",
    "snow",
    "desert",
    "forest",
    "lake",
    "mountains",
    "city",
    "lavender",
    "autumn",
)


class Labels(NamedTuple):
    """What an independent recogniser may be asked; None where a mixture has no nearest name."""

    species: str | None
    ground: str | None
    x: float
    size: float
    time: float


UNMIXED = 0.8
"""From this weight on a mixture counts as the one thing."""


@dataclass(frozen=True)
class Scene:
    """What a picture shows: a pure value, hashable, on straight lines to every other one."""

    species: tuple[float, ...]
    """Weights of `SPECIES`, none negative, together 1."""
    individual: tuple[float, ...]
    """Values of `VARIATION`, each from -1 to 1."""
    x: float
    """From 0, far left, to 1, far right."""
    size: float
    """From 0, tiny, to 1, huge."""
    ground: tuple[float, ...]
    """Weights of `GROUNDS`, none negative, together 1."""
    time: float
    """From 0, dawn, over noon and dusk to 1, midnight."""

    @property
    def held_out(self) -> bool:
        """One cell of the space of scenes in twenty is never seen in training."""
        mixtures = (self.species, self.ground, (self.x, self.size, self.time))
        cell = [[round(4 * value) for value in values] for values in mixtures]
        return zlib.crc32(repr(cell).encode()) % 20 == 0

    @property
    def labels(self) -> Labels:
        """Names and values of what can be seen."""
        names = (_named(SPECIES, self.species), _named(GROUNDS, self.ground))
        return Labels(*names, self.x, self.size, self.time)


def _named(names: Iterable[str], weights: tuple[float, ...]) -> str | None:
    name, weight = largest(names, weights)[0]
    return name if weight >= UNMIXED else None


def largest(names: Iterable[str], weights: tuple[float, ...]) -> list[tuple[str, float]]:
    """The two largest parts of a mixture, the larger one first."""
    parts = zip(names, weights, strict=True)
    return sorted(parts, key=lambda part: part[1], reverse=True)[:2]


def mixture(names: Iterable[str], parts: Mapping[str, float]) -> tuple[float, ...]:
    """Weights of a mixture, say of `SPECIES`, from its parts, say {"cat": 0.75, "rabbit": 0.25}.

    Raises:
        ValueError: a part is not among the names, negative, or all of them are zero.
    """
    names, total = list(names), sum(parts.values())
    if not set(parts) <= set(names) or min(parts.values(), default=0) < 0 or total <= 0:
        raise ValueError(f"{dict(parts)} is no mixture: weights above zero of some of {names}")
    return tuple(parts.get(name, 0.0) / total for name in names)


def between(first: Scene, second: Scene, weight: float) -> Scene:
    """The scene on the straight line from the first (weight 0) to the second (weight 1)."""

    def mixed(a: Any, b: Any) -> Any:
        value = ((1 - weight) * np.array(a) + weight * np.array(b)).tolist()
        return tuple(value) if isinstance(a, tuple) else value

    return Scene(*map(mixed, astuple(first), astuple(second)))


def _sample_mixture(names: Iterable[str], rng: np.random.Generator) -> tuple[float, ...]:
    """One of the names, or in every second draw two of them, in any proportion."""
    names = list(names)
    first, second = rng.choice(names, 2, replace=False)
    weight = rng.random() if rng.random() < 0.5 else 0.0
    return mixture(names, {first: 1 - weight, second: weight})


def sample_scene(rng: np.random.Generator, *, held_out: bool = False) -> Scene:
    """Draw a scene of the training set, or of the held-out one."""
    while True:
        scene = Scene(
            species=_sample_mixture(SPECIES, rng),
            individual=tuple(rng.uniform(-1, 1, len(VARIATION)).tolist()),
            x=rng.random(),
            size=rng.random(),
            ground=_sample_mixture(GROUNDS, rng),
            time=rng.random(),
        )
        if scene.held_out == held_out:
            return scene


NAMEABLE = ("species", "size", "x", "ground", "time")
"""The values of a scene that a caption can say."""

FAR = 0.35
"""A number has clearly changed when it has moved by this much."""


def changeable(scene: Scene) -> tuple[str, ...]:
    """The kinds of values that `changed` can replace: the same in every scene."""
    return NAMEABLE


def _other(value: float, rng: np.random.Generator) -> float:
    """A number from 0 to 1 that is far from another one."""
    below, above = max(value - FAR, 0), max(1 - FAR - value, 0)
    drawn = rng.uniform(0, below + above)
    return drawn if drawn < below else drawn - below + value + FAR


def _other_mixture(
    names: Iterable[str], taken: tuple[float, ...], rng: np.random.Generator
) -> tuple[float, ...]:
    """A mixture without anything of another one."""
    while True:
        drawn = _sample_mixture(names, rng)
        if np.dot(drawn, taken) == 0:
            return drawn


def changed(scene: Scene, count: int, rng: np.random.Generator) -> Scene:
    """The scene with exactly `count` of its nameable values clearly replaced.

    Raises:
        ValueError: a scene has fewer than `count` nameable values.
    """
    if not 0 <= count <= len(NAMEABLE):
        raise ValueError(
            f"{count} values of a scene cannot change: it has {len(NAMEABLE)}, {NAMEABLE}"
        )
    names = {"species": SPECIES, "ground": GROUNDS}
    new: dict[str, Any] = {}
    for kind in rng.permutation(NAMEABLE)[:count]:
        old = getattr(scene, kind)
        new[kind] = _other_mixture(names[kind], old, rng) if kind in names else _other(old, rng)
    return replace(scene, **new)
