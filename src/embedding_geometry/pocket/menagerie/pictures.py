"""Pictures of the second world, drawn a batch at a time and smooth in every value of a scene."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from embedding_geometry.pocket.menagerie.anatomy import anatomy
from embedding_geometry.pocket.menagerie.brush import Brush, Values, numbers, rgb
from embedding_geometry.pocket.menagerie.creatures import paint_creature
from embedding_geometry.pocket.menagerie.landscape import blend, light_of, paint_landscape
from embedding_geometry.pocket.menagerie.scenes import Scene

PIXELS = 64
BATCH = 64  # scenes drawn together: of fewer, the calls cost more than the pixels
SMALLEST, LARGEST = 0.115, 0.26
"""Half the width of the head of a tiny and of a huge creature, as a share of the picture."""


def _sizes(scenes: Sequence[Scene]) -> Tensor:
    return numbers([s.size for s in scenes])


def _place(brush: Brush, scenes: Sequence[Scene], chance: Tensor) -> Brush:
    """The creature's brush: larger ones stand nearer, at the sides less of them is cut off."""
    x, size = numbers([s.x for s in scenes]), _sizes(scenes)
    unit = SMALLEST * (LARGEST / SMALLEST) ** size
    feet = 0.85 + 0.11 * size
    margin = 0.12 + 0.1 * size
    across = margin + (1 - 2 * margin) * x + 0.012 * chance[:, 12]
    return brush.at(across, feet - 1.78 * unit + 0.008 * chance[:, 13], unit)


PLAIN = {
    "white": (255, 255, 255),
    "rose": (250, 130, 140),
    "ink": (48, 38, 44),
    "hair": (250, 246, 244),
    "horn_color": (250, 232, 200),
}
"""Colours that all creatures share."""


def _creatures(scenes: Sequence[Scene], light: Tensor) -> Values:
    """What a brush must know of the creatures, their colours in the light of the hour."""
    weights, own = ([getattr(s, kind) for s in scenes] for kind in ("species", "individual"))
    creatures = anatomy(np.array(weights), np.array(own))
    values = {name: numbers(value) for name, value in creatures.items()}
    values |= {name: rgb(*color).expand(len(scenes), 3, 1, 1) for name, color in PLAIN.items()}
    values["eye_r"] = values["eye_r"] * (1.3 - 0.3 * _sizes(scenes))  # the young have large ones
    tint = light.lerp(torch.ones(1), 0.25)  # a creature is lit a little more than its ground
    return values | {name: value * tint for name, value in values.items() if value.ndim == 4}


def _draw(scenes: Sequence[Scene], chance: Tensor, pixels: int) -> Tensor:
    count, middles = len(scenes), (torch.arange(pixels) + 0.5) / pixels
    brush = Brush(
        torch.empty(count, 3, pixels, pixels),
        middles.view(1, 1, -1).expand(count, 1, pixels),
        middles.view(1, -1, 1).expand(count, pixels, 1),
        torch.full((count, 1, 1), 1 / pixels),
    )
    light = light_of(np.array([s.time for s in scenes]))
    weights = torch.tensor([s.ground for s in scenes])
    paint_landscape(brush, light, weights, chance)
    shadow = blend(weights, "near") * light["tint"] * 0.45
    creatures = _creatures(scenes, light["tint"]) | {"shadow": shadow}
    paint_creature(_place(brush, scenes, chance), creatures)
    return brush.image


CHANCES = 14
"""What of a picture its scene leaves open: where clouds, trees and feet stand, by a little."""


@torch.no_grad()
def drawn(
    scenes: Sequence[Scene], chance: Float[np.ndarray, "n 14"], pixels: int = PIXELS
) -> Float[Tensor, "n 3 p p"]:
    """The picture of each scene in [-1, 1] with what it leaves open fixed, from -1 to 1."""
    opened = torch.tensor(chance, dtype=torch.float32)[:, :, None, None]
    parts = [
        _draw(scenes[i : i + BATCH], opened[i : i + BATCH], pixels)
        for i in range(0, len(scenes), BATCH)
    ]
    return torch.cat(parts).clamp(0, 1) * 2 - 1


def pictured(scenes: Iterable[Scene], rng: np.random.Generator) -> Float[Tensor, "n 3 64 64"]:
    """One of the pictures of each scene in [-1, 1]; `rng` draws what the scenes leave open."""
    scenes = list(scenes)
    return drawn(scenes, rng.uniform(-1, 1, (len(scenes), CHANCES)))


def picture(scene: Scene, rng: np.random.Generator) -> UInt8[np.ndarray, "64 64 3"]:
    """One of the scene's pictures."""
    image = (pictured([scene], rng)[0].permute(1, 2, 0) + 1) * 127.5
    return image.round().to(torch.uint8).numpy()
