"""The other couplings against planted answers, brute force, theorems and their limits."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import coupled_clouds, random_clouds, without_type_checks

from embedding_geometry.transport import other_couplings
from embedding_geometry.transport.couplings import (
    cost_matrix,
    coupling_cost,
    optimal_coupling,
    worst_coupling,
)
from embedding_geometry.transport.curves import directions
from embedding_geometry.transport.other_couplings import (
    cayley_distance,
    centred_coupling,
    cosine_coupling,
    entropic_plan,
    go_toward,
    whitened_coupling,
    words_coupling,
)


@pytest.fixture
def rng():
    return np.random.default_rng(20251112)


@pytest.fixture
def ends(rng):
    return random_clouds(rng, 9, 5), random_clouds(rng, 9, 5) + 1


# --- cheapest in another geometry ---------------------------------------------------------------


@pytest.mark.parametrize("rows", [(3, 5), (5, 3), (1, 1), (6, 6)])
def test_words_keep_the_start_and_the_padding_and_are_else_the_cheapest(rng, rows):
    x, y = random_clouds(rng, 7, 3), random_clouds(rng, 7, 3)
    sigma = words_coupling(x, y, rows)
    free = range(1, max(rows) + 1)
    fixed = [row for row in range(7) if row not in free]
    assert sigma[fixed].tolist() == fixed
    costs = []
    for order in itertools.permutations(free):
        other = np.arange(7)
        other[list(free)] = order
        costs.append(coupling_cost(x, y, other))
    assert coupling_cost(x, y, sigma) == pytest.approx(min(costs), rel=1e-12)


@given(coupled_clouds())
def test_centring_takes_the_same_off_the_cost_of_every_permutation(coupled):
    x, y, sigma = coupled
    apart = x.mean(axis=0) - y.mean(axis=0)
    centred = coupling_cost(x - x.mean(axis=0), y - y.mean(axis=0), sigma) ** 2
    expected = coupling_cost(x, y, sigma) ** 2 - len(x) * apart @ apart
    assert centred == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n", [2, 20, 77])
def test_the_centred_coupling_is_the_optimal_one(rng, n):
    x, y = random_clouds(rng, n, 6), random_clouds(rng, n, 6) + 5
    np.testing.assert_array_equal(centred_coupling(x, y), optimal_coupling(x, y))


def test_cosine_finds_scaled_copies_that_distance_does_not(rng):
    x, sigma = random_clouds(rng, 30, 8), rng.permutation(30)
    y = np.empty_like(x)
    y[sigma] = x * np.exp(2 * random_clouds(rng, 30, 1))
    x *= np.exp(2 * random_clouds(rng, 30, 1))
    np.testing.assert_array_equal(cosine_coupling(x, y), sigma)
    assert (optimal_coupling(x, y) != sigma).any()


def test_cosine_takes_the_largest_sum_of_cosines_with_zero_for_zero_tokens(rng):
    x, y = random_clouds(rng, 6, 3), random_clouds(rng, 6, 3)
    x[2] = y[0] = y[5] = 0
    cosines = directions(x) @ directions(y).T
    best = max(cosines[range(6), list(s)].sum() for s in itertools.permutations(range(6)))
    assert cosines[range(6), cosine_coupling(x, y)].sum() == pytest.approx(best, rel=1e-12)


def test_whitening_finds_the_permutation_under_a_loud_direction(rng):
    x, sigma = random_clouds(rng, 30, 40), rng.permutation(30)
    y = np.empty_like(x)
    y[sigma] = x
    x[:, 0], y[:, 0] = 20 * random_clouds(rng, 2, 30)
    assert (optimal_coupling(x, y) != sigma).any()
    np.testing.assert_array_equal(whitened_coupling(x, y), sigma)


def test_without_shrinkage_a_linear_map_of_the_space_does_not_matter(rng, monkeypatch):
    monkeypatch.setattr(other_couplings, "SHRINKAGE", 0.0)
    x, y, linear = random_clouds(rng, 20, 4), random_clouds(rng, 20, 4), random_clouds(rng, 4, 4)
    found = whitened_coupling(x, y)
    np.testing.assert_array_equal(whitened_coupling(x @ linear + 3, y @ linear + 3), found)
    assert (optimal_coupling(x @ linear, y @ linear) != optimal_coupling(x, y)).any()


def test_with_all_shrinkage_whitening_changes_nothing(rng, monkeypatch):
    monkeypatch.setattr(other_couplings, "SHRINKAGE", 1.0)
    x, y = random_clouds(rng, 20, 4), random_clouds(rng, 20, 4)
    np.testing.assert_array_equal(whitened_coupling(x, y), optimal_coupling(x, y))


def test_tokens_that_are_all_the_same_are_whitened_in_row_order():
    x = np.ones((5, 3))
    assert whitened_coupling(x, x).tolist() == [0, 1, 2, 3, 4]


# --- between two couplings ----------------------------------------------------------------------


def swapped(p, i, j):
    """The tuple p with its i-th and j-th entries exchanged."""
    q = list(p)
    q[i], q[j] = q[j], q[i]
    return tuple(q)


def transpositions_between(a, b):
    """Least number of swaps from a to b, by breadth-first search over all permutations."""
    reached, pairs = {a}, list(itertools.combinations(range(len(a)), 2))
    count = 0
    while b not in reached:
        reached |= {swapped(p, i, j) for p in reached for i, j in pairs}
        count += 1
    return count


@pytest.mark.parametrize("end", list(itertools.permutations(range(4))))
def test_cayley_distance_is_the_least_number_of_swaps(end):
    start = (2, 0, 3, 1)
    expected = transpositions_between(start, end)
    assert cayley_distance(np.array(start), np.array(end)) == expected


PERMUTATIONS = st.integers(1, 9).flatmap(lambda n: st.permutations(range(n)).map(np.array))


@given(PERMUTATIONS, st.integers(0, 2**32 - 1))
def test_a_geodesic_has_every_intermediate_distance_to_both_ends(start, seed):
    end = np.random.default_rng(seed).permutation(len(start))
    whole = cayley_distance(start, end)
    for step in range(whole + 1):
        fraction = step / whole if whole else 0.5
        sigma = go_toward(start, end, fraction, np.random.default_rng(seed))
        assert cayley_distance(start, sigma) == step
        assert cayley_distance(sigma, end) == whole - step


@given(PERMUTATIONS, st.integers(0, 2**32 - 1))
def test_fractions_0_and_1_are_the_two_couplings(start, seed):
    end = np.random.default_rng(seed).permutation(len(start))
    for fraction, expected in ((0.0, start), (1.0, end)):
        sigma = go_toward(start, end, fraction, np.random.default_rng(seed))
        np.testing.assert_array_equal(sigma, expected)


def test_equal_generators_give_points_of_one_geodesic(rng):
    start, end = rng.permutation(40), rng.permutation(40)
    points = [go_toward(start, end, f, np.random.default_rng(3)) for f in (0.25, 0.5, 0.75)]
    steps = cayley_distance(points[0], points[1]) + cayley_distance(points[1], points[2])
    assert steps == cayley_distance(points[0], points[2])
    again = go_toward(start, end, 0.5, np.random.default_rng(3))
    np.testing.assert_array_equal(points[1], again)
    assert not np.array_equal(points[1], go_toward(start, end, 0.5, np.random.default_rng(4)))


def test_the_cost_goes_on_average_almost_straight_from_one_end_to_the_other(rng):
    x, y = random_clouds(rng, 60, 3), random_clouds(rng, 60, 3)
    start, end = optimal_coupling(x, y), worst_coupling(x, y)
    fractions = np.linspace(0, 1, 5)
    costs = [
        np.mean([coupling_cost(x, y, go_toward(start, end, f, rng)) ** 2 for _ in range(100)])
        for f in fractions
    ]
    straight = (1 - fractions) * costs[0] + fractions * costs[-1]
    np.testing.assert_allclose(costs, straight, rtol=0.06)


def test_most_tokens_keep_a_partner_of_one_of_the_ends(rng):
    start, end = np.arange(50), np.roll(np.arange(50), 1)  # one cycle
    sigma = go_toward(start, end, 0.5, rng)
    assert np.sum((sigma != start) & (sigma != end)) == 1


def test_a_start_is_left_as_it_was(rng):
    start = np.arange(9)
    go_toward(start, start[::-1], 0.5, rng)
    np.testing.assert_array_equal(start, np.arange(9))


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan])
def test_a_fraction_outside_the_way_is_refused(fraction, rng):
    with pytest.raises(ValueError, match=r"lies in \[0, 1\], but is"):
        go_toward(np.arange(3), np.arange(3), fraction, rng)


def test_permutations_of_different_length_have_no_geodesic(rng):
    with without_type_checks(), pytest.raises(ValueError, match="clouds with 3 tokens"):
        go_toward(np.arange(3), np.arange(4), 0.5, rng)


# --- entropic plans -----------------------------------------------------------------------------


def test_a_plan_has_uniform_marginals(ends):
    plan = entropic_plan(cost_matrix(*ends), 0.1)
    for axis in (0, 1):
        np.testing.assert_allclose(9 * plan.sum(axis=axis), 1, atol=1e-3)


def test_a_plan_scales_its_costs_by_two_vectors(ends):
    costs = cost_matrix(*ends)
    logs = np.log(entropic_plan(costs, 0.3)) + costs / (0.3 * costs.mean())
    rest = logs - logs[:1] - logs[:, :1] + logs[0, 0]  # no part of it belongs to a pair
    np.testing.assert_allclose(rest, 0, atol=1e-9)


def test_two_tokens_have_the_plan_of_the_closed_form():
    costs = np.array([[0.0, 1.0], [1.0, 0.0]])
    stay = 1 / (1 + np.exp(-1 / (0.7 * 0.5)))
    expected = np.array([[stay, 1 - stay], [1 - stay, stay]]) / 2
    np.testing.assert_allclose(entropic_plan(costs, 0.7), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "costs", [np.ones((3, 2)), np.array([[1.0, np.nan], [1.0, 1.0]]), np.full((2, 2), np.inf)]
)
def test_costs_that_are_not_square_or_not_finite_are_not_called_a_small_share(costs):
    with pytest.raises(ValueError, match=r"costs \(\d, 2\) should be a square matrix of finite"):
        entropic_plan(costs, 0.1)


@pytest.mark.parametrize("share", [1e-310, 1e-12])
def test_too_little_entropy_is_said_and_gives_no_nan(ends, share, monkeypatch):
    monkeypatch.setattr(other_couplings, "ITERATIONS", 50)
    with pytest.raises(
        ValueError, match=r"share of 1e-\d+ of the mean cost .* take a greater one"
    ):
        entropic_plan(cost_matrix(*ends), share)


@pytest.mark.parametrize("share", [0.0, -1.0, np.nan, np.inf])
def test_a_share_that_is_no_positive_number_is_refused(ends, share):
    with pytest.raises(ValueError, match="the entropic share is a number greater than 0"):
        entropic_plan(cost_matrix(*ends), share)
