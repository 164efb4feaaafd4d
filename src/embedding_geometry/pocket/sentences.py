"""What the captions of every world share: forms of a sentence about a thing and where it is."""

from collections.abc import Iterable

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
