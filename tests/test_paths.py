"""Displacement interpolation and Wasserstein length against closed forms and theorems."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import clouds, coupled_clouds, padded, random_clouds, without_type_checks

from embedding_geometry.transport.couplings import (
    optimal_coupling,
    random_coupling,
    row_coupling,
    wasserstein_distance,
    worst_coupling,
)
from embedding_geometry.transport.paths import displacement_interpolation, wasserstein_length

TIMES = np.linspace(0, 1, 11)


@pytest.fixture
def rng():
    return np.random.default_rng(20251112)


def w2(x, y):
    """Wasserstein distance in the poster's units."""
    return wasserstein_distance(x, y, normalized=False)


def test_every_token_moves_straight_to_its_partner():
    x, y = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[4.0, 8.0], [0.0, 8.0]])
    path = displacement_interpolation(x, y, np.array([1, 0]), np.array([0.25, 0.5]))
    expected = [[[0.0, 2.0], [1.75, 2.0]], [[0.0, 4.0], [2.5, 4.0]]]
    np.testing.assert_array_equal(path, expected)


def test_the_ends_are_the_two_clouds_exactly(rng):
    x, y = random_clouds(rng, 77, 16).astype(np.float32), random_clouds(rng, 77, 16)
    sigma = rng.permutation(77)
    path = displacement_interpolation(x, y, sigma, TIMES)
    np.testing.assert_array_equal(path[0], x)
    np.testing.assert_array_equal(path[-1], y[sigma])
    assert path.dtype == np.float64


def test_row_coupling_interpolates_the_matrices(rng):
    x, y = random_clouds(rng, 9, 4), random_clouds(rng, 9, 4)
    path = displacement_interpolation(x, y, row_coupling(x, y), TIMES)
    np.testing.assert_allclose(path[3], 0.7 * x + 0.3 * y, rtol=1e-12)


def test_identical_clouds_stay_where_they_are(rng):
    x = padded(rng, 20, 4, words=6)
    path = displacement_interpolation(x, x, optimal_coupling(x, x), TIMES)
    assert wasserstein_length(path) == pytest.approx(0, abs=1e-12)


def test_length_of_a_translated_cloud_is_the_way_it_went(rng):
    x = random_clouds(rng, 4, 2)
    path = np.stack([x, x + [3, 4], x + [3, 0], x])
    assert wasserstein_length(path) == pytest.approx(2 * (5 + 4 + 3))  # root of 4 tokens


def test_length_on_two_clouds_is_the_distance_for_every_coupling(rng):
    x, y = random_clouds(rng, 12, 3), random_clouds(rng, 12, 3)
    for sigma in (row_coupling(x, y), worst_coupling(x, y), random_coupling(x, y, rng)):
        path = displacement_interpolation(x, y, sigma, np.array([0.0, 1.0]))
        assert wasserstein_length(path) == pytest.approx(w2(x, y), rel=1e-12)


def test_on_three_clouds_and_more_the_couplings_part(rng):
    x, y = random_clouds(rng, 30, 3), random_clouds(rng, 30, 3)
    for count in (3, 11):
        lengths = [
            wasserstein_length(displacement_interpolation(x, y, sigma, np.linspace(0, 1, count)))
            for sigma in (optimal_coupling(x, y), row_coupling(x, y))
        ]
        assert lengths[0] == pytest.approx(w2(x, y), rel=1e-12)
        assert lengths[1] > 1.05 * lengths[0]


@given(clouds(), st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_the_optimal_path_is_as_long_as_the_distance(pair, between):
    x, y = pair
    times = np.array([0.0, *sorted(between), 1.0])
    path = displacement_interpolation(x, y, optimal_coupling(x, y), times)
    assert wasserstein_length(path) == pytest.approx(w2(x, y), rel=1e-9, abs=1e-9)


@given(coupled_clouds(), st.integers(3, 6))
def test_no_path_is_shorter_than_the_distance(problem, count):
    x, y, sigma = problem
    path = displacement_interpolation(x, y, sigma, np.linspace(0, 1, count))
    assert wasserstein_length(path) >= w2(x, y) * (1 - 1e-12) - 1e-12


@given(coupled_clouds())
def test_a_finer_path_is_not_shorter(problem):
    x, y, sigma = problem
    path = displacement_interpolation(x, y, sigma, np.linspace(0, 1, 9))
    assert wasserstein_length(path) >= wasserstein_length(path[::4]) * (1 - 1e-12) - 1e-12


@given(clouds(), st.floats(0, 1), st.floats(0, 1))
def test_the_optimal_path_has_constant_speed(pair, s, t):
    x, y = pair
    path = displacement_interpolation(x, y, optimal_coupling(x, y), np.array([s, t]))
    assert w2(path[0], path[1]) == pytest.approx(abs(t - s) * w2(x, y), rel=1e-9, abs=1e-9)


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0.0, 1.1], "got 0.0 to 1.1"),
        ([-0.1, 1.0], "got -0.1 to 1.0"),
        ([0.0, np.nan], "got nan"),
        ([], r"at least one time; got \(0,\)"),
        ([[0.0, 1.0]], r"shape \(t,\).*got \(1, 2\)"),
    ],
)
def test_times_outside_the_path_are_refused(times, message):
    x = np.zeros((3, 2))
    with without_type_checks(), pytest.raises(ValueError, match=message):
        displacement_interpolation(x, x, np.arange(3), np.array(times))


def test_clouds_and_couplings_that_do_not_fit_are_refused():
    x, times = np.zeros((3, 2)), np.array([0.5])
    with without_type_checks():
        with pytest.raises(ValueError, match="same number of tokens"):
            displacement_interpolation(x, np.zeros((4, 2)), np.arange(3), times)
        with pytest.raises(ValueError, match="exactly once"):
            displacement_interpolation(x, x, np.array([0, 0, 1]), times)
        with pytest.raises(ValueError, match="holds NaN"):
            displacement_interpolation(x + np.nan, x, np.arange(3), times)


@pytest.mark.parametrize("shape", [(1, 3, 2), (0, 3, 2), (3, 2)])
def test_a_path_of_less_than_two_clouds_has_no_length(shape):
    with without_type_checks(), pytest.raises(ValueError, match="at least two clouds"):
        wasserstein_length(np.zeros(shape))


def test_nan_on_a_path_is_refused():
    path = np.zeros((3, 4, 2))
    path[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match="holds NaN or infinity"):
        wasserstein_length(path)
