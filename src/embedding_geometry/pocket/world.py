"""The world of the pocket model: scenes, the sentences that describe them, the pictures that show them.

A *scene* is a point of a small product space: which object, how big, where, in which place, at what
time of day, and, in every third scene, which second object beside it. A scene has many *captions*:
sentences of different form, order, length and vocabulary with the same content. It has many *pictures*:
pictographs of the Noto Color Emoji font (named as in the Unicode standard) composed over drawn places.

Some values are *unmarked*: large, in the middle, by day. A caption may leave them out, so that the short
sentence "a cat on the beach" still describes one scene only.
"""

import functools
import unicodedata
import zlib
from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
PIXELS = 64
SIZES = {"small": 24, "large": 38}
VARIANTS = 16
"""Every place at every time of day is drawn in this many slightly different ways."""

OBJECTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "cat": ("CAT FACE", ("cat", "kitten", "kitty")),
    "dog": ("DOG FACE", ("dog", "puppy", "hound")),
    "panda": ("PANDA FACE", ("panda", "panda bear")),
    "fox": ("FOX FACE", ("fox", "red fox")),
    "frog": ("FROG FACE", ("frog", "toad")),
    "pig": ("PIG FACE", ("pig", "piglet", "piggy")),
    "penguin": ("PENGUIN", ("penguin", "penguin bird")),
    "chick": ("FRONT-FACING BABY CHICK", ("chick", "baby chicken", "young hen")),
    "whale": ("SPOUTING WHALE", ("whale", "spouting whale")),
    "elephant": ("ELEPHANT", ("elephant", "gray elephant")),
    "car": ("AUTOMOBILE", ("car", "automobile", "red car")),
    "bus": ("ONCOMING BUS", ("bus", "coach")),
    "rocket": ("ROCKET", ("rocket", "spaceship", "space rocket")),
    "sailboat": ("SAILBOAT", ("sailboat", "sailing boat", "yacht")),
    "apple": ("RED APPLE", ("apple", "red apple")),
    "banana": ("BANANA", ("banana", "ripe banana")),
    "strawberry": ("STRAWBERRY", ("strawberry", "fresh strawberry")),
    "pizza": ("SLICE OF PIZZA", ("pizza", "slice of pizza", "piece of pizza")),
    "sunflower": ("SUNFLOWER", ("sunflower", "yellow flower")),
    "cactus": ("CACTUS", ("cactus", "green cactus")),
    "mushroom": ("MUSHROOM", ("mushroom", "toadstool")),
    "house": ("HOUSE BUILDING", ("house", "cottage", "home")),
    "tent": ("TENT", ("tent", "camping tent")),
    "balloon": ("BALLOON", ("balloon", "red balloon")),
}
"""Object -> its name in the Unicode standard, and the nouns that name it."""

PLACES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "beach": (("on the beach", "at the seaside", "on a sandy shore"), ("a beach", "the seaside")),
    "snow": (("in the snow", "on a snowy field", "in a winter landscape"),
             ("a snowy field", "a winter landscape")),
    "meadow": (("in a meadow", "on the green grass", "in a grassy field"),
               ("a meadow", "a grassy field")),
    "desert": (("in the desert", "among the dunes", "on dry desert sand"),
               ("a desert", "the dunes")),
    "sea": (("on the open sea", "out on the ocean", "on the waves"), ("the open sea", "the ocean")),
    "city": (("in the city", "downtown", "on a street between tall buildings"),
             ("a city", "a city street")),
    "room": (("in a room", "indoors", "within four walls"), ("a room", "a living room")),
    "forest": (("in the forest", "among the trees", "in the woods"), ("a forest", "the woods")),
}
"""Place -> phrases that say where, and noun phrases that name it."""

TIMES: dict[str, tuple[str, ...]] = {
    "day": ("by day", "in daylight", "on a bright day"),
    "sunset": ("at sunset", "at dusk", "in the evening light"),
    "night": ("at night", "after dark", "under the moon"),
}
SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
POSITIONS: dict[str, tuple[str, ...]] = {
    "left": ("on the left", "to the left", "at the left side"),
    "middle": ("in the middle", "in the center", "right in the middle"),
    "right": ("on the right", "to the right", "at the right side"),
}
UNMARKED = {"size": "large", "position": "middle", "time": "day"}


@dataclass(frozen=True)
class Scene:
    """What a picture shows. With a `second` object, `position` is the side of the first one."""

    thing: str
    size: str
    position: str
    place: str
    time: str
    second: str | None = None

    @property
    def held_out(self) -> bool:
        """One scene in twenty is never seen in training, whatever its caption."""
        return zlib.crc32(repr(astuple(self)).encode()) % 20 == 0


def sample_scene(rng: np.random.Generator, *, held_out: bool = False) -> Scene:
    """Draw a scene of the training set, or of the held-out one."""
    while True:
        scene = Scene(*(str(rng.choice(list(v))) for v in (OBJECTS, SIZES, POSITIONS, PLACES, TIMES)))
        if rng.random() < 1 / 3:
            others = [name for name in OBJECTS if name != scene.thing]
            side = str(rng.choice(["left", "right"]))
            scene = replace(scene, position=side, second=str(rng.choice(others)))
        if scene.held_out == held_out:
            return scene


def changed(scene: Scene, count: int, rng: np.random.Generator) -> Scene:
    """The scene with exactly `count` of its values replaced by others.

    Raises:
        ValueError: the scene has fewer than `count` values.
    """
    kinds = ["thing", "size", "position", "place", "time"] + (["second"] if scene.second else [])
    if not 0 <= count <= len(kinds):
        raise ValueError(f"{count} values of a scene cannot change: it has {len(kinds)}, {kinds}")
    new = {}
    for kind in rng.permutation(kinds)[:count]:
        options = {"thing": OBJECTS, "size": SIZES, "position": POSITIONS, "place": PLACES,
                   "time": TIMES, "second": OBJECTS}[kind]
        taken = {getattr(scene, kind)}
        if kind in ("thing", "second"):
            taken |= {scene.thing, scene.second, *new.values()}
        if kind == "position" and scene.second:
            taken.add("middle")
        new[kind] = _pick((o for o in options if o not in taken), rng)
    return replace(scene, **new)


# --- captions ---------------------------------------------------------------------------------


def _article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _mention(value: str, kind: str, rng: np.random.Generator) -> bool:
    return value != UNMARKED[kind] or rng.random() < 0.5


def _pick(options: Iterable[str], rng: np.random.Generator) -> str:
    options = tuple(options)
    return options[rng.integers(len(options))]


def _object_phrase(scene: Scene, rng: np.random.Generator) -> str:
    noun = _pick(OBJECTS[scene.thing][1], rng)
    if _mention(scene.size, "size", rng):
        noun = f"{_pick(SIZE_WORDS[scene.size], rng)} {noun}"
    first = _article(noun)
    if scene.second is None:
        return first
    second = _article(_pick(OBJECTS[scene.second][1], rng))
    other = "right" if scene.position == "left" else "left"
    return _pick((
        f"{first} to the {scene.position} of {second}",
        f"{second} to the {other} of {first}",
        f"{first} {scene.position} of {second}",
        f"{first} on the {scene.position} and {second} on the {other}",
        f"{second} on the {other} next to {first}",
    ), rng)


def _adverbials(scene: Scene, rng: np.random.Generator) -> list[str]:
    parts = [_pick(PLACES[scene.place][0], rng)]
    if scene.second is None and _mention(scene.position, "position", rng):
        parts.append(_pick(POSITIONS[scene.position], rng))
    if _mention(scene.time, "time", rng):
        parts.append(_pick(TIMES[scene.time], rng))
    return [parts[i] for i in rng.permutation(len(parts))]


OPENERS = ("a picture of", "a photo of", "an image showing", "here we see", "look at", "a postcard with")
LONG_OPENERS = (
    "this is a picture from a book for children and it shows",
    "what you can see in this quiet little painting is",
    "somebody has made a drawing, and in the drawing there is",
)
VERBS = ("is", "waits", "stands", "can be seen", "rests")


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One of the scene's many sentences: form, order, synonyms and length are drawn from `rng`."""
    thing, (first, *rest) = _object_phrase(scene, rng), _adverbials(scene, rng)
    tail = " ".join(rest)
    everywhere = " ".join([first, *rest])
    forms = (
        f"{thing} {everywhere}",
        f"{first}, {thing} {tail}",
        f"{_pick(OPENERS, rng)} {thing} {everywhere}",
        f"{first} there is {thing} {tail}",
        f"{thing} {_pick(VERBS, rng)} {everywhere}",
        f"{first} {_pick(VERBS, rng)} {thing} {tail}",
        f"{', '.join([first, *rest])}: {thing}",
        f"{', '.join([thing, first, *rest])}",
        f"{_pick(LONG_OPENERS, rng)} {thing} {everywhere}",
        f"{first} {tail}, somebody put {thing}",
        _place_first(scene, thing, rng),
        _tags(scene, rng),
    )
    return " ".join(_pick(forms, rng).replace(" ,", ",").split())


def _place_first(scene: Scene, thing: str, rng: np.random.Generator) -> str:
    """'a beach at night with a small cat on the left'."""
    time = _pick(TIMES[scene.time], rng) if _mention(scene.time, "time", rng) else ""
    position = "" if scene.second else _pick(POSITIONS[scene.position], rng)
    joint = _pick(("with", "and", ", and there"), rng)
    return f"{_pick(PLACES[scene.place][1], rng)} {time} {joint} {thing} {position}"


def _tags(scene: Scene, rng: np.random.Generator) -> str:
    """'night, beach, small cat, left', in any order."""
    tags = [scene.place, scene.time, f"{scene.size} {_pick(OBJECTS[scene.thing][1], rng)} {scene.position}"]
    if scene.second:
        side = "right" if scene.position == "left" else "left"
        tags.append(f"{_pick(OBJECTS[scene.second][1], rng)} {side}")
    return ", ".join(tags[i] for i in rng.permutation(len(tags)))


def rigid_caption(scene: Scene) -> str:
    """The one sentence form of the control stratum: every value said, always in the same place."""
    thing = _article(f"{scene.size} {OBJECTS[scene.thing][1][0]}")
    if scene.second:
        thing += f" to the {scene.position} of {_article(OBJECTS[scene.second][1][0])}"
        position = ""
    else:
        position = POSITIONS[scene.position][0]
    return " ".join(f"{thing} {position} {PLACES[scene.place][0][0]} {TIMES[scene.time][0]}".split())


# --- pictures ---------------------------------------------------------------------------------

SKY = {
    "day": ((96, 170, 235), (200, 228, 246)),
    "sunset": ((120, 70, 140), (250, 160, 80)),
    "night": ((10, 14, 45), (34, 44, 92)),
}
TINT = {"day": (1.0, 1.0, 1.0), "sunset": (1.0, 0.78, 0.66), "night": (0.36, 0.42, 0.62)}
GLYPH_TINT = {"day": (1.0, 1.0, 1.0), "sunset": (1.0, 0.9, 0.82), "night": (0.78, 0.8, 0.92)}
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

    def tinted(self, color: tuple[int, int, int]) -> tuple[int, ...]:
        return tuple(int(c * t) for c, t in zip(color, TINT[self.time], strict=True))

    def band(self, top: float, color: tuple[int, int, int], bottom: float = 1.0) -> None:
        self.box(0, top, 1, bottom, color)

    def box(self, x0: float, y0: float, x1: float, y1: float, color: tuple[int, int, int]) -> None:
        s = self.size
        self.pen.rectangle((x0 * s, y0 * s, x1 * s - 1, y1 * s - 1), fill=self.tinted(color))

    def disc(self, x: float, y: float, rx: float, ry: float, color: tuple[int, ...]) -> None:
        s = self.size
        self.pen.ellipse(((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s), fill=color)

    def triangle(self, x: float, y: float, half: float, height: float, color: tuple[int, int, int]) -> None:
        s = self.size
        corners = [((x - half) * s, y * s), ((x + half) * s, y * s), (x * s, (y - height) * s)]
        self.pen.polygon(corners, fill=self.tinted(color))

    def light(self) -> None:
        """Sun by day, low sun at sunset, moon at night."""
        x = self.near(0.82, 0.03)
        y, r, color = {"day": (0.14, 0.07, (255, 236, 140)), "sunset": (0.34, 0.09, (255, 214, 120)),
                       "night": (0.15, 0.06, (240, 240, 225))}[self.time]
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
    c.band(0, (232, 206, 178), 0.7)
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


PAINTERS = {"beach": _beach, "snow": _snow, "meadow": _meadow, "desert": _desert,
            "sea": _sea, "city": _city, "room": _room, "forest": _forest}


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
            "install the Debian package fonts-noto-color-emoji")
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


def _paste(picture: np.ndarray, thing: str, size: str, center: float, floor: int, time: str) -> None:
    glyph = _glyph(thing, SIZES[size])
    n = len(glyph)
    left = int(np.clip(center - n / 2, 1, PIXELS - 1 - n))
    patch = picture[floor - n : floor, left : left + n]
    patch *= 1 - glyph[..., 3:]
    patch += glyph[..., :3] * 255 * np.array(GLYPH_TINT[time], np.float32)


CENTERS = {"left": 17, "middle": 32, "right": 47}


def picture(scene: Scene, rng: np.random.Generator) -> Picture:
    """One of the scene's pictures, uint8 (64, 64, 3): the place in one of its variants, small shifts.

    Raises:
        FileNotFoundError: the emoji font is not installed.
    """
    canvas = _background(scene.place, scene.time, int(rng.integers(VARIANTS))).astype(np.float32)
    shift = rng.integers(-1, 2, size=2)
    floor = 60 + int(shift[1])
    if scene.second:
        near, far = (13, 51) if SIZES[scene.size] < 30 else (20, 52)
        centers = (near, far) if scene.position == "left" else (PIXELS - near, PIXELS - far)
        _paste(canvas, scene.second, "small", centers[1] + shift[0], floor, scene.time)
        _paste(canvas, scene.thing, scene.size, centers[0] + shift[0], floor, scene.time)
    else:
        center = CENTERS[scene.position] + int(shift[0])
        _paste(canvas, scene.thing, scene.size, center, floor, scene.time)
    return canvas.round().clip(0, 255).astype(np.uint8)
