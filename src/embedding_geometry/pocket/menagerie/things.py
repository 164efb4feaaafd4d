"""What stands on each ground: trees, a parasol, houses; it grows with the ground's weight."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from embedding_geometry.pocket.menagerie.brush import Brush, Values, rgb


def _tree(
    brush: Brush, x: Tensor | float, y: float, size: Tensor, leaf: Tensor, v: Values
) -> None:
    tint, alpha = v["tint"], v["alpha"]
    tree = brush.at(x, y, size)
    tree.paint(tree.box(-0.09, 0.09, -0.75, 0.0) * alpha, rgb(140, 100, 74) * tint)
    for dx, dy, r, bright in ((-0.22, -0.85, 0.34, 0.9), (0.22, -0.9, 0.34, 0.94),
                              (0.0, -1.12, 0.42, 1.0), (-0.1, -1.2, 0.22, 1.1)):  # fmt: skip
        tree.at(dx, dy).disc((leaf * bright).clamp(max=1) * tint, r, r, alpha)


def _pine(
    brush: Brush, x: Tensor | float, y: float, size: Tensor, v: Values, snowy: float = 0.0
) -> None:
    """A fir of three tiers, snow on them."""
    tint, alpha = v["tint"], v["alpha"]
    pine = brush.at(x, y, size)
    pine.paint(pine.box(-0.07, 0.07, -0.25, 0.0) * alpha, rgb(130, 94, 74) * tint)
    for top, bottom, half in ((-0.9, -0.18, 0.44), (-1.2, -0.5, 0.36), (-1.45, -0.85, 0.26)):
        tier = pine.at(0.0, top)
        slope = half / (bottom - top)
        inside = (tier.v * slope - tier.u.abs()) / math.sqrt(1 + slope**2)
        cover = pine.cover(torch.minimum(inside, bottom - pine.v)) * alpha
        pine.paint(cover, rgb(84, 148, 120) * tint)
        snow = cover * pine.cover(
            (bottom - top) * 0.45 - tier.v + 0.1 * (tier.u * 22).cos() * half
        )
        pine.paint(snow * snowy, rgb(250, 252, 255) * tint)


def _meadow(brush: Brush, v: Values) -> None:
    size = 0.17 * v["size"]
    _tree(brush, 0.13 + 0.03 * v["chance"][:, 6], 0.67, size, rgb(110, 184, 96), v)
    blade = rgb(78, 156, 74) * v["tint"]
    for x, y in ((0.1, 0.87), (0.36, 0.83), (0.55, 0.95), (0.7, 0.8), (0.87, 0.85)):
        tuft = brush.at(x + 0.02 * v["chance"][:, 8], y, v["size"]).mirrored()
        for x0, lean in ((0.0, 0.0), (0.012, 0.5)):
            tuft.at(x0, -0.012).turned(lean).disc(blade, 0.005, 0.022, 0.7 * v["alpha"])
    petals = (rgb(255, 255, 255), rgb(255, 170, 190), rgb(255, 224, 110))
    places = ((0.06, 0.8), (0.17, 0.93), (0.3, 0.76), (0.47, 0.86), (0.62, 0.75), (0.78, 0.9),
              (0.92, 0.79), (0.95, 0.95))  # fmt: skip
    for i, (x, y) in enumerate(places):
        flower = brush.at(x + 0.02 * v["chance"][:, 6 + i % 6], y, v["size"] * (y - 0.45))
        for angle in (0.0, math.pi / 2):
            flower.turned(angle).disc(petals[i % 3] * v["tint"], 0.075, 0.035, v["alpha"])
        flower.disc(rgb(250, 190, 70) * v["tint"], 0.03, 0.03, v["alpha"])


def _beach(brush: Brush, v: Values) -> None:
    tint, alpha = v["tint"], v["alpha"]
    boat = brush.at(0.22 + 0.06 * v["chance"][:, 6], 0.585, 0.11 * v["size"])
    sail = torch.minimum((boat.v + 1.1) * 0.6 - boat.u.abs(), -0.1 - boat.v)
    boat.paint(boat.cover(sail) * alpha, rgb(255, 250, 244) * tint)
    boat.at(0.0, 0.02).disc(rgb(226, 106, 92) * tint, 0.6, 0.18, alpha)
    shade = brush.at(0.82 + 0.03 * v["chance"][:, 7], 0.75, 0.26 * v["size"])
    shade.paint(shade.box(-0.03, 0.03, -0.8, 0.0) * alpha, rgb(250, 244, 236) * tint)
    dome = shade.at(0.0, -0.72)
    cover = dome.cover(torch.minimum(dome.ellipse(0.62, 0.5), -dome.v)) * alpha
    stripes = dome.cover((9 * dome.u / (1.1 + dome.v).clamp(min=0.3)).cos() * 0.1)
    dome.paint(cover, rgb(255, 250, 244) * tint)
    dome.paint(cover * stripes, rgb(240, 112, 104) * tint)
    star = brush.at(0.14, 0.91, v["size"])
    for angle in (0.0, 1.257, 2.513, 3.77, 5.027):
        star.turned(angle).at(0.0, -0.022).disc(rgb(248, 150, 110) * tint, 0.013, 0.028, alpha)


def _snow(brush: Brush, v: Values) -> None:
    for x, y, size in ((0.1, 0.7, 0.24), (0.9, 0.72, 0.27), (0.25, 0.64, 0.14)):
        _pine(brush, x + 0.03 * v["chance"][:, 6], y, size * v["size"], v, snowy=1.0)
    for x, y, a, b in ((0.3, 0.8, 0.3, 0.03), (0.8, 0.9, 0.34, 0.04)):
        brush.at(x, y).glow(rgb(206, 222, 244) * v["tint"], a, b, 0.7 * v["alpha"])


def _desert(brush: Brush, v: Values) -> None:
    green = rgb(110, 168, 112) * v["tint"]
    for x, y, size in ((0.87, 0.77, 0.3), (0.11, 0.7, 0.19)):
        cactus = brush.at(x + 0.03 * v["chance"][:, 6], y, size * v["size"])
        cactus.at(0.0, -0.45).disc(green, 0.15, 0.5, v["alpha"])
        for side, height in ((-1, -0.5), (1, -0.38)):
            cactus.at(side * 0.2, height).disc(green, 0.2, 0.08, v["alpha"])
            cactus.at(side * 0.34, height - 0.16).disc(green, 0.085, 0.22, v["alpha"])
        cactus.at(0.0, -0.95).disc(rgb(250, 150, 160) * v["tint"], 0.09, 0.07, v["alpha"])
    for y in (0.74, 0.83, 0.93):
        wave = brush.v - y - 0.02 * (8 * brush.u + 30 * y).sin()
        line = (-((wave / 0.012) ** 2)).exp()
        brush.paint(line * 0.4 * v["alpha"], rgb(214, 148, 84) * v["tint"])


def _forest(brush: Brush, v: Values) -> None:
    greens = (rgb(88, 158, 92), rgb(70, 138, 92), rgb(112, 172, 92), rgb(78, 148, 84))
    places = ((0.05, 0.7, 0.3), (0.3, 0.65, 0.24), (0.72, 0.66, 0.26), (0.96, 0.72, 0.33))
    for i, (x, y, size) in enumerate(places):
        jitter = 0.03 * v["chance"][:, 6 + i]
        _tree(brush, x + jitter, y, size * v["size"], greens[i], v)
    for x, y in ((0.16, 0.84), (0.86, 0.9)):
        cap = brush.at(x, y, 0.06 * v["size"])
        cap.paint(cap.box(-0.2, 0.2, 0.0, 0.7) * v["alpha"], rgb(250, 240, 226) * v["tint"])
        top = torch.minimum(cap.ellipse(0.7, 0.6), 0.12 - cap.v)
        cap.paint(cap.cover(top) * v["alpha"], rgb(228, 84, 76) * v["tint"])
        for dot in (-0.3, 0.22):
            cap.at(dot, -0.25).disc(rgb(255, 246, 238) * v["tint"], 0.13, 0.13, v["alpha"])


def _lake(brush: Brush, v: Values) -> None:
    tint, alpha = v["tint"], v["alpha"]
    for x, y in ((0.28, 0.71), (0.66, 0.66)):
        lily = brush.at(x + 0.05 * v["chance"][:, 6], y, v["size"])
        lily.disc(rgb(110, 178, 110) * tint, 0.065, 0.02, alpha)
        lily.at(0.0, -0.016).disc(rgb(255, 184, 206) * tint, 0.026, 0.018, alpha)
    for i, (x, height) in enumerate(
        ((0.05, 0.26), (0.1, 0.34), (0.15, 0.22), (0.94, 0.3), (0.89, 0.22))
    ):
        reed = brush.at(x + 0.01 * v["chance"][:, 7 + i % 4], 0.86, v["size"])
        stalk = reed.box(-0.006, 0.006, -height, 0.0)
        reed.paint(stalk * alpha, rgb(104, 156, 88) * tint)
        reed.at(0.0, -height).disc(rgb(140, 96, 66) * tint, 0.014, 0.05, alpha)


def _mountains(brush: Brush, v: Values) -> None:
    for x, y, size in ((0.08, 0.73, 0.2), (0.19, 0.69, 0.13), (0.92, 0.72, 0.18)):
        _pine(brush, x + 0.03 * v["chance"][:, 6], y, size * v["size"], v)
    for x, y, a in ((0.84, 0.87, 0.06), (0.12, 0.92, 0.045)):
        stone = brush.at(x, y, v["size"])
        stone.disc(rgb(150, 156, 172) * v["tint"], a, 0.6 * a, v["alpha"])
        stone.at(-0.2 * a, -0.15 * a).disc(
            rgb(180, 186, 200) * v["tint"], 0.6 * a, 0.3 * a, v["alpha"]
        )


def _city(brush: Brush, v: Values) -> None:
    tint, alpha = v["tint"], v["alpha"]
    walls = (rgb(214, 160, 148), rgb(160, 176, 208), rgb(234, 204, 160),
             rgb(150, 190, 190), rgb(206, 170, 196), rgb(176, 164, 200))  # fmt: skip
    window = (rgb(226, 242, 250) * tint).lerp(rgb(255, 222, 130), 0.9 * v["night"][..., None])
    for i, height in enumerate((0.36, 0.22, 0.44, 0.3, 0.4, 0.26)):
        left, right = i / 6 + 0.004, (i + 1) / 6 - 0.004
        top = 0.7 - height * v["size"] * (1 + 0.1 * v["chance"][:, 6 + i])
        brush.paint(brush.box(left, right, top, 0.7) * alpha, walls[i] * tint)
        rows = brush.cover(0.018 - ((brush.v - top - 0.05) % 0.08 - 0.04).abs())
        middle = (left + right) / 2
        columns = brush.cover(0.016 - ((brush.u - middle).abs() - 0.035).abs())
        inside = brush.cover(torch.minimum(brush.v - top - 0.01, 0.69 - brush.v))
        brush.paint(columns * rows * inside * alpha, window)
    brush.paint(brush.box(-1.0, 2.0, 0.7, 0.73) * alpha, rgb(222, 220, 226) * tint)
    dash = brush.cover(0.07 - ((brush.u + 0.1) % 0.28 - 0.14).abs())
    brush.paint(dash * brush.box(-1.0, 2.0, 0.86, 0.885) * alpha, rgb(250, 246, 236) * tint)


def _lavender(brush: Brush, v: Values) -> None:
    tint, alpha = v["tint"], v["alpha"]
    below = brush.v - v["horizon"]
    fan = (brush.u - 0.5) / (below + 0.12).clamp(min=0.02)
    rows = (7 * fan + 0.5 * v["chance"][:, 6]).sin() * 0.5 + 0.5
    field = brush.cover(below) * alpha
    brush.paint(rows * field * 0.55, rgb(112, 74, 172) * tint)
    brush.paint((rows - 0.8).clamp(0, 1) * field * 1.6, rgb(134, 176, 116) * tint)
    bloom = ((60 * brush.v).sin() * (14 * fan).sin()).clamp(0, 1)
    brush.paint(bloom * field * 0.3, rgb(226, 190, 250) * tint)
    for x, size in ((0.08, 0.24), (0.15, 0.17), (0.9, 0.2)):
        tree = brush.at(x + 0.03 * v["chance"][:, 7], 0.6, size * v["size"])
        tree.at(0.0, -0.55).tapered(0.5, 0.6).disc(rgb(98, 148, 104) * tint, 0.17, 0.6, alpha)


def _autumn(brush: Brush, v: Values) -> None:
    leaves = (rgb(232, 112, 64), rgb(246, 178, 70), rgb(206, 84, 64))
    places = ((0.09, 0.71, 0.31), (0.9, 0.72, 0.33), (0.68, 0.65, 0.22))
    for i, (x, y, size) in enumerate(places):
        _tree(brush, x + 0.03 * v["chance"][:, 6 + i], y, size * v["size"], leaves[i], v)
    fallen = ((0.1, 0.82), (0.25, 0.9), (0.4, 0.78), (0.52, 0.93), (0.7, 0.82), (0.83, 0.93),
              (0.93, 0.84), (0.06, 0.95))  # fmt: skip
    for i, (x, y) in enumerate(fallen):
        leaf = brush.at(x, y, v["size"]).turned(1.0 + i)
        leaf.disc(leaves[i % 3] * v["tint"], 0.013, 0.026, 0.9 * v["alpha"])


THINGS: dict[str, Callable[[Brush, Values], None]] = {
    "meadow": _meadow, "beach": _beach, "snow": _snow, "desert": _desert, "forest": _forest,
    "lake": _lake, "mountains": _mountains, "city": _city, "lavender": _lavender,
    "autumn": _autumn,
}  # fmt: skip
"""Ground -> what draws its things from the light, `alpha`, `size`, `chance`, `horizon`."""
