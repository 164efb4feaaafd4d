import dataclasses

import numpy as np
import pytest

from embedding_geometry.pocket.pictographs.captions import caption, rigid_caption
from embedding_geometry.pocket.pictographs.scenes import (
    OBJECTS,
    PLACES,
    POSITIONS,
    SIZE_WORDS,
    TIMES,
    UNMARKED,
    Scene,
    changed,
    sample_scene,
)

SEEDS = range(200)
CAT = Scene("cat", "small", "left", "beach", "night")


def _values_that_differ(a: Scene, b: Scene) -> int:
    pairs = zip(dataclasses.astuple(a), dataclasses.astuple(b), strict=True)
    return sum(x != y for x, y in pairs)


@pytest.mark.parametrize("seed", SEEDS)
def test_changed_replaces_exactly_as_many_values_as_asked(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng)
    for count in range(6 + (scene.second is not None)):
        other = changed(scene, count, rng)
        assert _values_that_differ(scene, other) == count
        assert other.thing != other.second


def test_changed_refuses_more_values_than_there_are() -> None:
    with pytest.raises(ValueError, match="6 values of a scene cannot change: it has 5"):
        changed(CAT, 6, np.random.default_rng(0))


def test_one_scene_in_twenty_is_held_out_and_never_drawn_for_training() -> None:
    rng = np.random.default_rng(0)
    assert not any(sample_scene(rng).held_out for _ in range(500))
    assert all(sample_scene(rng, held_out=True).held_out for _ in range(50))
    everything = [
        Scene(thing, size, position, place, time)
        for thing in OBJECTS
        for size in SIZE_WORDS
        for position in POSITIONS
        for place in PLACES
        for time in TIMES
    ]
    assert np.mean([s.held_out for s in everything]) == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_caption_says_every_value_that_is_marked(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng)
    text = caption(scene, rng)
    said = {
        "thing": any(noun in text for noun in OBJECTS[scene.thing][1]),
        "size": any(word in text.split() for word in SIZE_WORDS[scene.size]),
        "place": any(p in text for p in (scene.place, *sum(PLACES[scene.place], ()))),
        "time": any(p in text for p in (scene.time, *TIMES[scene.time])),
        "position": any(w in text for w in (scene.position, "center")),
    }
    if scene.second:
        assert any(noun in text for noun in OBJECTS[scene.second][1])
        said["position"] = "left" in text or "right" in text
    silent = {kind for kind, is_said in said.items() if not is_said}
    assert all(getattr(scene, kind) == UNMARKED.get(kind) for kind in silent), text


def test_captions_of_one_scene_differ_in_order_and_length() -> None:
    rng = np.random.default_rng(0)
    texts = {caption(CAT, rng) for _ in range(300)}
    lengths = [len(t.split()) for t in texts]
    assert len(texts) > 250
    assert min(lengths) <= 7
    assert max(lengths) >= 20
    cat_first = sum(t.find("beach") > t.find("cat") for t in texts if "beach" in t and "cat" in t)
    both = sum("beach" in t and "cat" in t for t in texts)
    assert 0.2 < cat_first / both < 0.8


def test_the_rigid_form_has_one_order() -> None:
    assert rigid_caption(CAT) == "a small cat on the left on the beach at night"
    two = dataclasses.replace(CAT, second="elephant")
    assert rigid_caption(two) == "a small cat to the left of an elephant on the beach at night"
