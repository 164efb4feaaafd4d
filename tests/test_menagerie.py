import dataclasses
import re
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from embedding_geometry.pocket.menagerie import (
    GROUNDS,
    SPECIES,
    Scene,
    between,
    caption,
    changed,
    drawn,
    labels,
    mixture,
    picture,
    pictured,
    rigid_caption,
    sample_scene,
    shares,
)
from embedding_geometry.pocket.menagerie.anatomy import COLORS, SHAPE, VARIATION
from embedding_geometry.pocket.menagerie.captions import (
    NOUNS,
    PLACES,
    POSITIONS,
    SIZES,
    TIMES,
    Scale,
    chances,
    complete_caption,
)
from embedding_geometry.pocket.menagerie.landscape import LAND
from embedding_geometry.pocket.menagerie.pictures import CHANCES
from embedding_geometry.pocket.menagerie.scenes import FAR, NAMEABLE
from embedding_geometry.pocket.menagerie.things import THINGS

SEEDS = range(100)
SCALES = pytest.mark.parametrize("scale", [SIZES, POSITIONS, TIMES])


def _scene(
    species: str | dict[str, float] = "cat", ground: str | dict[str, float] = "meadow"
) -> Scene:
    parts = {species: 1.0} if isinstance(species, str) else species
    grounds = {ground: 1.0} if isinstance(ground, str) else ground
    return Scene(
        species=mixture(SPECIES, parts),
        individual=(0.0,) * len(VARIATION),
        x=0.5,
        size=0.6,
        ground=mixture(GROUNDS, grounds),
        time=0.3,
    )


def _still(*scenes: Scene, pixels: int = 64) -> Tensor:
    """Pictures from 0 to 1, of which nothing is left to chance."""
    return (drawn(scenes, np.zeros((len(scenes), CHANCES)), pixels) + 1) / 2


def _steps(first: Scene, second: Scene, start: float, stop: float, count: int) -> Tensor:
    """The largest change of a pixel's colour in each step of a straight line, from 0 to 1."""
    line = _still(
        *(between(first, second, w) for w in np.linspace(start, stop, count + 1).tolist())
    )
    return line.diff(dim=0).abs().amax(dim=(1, 2, 3))


def _values_that_differ(a: Scene, b: Scene) -> list[str]:
    return [f.name for f in dataclasses.fields(a) if getattr(a, f.name) != getattr(b, f.name)]


# ------------------------------------------------------------------------------------- scenes


def test_one_scene_in_twenty_is_held_out_and_never_drawn_for_training() -> None:
    rng = np.random.default_rng(0)
    assert not any(sample_scene(rng).held_out for _ in range(1000))
    assert all(sample_scene(rng, held_out=True).held_out for _ in range(20))
    scene = sample_scene(rng)
    anywhere = [
        dataclasses.replace(changed(scene, 5, rng), time=rng.random()) for _ in range(3000)
    ]
    assert np.mean([s.held_out for s in anywhere]) == pytest.approx(0.05, abs=0.015)


def test_what_is_held_out_is_held_out_with_its_neighbours_and_all_individuals() -> None:
    rng = np.random.default_rng(1)
    scene = dataclasses.replace(_scene(), size=0.5)  # away from the border of its cell
    others = [
        dataclasses.replace(
            scene, x=rng.uniform(0.4, 0.6), individual=sample_scene(rng).individual
        )
        for _ in range(50)
    ]
    assert {other.held_out for other in others} == {scene.held_out}


@pytest.mark.parametrize("seed", SEEDS)
def test_changed_replaces_exactly_as_many_values_as_asked_and_clearly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng)
    for count in range(len(NAMEABLE) + 1):
        other = changed(scene, count, rng)
        differing = _values_that_differ(scene, other)
        assert len(differing) == count
        for kind in differing:
            old, new = np.array(getattr(scene, kind)), np.array(getattr(other, kind))
            assert np.abs(old - new).max() >= FAR
            assert new.min() >= 0
            assert new.max() <= 1
            if old.ndim:
                assert old @ new == 0


def test_changed_refuses_more_values_than_there_are() -> None:
    with pytest.raises(ValueError, match="6 values of a scene cannot change: it has 5"):
        changed(_scene(), 6, np.random.default_rng(0))


def test_half_of_the_creatures_and_of_the_grounds_are_mixed() -> None:
    rng = np.random.default_rng(2)
    scenes = [sample_scene(rng) for _ in range(2000)]
    for kind in ("species", "ground"):
        weights = np.array([getattr(scene, kind) for scene in scenes])
        assert np.allclose(weights.sum(1), 1)
        assert set((weights > 0).sum(1)) == {1, 2}
        assert ((weights > 0).sum(1) == 2).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    "parts", [{"cat": 1.0, "griffin": 1.0}, {"cat": 2.0, "dog": -1.0}, {"cat": 0.0}]
)
def test_a_mixture_of_what_there_is_not_is_refused(parts: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is no mixture: weights above zero of some of"):
        mixture(SPECIES, parts)


def test_labels_name_what_is_unmixed_and_nothing_else() -> None:
    assert _scene("owl", "lake").labels == ("owl", "lake", 0.5, 0.6, 0.3)
    assert _scene({"owl": 9.0, "cat": 1.0}, {"lake": 1.0, "city": 9.0}).labels[:2] == (
        "owl",
        "city",
    )
    assert _scene({"owl": 7.0, "cat": 3.0}, {"lake": 1.0, "city": 1.0}).labels[:2] == (None, None)


def test_a_straight_line_leads_from_one_scene_to_the_other() -> None:
    cat, owl = _scene("cat", "city"), dataclasses.replace(_scene("owl", "lake"), time=0.9)
    assert between(cat, owl, 0.0) == cat
    assert between(cat, owl, 1.0) == owl
    quarter = between(cat, owl, 0.25)
    assert quarter.species == pytest.approx(mixture(SPECIES, {"cat": 3.0, "owl": 1.0}))
    assert quarter.time == pytest.approx(0.45)


def test_every_value_of_a_species_is_one_of_the_anatomy() -> None:
    for name, own in SPECIES.items():
        unknown = set(own) - set(SHAPE) - set(COLORS)
        assert not unknown, name
        assert {k for k, v in own.items() if isinstance(v, tuple)} <= set(COLORS), name
    changes = {kind for own in VARIATION.values() for kind in own}
    assert changes <= set(SHAPE) | set(COLORS)


def test_every_species_has_nouns_and_every_ground_its_look_things_and_phrases() -> None:
    assert set(NOUNS) == set(SPECIES)
    assert set(LAND) == set(THINGS) == set(PLACES) == set(GROUNDS)


# ------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("seed", range(4))
def test_no_pixel_jumps_along_a_straight_line_of_scenes(seed: int) -> None:
    """A 64th of a line, and within its largest step a 1024th: a jump would keep its size."""
    rng = np.random.default_rng(seed)
    first, second = sample_scene(rng), sample_scene(rng)
    coarse = _steps(first, second, 0, 1, 64)
    assert coarse.max() < 0.75
    at = coarse.argmax().item() / 64
    assert _steps(first, second, at, at + 1 / 64, 16).max() < 0.1


@pytest.mark.parametrize(
    ("first", "second"), [("dog", "elephant"), ("lion", "fox"), ("hedgehog", "cow")]
)
def test_what_only_one_species_has_appears_without_a_jump(first: str, second: str) -> None:
    """The first thousandth of the way, where trunks, manes and horns begin."""
    for start, end in ((first, second), (second, first)):
        assert _steps(_scene(start), _scene(end), 0, 1 / 1024, 1).max() < 0.06


@pytest.mark.parametrize("ground", GROUNDS)
def test_what_stands_on_a_ground_appears_without_a_jump(ground: str) -> None:
    other = "snow" if ground == "desert" else "desert"
    assert _steps(_scene(ground=other), _scene(ground=ground), 0, 1 / 1024, 1).max() < 0.03


def test_the_day_passes_without_a_jump() -> None:
    dawn, midnight = (dataclasses.replace(_scene("fox"), time=t) for t in (0.0, 1.0))
    assert _steps(dawn, midnight, 0, 1, 256).max() < 0.25


def test_one_scene_and_one_state_of_the_generator_give_one_picture_in_any_batch() -> None:
    scenes = [sample_scene(np.random.default_rng(seed)) for seed in range(70)]
    together = pictured(scenes, np.random.default_rng(3))
    assert together.shape == (70, 3, 64, 64)
    assert together.abs().max() <= 1
    chance = np.random.default_rng(3).uniform(-1, 1, (70, CHANCES))
    alone = torch.cat([drawn([scenes[i]], chance[i : i + 1]) for i in (0, 63, 64, 69)])
    assert torch.allclose(together[[0, 63, 64, 69]], alone, atol=1e-4)


def test_a_picture_is_the_tensor_in_bytes_and_differs_a_little_from_the_next() -> None:
    scene, rng = _scene(), np.random.default_rng(0)
    one, other = picture(scene, rng), picture(scene, rng)
    tensor = pictured([scene], np.random.default_rng(0))[0]
    as_levels = (tensor.permute(1, 2, 0).numpy() + 1) * 127.5
    assert np.abs(one - as_levels).max() <= 0.51
    assert 0 < np.abs(one.astype(float) - other).mean() < 12


def test_twice_as_many_pixels_show_the_same_picture() -> None:
    scenes = [sample_scene(np.random.default_rng(seed)) for seed in range(8)]
    fine = F.avg_pool2d(_still(*scenes, pixels=128), 2)
    assert (fine - _still(*scenes)).abs().mean() < 0.01


def test_a_creature_stands_where_its_scene_says_and_is_as_large() -> None:
    """Where two species differ, everything else the same, there the creature is."""

    def seen(x: float, size: float) -> tuple[float, float]:
        pair = [dataclasses.replace(_scene(name), x=x, size=size) for name in ("panda", "bear")]
        differs = _still(*pair).diff(dim=0)[0].abs().sum(0)
        across = differs.sum(0) / differs.sum()
        middle = (across * (torch.arange(64) + 0.5) / 64).sum().item()
        return middle, (differs > 0.3).sum().item()

    for x in (0.2, 0.5, 0.8):
        assert seen(x, 0.4)[0] == pytest.approx(0.16 + 0.68 * x, abs=0.01)
    areas = [seen(0.5, size)[1] for size in (0.0, 0.5, 1.0)]
    assert 1.6 * areas[0] < areas[1] < areas[2] / 1.6


def test_night_is_darker_than_day_but_not_black() -> None:
    noon, dusk, midnight = (
        _still(*(dataclasses.replace(_scene(ground=g), time=t) for g in GROUNDS)).mean().item()
        for t in (0.33, 0.68, 1.0)
    )
    assert noon > dusk + 0.05
    assert dusk > midnight + 0.1
    assert midnight > 0.25


def test_an_individual_is_nearest_to_its_own_species_and_a_ground_to_its_own() -> None:
    rng = np.random.default_rng(4)

    def individual(scene: Scene) -> Scene:
        return dataclasses.replace(scene, individual=sample_scene(rng).individual)

    for kinds in ([_scene(s) for s in SPECIES], [_scene("bear", g) for g in GROUNDS]):
        plain, varied = _still(*kinds), _still(*(individual(k) for k in kinds for _ in range(3)))
        away = torch.cdist(varied.flatten(1), plain.flatten(1))
        right = away.argmin(1) == torch.arange(len(kinds)).repeat_interleave(3)
        assert right.float().mean() >= 0.95
    assert torch.pdist(_still(*(_scene(s) for s in SPECIES)).flatten(1)).min() > 3


# ------------------------------------------------------------------------------------- words


@SCALES
def test_words_overlap_and_the_nearest_is_the_likeliest(scale: Scale) -> None:
    words = list(scale)
    centers = [center for center, _ in scale.values()]
    for value in np.linspace(0, 1, 101).tolist():
        likely = chances(value, scale)
        assert sum(likely.values()) == pytest.approx(1)
        nearest = min(words, key=lambda w: abs(scale[w][0] - value))
        assert likely[nearest] == pytest.approx(max(likely.values()))
    for (left, a), (right, b) in zip(
        zip(words, centers, strict=True), zip(words[1:], centers[1:], strict=True), strict=False
    ):
        halfway = chances((a + b) / 2, scale)
        assert halfway[left] == pytest.approx(halfway[right])
        assert halfway[left] > 0.35
        assert chances(a, scale)[right] > 0.01


def _names(text: str) -> set[str]:
    """The species whose nouns stand in a text; a panda bear is no bear."""
    names, left = set(), f" {text.replace(',', ' ').replace(':', ' ')} "
    nouns = [(noun, species) for species, nouns in NOUNS.items() for noun in nouns]
    for noun, species in sorted(nouns, key=lambda pair: -len(pair[0])):
        if f" {noun} " in left:
            names.add(species)
            left = left.replace(f" {noun} ", "  ")
    return names


@pytest.mark.parametrize("seed", SEEDS)
def test_a_caption_always_names_the_creature_and_only_what_is_in_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng)
    there = {name for name, w in zip(SPECIES, scene.species, strict=True) if w > 0}
    for _ in range(10):
        text = caption(scene, rng)
        assert _names(text)
        assert _names(text) <= there, text
        assert len(text.split()) <= 45, text
        assert "  " not in text
        assert " ," not in text


def test_hybrids_are_named_by_the_nearer_species_or_as_both() -> None:
    rng = np.random.default_rng(5)

    def share(**parts: float) -> dict[frozenset[str], float]:
        texts = [caption(_scene(parts), rng) for _ in range(400)]
        return {k: n / 400 for k, n in Counter(frozenset(_names(t)) for t in texts).items()}

    cat, rabbit, both = frozenset({"cat"}), frozenset({"rabbit"}), frozenset({"cat", "rabbit"})
    pure, near, even = share(cat=1.0), share(cat=0.85, rabbit=0.15), share(cat=0.5, rabbit=0.5)
    assert pure == {cat: 1}
    assert near[cat] > 0.4
    assert 0.25 < near[both] < 0.6
    assert near.get(rabbit, 0) < 0.08
    assert even[both] > 0.7
    assert even[cat] == pytest.approx(even[rabbit], abs=0.1)


def test_values_are_left_out_now_and_then_and_otherwise_said() -> None:
    rng = np.random.default_rng(6)
    scene = dataclasses.replace(_scene(ground="lake"), x=0.96, size=0.04, time=0.0)
    texts = [caption(scene, rng) for _ in range(1000)]
    said = {
        "size": ("tiny", "very small"),
        "position": ("far right", "very right"),
        "time": ("dawn", "daybreak", "sun comes up"),
        "ground": ("lake", "water"),
        "fur": ("dark", "gray"),
    }
    shares = {k: np.mean([any(w in t for w in words) for t in texts]) for k, words in said.items()}
    likely = {
        "size": chances(scene.size, SIZES)["tiny"],
        "position": chances(scene.x, POSITIONS)["far right"],
        "time": chances(scene.time, TIMES)["dawn"],
    }
    for kind, share in likely.items():
        assert shares[kind] == pytest.approx(0.9 * share, abs=0.04), shares
    assert 0.9 < shares["ground"] < 1, shares
    assert 0.15 < shares["fur"] < 0.35, shares


def test_captions_of_one_scene_differ_in_order_and_length() -> None:
    rng = np.random.default_rng(7)
    scene = _scene({"cat": 2.0, "rabbit": 1.0}, {"beach": 1.0, "snow": 1.0})
    texts = {caption(scene, rng) for _ in range(300)}
    lengths = sorted(len(text.split()) for text in texts)
    assert len(texts) > 280
    assert lengths[15] <= 11
    assert lengths[-15] >= 24
    order = [t.find("cat") < t.find("beach") for t in texts if "cat" in t and "beach" in t]
    assert 0.2 < np.mean(order) < 0.8


def test_the_rigid_form_says_every_value_in_one_order() -> None:
    cat = dataclasses.replace(_scene(ground="beach"), x=0.28, size=0.25, time=0.89)
    assert rigid_caption(cat) == "a small cat on the left on the beach at night"
    assert rigid_caption(_scene({"elephant": 2.0, "cat": 1.0}, {"city": 2.0, "snow": 1.0})) == (
        "a middle-sized elephant in the middle in the city at noon"
    )
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        scene = sample_scene(rng)
        assert rigid_caption(scene) != rigid_caption(changed(scene, 1, rng))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_complete_caption_leaves_out_no_value(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng)
    words = complete_caption(scene, np.random.default_rng(seed))
    for scale in (SIZES, POSITIONS, TIMES):
        said = [word for word, (_, phrases) in scale.items() if _says(words, word, phrases)]
        assert said, words


def _says(text: str, word: str, phrases: tuple[str, ...]) -> bool:
    return any(re.search(rf"\b{phrase}\b", text) for phrase in (word, *phrases))


def test_a_recogniser_is_asked_for_numbers_and_for_names_only_where_nothing_is_mixed() -> None:
    scene = sample_scene(np.random.default_rng(0))
    mixed = mixture(GROUNDS, {"snow": 3.0, "lake": 2.0})
    pure = dataclasses.replace(scene, species=mixture(SPECIES, {"owl": 1.0}), ground=mixed)
    owl = list(SPECIES).index("owl")
    assert labels(pure) == [owl, -1, scene.x, scene.size, scene.time]


def test_what_a_perfect_and_a_blind_recogniser_find() -> None:
    rng = np.random.default_rng(0)
    wanted = np.array([labels(sample_scene(rng)) for _ in range(200)], float)
    blind = np.column_stack([np.full((200, 2), -2.0), rng.random((200, 3))])
    found = shares(wanted, wanted, blind)
    names = ("species", "ground", "x_correlation", "size_correlation", "time_correlation")
    assert [found[f"judge_{name}"] for name in names] == pytest.approx([1] * 5)
    assert found["species"] == found["ground"] == 0
    assert abs(found["time_correlation"]) < 0.2
