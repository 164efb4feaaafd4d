"""Many sentences for one scene: form, order, length and vocabulary vary, the content does not."""

import numpy as np

from embedding_geometry.pocket.world import (
    OBJECTS,
    PLACES,
    POSITIONS,
    SIZE_WORDS,
    TIMES,
    UNMARKED,
    Scene,
    pick,
)


def _article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _mention(scene: Scene, kind: str, rng: np.random.Generator) -> bool:
    return getattr(scene, kind) != UNMARKED[kind] or rng.random() < 0.5


def _object_phrase(scene: Scene, rng: np.random.Generator) -> str:
    noun = pick(OBJECTS[scene.thing][1], rng)
    if _mention(scene, "size", rng):
        noun = f"{pick(SIZE_WORDS[scene.size], rng)} {noun}"
    first = _article(noun)
    if scene.second is None:
        return first
    second = _article(pick(OBJECTS[scene.second][1], rng))
    return pick(
        (
            f"{first} to the {scene.position} of {second}",
            f"{second} to the {scene.other_side} of {first}",
            f"{first} {scene.position} of {second}",
            f"{first} on the {scene.position} and {second} on the {scene.other_side}",
            f"{second} on the {scene.other_side} next to {first}",
        ),
        rng,
    )


def _adverbials(scene: Scene, rng: np.random.Generator) -> list[str]:
    parts = [pick(PLACES[scene.place][0], rng)]
    if scene.second is None and _mention(scene, "position", rng):
        parts.append(pick(POSITIONS[scene.position], rng))
    if _mention(scene, "time", rng):
        parts.append(pick(TIMES[scene.time], rng))
    return [parts[i] for i in rng.permutation(len(parts))]


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


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One of the scene's many sentences: form, order, synonyms and length are drawn from `rng`."""
    thing, (first, *rest) = _object_phrase(scene, rng), _adverbials(scene, rng)
    tail = " ".join(rest)
    everywhere = f"{first} {tail}"
    forms = (
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
        _place_first(scene, thing, rng),
        _tags(scene, rng),
    )
    return " ".join(pick(forms, rng).split()).replace(" ,", ",")


def _place_first(scene: Scene, thing: str, rng: np.random.Generator) -> str:
    """'a beach at night with a small cat on the left'."""
    time = pick(TIMES[scene.time], rng) if _mention(scene, "time", rng) else ""
    position = "" if scene.second else pick(POSITIONS[scene.position], rng)
    joint = pick(("with", "and", ", and there"), rng)
    return f"{pick(PLACES[scene.place][1], rng)} {time} {joint} {thing} {position}"


def _tags(scene: Scene, rng: np.random.Generator) -> str:
    """'night, beach, small cat, left', in any order."""
    thing = f"{scene.size} {pick(OBJECTS[scene.thing][1], rng)} {scene.position}"
    tags = [scene.place, scene.time, thing]
    if scene.second:
        tags.append(f"{pick(OBJECTS[scene.second][1], rng)} {scene.other_side}")
    return ", ".join(tags[i] for i in rng.permutation(len(tags)))


def rigid_caption(scene: Scene) -> str:
    """The one sentence form of the control stratum: every value said, always in the same place."""
    thing = _article(f"{scene.size} {OBJECTS[scene.thing][1][0]}")
    position = POSITIONS[scene.position][0]
    if scene.second:
        position = f"to the {scene.position} of {_article(OBJECTS[scene.second][1][0])}"
    return f"{thing} {position} {PLACES[scene.place][0][0]} {TIMES[scene.time][0]}"
