"""The other ways against planted answers, brute force, theorems and their limits."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    clouds,
    coupled_clouds,
    hidden_permutation,
    random_clouds,
    without_type_checks,
)

from embedding_geometry.transport import curves, other_couplings
from embedding_geometry.transport.couplings import cost_matrix, coupling_cost, optimal_coupling
from embedding_geometry.transport.curves import directions, entropic_plan, great_circle
from embedding_geometry.transport.other_couplings import (
    centred_coupling,
    cosine_coupling,
    whitened_coupling,
    words_coupling,
)
from embedding_geometry.transport.ways import (
    INTERPOLANTS,
    entropic,
    matrix_slerp,
    pooled,
    token_slerp,
)

TIMES = np.linspace(0, 1, 11)
ROWS = (4, 6)
STOPS_SHORT = {"entropic-0.01", "entropic-0.1", "entropic-1", "pooled"}
SOME_WAY = st.sampled_from(sorted(INTERPOLANTS))


@pytest.fixture
def rng():
    return np.random.default_rng(20251112)


@pytest.fixture
def ends(rng):
    return random_clouds(rng, 9, 5), random_clouds(rng, 9, 5) + 1


def angles(path, start):
    """Angle of every row of the path from the same row of the start, by the arc cosine."""
    along = (directions(start) * [directions(cloud) for cloud in path]).sum(axis=-1)
    return np.arccos(np.clip(along, -1, 1))


# --- every way ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INTERPOLANTS)
def test_every_way_starts_at_the_source(ends, name):
    path = INTERPOLANTS[name](*ends, ROWS, TIMES)
    assert path.shape == (11, 9, 5)
    np.testing.assert_allclose(path[0], ends[0], atol=1e-14)


@pytest.mark.parametrize("name", sorted(set(INTERPOLANTS) - STOPS_SHORT))
def test_these_ways_end_at_each_token_of_the_target_once(ends, name):
    last = INTERPOLANTS[name](*ends, ROWS, TIMES)[-1]
    nearest = cost_matrix(last, ends[1]).argmin(axis=1)
    assert sorted(nearest) == list(range(9))
    np.testing.assert_allclose(last, ends[1][nearest], atol=1e-14)


@given(clouds(max_n=4), SOME_WAY)
def test_ties_and_zeros_give_finite_paths(pair, name):
    x, y = (np.concatenate([cloud, cloud]) for cloud in pair)
    path = INTERPOLANTS[name](x, y, (1, 1), TIMES)
    assert np.isfinite(path).all()


@given(coupled_clouds(), SOME_WAY, st.floats(0, 1))
def test_one_time_gives_the_cloud_that_the_whole_path_has_there(coupled, name, time):
    x, y, _ = (np.concatenate([part, part]) for part in coupled)
    alone = INTERPOLANTS[name](x, y, (1, 1), np.array([time]))
    among = INTERPOLANTS[name](x, y, (1, 1), np.array([0.0, time, 1.0]))
    np.testing.assert_array_equal(alone[0], among[1])


@pytest.mark.parametrize("name", INTERPOLANTS)
def test_clouds_of_different_shape_are_refused(ends, name):
    x, y = ends
    message = r"x has shape \(9, 5\) and y \(8, 5\)"
    with without_type_checks(), pytest.raises(ValueError, match=message):
        INTERPOLANTS[name](x, y[:-1], ROWS, TIMES)


@pytest.mark.parametrize("name", INTERPOLANTS)
def test_times_beyond_the_ends_are_refused(ends, name):
    with pytest.raises(ValueError, match=r"times lie between 0 .* got 0.0 to 1.5"):
        INTERPOLANTS[name](*ends, ROWS, np.array([0.0, 1.5]))


@pytest.mark.parametrize("name", INTERPOLANTS)
def test_tokens_that_are_not_finite_are_refused(ends, name):
    x, y = ends
    x[3, 0] = np.nan
    with pytest.raises(ValueError, match="holds NaN or infinity in 1 of its tokens"):
        INTERPOLANTS[name](x, y, ROWS, TIMES)


# --- great circles ------------------------------------------------------------------------------


def test_a_quarter_circle_is_walked_at_constant_speed():
    x, y = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    thirds = np.array([1 / 3, 2 / 3])
    expected = [[[np.cos(a), np.sin(a)]] for a in thirds * np.pi / 2]
    np.testing.assert_allclose(great_circle(x, y, thirds), expected, rtol=1e-14)


def test_angle_and_norm_go_linearly_from_end_to_end(ends):
    x, y = ends
    path = token_slerp(x, y, ROWS, TIMES)
    whole = angles([y], x)
    np.testing.assert_allclose(angles(path[1:], x), TIMES[1:, None] * whole, rtol=1e-10)
    norms = np.linalg.norm(path, axis=2)
    expected = np.outer(1 - TIMES, np.linalg.norm(x, axis=1))
    expected += np.outer(TIMES, np.linalg.norm(y, axis=1))
    np.testing.assert_allclose(norms, expected, rtol=1e-14)


def test_unit_vectors_follow_shoemakes_formula(rng):
    u, v = directions(random_clouds(rng, 2, 7))
    theta = np.arccos(u @ v)
    weights = np.sin(np.outer(theta, [1 - TIMES, TIMES])).reshape(2, -1, 1) / np.sin(theta)
    expected = weights[0] * u + weights[1] * v
    np.testing.assert_allclose(great_circle(u[None], v[None], TIMES)[:, 0], expected, atol=1e-14)


def test_the_whole_matrix_turns_as_one_vector(ends):
    x, y = ends
    path = matrix_slerp(x, y, ROWS, TIMES).reshape(11, 1, -1)
    flat_x, flat_y = x.reshape(1, -1), y.reshape(1, -1)
    turned = TIMES[1:, None] * angles([flat_y], flat_x)
    np.testing.assert_allclose(angles(path[1:], flat_x), turned, rtol=1e-10)
    rows_apart = token_slerp(x, y, ROWS, TIMES).reshape(11, 1, -1)
    assert not np.allclose(path, rows_apart)


def test_parallel_rows_keep_their_direction():
    x = np.array([[3.0, 4.0], [1e-9, 0.0]])
    path = great_circle(x, 3 * x, TIMES)
    np.testing.assert_allclose(path, (1 + 2 * TIMES)[:, None, None] * x, rtol=1e-14)


def test_opposite_rows_turn_through_the_axis_most_nearly_across():
    x = np.array([[0.8, 0.0, 0.6]])
    path = great_circle(x, -2 * x, np.array([0.5, 1.0]))
    np.testing.assert_allclose(path[:, 0], [[0, 1.5, 0], [-1.6, 0, -1.2]], atol=1e-14)


def test_rows_opposite_to_rounding_turn_like_opposite_rows(rng):
    x = directions(random_clouds(rng, 20, 6))
    nearly = -x * (1 + 1e-15) + 1e-16
    path = great_circle(x, nearly, TIMES)
    np.testing.assert_allclose(path, great_circle(x, -x, TIMES), atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(path, axis=2), 1, rtol=1e-12)


def test_one_dimension_has_no_circle_but_keeps_the_ends():
    x, y = np.array([[2.0], [2.0]]), np.array([[-1.0], [3.0]])
    path = great_circle(x, y, TIMES)
    assert np.isfinite(path).all()
    np.testing.assert_allclose(path[[0, -1]], [x, y], atol=1e-14)


def test_a_zero_row_takes_the_direction_of_the_other():
    x, y = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]]), np.array([[3.0, 4.0], [0, 0], [0, 0]])
    path = great_circle(x, y, TIMES)
    times = TIMES[:, None, None]
    np.testing.assert_allclose(path, (1 - times) * x + times * y, atol=1e-14)


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


def test_little_entropy_goes_the_optimal_way(rng):
    x, y, sigma = hidden_permutation(rng, 12, 3)
    last = entropic(1e-3, x, y, ROWS, TIMES)[-1]
    np.testing.assert_allclose(last, y[sigma], rtol=1e-9)


def test_much_entropy_sends_every_token_to_the_mean(ends):
    x, y = ends
    last = entropic(1e6, x, y, ROWS, TIMES)[-1]
    np.testing.assert_allclose(last, np.tile(y.mean(axis=0), (9, 1)), atol=1e-4)


def test_more_entropy_contracts_the_end_more(ends):
    spreads = [
        np.var(entropic(share, *ends, ROWS, TIMES)[-1], axis=0).sum() for share in (0.05, 0.3, 2.0)
    ]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[0] < np.var(ends[1], axis=0).sum()


def test_the_unit_of_the_embedding_does_not_matter(ends):
    x, y = ends
    path, scaled = entropic(0.1, x, y, ROWS, TIMES), entropic(0.1, 1e3 * x, 1e3 * y, ROWS, TIMES)
    np.testing.assert_allclose(scaled, 1e3 * path, rtol=1e-9)


@pytest.mark.parametrize("share", [1e-310, 1e-12])
def test_too_little_entropy_is_said_and_gives_no_nan(ends, share, monkeypatch):
    monkeypatch.setattr(curves, "ITERATIONS", 50)
    with pytest.raises(
        ValueError, match=r"share of 1e-\d+ of the mean cost .* take a greater one"
    ):
        entropic(share, *ends, ROWS, TIMES)


@pytest.mark.parametrize(
    "costs", [np.ones((3, 2)), np.array([[1.0, np.nan], [1.0, 1.0]]), np.full((2, 2), np.inf)]
)
def test_costs_that_are_not_square_or_not_finite_are_not_called_a_small_share(costs):
    with pytest.raises(ValueError, match=r"costs \(\d, 2\) should be a square matrix of finite"):
        entropic_plan(costs, 0.1)


@pytest.mark.parametrize("share", [0.0, -1.0, np.nan, np.inf])
def test_a_share_that_is_no_positive_number_is_refused(ends, share):
    with pytest.raises(ValueError, match="the entropic share is a number greater than 0"):
        entropic(share, *ends, ROWS, TIMES)


# --- other couplings ----------------------------------------------------------------------------


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


@pytest.mark.parametrize("rows", [(0, 3), (3, 9), (-1, 3)])
@pytest.mark.parametrize("name", ["words", "pooled"])
def test_end_rows_that_are_none_are_refused(ends, name, rows):
    with pytest.raises(ValueError, match=rf"rows {rows[0]} and {rows[1]}, but a prompt of 9"):
        INTERPOLANTS[name](*ends, rows, TIMES)


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


# --- the pooled direction -----------------------------------------------------------------------


def test_the_pooled_walk_moves_every_token_by_the_difference_of_the_end_tokens(ends):
    x, y = ends
    path = pooled(x, y, (4, 6), TIMES)
    np.testing.assert_allclose(path[5] - x, np.tile((y[6] - x[4]) / 2, (9, 1)), atol=1e-14)
    np.testing.assert_allclose(path[-1][4], y[6], atol=1e-14)
