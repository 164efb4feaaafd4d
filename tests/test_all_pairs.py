"""Distances of all pairs against a loop over the pairs, and the compiled loops against scipy."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from strategies import clouds, padded, pot_distance, random_clouds, without_type_checks

from embedding_geometry.transport.all_pairs import (
    cheapest_permutation,
    cheapest_squares,
    paired_square,
    pairwise_wasserstein,
)
from embedding_geometry.transport.couplings import wasserstein_distance


@pytest.fixture
def rng():
    return np.random.default_rng(20251112)


def loop_over_pairs(stack, *, normalized):
    """The distances of all pairs, one assignment each, from exact float64 costs."""
    distances = np.zeros((len(stack), len(stack)))
    for i, j in itertools.combinations(range(len(stack)), 2):
        distances[i, j] = wasserstein_distance(stack[i], stack[j], normalized=normalized)
    return distances + distances.T


def kinds_of_clouds(rng):
    """Stacks that strain the rounding in different ways, by name."""
    generic = random_clouds(rng, 13, 20, 48)
    common = random_clouds(rng, 20, 48)
    near = np.repeat(random_clouds(rng, 4, 20, 48), 3, axis=0)
    return {
        "generic": generic,
        "float32": generic.astype(np.float32),
        "far from the origin": generic + 1e6,
        "one shared cloud and small changes": common + 1e-3 * generic,
        "one shared cloud and minute changes": 1e6 * common + 1e-6 * generic,
        "clusters of nearly equal clouds": near + 1e-7 * random_clouds(rng, *near.shape),
        "far clusters": near + 1e5 * np.arange(12)[:, None, None] ** 2,
        "padding": np.stack([padded(rng, 20, 48, words=w) for w in range(2, 12)]),
        "one outlier token": generic * np.r_[1e4, np.ones(19)][:, None],
        "tiny": 1e-30 * generic,
        "huge": 1e30 * generic,
        "two clouds": generic[:2],
        "one token": generic[:, :1],
    }


@pytest.mark.parametrize("kind", kinds_of_clouds(np.random.default_rng(0)))
def test_all_pairs_agree_with_a_loop(kind):
    stack = kinds_of_clouds(np.random.default_rng(0))[kind]
    found = pairwise_wasserstein(stack, normalized=False, block=5)
    np.testing.assert_allclose(found, loop_over_pairs(stack, normalized=False), rtol=1e-6)


def test_all_pairs_have_the_precision_of_float64(rng):
    """Single precision decides the permutation alone, also for tokens far from the origin."""
    for stack in (random_clouds(rng, 9, 77, 128), 1e3 + random_clouds(rng, 9, 30, 16)):
        found = pairwise_wasserstein(stack, normalized=False, block=4)
        np.testing.assert_allclose(found, loop_over_pairs(stack, normalized=False), rtol=1e-12)


def test_all_pairs_agree_with_pot(rng):
    stack = random_clouds(rng, 6, 77, 128) + random_clouds(rng, 77, 128)
    found = pairwise_wasserstein(stack, normalized=True)
    for i, j in itertools.combinations(range(6), 2):
        assert found[i, j] == pytest.approx(pot_distance(stack[i], stack[j]), rel=1e-7)


@pytest.mark.parametrize("block", [1, 2, 5, 9, 40])
def test_all_pairs_do_not_depend_on_the_block(rng, block):
    stack = random_clouds(rng, 9, 12, 16)
    expected = loop_over_pairs(stack, normalized=True)
    found = pairwise_wasserstein(stack, normalized=True, block=block)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_all_pairs_are_symmetric_with_zero_for_permuted_copies(rng):
    stack = random_clouds(rng, 5, 10, 8)
    stack[3] = rng.permutation(stack[0])
    found = pairwise_wasserstein(stack, normalized=False)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diagonal(found), np.zeros(5))
    assert found[0, 3] == 0
    assert (found[~np.eye(5, dtype=bool)] == 0).sum() == 2


def test_one_cloud_and_equal_clouds_are_at_distance_zero(rng):
    cloud = random_clouds(rng, 1, 4, 3)
    assert pairwise_wasserstein(cloud, normalized=False).tolist() == [[0.0]]
    same = pairwise_wasserstein(np.repeat(cloud, 3, axis=0), normalized=False)
    np.testing.assert_array_equal(same, np.zeros((3, 3)))
    np.testing.assert_array_equal(
        pairwise_wasserstein(np.ones((3, 4, 2)), normalized=False), np.zeros((3, 3))
    )


@settings(max_examples=30)
@given(clouds(count=4), st.booleans())
def test_all_pairs_agree_with_a_loop_on_clouds_with_ties(stack, normalized):
    found = pairwise_wasserstein(np.stack(stack), normalized=normalized, block=3)
    expected = loop_over_pairs(stack, normalized=normalized)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "block", "message"),
    [
        ((4, 3), 32, r"\(p prompts, n tokens, d dims\).*\(4, 3\)"),
        ((0, 4, 3), 32, r"at least 1; got \(0, 4, 3\)"),
        ((2, 4, 3), 0, "block is a number of clouds, at least 1; got 0"),
    ],
)
def test_a_stack_that_is_none_is_refused(shape, block, message):
    with without_type_checks(), pytest.raises(ValueError, match=message):
        pairwise_wasserstein(np.zeros(shape), normalized=False, block=block)


def test_nan_in_a_stack_is_located():
    stack = np.zeros((9, 4, 3))
    stack[7, 1, 2] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity in 1 of its 9 rows, 7 first"):
        pairwise_wasserstein(stack, normalized=False)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_all_pairs_in_every_precision(rng, dtype):
    clouds = np.stack([random_clouds(rng, 9, 4).astype(dtype) for _ in range(4)])
    found = pairwise_wasserstein(clouds, normalized=False, block=3)
    expected = [[wasserstein_distance(x, y, normalized=False) for y in clouds] for x in clouds]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_all_pairs_far_from_the_origin(rng):
    """A common offset takes no digits away: tokens are subtracted before they are squared."""
    clouds = 1e4 + np.stack([random_clouds(rng, 9, 4) for _ in range(5)])
    found = pairwise_wasserstein(clouds, normalized=False)
    for i, j in itertools.combinations(range(5), 2):
        expected = wasserstein_distance(clouds[i], clouds[j], normalized=False)
        assert found[i, j] == pytest.approx(expected, rel=1e-9)


# --- the compiled loop --------------------------------------------------------------------------


def total(costs: np.ndarray, sigma: np.ndarray) -> float:
    """What a permutation costs; an error if it is none."""
    assert sorted(sigma) == list(range(len(costs)))
    return costs[np.arange(len(costs)), sigma].sum()


@pytest.mark.parametrize("n", range(1, 8))
def test_no_permutation_of_a_few_tokens_is_cheaper(n: int) -> None:
    rng = np.random.default_rng(n)
    for costs in rng.normal(size=(20, n, n)):
        cheapest = min(total(costs, np.array(sigma)) for sigma in itertools.permutations(range(n)))
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
