"""The world of the pocket model: scenes, sentences that describe them, pictures that show them.

A *scene* is a point of a small product space: which object, how big, where, in which place, at
what time of day, and, in every third scene, which second object beside it. A scene has many
*captions*: sentences of different form, order, length and vocabulary with the same content. It
has many *pictures*: pictographs of the Noto Color Emoji font (named as in the Unicode standard)
composed over drawn places.

Some values are *unmarked*: large, in the middle, by day. A caption may leave them out, so that
the short sentence "a cat on the beach" still describes one scene only.
"""

import zlib
from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace

import numpy as np

from embedding_geometry.pocket import sentences

SIZES = {"small": 24, "large": 38}
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

PLACES = {
    place: sentences.PLACES[place]
    for place in ("beach", "snow", "meadow", "desert", "sea", "city", "room", "forest")
}

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
VALUES: dict[str, Iterable[str]] = {
    "thing": OBJECTS,
    "size": SIZES,
    "position": POSITIONS,
    "place": PLACES,
    "time": TIMES,
}
"""What each value of a scene may be; the `second` object is one of those of `thing`."""

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
    def other_side(self) -> str:
        """Where the second object stands."""
        return "right" if self.position == "left" else "left"

    @property
    def held_out(self) -> bool:
        """One scene in twenty is never seen in training, whatever its caption."""
        return zlib.crc32(repr(astuple(self)).encode()) % 20 == 0


def sample_scene(rng: np.random.Generator, *, held_out: bool = False) -> Scene:
    """Draw a scene of the training set, or of the held-out one."""
    while True:
        scene = Scene(*(str(rng.choice(list(values))) for values in VALUES.values()))
        if rng.random() < 1 / 3:
            others = [name for name in OBJECTS if name != scene.thing]
            side = str(rng.choice(["left", "right"]))
            scene = replace(scene, position=side, second=str(rng.choice(others)))
        if scene.held_out == held_out:
            return scene


def changeable(scene: Scene) -> list[str]:
    """The names of the scene's values."""
    return [*VALUES, "second"] if scene.second else [*VALUES]


def changed(scene: Scene, count: int, rng: np.random.Generator) -> Scene:
    """The scene with exactly `count` of its values replaced by others.

    Raises:
        ValueError: the scene has fewer than `count` values.
    """
    kinds = changeable(scene)
    if not 0 <= count <= len(kinds):
        raise ValueError(f"{count} values of a scene cannot change: it has {len(kinds)}, {kinds}")
    new: dict[str, str] = {}
    for kind in rng.permutation(kinds)[:count]:
        taken = {getattr(scene, kind)}
        if kind in ("thing", "second"):
            taken |= {scene.thing, scene.second, *new.values()}
        if kind == "position" and scene.second:
            taken.add("middle")
        new[kind] = sentences.pick((v for v in VALUES.get(kind, OBJECTS) if v not in taken), rng)
    return replace(scene, **new)
