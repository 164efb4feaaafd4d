"""What the captions of every world share: forms of a sentence about a thing and where it is."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

OPENERS = (
    "a picture of",
    "a photo of",
    "an image showing",
    "here we see",
    "look at",
    "a postcard with",
)
LONG_OPENERS = (
    "this is a picture from a book for children and it shows",
    "what you can see in this quiet little painting is",
    "somebody has made a drawing, and in the drawing there is",
)
VERBS = ("is", "waits", "stands", "can be seen", "rests")
JOINTS = ("with", "and", ", and there")
"""Between a place and the thing in it: "a beach with a cat"."""


class Place(NamedTuple):
    """A place in words: phrases that say where, and noun phrases that name it."""

    where: tuple[str, ...]
    names: tuple[str, ...]


PLACES = {
    "beach": Place(
        ("on the beach", "at the seaside", "on a sandy shore"), ("a beach", "the seaside")
    ),
    "snow": Place(
        ("in the snow", "on a snowy field", "in a winter landscape"),
        ("a snowy field", "a winter landscape"),
    ),
    "meadow": Place(
        ("in a meadow", "on the green grass", "in a grassy field"), ("a meadow", "a grassy field")
    ),
    "desert": Place(
        ("in the desert", "among the dunes", "on dry desert sand"), ("a desert", "the dunes")
    ),
    "forest": Place(
        ("in the forest", "among the trees", "in the woods"), ("a forest", "the woods")
    ),
    "city": Place(
        ("in the city", "downtown", "on a street between tall buildings"),
        ("a city", "a city street"),
    ),
    "sea": Place(
        ("on the open sea", "out on the ocean", "on the waves"), ("the open sea", "the ocean")
    ),
    "room": Place(("in a room", "indoors", "within four walls"), ("a room", "a living room")),
    "lake": Place(
        ("by the lake", "at the lakeside", "near the water"), ("a lake", "the lakeside")
    ),
    "mountains": Place(
        ("in the mountains", "below snowy peaks", "high up in the alps"),
        ("a mountain valley", "the snowy peaks"),
    ),
    "lavender": Place(
        ("in a lavender field", "among rows of lavender", "between purple flowers"),
        ("a lavender field", "rows of lavender"),
    ),
    "autumn": Place(
        ("in an autumn park", "under autumn trees", "among golden leaves"),
        ("an autumn park", "a golden autumn wood"),
    ),
}
"""Each world has some of them."""


def pick(options: Iterable[str], rng: np.random.Generator) -> str:
    """One of the options, each equally likely."""
    options = tuple(options)
    return options[rng.integers(len(options))]


def article(noun: str) -> str:
    """The noun with "a" or "an" before it."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def in_any_order(parts: list[str], rng: np.random.Generator) -> list[str]:
    """The parts, shuffled."""
    return [parts[i] for i in rng.permutation(len(parts))]


def sentence_forms(thing: str, adverbials: list[str], rng: np.random.Generator) -> tuple[str, ...]:
    """A sentence in each of ten forms that say a thing and one or more adverbials."""
    first, *rest = adverbials
    tail = " ".join(rest)
    everywhere = f"{first} {tail}"
    return (
        f"{thing} {everywhere}",
        f"{first}, {thing} {tail}",
        f"{pick(OPENERS, rng)} {thing} {everywhere}",
        f"{first} there is {thing} {tail}",
        f"{thing} {pick(VERBS, rng)} {everywhere}",
        f"{first} {pick(VERBS, rng)} {thing} {tail}",
        f"{', '.join([first, *rest])}: {thing}",
        f"{', '.join([thing, first, *rest])}",
        f"{pick(LONG_OPENERS, rng)} {thing} {everywhere}",
        f"{everywhere}, somebody put {thing}",
    )


def tidied(sentence: str) -> str:
    """The sentence without doubled spaces, and none before a comma."""
    return " ".join(sentence.split()).replace(" ,", ",")
