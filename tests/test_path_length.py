"""Steps add up to lengths under every convention."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from embedding_geometry.perception.path_length import (
    PathLength,
    directness,
    perceptual_path_length,
)


def test_path_length_of_planted_steps():
    found = perceptual_path_length(np.array([0.0, 0.0, 0.04, 0.16]))
    assert asdict(found) == {
        "frames": 5,
        "mean": pytest.approx(0.05),
        "total": pytest.approx(0.2),
        "scaled_mean": pytest.approx(0.8),
        "root_sum": pytest.approx(0.6),
        "gini": pytest.approx(0.65),  # Lorenz curve 0, 0, 0.2, 1: twice the area above it
        "maximum_step": 0.16,
        "variance": pytest.approx(0.0043),  # of 0, 0, 0.04, 0.16 around 0.05
    }


def test_distances_are_any_array_of_numbers():
    expected = perceptual_path_length(np.array([0.04, 0.16]))
    assert perceptual_path_length([0.04, 0.16]) == expected
    tensor = torch.tensor([0.04, 0.16], dtype=torch.float64, requires_grad=True)
    assert perceptual_path_length(tensor) == expected


def test_even_steps_have_gini_zero_and_one_jump_nearly_one():
    assert perceptual_path_length(np.full(7, 0.3)).gini == pytest.approx(0, abs=1e-12)
    jump = np.zeros(100)
    jump[3] = 1
    assert perceptual_path_length(jump).gini == pytest.approx(0.99)


def test_a_path_that_stands_still():
    still = perceptual_path_length(np.zeros(4))
    assert still == PathLength(5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_scaled_mean_and_root_sum_of_a_straight_even_way_keep_their_value():
    """A squared distance along a straight line: (b - a)^2 for times a < b."""
    for count in (3, 11, 101):
        times = np.linspace(0, 2, count)
        length = perceptual_path_length(np.diff(times) ** 2)
        assert length.scaled_mean == pytest.approx(4)
        assert length.root_sum == pytest.approx(2)
        assert length.mean == pytest.approx(4 / (count - 1) ** 2)


def test_no_measure_of_the_steps_of_a_jump_is_free_of_the_number_of_frames():
    """The same path, a drift along one axis and a jump along another, in 5, 9, 17, 33 frames."""

    def measured(count):
        times = np.linspace(0, 1, count)
        places = np.stack([times, times > 0.3])
        return perceptual_path_length(np.square(np.diff(places)).sum(axis=0))

    lengths = [measured(count) for count in (5, 9, 17, 33)]
    for finer, coarser in zip(lengths[1:], lengths, strict=False):
        assert 1.5 < finer.scaled_mean / coarser.scaled_mean < 2
        assert finer.root_sum > coarser.root_sum + 0.02
        assert finer.gini > coarser.gini + 0.02


@pytest.mark.parametrize("distances", [[], [0.1, np.nan], [0.1, -0.1], [np.inf]])
def test_distances_are_checked(distances):
    with pytest.raises(ValueError, match="at least one distance, finite and >= 0"):
        perceptual_path_length(np.array(distances, dtype=float))


def test_directness_of_planted_points():
    """Squared distances of points in the plane: straight on, around a corner, there and back."""

    def planted(*points):
        places = np.array(points, dtype=float)
        steps = np.square(np.diff(places, axis=0)).sum(axis=1)
        return directness(steps, float(np.square(places[-1] - places[0]).sum()))

    assert planted((0, 0), (1, 0), (5, 0)) == pytest.approx(1)
    assert planted((0, 0), (3, 0), (3, 4)) == pytest.approx(5 / 7)
    assert planted((0, 0), (3, 0), (0, 0)) == 0
    assert planted((2, 2), (2, 2), (2, 2)) == 1


@pytest.mark.parametrize("end", [-0.1, np.nan])
def test_the_distance_of_the_ends_is_checked(end):
    with pytest.raises(ValueError, match="finite and >= 0"):
        directness(np.ones(3), end)
