"""Twin sliders: the film strips of two couplings under one slider, without a kernel.

A page shows its strips on a sheet, as a JPEG. The same frames in their own pixels travel along in
the *metadata* of that output. There they do no harm: a viewer that knows nothing of them shows the
sheet, and the check of stored outputs compares neither pictures nor metadata. It must not, because
pixels differ by rounding from one processor to the next. When the book is built, `twin_sliders`
makes of the metadata what stands above the sheet.
"""

import io
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from embedding_geometry.pages.figures.strips import Images

KEY = "twin_sliders"  # of the metadata
LARGEST = 192  # pixels; a larger frame is reduced, so that a page stays light
QUALITY = 70  # of the WebP, 1 to 100
HEIGHT = 100  # of the drawing of the curves, in its own units; a step is one unit wide


def _reduced(frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """A frame of no more than LARGEST pixels in either direction."""
    picture = Image.fromarray(frame)
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def sprite(frames_by_coupling: Mapping[str, Images]) -> bytes:
    """All frames in one WebP picture: a row for each coupling, a column for each frame."""
    rows = [np.hstack([*map(_reduced, frames)]) for frames in frames_by_coupling.values()]
    buffer = io.BytesIO()
    Image.fromarray(np.vstack(rows)).save(buffer, "WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()


def twin_metadata(
    frames_by_coupling: Mapping[str, Images],
    distances_by_coupling: Mapping[str, Float[np.ndarray, " steps"]],
) -> dict[str, Any]:
    """What the sliders need, as JSON: frames, their number and shape, the distance of each step.

    Raises:
        ValueError: the couplings differ in the number or size of their frames, or there is not one
            distance fewer than frames.
    """
    shapes = {name: frames.shape for name, frames in frames_by_coupling.items()}
    if len(set(shapes.values())) != 1:
        raise ValueError(f"the frames of all couplings must have one shape, not {shapes}")
    count, height, width, _ = next(iter(shapes.values()))
    steps = {name: len(distances) for name, distances in distances_by_coupling.items()}
    if steps != dict.fromkeys(shapes, count - 1):
        raise ValueError(f"{count} frames have {count - 1} steps; there are distances for {steps}")
    return {
        KEY: {
            "frames": count,
            "height": height,
            "width": width,
            "couplings": list(frames_by_coupling),  # in the order of the rows of the sprite
            "distances": [
                [float(f"{distance:.4g}") for distance in distances_by_coupling[name]]
                for name in frames_by_coupling
            ],
            "sprite": b64encode(sprite(frames_by_coupling)).decode(),
        }
    }


def sprite_of(twins: Mapping[str, Any]) -> bytes:
    """The WebP picture that travels in the metadata."""
    return b64decode(twins["sprite"])


def twin_sliders(twins: Mapping[str, Any], sprite_url: str) -> str:
    """The sliders in HTML; hidden until the book's script has made them move.

    Args:
        twins: what `twin_metadata` wrote under KEY.
        sprite_url: where the page finds the picture with all frames.
    """
    frames = twins["frames"]
    distances = dict(zip(twins["couplings"], twins["distances"], strict=True))
    style = (
        f"--frames: {frames}; --rows: {len(distances)}; "
        f"--shape: {twins['width']} / {twins['height']}; --sprite: url('{escape(sprite_url)}')"
    )
    pictures = "".join(
        f'<div class="twin"><span class="coupling-{name}">{name}</span>'
        f'<div class="frame" style="--row: {row}" role="img" data-coupling="{name}"></div></div>'
        for row, name in enumerate(distances)
    )
    slider = (
        '<label><span>Frame <span class="place" aria-hidden="true"></span></span>'
        f'<input type="range" min="1" max="{frames}" value="{(frames + 1) // 2}" step="1"></label>'
    )
    return (
        f'<div class="twin-sliders" data-frames="{frames}" style="{style}" hidden>'
        f'<div class="twins">{pictures}</div>{slider}{_curves(distances)}</div>'
    )


def _curves(distances: Mapping[str, Sequence[float]]) -> str:
    """The distance of each step between the two frames that it compares, with a mark to move.

    Frame i lies at i; half a unit is left free at both ends, as in the strips of the sheet.
    """
    steps = len(next(iter(distances.values())))
    highest = max(map(max, distances.values())) or 1.0
    lines = "".join(_curve(name, values, highest) for name, values in distances.items())
    words = "; ".join(
        f"{name}: {', '.join(f'{v:.2g}' for v in values)}" for name, values in distances.items()
    )
    return (
        '<div class="curves"><p>perceptual distance of each step; the highest is '
        f"<span>{highest:.2g}</span></p>"
        f'<svg viewBox="-0.5 0 {steps + 1} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="Perceptual distance of each step. {escape(words)}.">'
        f'<path class="axis" d="M-0.5 {HEIGHT}H{steps + 0.5}"/>'
        f'<path class="mark" d="M0 0V{HEIGHT}"/>{lines}</svg></div>'
    )


def _curve(name: str, values: Sequence[float], highest: float) -> str:
    """A line, and on it dots: strokes of no length, which keep their shape at every width."""
    places = [
        f"{step + 0.5} {HEIGHT * (1 - 0.94 * value / highest):.2f}"
        for step, value in enumerate(values)
    ]
    dots = "".join(f"M{place}h0" for place in places)
    return (
        f'<g class="coupling-{name}"><path class="line" d="M{"L".join(places)}"/>'
        f'<path class="dots" d="{dots}"/></g>'
    )
