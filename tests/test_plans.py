"""Weighted tokens: the plan and the distance against a linear program and planted masses."""

import math

import numpy as np
import pytest
from scipy.optimize import linprog
from strategies import hidden_permutation, random_clouds

from embedding_geometry.transport.couplings import cost_matrix, wasserstein_distance
from embedding_geometry.transport.plans import transport_plan


@pytest.fixture
def rng():
    return np.random.default_rng(20251112)


def by_linear_programming(costs, mass_x, mass_y) -> float:
    """Least total cost of moving the masses, from the textbook's program."""
    n, m = costs.shape
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    found = linprog(costs.ravel(), A_eq=np.vstack([rows, columns]), b_eq=[*mass_x, *mass_y])
    return found.fun


def test_a_weighted_distance_is_the_optimum_of_its_linear_program(rng):
    x, y = random_clouds(rng, 7, 3), random_clouds(rng, 5, 3)
    a, b = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(5))
    expected = math.sqrt(by_linear_programming(cost_matrix(x, y), a, b))
    found = wasserstein_distance(x, y, a, b, normalized=True)
    assert found == pytest.approx(expected, rel=1e-6)
    assert wasserstein_distance(x, y, 9 * a, 4 * b, normalized=True) == pytest.approx(found)
    assert wasserstein_distance(x, y, 9 * a, 9 * b, normalized=False) == pytest.approx(3 * found)
    plan = transport_plan(x, y, a, b)
    assert plan.min() >= 0
    np.testing.assert_allclose(plan.sum(axis=1), a, atol=1e-12)
    np.testing.assert_allclose(plan.sum(axis=0), b, atol=1e-12)
    assert math.sqrt((plan * cost_matrix(x, y)).sum()) == pytest.approx(found)


def test_a_token_of_weight_k_is_k_tokens(rng):
    x, y, counts = random_clouds(rng, 4, 3), random_clouds(rng, 7, 3), [1, 3, 1, 2]
    repeated = wasserstein_distance(np.repeat(x, counts, axis=0), y, normalized=False)
    weighted = wasserstein_distance(x, y, counts, normalized=False)
    assert weighted == pytest.approx(repeated, rel=1e-12)


def test_equal_weights_are_no_weights(rng):
    x, y, sigma = hidden_permutation(rng, 9, 2)
    np.testing.assert_allclose(transport_plan(x, y), np.eye(9)[sigma] / 9, atol=1e-12)
    for normalized in (True, False):
        expected = wasserstein_distance(x, y, normalized=normalized)
        found = wasserstein_distance(x, y, np.ones(9), np.ones(9), normalized=normalized)
        assert found == pytest.approx(expected, rel=1e-12)


def test_clouds_of_different_sizes_have_a_distance_as_probability_measures():
    """Each of three tokens goes 1 or stays: to the middle of 0, 1, 2, all of it from 1."""
    x, y = np.array([[1.0]]), np.array([[0.0], [1.0], [2.0]])
    assert wasserstein_distance(x, y, normalized=True) == pytest.approx(math.sqrt(2 / 3))
    np.testing.assert_allclose(transport_plan(x, y), [[1 / 3, 1 / 3, 1 / 3]])
    with pytest.raises(ValueError, match=r"x has shape \(1, 1\) and y \(3, 1\)"):
        wasserstein_distance(x, y, normalized=False)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_the_unit_of_embedding_and_weight_does_not_matter(rng, scale):
    x, y, a = random_clouds(rng, 6, 2), random_clouds(rng, 6, 2), rng.dirichlet(np.ones(6))
    expected = wasserstein_distance(x, y, a, normalized=True)
    found = wasserstein_distance(scale * x, scale * y, a / scale, normalized=True)
    assert found == pytest.approx(scale * expected, rel=1e-9)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            [1.0, -1.0, 1.0],
            "of shape .3,. should be .3,., one for each token of x, none negative",
        ),
        ([1.0, 1.0], r"weights_x of shape \(2,\) should be \(3,\)"),
        ([0.0, 0.0, 0.0], "not all 0"),
        ([1.0, np.nan, 1.0], "weights_x of shape .3,. holds NaN"),
        (
            [1.0, 1.0, 2.0],
            "of x have mass 4 in all and those of y 3: give weights of equal",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        wasserstein_distance(np.eye(3), np.eye(3), weights, normalized=False)
