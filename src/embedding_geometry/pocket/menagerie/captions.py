"""Sentences for a scene of the second world, in words that overlap as people's do.

A value has no word of its own. Each word has a centre, and the nearer a value is to it, the more
often the word is drawn; between two centres either one is. The creature is always named, the
other values are left out now and then.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from embedding_geometry.pocket import sentences
from embedding_geometry.pocket.menagerie.anatomy import SPECIES, anatomy
from embedding_geometry.pocket.menagerie.scenes import GROUNDS, Scene, largest
from embedding_geometry.pocket.sentences import (
    JOINTS,
    article,
    in_any_order,
    pick,
    sentence_forms,
    tidied,
)

NOUNS: dict[str, tuple[str, ...]] = {
    "cat": ("cat", "kitten", "kitty"),
    "dog": ("dog", "puppy", "hound"),
    "rabbit": ("rabbit", "bunny", "hare"),
    "bear": ("bear", "bear cub", "teddy bear"),
    "panda": ("panda", "panda bear"),
    "pig": ("pig", "piglet", "piggy"),
    "mouse": ("mouse", "field mouse"),
    "fox": ("fox", "fox cub"),
    "frog": ("frog", "toad"),
    "owl": ("owl", "owlet"),
    "koala": ("koala", "koala bear"),
    "lion": ("lion", "maned lion"),
    "penguin": ("penguin", "penguin bird"),
    "elephant": ("elephant", "elephant calf"),
    "monkey": ("monkey", "ape"),
    "sheep": ("sheep", "lamb", "woolly sheep"),
    "cow": ("cow", "calf"),
    "tiger": ("tiger", "tiger cub"),
    "hedgehog": ("hedgehog", "spiny hedgehog"),
    "chick": ("chick", "baby chicken"),
}

PLACES = {ground: sentences.PLACES[ground] for ground in GROUNDS}
KNOWN = {"autumn": "the autumn trees"}
"""What is called otherwise than "the" and its name where it has been spoken of."""

Scale = dict[str, tuple[float, tuple[str, ...]]]
"""Word -> its centre on a value from 0 to 1, and phrases that say it."""

SIZES: Scale = {
    "tiny": (0.04, ("tiny", "very small")),
    "small": (0.27, ("small", "little")),
    "middle-sized": (0.5, ("middle-sized", "medium-sized")),
    "big": (0.73, ("big", "large")),
    "huge": (0.96, ("huge", "giant")),
}
POSITIONS: Scale = {
    "far left": (0.04, ("on the far left", "at the very left")),
    "left": (0.27, ("on the left", "to the left")),
    "middle": (0.5, ("in the middle", "in the center")),
    "right": (0.73, ("on the right", "to the right")),
    "far right": (0.96, ("on the far right", "at the very right")),
}
TIMES: Scale = {
    "dawn": (0.0, ("at dawn", "at daybreak", "as the sun comes up")),
    "morning": (0.15, ("in the morning", "on a fresh morning")),
    "noon": (0.33, ("at noon", "at midday", "in the bright sun of noon")),
    "afternoon": (0.5, ("in the afternoon", "on a warm afternoon")),
    "dusk": (0.68, ("at dusk", "at sunset", "as the sun goes down")),
    "evening": (0.8, ("in the evening", "in the last light of the evening")),
    "night": (0.9, ("at night", "after dark", "under the moon")),
    "midnight": (1.0, ("at midnight", "in the middle of the night")),
}
SOFT = 0.5
"""Standard deviation of a word's use about its centre, in steps from one centre to the next."""

FURS: dict[str, tuple[int, int, int]] = {
    "white": (248, 245, 242),
    "cream": (246, 216, 184),
    "gray": (158, 166, 182),
    "dark": (74, 78, 104),
    "brown": (140, 92, 62),
    "orange": (240, 134, 50),
    "golden": (248, 204, 100),
    "pink": (250, 178, 184),
    "green": (126, 200, 92),
    "tan": (222, 174, 120),
}
"""Words for the colour of fur, and what they mean, from 0 to 255."""

SAID = {"size": 0.9, "x": 0.9, "time": 0.9, "ground": 0.95, "fur": 0.25}
"""How often a caption says a value; the creature, always."""
EVERYTHING = dict.fromkeys(SAID, 1.0)


def chances(value: float, scale: Scale) -> dict[str, float]:
    """How often each word of a scale is drawn for a value."""
    centers = np.array([center for center, _ in scale.values()])
    width = SOFT * np.diff(centers).mean()
    weights = np.exp(-0.5 * ((value - centers) / width) ** 2)
    return dict(zip(scale, (weights / weights.sum()).tolist(), strict=True))


def _draw(weights: Mapping[str, float], rng: np.random.Generator) -> str:
    return str(rng.choice(list(weights), p=list(weights.values())))


def _phrase(value: float, scale: Scale, rng: np.random.Generator) -> str:
    return pick(scale[_draw(chances(value, scale), rng)][1], rng)


def _color_seen(scene: Scene) -> Float[np.ndarray, "3"]:
    """The colour of the fur, or, as far as there is one, of the wool or spikes over it."""
    creature = anatomy(np.array([scene.species]), np.array([scene.individual]))
    over = min(2 * creature["coat"][0], 1.0)
    return (1 - over) * creature["fur"][0] + over * creature["mane"][0]


def _fur(scene: Scene, rng: np.random.Generator) -> str:
    away = np.linalg.norm(np.array([*FURS.values()]) / 255 - _color_seen(scene), axis=1)
    weights = np.exp(-0.5 * (away / 0.08) ** 2 + 0.5 * (away.min() / 0.08) ** 2)
    return _draw(dict(zip(FURS, weights / weights.sum(), strict=True)), rng)


def _named_as_both(share: float, rng: np.random.Generator) -> bool:
    """Whether a mixture, `share` (at most half) of which is another thing, is named as both."""
    return rng.random() < 0.85 * min(share / 0.3, 1)


def _nearer(parts: list[tuple[str, float]], rng: np.random.Generator) -> str:
    """One part of a mixture, the larger one more than in proportion."""
    (first, a), (second, b) = parts
    return first if rng.random() < a**2 / (a**2 + b**2) else second


def _creature(scene: Scene, often: Mapping[str, float], rng: np.random.Generator) -> str:
    said = {kind for kind in ("size", "fur") if rng.random() < often[kind]}
    size = _phrase(scene.size, SIZES, rng) if "size" in said else ""
    looks = f"{size} {_fur(scene, rng) if 'fur' in said else ''}"
    parts = largest(SPECIES, scene.species)
    share = parts[1][1] / (parts[0][1] + parts[1][1])
    if not _named_as_both(share, rng):
        return article(f"{looks} {pick(NOUNS[_nearer(parts, rng)], rng)}".strip())
    one, other = (pick(NOUNS[name], rng) for name, _ in parts)
    if rng.random() < (share - 0.1) / 0.3:
        one, other = in_any_order([one, other], rng)
        return _half_and_half(looks, one, other, rng)
    thing, second = article(f"{looks} {one}".strip()), article(other)
    return pick(
        (
            f"{thing} with something of {second}",
            f"{thing} that looks a bit like {second}",
            f"{thing} with a touch of {other}",
            f"{thing} that is partly {second}",
        ),
        rng,
    )


def _half_and_half(looks: str, one: str, other: str, rng: np.random.Generator) -> str:
    thing, creature = article(f"{looks} {one}".strip()), article(f"{looks} creature".strip())
    first, second = article(one), article(other)
    return pick(
        (
            f"something {looks} between {first} and {second}",
            f"{thing} that is half {second}",
            f"{creature} between {first} and {second}",
            f"{creature} that is half {one} and half {other}",
            f"{article(f'{looks} mix'.strip())} of {first} and {second}",
        ),
        rng,
    )


def _place(scene: Scene, rng: np.random.Generator) -> tuple[str, str]:
    """Where the creature is, as an adverbial and as a noun phrase."""
    parts = largest(GROUNDS, scene.ground)
    if not _named_as_both(parts[1][1] / (parts[0][1] + parts[1][1]), rng):
        place = PLACES[_nearer(parts, rng)]
        return pick(place.where, rng), pick(place.names, rng)
    one, other = (KNOWN.get(name, f"the {name}") for name, _ in parts)
    both = pick((f"between {one} and {other}", f"where {one} and {other} meet"), rng)
    return pick((both, f"on the way from {one} to {other}"), rng), f"a place {both}"


def caption(scene: Scene, rng: np.random.Generator, often: Mapping[str, float] = SAID) -> str:
    """One of the scene's many sentences: what is said, how and in which form is drawn."""
    thing, (where, place) = _creature(scene, often, rng), _place(scene, rng)
    said = {kind for kind in ("x", "time", "ground") if rng.random() < often[kind]} or {"ground"}
    position = _phrase(scene.x, POSITIONS, rng) if "x" in said else ""
    time = _phrase(scene.time, TIMES, rng) if "time" in said else ""
    phrases = [where if "ground" in said else "", position, time]
    adverbials = [phrase for phrase in phrases if phrase]
    forms = (
        *sentence_forms(thing, in_any_order(adverbials, rng), rng),
        f"{place} {time} {pick(JOINTS, rng)} {thing} {position}",
        ", ".join(in_any_order([thing, *adverbials], rng)),
        _tags(scene, thing, said, rng),
    )
    return tidied(pick(forms, rng))


def _tags(scene: Scene, thing: str, said: set[str], rng: np.random.Generator) -> str:
    """'night, beach, a small cat, left', in any order."""
    words = {
        "x": _draw(chances(scene.x, POSITIONS), rng),
        "time": _draw(chances(scene.time, TIMES), rng),
        "ground": _nearer(largest(GROUNDS, scene.ground), rng),
    }
    tags = [thing.removeprefix("a ").removeprefix("an ")]
    return ", ".join(in_any_order([*tags, *(words[kind] for kind in sorted(said))], rng))


def complete_caption(scene: Scene, rng: np.random.Generator) -> str:
    """One of the sentences that leave out no value."""
    return caption(scene, rng, EVERYTHING)


def rigid_caption(scene: Scene) -> str:
    """The one sentence form of the control stratum: every value said, always in the same place.

    Each value has its nearest word, a mixture that of its largest part.
    """

    def nearest(value: float, scale: Scale) -> str:
        likely = chances(value, scale)
        return scale[max(likely, key=likely.__getitem__)][1][0]

    species, ground = largest(SPECIES, scene.species)[0][0], largest(GROUNDS, scene.ground)[0][0]
    thing = article(f"{nearest(scene.size, SIZES)} {NOUNS[species][0]}")
    place = PLACES[ground].where[0]
    return f"{thing} {nearest(scene.x, POSITIONS)} {place} {nearest(scene.time, TIMES)}"
