"""Re-timing of planted paths: the clock that was bent is bent back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import without_type_checks

from embedding_geometry.perception.retiming import KnownFrames, equal_step_times, retime

UNIFORM = np.linspace(0, 1, 11)


def straight(clock):
    """Squared distances along a straight line whose place at time t is clock(t)."""
    return lambda times: np.diff(clock(times)) ** 2


def jump_at(place, times):
    """Stand still, jump, stand still."""
    return (times > place).astype(float)


@pytest.mark.parametrize("count", [3, 8, 11, 40])
def test_constant_speed_is_left_alone(count):
    np.testing.assert_allclose(
        equal_step_times(UNIFORM, np.full(10, 0.04), count), np.linspace(0, 1, count)
    )


def test_constant_speed_renders_nothing_new():
    first, second = retime(straight(lambda times: 3 * times), count=9, rounds=1)
    np.testing.assert_allclose(second.times, first.times, atol=1e-15)


def test_planted_clock_is_recovered():
    """Known finely at places s = t^2, the times of equal steps are the roots of equal places."""
    times = np.linspace(0, 1, 2001)
    found = equal_step_times(times, np.diff(times**2) ** 2, 11)
    np.testing.assert_allclose(found, np.sqrt(UNIFORM), atol=1e-3)


def test_roots_are_what_adds_up():
    """Three steps of length 1, 2, 1: squares would give 1, 4, 1 and other times."""
    times = np.linspace(0, 3, 4)
    np.testing.assert_allclose(
        equal_step_times(times, np.array([1.0, 4.0, 1.0]), 5), [0, 1, 1.5, 2, 3]
    )


@pytest.mark.parametrize(
    "clock",
    [lambda t: t**3, lambda t: 1 / (1 + np.exp(-30 * (t - 0.4))), lambda t: t + np.sin(6 * t) / 7],
    ids=["slow start", "steep", "uneven"],
)
def test_rounds_even_out_the_steps(clock):
    timings = retime(straight(clock), count=11, rounds=4)
    roots = [np.sqrt(timing.distances) for timing in timings]
    spread = [each.max() / each.mean() for each in roots]
    assert spread[0] > 1.8
    assert spread[-1] < 1.1
    assert [timing.extra for timing in timings[:2]] == [0, 9]
    assert all(timing.times[[0, -1]].tolist() == [0, 1] for timing in timings)


@given(st.lists(st.floats(0, 9), min_size=2, max_size=12), st.integers(3, 15))
def test_new_times_divide_the_known_length_equally(distances, count):
    """By definition: between two new times the piecewise linear path walks the same length."""
    distances = np.array(distances)
    times = np.cumsum(np.arange(len(distances) + 1) % 3 + 1) / 7
    found = equal_step_times(times, distances, count)
    walked = np.concatenate([[0], np.cumsum(np.sqrt(distances))])
    assert found[[0, -1]].tolist() == times[[0, -1]].tolist()
    assert (np.diff(found) >= 0).all()
    steps = np.diff(np.interp(found, times, walked))
    np.testing.assert_allclose(steps, walked[-1] / (count - 1), atol=1e-6)


def test_times_crowd_around_a_jump_and_one_step_holds_it():
    timings = retime(lambda times: np.diff(jump_at(0.42, times)) ** 2, count=11, rounds=3)
    last = timings[-1]
    inner = last.times[1:-1]
    assert np.abs(inner - 0.42).max() < 0.002
    assert last.distances.max() == 1
    assert np.count_nonzero(last.distances) == 1


def test_rounds_end_where_times_cannot_be_told_apart():
    timings = retime(lambda times: np.diff(jump_at(0.42, times)) ** 2, count=11, rounds=60)
    assert 3 < len(timings) < 40
    assert all((np.diff(timing.times) > 0).all() for timing in timings)


def test_path_that_stands_still_keeps_equal_times():
    timings = retime(lambda times: np.zeros(len(times) - 1), count=5, rounds=3)
    assert [timing.times.tolist() for timing in timings] == [[0, 0.25, 0.5, 0.75, 1]] * 4
    assert {timing.extra for timing in timings} == {0}


def test_rest_at_either_end_is_passed_over():
    found = equal_step_times(np.arange(5.0), np.array([0.0, 1.0, 1.0, 0.0]), 5)
    np.testing.assert_allclose(found, [0, 1.5, 2, 2.5, 4])


def test_no_frame_is_rendered_twice():
    rendered = []

    def frames_at(times):
        rendered.extend(times.tolist())
        return np.full((len(times), 1, 1, 3), 255 * times[:, None, None, None] ** 2).astype(
            np.uint8
        )

    known = KnownFrames(frames_at)

    def distances_at(times):
        return np.diff(known(times)[:, 0, 0, 0] / 255.0) ** 2

    timings = retime(distances_at, count=7, rounds=3)
    assert len(rendered) == len(set(rendered)) == 7 + timings[-1].extra
    assert known(np.array([1.0, 0.0]))[:, 0, 0, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("times", "distances", "message"),
    [
        (UNIFORM[:2], np.ones(1), "3 times or more"),
        (UNIFORM, np.ones(11), r"distances of shape \(11,\)"),
        (UNIFORM[::-1], np.ones(10), "times increase"),
        (np.zeros(3), np.ones(2), "times increase"),
        (UNIFORM * np.nan, np.ones(10), "times increase"),
        (UNIFORM, np.full(10, np.nan), "finite and at least 0"),
        (UNIFORM, -np.ones(10), "finite and at least 0"),
    ],
)
def test_what_is_no_path_is_refused(times, distances, message):
    with without_type_checks(), pytest.raises(ValueError, match=message):
        equal_step_times(times, distances, 11)


def test_too_few_frames_or_rounds_are_refused():
    with pytest.raises(ValueError, match="2 frames are wanted"):
        equal_step_times(UNIFORM, np.ones(10), 2)
    with pytest.raises(ValueError, match="2 frames are wanted"):
        retime(straight(np.sqrt), count=2, rounds=1)
    with pytest.raises(ValueError, match="rounds is 0"):
        retime(straight(np.sqrt), count=3, rounds=0)


def test_distances_that_are_none_are_refused():
    with pytest.raises(ValueError, match="look for NaN in the frames"):
        retime(lambda times: np.full(len(times) - 1, np.nan), count=5, rounds=1)
