"""A creature of any mixture of species, drawn from the values of its anatomy."""

import functools
import math

import torch
from torch import Tensor

from embedding_geometry.pocket.menagerie.brush import Brush, Values, where


def _lit(color: Tensor, brush: Brush, slope: float) -> Tensor:
    """A colour that gets darker downwards."""
    return color * (1 - slope * brush.v.unsqueeze(1)).clamp(0.6, 1.2)


def _ears(brush: Brush, v: Values, alpha: Tensor | float = 1.0) -> None:
    tilt, reach = v["ear_tilt"], 0.6 * v["ear_len"]
    x, y = v["ear_x"] + reach * tilt.sin(), v["ear_y"] - reach * tilt.cos()
    # in the middle of an ear, its upward direction towards the tip
    ear = brush.mirrored().at(x, y).turned(tilt).tapered(0.75 * v["ear_point"], v["ear_len"])
    ear.disc(_lit(v["ear"], brush, 0.08), v["ear_w"], v["ear_len"], alpha)
    inner = ear.at(0.0, 0.12 * v["ear_len"])
    size = v["ear_inner"]
    inner.disc(v["inner"], size * v["ear_w"], size * v["ear_len"] * 1.1, alpha)


def _front_ears(brush: Brush, v: Values) -> None:
    _ears(brush, v, v["ear_front"])


def _ring(brush: Brush, radius: Tensor, v: Values) -> Tensor:
    """Distance to the outline of a disc with lobes or spikes around it."""
    angle = torch.atan2(brush.v, brush.u)
    lobes = v["lobes"] * (6.5 * angle + 0.4).sin().abs()
    spikes = v["spikes"] * (18 * angle).cos().clamp(-1, 1).acos() / math.pi
    return radius * (1 + lobes + spikes) - (brush.u**2 + brush.v**2).sqrt()


def _ruff(brush: Brush, v: Values) -> None:
    radius, mane = v["ruff"], _lit(v["mane"], brush, 0.1)
    there = 3 * (v["lobes"] + v["spikes"])
    brush.paint(brush.cover(_ring(brush, radius, v), there), mane * 0.92)
    inner = brush.cover(_ring(brush.turned(0.17), radius * 0.84, v), there)
    brush.paint(inner, (mane * 1.08).clamp(max=1))


def _coat(brush: Brush, v: Values) -> None:
    back = brush.at(0.0, 1.02)
    cover = back.cover(_ring(back, v["coat"], v), 2 * v["coat"])
    back.paint(cover, _lit(v["mane"], back, 0.1) * 0.92)


def _cap(brush: Brush, v: Values) -> None:
    top = brush.at(0.0, v["cap_y"])
    cover = top.cover(_ring(top, 0.36 * v["cap"], v), 0.7 * v["cap"])
    top.paint(cover, _lit(v["mane"], brush, 0.05))


def _chain(brush: Brush, xs: list[Tensor], ys: list[Tensor], radii: list[Tensor]) -> Tensor:
    """Distance to the outline of a stroke along a line of points, of changing radius."""
    parts = []
    for i in range(len(xs) - 1):
        dx, dy = xs[i + 1] - xs[i], ys[i + 1] - ys[i]
        u, v = brush.u - xs[i], brush.v - ys[i]
        share = ((u * dx + v * dy) / (dx**2 + dy**2 + 1e-9)).clamp(0, 1)
        radius = radii[i] + share * (radii[i + 1] - radii[i])
        parts.append(radius - ((u - share * dx) ** 2 + (v - share * dy) ** 2 + 1e-9).sqrt())
    return functools.reduce(torch.maximum, parts)


def _tail(brush: Brush, v: Values) -> None:
    steps = [i / 5 for i in range(6)]
    length, width = v["tail_len"], v["tail_w"]
    xs = [0.5 + length * (0.75 * math.sin(1.7 * s)) for s in steps]
    ys = [1.45 + length * (0.1 * s - 0.85 * s * s) for s in steps]
    radii = [width * (0.55 + 1.6 * s * (1 - s) + 0.2 * s) for s in steps]
    thin = 2 * width * (6 * length).clamp(max=1)
    brush.paint(brush.cover(_chain(brush, xs, ys, radii), thin), v["fur"] * 0.94)
    tip = _chain(brush, xs[4:], ys[4:], radii[4:])
    brush.paint(brush.cover(tip, thin), v["tip"])


def _body(brush: Brush, v: Values) -> None:
    width = v["body_w"]
    body = brush.at(0.0, 1.08)
    shade = v["fur"] * (0.8 + 0.22 * ((brush.v - 0.72) / 0.5).clamp(0, 1).unsqueeze(1))
    body.tapered(0.14, 0.66).disc(shade, width, 0.68)
    belly = brush.at(0.0, 1.2)
    light = v["light"] * (0.86 + 0.14 * ((brush.v - 0.8) / 0.4).clamp(0, 1).unsqueeze(1))
    belly.disc(light, 0.82 * v["belly"] * width, 0.6 * v["belly"])
    both = brush.mirrored()
    both.at(0.36, 1.66).disc(v["limb"] * 0.94, 0.27, 0.15)
    both.at(0.9 * width, 1.12).turned(-0.35).disc(v["arm"] * 0.97, 0.16, 0.34)


def _head(brush: Brush, v: Values) -> Tensor:
    """Paint the head; returns how much of each pixel it covers."""
    head = brush.tapered(v["jaw"], v["head_h"])
    distance = head.ellipse(v["head_w"], v["head_h"])
    cover = brush.cover(distance)
    brush.paint(cover, _lit(v["fur"], brush, 0.07))
    rim = (1 - distance / 0.22).clamp(0, 1) * ((brush.v + 0.1) / 1.0).clamp(0, 1)
    brush.paint(cover * rim * 0.16, v["fur"] * 0.4)
    return cover


def _stripes(brush: Brush, v: Values) -> None:
    both, cover = brush.mirrored(), v["cover"] * v["stripes"]
    marks = ((0.0, -0.66, 0.0, 0.075, 0.22), (0.27, -0.64, -0.2, 0.065, 0.2),
             (0.88, -0.02, 1.7, 0.065, 0.2), (0.84, 0.24, 1.8, 0.06, 0.18))  # fmt: skip
    for x, y, angle, a, b in marks:
        stripe = both.at(x, y).turned(angle).tapered(-0.6, b)
        stripe.disc(v["mark"], a, b, cover)


def _spot(brush: Brush, v: Values) -> None:
    spot = brush.at(0.44, -0.1).turned(0.3)
    size = v["spot"]
    cover = spot.cover(spot.ellipse(0.2 + 0.18 * size, 0.24 + 0.22 * size), 0.5 * size)
    spot.paint(cover * v["cover"], v["mark"])


def _horns(brush: Brush, v: Values) -> None:
    horn = brush.mirrored().at(0.4, -0.86).turned(0.35).tapered(0.5, 0.3)
    horn.disc(v["horn_color"], 0.14, 0.3 * v["horn"])


def _tufts(brush: Brush, v: Values) -> None:
    tuft = brush.mirrored().at(0.86, 0.34).turned(2.0).tapered(0.7, 0.36)
    tuft.disc(v["patch"], 0.24 * v["tuft"], 0.4 * v["tuft"])


def _patches(brush: Brush, v: Values) -> None:
    patch = brush.mirrored().at(v["patch_x"], v["patch_y"]).turned(v["patch_tilt"])
    patch.disc(_lit(v["patch"], brush, 0.05), v["patch_w"], v["patch_h"], v["cover"])


def _trunk(brush: Brush, v: Values) -> None:
    steps, size = [i / 5 for i in range(6)], v["trunk"]
    xs = [0.34 * size**2 * s * s for s in steps]
    ys = [0.2 + 0.95 * size * (s - 0.12 * s * s) for s in steps]
    radii = [(0.24 - 0.09 * s) * size for s in steps]
    distance = _chain(brush, xs, ys, radii)
    brush.paint(brush.cover(distance + 0.05, size) * 0.5, v["fur"] * 0.72)
    brush.paint(brush.cover(distance, size), _lit(v["fur"], brush, 0.04))


def _stroke(brush: Brush, line: Tensor, half: float, limit: Tensor) -> Tensor:
    """Cover of a line v = line (n, 1, p), drawn where `limit` is positive."""
    slope = (line[..., 1:] - line[..., :-1]) / brush.pixel
    steep = torch.cat([slope, slope[..., -1:]], -1).square().add(1).rsqrt()
    distance = half - (brush.v - line).abs() * steep
    return brush.cover(distance, 2 * half) * brush.cover(limit)


def _mouth(brush: Brush, v: Values) -> None:
    both, width, smile = brush.mirrored(), v["mouth_w"].clamp(min=1e-3), v["smile"]
    q = both.u / width
    arcs = 0.26 * width * 4 * (q * (1 - q)).clamp(min=-0.5)
    wide = 0.42 * width * (1 - q.clamp(max=1.2) ** 2)
    line = v["mouth_y"] + (1 - smile) * arcs + smile * wide
    fade = (v["mouth_w"] / 0.1).clamp(0, 1)
    brush.paint(_stroke(both, line, 0.032, width - both.u) * fade * 0.75, v["ink"])


def _whiskers(brush: Brush, v: Values) -> None:
    both = brush.mirrored()
    for y, rise in ((0.34, -0.12), (0.46, 0.1)):
        line = y + rise * (both.u - 0.5)
        reach = torch.minimum(both.u - 0.6, 1.18 - both.u)
        brush.paint(_stroke(both, line, 0.016, reach) * v["whiskers"], v["hair"])


def _muzzle(brush: Brush, v: Values) -> None:
    brush.at(0.0, v["muzzle_y"]).disc(v["light"], v["muzzle_w"], v["muzzle_h"], v["cover"])
    _mouth(brush, v)
    nose = brush.at(0.0, v["nose_y"]).tapered(-v["nose_point"], v["nose_h"].clamp(min=0.02))
    nose.disc(_lit(v["nose"], nose, 0.4), v["nose_w"], v["nose_h"])
    both = brush.mirrored()
    both.at(v["nostril_x"], v["nose_y"]).disc(v["nose"] * 0.62, 0.055, 0.075, v["nostril"])


def _eyes(brush: Brush, v: Values) -> None:
    both, r = brush.mirrored(), v["eye_r"]
    both.at(v["eye_x"] + 0.16, v["eye_y"] + 0.32).glow(v["rose"], 0.17, 0.12, 0.6 * v["blush"])
    eye = both.at(v["eye_x"], v["eye_y"])
    eye.disc(v["iris"], r, 1.1 * r)
    eye.disc(v["ink"], v["pupil"] * r, v["pupil"] * r * 1.15)
    side = brush.u.sign() * eye.u  # the same direction on both sides
    shine = Brush(brush.image, side, eye.v, brush.pixel)
    shine.at(-0.24 * r, -0.4 * r).disc(v["white"], 0.3 * r, 0.3 * r)
    small = 0.14 * r  # left out where a pixel is too large for it
    shine.at(0.32 * r, 0.42 * r).disc(v["white"], small, small, (small / brush.pixel).clamp(max=1))


def paint_creature(brush: Brush, v: Values) -> None:
    """Paint a creature about the brush's origin; half the width of a head is its unit."""
    brush.at(0.06, 1.76).glow(v["shadow"], 0.95, 0.16, 0.42)
    where(v["tail_len"], brush, v, _tail)
    where(v["coat"], brush, v, _coat)
    _body(brush, v)
    where(v["lobes"] + v["spikes"], brush, v, _ruff)
    _ears(brush, v)
    where(v["horn"], brush, v, _horns)
    where(v["tuft"], brush, v, _tufts)
    v = v | {"cover": _head(brush, v)}
    where(v["patch_w"], brush, v, _patches)
    where(v["spot"], brush, v, _spot)
    where(v["stripes"], brush, v, _stripes)
    _muzzle(brush, v)
    where(v["trunk"], brush, v, _trunk)
    _eyes(brush, v)
    where(v["cap"], brush, v, _cap)
    where(v["ear_front"], brush, v, _front_ears)
    where(v["whiskers"], brush, v, _whiskers)
