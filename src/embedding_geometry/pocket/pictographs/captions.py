"""Many sentences for one scene: form, order, length and vocabulary vary, the content does not."""

import numpy as np

from embedding_geometry.pocket.pictographs.scenes import (
    OBJECTS,
    PLACES,
    POSITIONS,
    SIZE_WORDS,
    TIMES,
    UNMARKED,
    Scene,
)
from embedding_geometry.pocket.sentences import (
    JOINTS,
    article,
    in_any_order,
    pick,
    sentence_forms,
    tidied,
)


def _mention(scene: Scene, kind: str, rng: np.random.Generator) -> bool:
    return getattr(scene, kind) != UNMARKED[kind] or rng.random() < 0.5


def _object_phrase(scene: Scene, rng: np.random.Generator) -> str:
    noun = pick(OBJECTS[scene.thing][1], rng)
    if _mention(scene, "size", rng):
        noun = f"{pick(SIZE_WORDS[scene.size], rng)} {noun}"
    first = article(noun)
    if scene.second is None:
        return first
    second = article(pick(OBJECTS[scene.second][1], rng))
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
    parts = [pick(PLACES[scene.place].where, rng)]
    if scene.second is None and _mention(scene, "position", rng):
        parts.append(pick(POSITIONS[scene.position], rng))
    if _mention(scene, "time", rng):
        parts.append(pick(TIMES[scene.time], rng))
    return in_any_order(parts, rng)


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One of the scene's many sentences: form, order, synonyms and length are drawn from `rng`."""
    thing, adverbials = _object_phrase(scene, rng), _adverbials(scene, rng)
    forms = (
        *sentence_forms(thing, adverbials, rng),
        _place_first(scene, thing, rng),
        _tags(scene, rng),
    )
    return tidied(pick(forms, rng))


def _place_first(scene: Scene, thing: str, rng: np.random.Generator) -> str:
    """'a beach at night with a small cat on the left'."""
    time = pick(TIMES[scene.time], rng) if _mention(scene, "time", rng) else ""
    position = "" if scene.second else pick(POSITIONS[scene.position], rng)
    joint = pick(JOINTS, rng)
    return f"{pick(PLACES[scene.place].names, rng)} {time} {joint} {thing} {position}"


def _tags(scene: Scene, rng: np.random.Generator) -> str:
    """'night, beach, small cat, left', in any order."""
    thing = f"{scene.size} {pick(OBJECTS[scene.thing][1], rng)} {scene.position}"
    tags = [scene.place, scene.time, thing]
    if scene.second:
        tags.append(f"{pick(OBJECTS[scene.second][1], rng)} {scene.other_side}")
    return ", ".join(in_any_order(tags, rng))


def rigid_caption(scene: Scene) -> str:
    """The one sentence form of the control stratum: every value said, always in the same place."""
    thing = article(f"{scene.size} {OBJECTS[scene.thing][1][0]}")
    position = POSITIONS[scene.position][0]
    if scene.second:
        position = f"to the {scene.position} of {article(OBJECTS[scene.second][1][0])}"
    return f"{thing} {position} {PLACES[scene.place].where[0]} {TIMES[scene.time][0]}"
