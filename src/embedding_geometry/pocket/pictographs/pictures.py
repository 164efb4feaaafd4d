"""The pictures of a scene: pictographs of the Noto Color Emoji font over drawn places."""

import functools
import unicodedata
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from torch import Tensor

from embedding_geometry.pocket.pictographs.scenes import OBJECTS, SIZES, Scene

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
PIXELS = 64
VARIANTS = 16
"""Every place at every time of day is drawn in this many slightly different ways."""

SKY = {
    "day": ((96, 170, 235), (200, 228, 246)),
    "sunset": ((120, 70, 140), (250, 160, 80)),
    "night": ((10, 14, 45), (34, 44, 92)),
}
TINT = {"day": (1.0, 1.0, 1.0), "sunset": (1.0, 0.78, 0.66), "night": (0.36, 0.42, 0.62)}
GLYPH_TINT = {"day": (1.0, 1.0, 1.0), "sunset": (1.0, 0.9, 0.82), "night": (0.78, 0.8, 0.92)}
Color = tuple[int, int, int]
Picture = UInt8[np.ndarray, "64 64 3"]


class _Canvas:
    """A picture in the making, drawn at twice its size in coordinates from 0 to 1."""

    def __init__(self, time: str, rng: np.random.Generator):
        self.time, self.rng, self.size = time, rng, 2 * PIXELS
        top, bottom = (np.array(c, float) for c in SKY[time])
        ramp = np.linspace(0, 1, self.size)[:, None, None] ** 0.8
        sky = np.broadcast_to(top + ramp * (bottom - top), (self.size, self.size, 3))
        self.image = Image.fromarray(sky.astype(np.uint8))
        self.pen = ImageDraw.Draw(self.image)

    def near(self, value: float, spread: float = 0.03) -> float:
        return value + spread * (2 * self.rng.random() - 1)

    def tinted(self, color: Color) -> tuple[int, ...]:
        return tuple(int(c * t) for c, t in zip(color, TINT[self.time], strict=True))

    def band(self, top: float, color: Color, bottom: float = 1.0) -> None:
        self.box(0.0, top, 1.0, bottom, color)

    def box(self, x0: float, y0: float, x1: float, y1: float, color: Color) -> None:
        s = self.size
        self.pen.rectangle((x0 * s, y0 * s, x1 * s - 1, y1 * s - 1), fill=self.tinted(color))

    def disc(self, x: float, y: float, rx: float, ry: float, color: tuple[int, ...]) -> None:
        s = self.size
        self.pen.ellipse(((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s), fill=color)

    def triangle(self, x: float, y: float, half: float, height: float, color: Color) -> None:
        s = self.size
        corners = [((x - half) * s, y * s), ((x + half) * s, y * s), (x * s, (y - height) * s)]
        self.pen.polygon(corners, fill=self.tinted(color))

    def light(self) -> None:
        """Sun by day, low sun at sunset, moon at night."""
        x = self.near(0.82, 0.03)
        y, r, color = {
            "day": (0.14, 0.07, (255, 236, 140)),
            "sunset": (0.34, 0.09, (255, 214, 120)),
            "night": (0.15, 0.06, (240, 240, 225)),
        }[self.time]
        self.disc(x, y, r, r, color)


def _beach(c: _Canvas) -> None:
    c.light()
    c.band(c.near(0.42), (60, 150, 200))
    c.band(c.near(0.6), (238, 214, 160))


def _snow(c: _Canvas) -> None:
    c.light()
    c.disc(0.3, 0.75, 0.7, c.near(0.28), c.tinted((214, 226, 240)))
    for x in (0.08, 0.25, 0.93):
        c.triangle(c.near(x, 0.02), 0.58, 0.07, 0.26, (52, 104, 84))
    c.band(0.57, (246, 249, 253))


def _meadow(c: _Canvas) -> None:
    c.light()
    c.disc(c.near(0.25), 0.66, 0.45, 0.2, c.tinted((120, 186, 90)))
    c.disc(c.near(0.85), 0.68, 0.4, 0.17, c.tinted((104, 172, 82)))
    c.band(0.58, (94, 176, 66))


def _desert(c: _Canvas) -> None:
    c.light()
    c.disc(c.near(0.2), 0.8, 0.55, 0.33, c.tinted((222, 160, 86)))
    c.disc(c.near(0.9), 0.85, 0.5, 0.35, c.tinted((206, 138, 66)))
    c.band(0.66, (232, 176, 100))


def _sea(c: _Canvas) -> None:
    c.light()
    c.band(c.near(0.36), (40, 116, 184))
    c.band(c.near(0.56, 0.02), (30, 98, 166))
    c.band(c.near(0.8, 0.02), (24, 80, 146))


def _city(c: _Canvas) -> None:
    window = (255, 226, 130) if c.time != "day" else (150, 176, 204)
    for i, height in enumerate((0.42, 0.3, 0.5, 0.36, 0.46)):
        top, left = c.near(0.7 - height, 0.02), 0.2 * i
        c.box(left, top, left + 0.19, 0.72, (112 + 14 * (i % 3), 118, 138 - 10 * (i % 2)))
        for row in np.arange(top + 0.05, 0.64, 0.1):
            c.disc(left + 0.055, row, 0.022, 0.028, window)
            c.disc(left + 0.135, row, 0.022, 0.028, window)
    c.band(0.7, (98, 98, 106))
    c.band(0.84, (236, 232, 210), 0.87)


def _room(c: _Canvas) -> None:
    sky = c.image.copy()
    c.band(0.0, (232, 206, 178), 0.7)
    c.band(0.7, (158, 104, 62))
    c.band(0.68, (250, 240, 226), 0.71)
    x, y = c.near(0.1, 0.02), 0.1
    s = c.size
    c.box(x - 0.03, y - 0.03, x + 0.31, y + 0.35, (250, 244, 236))
    pane = sky.resize((int(0.28 * s), int(0.32 * s)))
    c.image.paste(pane, (int(x * s), int(y * s)))
    c.box(x + 0.13, y, x + 0.15, y + 0.32, (250, 244, 236))
    c.box(0.62, 0.14, 0.9, 0.36, (176, 72, 72))


def _forest(c: _Canvas) -> None:
    c.band(0.62, (70, 120, 58))
    for x in (0.04, 0.24, 0.45, 0.7, 0.94):
        x = c.near(x, 0.02)
        c.box(x - 0.025, 0.4, x + 0.025, 0.66, (104, 70, 44))
        c.disc(x, 0.3, 0.14, c.near(0.22, 0.02), c.tinted((42, 110, 52)))


PAINTERS = {
    "beach": _beach,
    "snow": _snow,
    "meadow": _meadow,
    "desert": _desert,
    "sea": _sea,
    "city": _city,
    "room": _room,
    "forest": _forest,
}


@functools.cache
def _background(place: str, time: str, variant: int) -> np.ndarray:
    seed = zlib.crc32(f"{place}/{time}/{variant}".encode())
    canvas = _Canvas(time, np.random.default_rng(seed))
    PAINTERS[place](canvas)
    soft = canvas.image.filter(ImageFilter.GaussianBlur(1))
    return np.asarray(soft.resize((PIXELS, PIXELS), Image.Resampling.BOX))


@functools.cache
def _glyph(thing: str, pixels: int) -> np.ndarray:
    """The pictograph, float RGBA (pixels, pixels, 4), colour premultiplied by its coverage."""
    if not FONT.exists():
        raise FileNotFoundError(
            f"the font {FONT} is needed to draw pictures of the pocket world; "
            "install the Debian package fonts-noto-color-emoji"
        )
    font = ImageFont.truetype(str(FONT), 109)  # the one size in which the font's bitmaps exist
    sheet = Image.new("RGBA", (160, 160))
    character = unicodedata.lookup(OBJECTS[thing][0])
    ImageDraw.Draw(sheet).text((10, 10), character, font=font, embedded_color=True)
    sheet = sheet.crop(sheet.getbbox())
    sheet.thumbnail((pixels, pixels), Image.Resampling.BOX, reducing_gap=None)
    glyph = np.zeros((pixels, pixels, 4), np.float32)
    top, left = pixels - sheet.height, (pixels - sheet.width) // 2
    glyph[top:, left : left + sheet.width] = np.asarray(sheet, np.float32) / 255
    glyph[..., :3] *= glyph[..., 3:]
    return glyph


def _paste(picture: np.ndarray, thing: str, size: str, center: int, floor: int, time: str) -> None:
    glyph = _glyph(thing, SIZES[size])
    n = len(glyph)
    left = int(np.clip(center - n // 2, 1, PIXELS - 1 - n))
    patch = picture[floor - n : floor, left : left + n]
    patch *= 1 - glyph[..., 3:]
    patch += glyph[..., :3] * 255 * np.array(GLYPH_TINT[time], np.float32)


CENTERS = {"left": 17, "middle": 32, "right": 47}


def picture(scene: Scene, rng: np.random.Generator) -> Picture:
    """One of the scene's pictures, uint8 (64, 64, 3): a variant of the place, a small shift.

    Raises:
        FileNotFoundError: the emoji font is not installed.
    """
    canvas = _background(scene.place, scene.time, int(rng.integers(VARIANTS))).astype(np.float32)
    aside, down = (int(s) for s in rng.integers(-1, 2, size=2))
    floor = 60 + down
    center = CENTERS[scene.position]
    if scene.second:
        near, far = (13, 51) if SIZES[scene.size] < 30 else (20, 52)
        center, other = (near, far) if scene.position == "left" else (PIXELS - near, PIXELS - far)
        _paste(canvas, scene.second, "small", other + aside, floor, scene.time)
    _paste(canvas, scene.thing, scene.size, center + aside, floor, scene.time)
    return canvas.round().clip(0, 255).astype(np.uint8)


def pictured(scenes: Iterable[Scene], rng: np.random.Generator) -> Tensor:
    """One picture of each scene, as `pixels`."""
    return pixels([picture(scene, rng) for scene in scenes])


def pixels(pictures: list[np.ndarray]) -> Tensor:
    """Pictures uint8 (64, 64, 3) -> float tensor (n, 3, 64, 64) in [-1, 1]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
