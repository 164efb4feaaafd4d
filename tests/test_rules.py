"""Rules that mix texts: their weights, what each step reads, and what is refused."""

import numpy as np
import pytest
from strategies import random_clouds, without_type_checks

from embedding_geometry.transport.rules import (
    Fused,
    Leg,
    Mixture,
    cloud_alone,
    shares,
    some_frames,
    step_weights,
)
from embedding_geometry.transport.ways import RULES, Ends, find_way

TIMES = np.linspace(0, 1, 5)


@pytest.fixture
def ends() -> Ends:
    rng = np.random.default_rng(0)
    return Ends(random_clouds(rng, 6, 4), random_clouds(rng, 6, 4) + 1, x_end=3, y_end=4)


def turns(place: str, weights: list[float], steps: int) -> str:
    """The texts that one frame reads step by step, such as AAB."""
    parts = tuple(Leg(np.zeros((1, 2, 3)), np.zeros(1)) for _ in weights)
    read = step_weights(Mixture(place, parts, np.array([weights])), steps)
    assert (np.sort(read, axis=-1)[..., :-1] == 0).all()
    assert (read.sum(axis=-1) == 1).all()
    return "".join("ABC"[text] for text in read.argmax(axis=-1)[:, 0])


@pytest.mark.parametrize(
    ("weights", "steps", "expected"),
    [
        ([0.5, 0.5], 4, "AABB"),
        ([0.7, 0.3], 10, "AAAAAAABBB"),
        ([0.69, 0.31], 10, "AAAAAAABBB"),
        ([1.0, 0.0], 3, "AAA"),
        ([0.0, 1.0], 3, "BBB"),
        ([0.25, 0.5, 0.25], 4, "ABBC"),
        ([0.5, 0.0, 0.5], 2, "AC"),
    ],
)
def test_late_steps_read_one_text_after_the_other(weights, steps, expected):
    assert turns("late", weights, steps) == expected


@pytest.mark.parametrize("t", np.linspace(0, 1, 41))
def test_a_late_switch_reads_the_first_text_while_the_step_is_less_than_its_share(t):
    """Written as in prompt editing: A while s < S (1 - t), shares in hundredths."""
    share = round(100 * (1 - t))
    expected = "".join("A" if 100 * s < 50 * share else "B" for s in range(50))
    assert turns("late", [share / 100, 1 - share / 100], 50) == expected


@pytest.mark.parametrize(
    ("weights", "steps", "expected"),
    [
        ([0.5, 0.5], 6, "ABABAB"),
        ([0.75, 0.25], 8, "AABAAABA"),
        ([0.2, 0.8], 5, "BBABB"),
        ([1.0, 0.0], 3, "AAA"),
        ([1 / 3, 1 / 3, 1 / 3], 6, "ABCABC"),
    ],
)
def test_texts_take_turns(weights, steps, expected):
    assert turns("alternate", weights, steps) == expected


@pytest.mark.parametrize("t", np.linspace(0, 1, 23))
@pytest.mark.parametrize("place", ["late", "alternate"])
def test_each_text_is_read_its_share_of_the_steps(place, t):
    read = turns(place, [1 - t, t], 30)
    assert abs(read.count("B") - 30 * t) <= 1


def test_a_late_switch_has_no_more_different_frames_than_one_more_than_steps(ends):
    rule = find_way("late-switch")(ends, np.linspace(0, 1, 200), np.random.default_rng(0))
    assert len(np.unique(step_weights(rule, 7), axis=1)[0]) == 8


@pytest.mark.parametrize("name", RULES)
def test_a_rule_begins_at_the_first_text_and_ends_at_the_second(ends, name):
    rule = find_way(name)(ends, TIMES, np.random.default_rng(0))
    assert len(rule) == 5
    np.testing.assert_array_equal(cloud_alone(rule, 0), ends.x)
    np.testing.assert_array_equal(cloud_alone(rule, -1), ends.y)
    assert ends.arrives(rule)
    assert cloud_alone(rule, 2) is None
    assert not ends.arrives(some_frames(rule, [0, 1, 2]))
    assert not ends.arrives(some_frames(rule, [1, 2, 3]))


@pytest.mark.parametrize("name", RULES)
def test_some_frames_are_the_rule_at_their_times(ends, name):
    times = np.array([0.2, 0.9])
    found = some_frames(
        find_way(name)(ends, np.array([0.1, 0.2, 0.5, 0.9]), np.random.default_rng(0)), [1, 3]
    )
    expected = find_way(name)(ends, times, np.random.default_rng(0))
    np.testing.assert_array_equal(found.weights, expected.weights)
    if isinstance(found, Fused):
        np.testing.assert_array_equal(found.own.clouds, expected.own.clouds)
        np.testing.assert_array_equal(found.own.times, times)


def test_the_fused_frames_own_cloud_goes_in_row_order(ends):
    rule = find_way("aid-outer")(ends, TIMES, np.random.default_rng(0))
    np.testing.assert_array_equal(
        rule.own.clouds, find_way("row")(ends, TIMES, np.random.default_rng(0))
    )
    assert rule.share == 0.5


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([[1.2, -0.2]], "weights lie between 0 and 1 .* got -0.2 to 1.2"),
        ([[0.5, 0.4]], "the sum 1 in each frame; got .*sums .0.9"),
        ([[float("nan"), 1.0]], "weights lie between 0 and 1"),
        ([[1.0]], r"weights have shape \(1, 1\); \(1, 2\) is wanted"),
        ([0.5, 0.5], r"weights have shape \(2,\)"),
        (np.zeros((0, 2)), r"weights have shape \(0, 2\)"),
    ],
)
def test_weights_that_are_none_are_refused(ends, weights, message):
    with without_type_checks(), pytest.raises(ValueError, match=message):
        Mixture("measure", ends.legs, weights)
    with without_type_checks(), pytest.raises(ValueError, match=message):
        Fused("outer", ends.legs, ends.legs[0], weights)


@pytest.mark.parametrize("time", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("name", RULES)
def test_times_beyond_the_ends_are_refused(ends, name, time):
    with pytest.raises(ValueError, match="times lie between 0"):
        find_way(name)(ends, np.array([0.0, time]), np.random.default_rng(0))


def test_what_does_not_fit_a_mixture_is_named(ends):
    half, three = shares(np.array([0.5])), Leg(np.zeros((3, 6, 4)), np.zeros(3))
    with without_type_checks(), pytest.raises(ValueError, match="place is 'mean'; use one of mea"):
        Mixture("mean", ends.legs, half)
    with pytest.raises(ValueError, match="two texts or more are mixed at the place measure, not"):
        Mixture("measure", ends.legs[:1], np.ones((1, 1)))
    with pytest.raises(ValueError, match="two texts are mixed at the place latent, not 3"):
        Mixture("latent", (*ends.legs, ends.legs[0]), np.full((1, 3), 1 / 3))
    with pytest.raises(ValueError, match="3 texts are given for 1 frames, or one"):
        Mixture("measure", (three, ends.legs[1]), half)


def test_what_does_not_fit_a_fused_reading_is_named(ends):
    half, two = shares(np.array([0.5])), Leg(np.zeros((2, 6, 4)), np.zeros(2))
    x = ends.legs[0]
    with (
        without_type_checks(),
        pytest.raises(ValueError, match="kind is 'other'; use outer or in"),
    ):
        Fused("other", ends.legs, x, half)
    with pytest.raises(ValueError, match=r"two ends, one text each, not \[2, 1\]"):
        Fused("outer", (two, x), x, half)
    with pytest.raises(ValueError, match="share is 1.5; use a share of the steps, from 0 to 1"):
        Fused("outer", ends.legs, x, half, share=1.5)
    with pytest.raises(ValueError, match="2 texts of their own are given for 1 frames"):
        Fused("outer", ends.legs, two, half)


def test_clouds_and_times_that_do_not_belong_together_are_refused():
    with without_type_checks(), pytest.raises(ValueError, match=r"clouds have shape \(2, 3\)"):
        Leg(np.zeros((2, 3)), np.zeros(2))
    message = r"\(2, 3, 4\) and times \(1,\)"
    with without_type_checks(), pytest.raises(ValueError, match=message):
        Leg(np.zeros((2, 3, 4)), np.zeros(1))
