"""The compiled loops compute what their definitions say."""

from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from embedding_geometry.transport.all_pairs import (
    cheapest_permutation,
    cheapest_squares,
    paired_square,
)


def total(costs: np.ndarray, sigma: np.ndarray) -> float:
    """What a permutation costs; an error if it is none."""
    assert sorted(sigma) == list(range(len(costs)))
    return costs[np.arange(len(costs)), sigma].sum()


@pytest.mark.parametrize("n", range(1, 8))
def test_no_permutation_of_a_few_tokens_is_cheaper(n: int) -> None:
    rng = np.random.default_rng(n)
    for costs in rng.normal(size=(20, n, n)):
        cheapest = min(total(costs, np.array(sigma)) for sigma in permutations(range(n)))
        assert total(costs, cheapest_permutation(costs)) == pytest.approx(cheapest, abs=1e-12)


@pytest.mark.parametrize("n", [2, 16, 17, 77, 130])
def test_scipy_finds_the_same_permutation(n: int) -> None:
    """Continuous costs have one cheapest permutation; 16 and 17 lie either side of a full lane."""
    for costs in np.random.default_rng(n).normal(size=(20, n, n)):
        assert cheapest_permutation(costs).tolist() == linear_sum_assignment(costs)[1].tolist()


def test_ties_cost_as_little_as_with_scipy() -> None:
    """Whole numbers add up exactly, so equal totals are equal to the bit."""
    for costs in np.random.default_rng(0).integers(-3, 4, size=(50, 77, 77)).astype(float):
        assert total(costs, cheapest_permutation(costs)) == total(
            costs, linear_sum_assignment(costs)[1]
        )
    assert sorted(cheapest_permutation(np.zeros((9, 9)))) == list(range(9))


def test_a_hidden_permutation_is_found_among_enormous_costs() -> None:
    hidden = np.random.default_rng(1).permutation(77)
    costs = np.full((77, 77), 1e30)
    costs[np.arange(77), hidden] = -1e30
    assert cheapest_permutation(costs).tolist() == hidden.tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squares_of_one_cloud_and_several_others(dtype) -> None:
    rng = np.random.default_rng(2)
    x, ys = rng.normal(size=(7, 5)).astype(dtype), rng.normal(size=(4, 7, 5)).astype(dtype)
    costs = -np.einsum("id,kjd->ikj", x, ys)  # the norms add the same to every permutation
    full = np.square(x[:, None, None] - ys[None]).sum(-1).astype(float)
    expected = [full[:, k][linear_sum_assignment(full[:, k])].sum() for k in range(4)]
    squares = cheapest_squares(costs, x, ys, 1)
    np.testing.assert_allclose(squares[1:], expected[1:], rtol=1e-6)
    assert squares[0] == 0, "it was said to be known"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sum_over_the_paired_tokens(dtype) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 77, 768)).astype(dtype)
    sigma = rng.permutation(77)
    expected = np.square(x.astype(float) - y[sigma].astype(float)).sum()
    assert paired_square(x, y, sigma) == pytest.approx(expected, rel=1e-13)
    assert paired_square(x, x, np.arange(77)) == 0


def test_differences_are_taken_in_double_precision() -> None:
    """The square of the difference of 1 and its neighbour is exact."""
    x = np.full((1, 1), 1.0, np.float32)
    y = np.nextafter(x, np.float32(2))
    assert paired_square(x, y, np.zeros(1, int)) == float(np.float32(2**-23)) ** 2


def test_a_nan_stays_one() -> None:
    x = np.zeros((2, 3))
    x[1, 2] = np.nan
    assert np.isnan(paired_square(x, np.zeros((2, 3)), np.arange(2)))
