"""Couplings and the Wasserstein distance against planted answers, brute force and theorems."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    clouds,
    coupled_clouds,
    gradient_of_convex,
    hidden_permutation,
    padded,
    pot_distance,
    random_clouds,
)

from embedding_geometry.transport.couplings import (
    cost_matrix,
    coupling_cost,
    optimal_coupling,
    optimum_is_unique,
    random_coupling,
    wasserstein_distance,
    worst_coupling,
)


@pytest.fixture
def rng():
    return np.random.default_rng(20251112)


def brute_force(x, y):
    """Smallest and largest sum of squared distances over all permutations, in plain Python."""
    sums = [
        sum(math.dist(a, y[j]) ** 2 for a, j in zip(x, sigma, strict=True))
        for sigma in itertools.permutations(range(len(x)))
    ]
    return min(sums), max(sums)


def test_cost_matrix_is_the_squared_distance_of_each_pair(rng):
    x, y = random_clouds(rng, 4, 3), random_clouds(rng, 6, 3)
    expected = [[math.dist(a, b) ** 2 for b in y] for a in x]
    np.testing.assert_allclose(cost_matrix(x, y), expected, rtol=1e-14)


def test_cost_matrix_of_equal_float32_tokens_is_exactly_zero(rng):
    x = 1e3 + random_clouds(rng, 5, 64).astype(np.float32)
    assert np.diagonal(cost_matrix(x, x)).tolist() == [0.0] * 5


@pytest.mark.parametrize(("n", "d"), [(2, 1), (20, 3), (77, 64)])
def test_optimal_coupling_finds_the_hidden_permutation(rng, n, d):
    x, y, sigma = hidden_permutation(rng, n, d)
    np.testing.assert_array_equal(optimal_coupling(x, y), sigma)


@pytest.mark.parametrize(("n", "d"), [(7, 2), (77, 5)])
def test_gradient_of_a_convex_function_is_coupled_by_rows(rng, n, d):
    x, y = gradient_of_convex(rng, n, d)
    np.testing.assert_array_equal(optimal_coupling(x, y), np.arange(n))


def test_worst_coupling_of_a_reversed_cloud_is_by_rows(rng):
    x, y = gradient_of_convex(rng, 30, 4)
    np.testing.assert_array_equal(worst_coupling(x, -y), np.arange(30))


@pytest.mark.parametrize("n", range(1, 8))
def test_optimal_and_worst_agree_with_brute_force(rng, n):
    x, y = random_clouds(rng, n, 3), random_clouds(rng, n, 3)
    found = [coupling_cost(x, y, f(x, y)) ** 2 for f in (optimal_coupling, worst_coupling)]
    np.testing.assert_allclose(found, brute_force(x, y), rtol=1e-12)


@pytest.mark.parametrize(("n", "d"), [(5, 2), (30, 3), (77, 128)])
def test_normalized_distance_agrees_with_pot(rng, n, d):
    x, y = random_clouds(rng, n, d), random_clouds(rng, n, d) + 0.5
    found = wasserstein_distance(x, y, normalized=True)
    assert found == pytest.approx(pot_distance(x, y), rel=1e-12)


def test_the_posters_distance_is_larger_by_the_root_of_the_tokens(rng):
    x, y = random_clouds(rng, 77, 8), random_clouds(rng, 77, 8)
    ratio = wasserstein_distance(x, y, normalized=False) / wasserstein_distance(
        x, y, normalized=True
    )
    assert ratio == pytest.approx(8.774964387392123, rel=1e-14)


def test_translation_costs_its_length_for_every_token(rng):
    x, shift = random_clouds(rng, 12, 4), np.array([3.0, 0.0, 4.0, 0.0])
    moved = rng.permutation(x + shift)
    assert wasserstein_distance(x, moved, normalized=False) == pytest.approx(math.sqrt(12) * 5)
    assert wasserstein_distance(x, moved, normalized=True) == pytest.approx(5)


def test_in_one_dimension_sorting_is_optimal(rng):
    x, y = random_clouds(rng, 40, 1), 3 * random_clouds(rng, 40, 1) ** 3
    sigma = np.empty(40, int)
    sigma[np.argsort(x[:, 0])] = np.argsort(y[:, 0])
    np.testing.assert_array_equal(optimal_coupling(x, y), sigma)


def test_identical_clouds_are_at_distance_zero_in_any_order(rng):
    x = padded(rng, 77, 16, words=9)
    assert wasserstein_distance(x, x, normalized=False) == 0
    assert wasserstein_distance(x, rng.permutation(x), normalized=True) == 0


def test_duplicate_rows_make_the_optimum_non_unique_at_one_cost(rng):
    x, y = padded(rng, 20, 4, words=6), padded(rng, 20, 4, words=11)
    sigma = optimal_coupling(x, y)
    other = sigma.copy()
    other[[6, 19]] = sigma[[19, 6]]
    assert coupling_cost(x, y, other) == pytest.approx(coupling_cost(x, y, sigma), rel=1e-14)
    assert not optimum_is_unique(x, y)


def test_generic_clouds_have_one_optimum(rng):
    assert optimum_is_unique(random_clouds(rng, 20, 4), random_clouds(rng, 20, 4))
    assert optimum_is_unique(random_clouds(rng, 1, 4), random_clouds(rng, 1, 4))


def test_square_corners_have_two_optima_without_duplicate_rows():
    x, y = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    assert not optimum_is_unique(x, y)


def test_ties_are_broken_the_same_way_every_time(rng):
    x, y = padded(rng, 77, 8, words=5), padded(rng, 77, 8, words=12)
    first = optimal_coupling(x, y)
    for _ in range(3):
        np.testing.assert_array_equal(optimal_coupling(x.copy(), np.asfortranarray(y)), first)


def test_where_all_permutations_cost_the_same_the_optimum_is_by_rows():
    x, y = np.zeros((9, 2)), np.ones((9, 2))
    np.testing.assert_array_equal(optimal_coupling(x, y), np.arange(9))


def test_random_coupling_follows_its_generator_alone(rng):
    x = random_clouds(rng, 50, 2)
    np.random.seed(0)  # noqa: NPY002  the global state must not matter
    first = random_coupling(x, x, np.random.default_rng(5))
    np.random.seed(1)  # noqa: NPY002
    np.testing.assert_array_equal(first, random_coupling(x, x, np.random.default_rng(5)))
    assert not np.array_equal(first, random_coupling(x, x, np.random.default_rng(6)))
    np.testing.assert_array_equal(np.sort(first), np.arange(50))


def test_random_coupling_sends_each_token_everywhere_equally_often():
    x, rng = np.zeros((3, 1)), np.random.default_rng(0)
    drawn = [tuple(random_coupling(x, x, rng)) for _ in range(6000)]
    counts = [drawn.count(sigma) for sigma in itertools.permutations(range(3))]
    assert sum(counts) == 6000
    assert max(abs(count - 1000) for count in counts) < 5 * math.sqrt(1000 * 5 / 6)


@given(coupled_clouds())
def test_every_coupling_costs_between_optimal_and_worst(problem):
    x, y, sigma = problem
    squares = [coupling_cost(x, y, s) ** 2 for s in (optimal_coupling(x, y), sigma)]
    assert squares[0] <= squares[1] * (1 + 1e-12)
    assert squares[1] <= coupling_cost(x, y, worst_coupling(x, y)) ** 2 * (1 + 1e-12)


@given(clouds(max_n=4))
def test_optimum_is_brute_forces_on_clouds_with_ties(pair):
    x, y = pair
    found = wasserstein_distance(x, y, normalized=False) ** 2
    assert found == pytest.approx(brute_force(x, y)[0], rel=1e-12, abs=1e-12)


@given(coupled_clouds())
def test_uniqueness_is_brute_forces(problem):
    x, y, _ = problem
    x, y = x[:4], y[:4]
    costs = cost_matrix(x, y)  # exact: coordinates are multiples of 1/8
    sums = [costs[range(len(x)), sigma].sum() for sigma in itertools.permutations(range(len(x)))]
    assert optimum_is_unique(x, y) == (sums.count(min(sums)) == 1)


@given(clouds(count=3), st.booleans())
def test_wasserstein_distance_is_a_metric(triple, normalized):
    x, y, z = triple

    def distance(a, b):
        return wasserstein_distance(a, b, normalized=normalized)

    assert distance(x, y) == pytest.approx(distance(y, x), rel=1e-12)
    assert distance(x, z) <= (distance(x, y) + distance(y, z)) * (1 + 1e-12)
    assert distance(x, x) == 0
    same_tokens = sorted(map(tuple, x)) == sorted(map(tuple, y))
    assert (distance(x, y) == 0) == same_tokens


@given(coupled_clouds())
def test_wasserstein_distance_ignores_the_order_of_the_tokens(problem):
    x, y, sigma = problem
    shuffled = wasserstein_distance(x[sigma], y, normalized=False)
    assert shuffled == pytest.approx(wasserstein_distance(x, y, normalized=False), rel=1e-12)
