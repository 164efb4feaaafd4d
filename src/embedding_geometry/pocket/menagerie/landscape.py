"""Sky, ground and what stands on it: a mixture of grounds in the light of an hour."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from embedding_geometry.pocket.menagerie.anatomy import Color
from embedding_geometry.pocket.menagerie.brush import Brush, Values, numbers, rgb, where
from embedding_geometry.pocket.menagerie.scenes import GROUNDS
from embedding_geometry.pocket.menagerie.things import THINGS

HOURS = (0.0, 0.15, 0.33, 0.5, 0.68, 0.8, 0.9, 1.0)
DAY: dict[str, tuple[Color, ...]] = {
    "top": (
        (126, 142, 200), (112, 182, 236), (88, 172, 240), (100, 174, 234),
        (112, 104, 176), (66, 72, 140), (40, 52, 114), (30, 40, 96),
    ),
    "middle": (
        (240, 186, 184), (180, 218, 242), (146, 208, 248), (172, 216, 240),
        (238, 148, 136), (138, 110, 168), (62, 80, 144), (48, 62, 124),
    ),
    "low": (
        (255, 218, 176), (255, 238, 210), (218, 240, 250), (252, 236, 204),
        (255, 194, 128), (232, 156, 150), (108, 120, 178), (80, 94, 156),
    ),
    "tint": (
        (255, 228, 224), (255, 250, 240), (255, 255, 255), (255, 249, 234),
        (255, 214, 192), (210, 190, 214), (174, 182, 224), (156, 166, 216),
    ),
}  # fmt: skip
"""Colours of the sky at its top, middle and horizon, and of the light, at each of `HOURS`."""


def light_of(time: np.ndarray) -> Values:
    """Colours of `DAY`, the time and how much it is night, from times (n,)."""
    between = {
        name: np.stack([np.interp(time, HOURS, level) for level in zip(*colors, strict=True)], 1)
        for name, colors in DAY.items()
    }
    night = np.interp(time, (0.0, 0.06, 0.72, 0.92), (0.35, 0.0, 0.0, 1.0))
    colors = {name: numbers(levels / 255) for name, levels in between.items()}
    return colors | {"time": numbers(time), "night": numbers(night)}


STARS = [
    (0.03 + (0.7549 * i) % 0.94, 0.02 + (0.5698 * i) % 0.46, 0.55 + (0.37 * i) % 0.45)
    for i in range(1, 22)
]
"""x, y and size, spread evenly by irrational steps."""


def _sky(brush: Brush, light: Values) -> None:
    y = brush.v.unsqueeze(1)
    upper, lower = (y / 0.32).clamp(0, 1), ((y - 0.3) / 0.32).clamp(0, 1)
    ramp = light["top"].lerp(light["middle"], upper).lerp(light["low"], lower)
    brush.image.copy_(ramp.expand_as(brush.image))
    where(light["night"], brush, light, _stars)
    day = light["time"] / 0.72  # the sun is down from 1 on
    sun = brush.at(0.1 + 0.8 * day, 0.56 - 0.44 * (math.pi * day).sin())
    warm = rgb(255, 248, 226)
    up = (1 - (light["time"] - 0.74) * 12).clamp(0, 1)
    sun.glow(warm, 0.22, 0.22, 0.55 * up)
    sun.disc(rgb(255, 246, 206), 0.062, 0.062, up)


def _stars(brush: Brush, light: Values) -> None:
    for x, y, size in STARS:
        star = brush.at(x, y)
        star.disc(rgb(255, 250, 226), 0.008 * size, 0.008 * size, light["night"])
    rise = ((light["time"] - 0.7) / 0.3).clamp(0, 1)
    moon = brush.at(0.12 + 0.16 * rise, 0.52 - 0.36 * rise)
    shine = light["night"] * (light["time"] > 0.5)
    moon.glow(rgb(190, 200, 240), 0.17, 0.17, 0.5 * shine)
    moon.disc(rgb(255, 248, 222), 0.07, 0.07, shine)
    moon.at(0.018, -0.012).disc(rgb(240, 230, 202), 0.016, 0.016, 0.6 * shine)
    moon.at(-0.022, 0.016).disc(rgb(240, 230, 202), 0.02, 0.02, 0.6 * shine)


def _clouds(brush: Brush, light: Values, chance: Tensor) -> None:
    color = light["low"].lerp(rgb(255, 255, 255), 0.7) * light["tint"].lerp(torch.ones(1), 0.5)
    puffs = ((-0.09, 0.01, 0.06), (0.0, -0.012, 0.075), (0.09, 0.012, 0.055))
    for i, (x, y) in enumerate(((0.22, 0.2), (0.72, 0.13))):
        cloud = brush.at(x + 0.16 * chance[:, i], y + 0.05 * chance[:, 2 + i])
        shapes = [cloud.at(dx, dy).haze(r, 0.6 * r) for dx, dy, r in puffs]
        field = torch.stack(shapes).sum(0)
        brush.paint(((field - 0.35) * 2.6).clamp(0, 1) * 0.8, color)


class Line(NamedTuple):
    """A line of hills: what it repeats, height over the horizon, amplitude, waves, phase."""

    kind: str
    height: float
    amplitude: float
    waves: float
    phase: float


class Land(NamedTuple):
    """What of a ground blends with others."""

    far: Color
    near: Color
    back: Color
    """Of the hills behind."""
    front: Color
    """Of the hills before them."""
    behind: Line
    before: Line
    horizon: float = 0.6
    water: float = 0.0
    """How far it reaches down from the horizon."""


LAND: dict[str, Land] = {
    "meadow": Land(
        far=(182, 220, 120), near=(112, 186, 88), back=(158, 206, 158), front=(140, 200, 116),
        behind=Line("wave", 0.08, 0.035, 1.1, 0.1), before=Line("wave", 0.03, 0.025, 1.3, 0.6),
    ),
    "beach": Land(
        far=(252, 230, 182), near=(244, 212, 154), back=(150, 196, 190), front=(246, 222, 170),
        behind=Line("wave", 0.0, 0.015, 0.9, 0.6), before=Line("wave", -0.01, 0.0, 1.0, 0.0),
        horizon=0.54, water=0.13,
    ),
    "snow": Land(
        far=(226, 236, 250), near=(250, 252, 255), back=(200, 216, 240), front=(226, 236, 249),
        behind=Line("wave", 0.1, 0.05, 1.2, 0.3), before=Line("wave", 0.03, 0.03, 0.9, 0.8),
    ),
    "desert": Land(
        far=(250, 214, 150), near=(236, 178, 106), back=(238, 190, 130), front=(232, 174, 104),
        behind=Line("peak", 0.04, 0.08, 1.2, 0.1), before=Line("wave", 0.02, 0.045, 1.0, 0.55),
        horizon=0.62,
    ),
    "forest": Land(
        far=(140, 184, 104), near=(92, 148, 78), back=(112, 162, 122), front=(78, 134, 92),
        behind=Line("lobe", 0.2, 0.05, 4.0, 0.2), before=Line("lobe", 0.1, 0.05, 5.5, 0.7),
    ),
    "lake": Land(
        far=(162, 206, 128), near=(120, 182, 98), back=(146, 186, 182), front=(120, 174, 140),
        behind=Line("wave", 0.1, 0.05, 1.4, 0.75), before=Line("lobe", 0.02, 0.025, 6.0, 0.1),
        horizon=0.54, water=0.27,
    ),
    "mountains": Land(
        far=(164, 204, 128), near=(124, 180, 104), back=(150, 166, 202), front=(126, 168, 150),
        behind=Line("peak", 0.1, 0.3, 2.0, 0.22), before=Line("peak", 0.02, 0.09, 2.6, 0.7),
        horizon=0.62,
    ),
    "city": Land(
        far=(192, 190, 202), near=(150, 150, 166), back=(178, 190, 216), front=(168, 180, 206),
        behind=Line("wave", 0.02, 0.0, 1.0, 0.0), before=Line("wave", 0.0, 0.0, 1.0, 0.0),
        horizon=0.66,
    ),
    "lavender": Land(
        far=(196, 160, 226), near=(156, 112, 204), back=(156, 180, 210), front=(150, 194, 150),
        behind=Line("wave", 0.08, 0.04, 0.9, 0.4), before=Line("wave", 0.02, 0.012, 1.5, 0.1),
        horizon=0.57,
    ),
    "autumn": Land(
        far=(238, 196, 110), near=(216, 152, 78), back=(238, 176, 110), front=(222, 132, 76),
        behind=Line("lobe", 0.17, 0.05, 4.5, 0.5), before=Line("lobe", 0.07, 0.045, 6.0, 0.05),
    ),
}  # fmt: skip


def _triangle(x: Tensor) -> Tensor:
    return 1 - 2 * (x - x.round()).abs()


WAVES: dict[str, Callable[[Tensor], Tensor]] = {
    "wave": lambda x: (2 * math.pi * x).sin(),
    "lobe": lambda x: (math.pi * x).sin().abs() + 0.35 * (math.pi * (1.7 * x + 0.3)).sin().abs(),
    "peak": lambda x: 0.75 * _triangle(x) + 0.35 * _triangle(2.3 * x + 0.35),
}


def blend(weights: Tensor, name: str) -> Tensor:
    """A number (n, 1, 1) or colour (n, 3, 1, 1) of the mixed ground."""
    table = torch.tensor([getattr(LAND[ground], name) for ground in GROUNDS]).float()
    return numbers(weights @ (table if table.ndim == 1 else table / 255))


def _hills(brush: Brush, weights: Tensor, line: str, shift: Tensor) -> Tensor:
    """Heights (n, 1, p) of a line of hills over the horizon."""
    total = torch.zeros_like(brush.u)
    for i, ground in enumerate(GROUNDS):
        hills: Line = getattr(LAND[ground], line)
        wave = WAVES[hills.kind](hills.waves * (brush.u + shift) + hills.phase)
        height = hills.height + hills.amplitude * wave
        total = total + weights[:, i, None, None] * height
    return total


def _below(brush: Brush, top: Tensor, color: Tensor) -> None:
    """Paint everything below a line (n, 1, p)."""
    slope = (top[..., 1:] - top[..., :-1]) / brush.pixel
    steep = torch.cat([slope, slope[..., -1:]], -1).square().add(1).rsqrt()
    brush.paint(brush.cover((brush.v - top) * steep), color)


def _land(brush: Brush, light: Values, weights: Tensor, chance: Tensor) -> None:
    horizon, low, tint = blend(weights, "horizon"), light["low"], light["tint"]
    y = brush.v.unsqueeze(1)
    for line, color, haze, step in (("behind", "back", 0.4, 4), ("before", "front", 0.18, 5)):
        top = horizon - _hills(brush, weights, line, 0.1 * chance[:, step])
        shade = (blend(weights, color) * tint).lerp(low, haze)
        _below(brush, top, shade)
        if line == "behind":
            peaks = _weight(weights, "mountains")
            where(peaks, brush, light | {"top": top, "peaks": peaks}, _snowcaps)
    depth = ((y - horizon[:, None]) / (1 - horizon[:, None])).clamp(0, 1)
    flat = blend(weights, "far").lerp(blend(weights, "near"), depth.sqrt()) * tint
    _below(brush, horizon.expand_as(brush.u), flat)
    for across, down, step in ((0.25, 0.78, 4), (0.8, 0.88, 5)):  # the light lies in patches
        patch = brush.at(across + 0.2 * chance[:, step], down)
        patch.glow(rgb(255, 255, 255) * tint, 0.3, 0.06, 0.16)
    where(blend(weights, "water"), brush, light | {"weights": weights}, _water)


def _weight(weights: Tensor, ground: str) -> Tensor:
    return weights[:, GROUNDS.index(ground), None, None]


def _snowcaps(brush: Brush, v: Values) -> None:
    jagged = 0.38 + 0.05 * _triangle(4.4 * brush.u) + 0.035 * _triangle(9 * brush.u + 0.3)
    cover = brush.cover(torch.minimum(brush.v - v["top"], jagged - brush.v)) * v["peaks"]
    brush.paint(cover, rgb(250, 252, 255) * v["tint"])


def _water(brush: Brush, values: Values) -> None:
    weights = values["weights"]
    horizon, depth = blend(weights, "horizon"), blend(weights, "water")
    z = ((brush.v - horizon) / (depth + 0.02)).clamp(0, 1)
    tint = values["tint"]
    color = rgb(120, 204, 224).lerp(rgb(74, 164, 210), z.unsqueeze(1)) * tint
    color = color.lerp(values["low"], 0.25 * (1 - z.unsqueeze(1)))
    shore = horizon + depth + 0.012 * (9 * brush.u).sin() * (depth * 10).clamp(max=1)
    inside = torch.minimum(brush.v - horizon, shore - brush.v)
    fade = (depth * 20).clamp(max=1)
    brush.paint(brush.cover(inside + 0.014) * fade, rgb(255, 255, 255) * tint)
    brush.paint(brush.cover(inside) * fade, color)
    ripple = (95 * (brush.v - horizon)).sin()
    dashes = ((26 * brush.u + 40 * brush.v).sin() * ripple - 0.55).clamp(0, 1)
    brush.paint(brush.cover(inside) * dashes * fade * 0.6, rgb(255, 255, 255) * tint)


def paint_landscape(brush: Brush, light: Values, weights: Tensor, chance: Tensor) -> None:
    """Paint everything but the creature; `weights` (n, grounds), `chance` (n, 14, 1, 1)."""
    _sky(brush, light)
    _clouds(brush, light, chance)
    _land(brush, light, weights, chance)
    shared = light | {"chance": chance, "horizon": blend(weights, "horizon")}
    for ground, draw in THINGS.items():
        weight = _weight(weights, ground)
        own = {"alpha": (1.6 * weight).clamp(max=1), "size": 0.4 + 0.6 * weight}
        where(weight, brush, shared | own, draw)
