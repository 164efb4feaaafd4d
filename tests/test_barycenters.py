"""Barycenters against closed forms, brute force, theorems and POT."""

import itertools

import numpy as np
import ot
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import clouds, gradient_of_convex, padded, random_clouds, without_type_checks

from embedding_geometry.transport.barycenters import (
    NotConvergedError,
    frechet_objective,
    mean_of_rows,
    square_grid,
    triangle_grid,
    wasserstein_barycenter,
)
from embedding_geometry.transport.couplings import (
    coupling_cost,
    optimal_coupling,
    wasserstein_distance,
)
from embedding_geometry.transport.paths import displacement_interpolation

WEIGHTS = np.array([0.5, 0.3, 0.2])


@pytest.fixture
def rng():
    return np.random.default_rng(20251112)


def same_points(x, y, tolerance=1e-9):
    return wasserstein_distance(x, y, normalized=False) <= tolerance * (1 + np.abs(y).max())


def global_optimum(stack, weights):
    """Least objective over all ways to gather the tokens in tuples, one of each cloud."""
    n = stack.shape[1]
    permutations = list(itertools.permutations(range(n)))
    objectives = []
    for rest in itertools.product(permutations, repeat=len(stack) - 1):
        ordered = np.stack([cloud[list(s)] for cloud, s in zip(stack, [range(n), *rest],
                                                              strict=True)])  # fmt: skip
        mean = np.einsum("p,pnd->nd", weights, ordered)
        objectives.append(weights @ np.square(ordered - mean).sum(axis=(1, 2)))
    return min(objectives)


@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_of_two_clouds_it_is_the_displacement_interpolation(rng, t):
    x, y = random_clouds(rng, 2, 12, 3)
    found = wasserstein_barycenter([x, y], np.array([1 - t, t]))
    sigma = optimal_coupling(x, y)
    [expected] = displacement_interpolation(x, y, sigma, np.array([t]))
    assert same_points(found.cloud, expected)
    cost = coupling_cost(x, y, sigma)
    assert found.objective == pytest.approx(t * (1 - t) * cost**2, rel=1e-9, abs=1e-12)


@given(clouds(), st.integers(0, 8))
def test_of_two_clouds_it_is_so_with_ties_and_duplicates_too(pair, eighths):
    t = eighths / 8
    found = wasserstein_barycenter(pair, np.array([1 - t, t]))
    squared = wasserstein_distance(*pair, normalized=False) ** 2
    assert found.objective == pytest.approx(t * (1 - t) * squared, rel=1e-9, abs=1e-9)


def test_of_translated_copies_it_is_the_copy_at_the_mean_translation(rng):
    x, shifts = random_clouds(rng, 30, 4), 5 * random_clouds(rng, 3, 4)
    copies = [rng.permutation(x) + shift for shift in shifts]
    found = wasserstein_barycenter(copies, WEIGHTS)
    mean = WEIGHTS @ shifts
    assert same_points(found.cloud, x + mean)
    spread = WEIGHTS @ np.square(shifts - mean).sum(axis=1)
    assert found.objective == pytest.approx(30 * spread, rel=1e-9)


def test_far_from_the_origin_no_digits_are_lost(rng):
    near = np.round(64 * random_clouds(rng, 3, 30, 4)) / 64  # so that far ones are exact, too
    far = wasserstein_barycenter(near + 1e9, WEIGHTS).cloud - 1e9
    assert same_points(far, wasserstein_barycenter(near, WEIGHTS).cloud, 1e-6)


def test_on_a_line_it_is_the_mean_of_the_sorted_tokens(rng):
    stack = random_clouds(rng, 4, 25, 1) * np.arange(1, 5)[:, None, None]
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    found = wasserstein_barycenter(stack, weights)
    expected = np.einsum("p,pnd->nd", weights, np.sort(stack, axis=1))
    np.testing.assert_allclose(np.sort(found.cloud, axis=0), expected, atol=1e-12)


def test_of_gradients_of_convex_functions_it_is_the_mean_gradient(rng):
    x, y = gradient_of_convex(rng, 20, 3)
    found = wasserstein_barycenter([x, rng.permutation(y), 3 * x], WEIGHTS)
    start = wasserstein_barycenter([x, y, 3 * x], np.array([1.0, 0, 0]))
    assert same_points(start.cloud, x)
    assert found.objective <= frechet_objective(
        0.5 * x + 0.3 * y + 0.6 * x, [x, y, 3 * x], WEIGHTS
    ) * (1 + 1e-9)


@pytest.mark.parametrize("corner", range(3))
def test_a_weight_of_one_gives_that_cloud_exactly(rng, corner):
    stack = np.stack([padded(rng, 20, 4, words=6 + k) for k in range(3)])
    found = wasserstein_barycenter(stack, np.eye(3)[corner])
    rows = sorted(map(tuple, stack[corner]))
    assert sorted(map(tuple, found.cloud)) == rows
    assert found.objective == 0
    assert found.start == corner


def test_equal_clouds_stay(rng):
    x = padded(rng, 20, 4, words=6)
    found = wasserstein_barycenter([x, rng.permutation(x), x[::-1]], WEIGHTS)
    assert same_points(found.cloud, x)
    assert found.objective == pytest.approx(0, abs=1e-20)


def test_a_cloud_of_weight_zero_does_not_matter(rng):
    x, y, z = random_clouds(rng, 3, 12, 3)
    with_z = wasserstein_barycenter([x, z, y], np.array([0.4, 0.0, 0.6]))
    np.testing.assert_array_equal(
        with_z.cloud, wasserstein_barycenter([x, y], np.array([0.4, 0.6])).cloud
    )
    assert with_z.start == 2


@pytest.mark.parametrize("p", [3, 4])
def test_order_of_tokens_and_order_of_clouds_do_not_matter(rng, p):
    stack = random_clouds(rng, p, 25, 6)
    weights = np.arange(1.0, p + 1) / np.arange(1, p + 1).sum()
    found = wasserstein_barycenter(stack, weights)
    order = rng.permutation(p)
    shuffled = [rng.permutation(stack[k]) for k in order]
    again = wasserstein_barycenter(shuffled, weights[order])
    assert same_points(again.cloud, found.cloud)
    assert again.objective == pytest.approx(found.objective, rel=1e-9)
    assert order[again.start] == found.start
    moved = mean_of_rows(shuffled, weights[order])
    assert not same_points(moved, mean_of_rows(stack, weights), 1e-3)


def test_each_token_lies_at_the_mean_of_its_partners(rng):
    stack = random_clouds(rng, 3, 30, 5)
    found = wasserstein_barycenter(stack, WEIGHTS)
    partners = [cloud[optimal_coupling(found.cloud, cloud)] for cloud in stack]
    np.testing.assert_allclose(
        found.cloud, np.einsum("p,pnd->nd", WEIGHTS, np.stack(partners)), atol=1e-12
    )


def test_it_is_never_better_than_the_optimum_and_mostly_reaches_it(rng):
    reached = 0
    for _ in range(40):
        stack = random_clouds(rng, 3, 4, 2)
        found = wasserstein_barycenter(stack, WEIGHTS).objective
        least = global_optimum(stack, WEIGHTS)
        assert found >= least * (1 - 1e-12)
        reached += found <= least * (1 + 1e-9)
    assert reached >= 34


def test_it_lies_lower_than_the_mean_of_rows_and_than_its_own_start(rng):
    for _ in range(20):
        stack = random_clouds(rng, 4, 20, 5)
        weights = rng.dirichlet(np.ones(4))
        found = wasserstein_barycenter(stack, weights)
        mean = mean_of_rows(stack, weights)
        assert found.objective < frechet_objective(mean, stack, weights)
        assert found.objective <= frechet_objective(stack[found.start], stack, weights)


def test_it_is_the_lowest_of_pots_from_every_cloud(rng):
    stack, uniform = random_clouds(rng, 3, 20, 5), np.full(20, 1 / 20)
    lowest = min(
        frechet_objective(
            ot.lp.free_support_barycenter(list(stack), [uniform] * 3, start, weights=WEIGHTS),
            stack,
            WEIGHTS,
        )
        for start in stack
    )
    assert wasserstein_barycenter(stack, WEIGHTS).objective == pytest.approx(lowest, rel=1e-9)


def test_objective_agrees_with_pot(rng):
    stack, z, uniform = (
        random_clouds(rng, 3, 15, 4),
        random_clouds(rng, 15, 4),
        np.full(15, 1 / 15),
    )
    squares = [ot.emd2(uniform, uniform, ot.dist(z, cloud)) for cloud in stack]
    assert frechet_objective(z, stack, WEIGHTS) == pytest.approx(15 * (WEIGHTS @ squares))


def test_mean_of_rows_is_the_mean_of_the_matrices():
    stack = np.array([[[0.0, 0.0]], [[4.0, 0.0]], [[0.0, 8.0]]])
    np.testing.assert_array_equal(mean_of_rows(stack, np.array([0.25, 0.5, 0.25])), [[2.0, 2.0]])


def test_float32_clouds_are_summed_in_float64(rng):
    stack = random_clouds(rng, 3, 10, 4).astype(np.float32)
    assert wasserstein_barycenter(stack, WEIGHTS).cloud.dtype == np.float64


def test_moves_are_reported_and_end_in_rounding(rng):
    found = wasserstein_barycenter(random_clouds(rng, 3, 30, 5), WEIGHTS)
    assert len(found.moves) > 1
    assert found.moves[0] > 0.1
    assert found.moves[-1] < 1e-9


def test_too_few_iterations_are_an_error(rng):
    with pytest.raises(NotConvergedError, match="after 1 iterations: allow more"):
        wasserstein_barycenter(random_clouds(rng, 3, 30, 5), WEIGHTS, iterations=1)


BAD_CLOUDS = [
    ([np.ones((3, 2))], [1.0], r"two clouds or more; got 1"),
    ([np.ones((3, 2)), np.ones((4, 2))], [0.5, 0.5], r"one shape .*\(3, 2\), \(4, 2\)"),
    ([np.ones((3, 2)), np.ones((3, 5))], [0.5, 0.5], r"one shape .*\(3, 2\), \(3, 5\)"),
    ([np.ones(3), np.ones(3)], [0.5, 0.5], r"one shape .*\(3,\), \(3,\)"),
    ([np.ones((0, 2)), np.ones((0, 2))], [0.5, 0.5], r"one shape"),
    ([np.ones((3, 2)), np.full((3, 2), np.nan)], [0.5, 0.5], r"cloud 1 of shape .* holds NaN"),
    ([np.ones((3, 2)), np.full((3, 2), np.inf)], [0.5, 0.5], r"NaN or infinity"),
    ([np.ones((3, 2))] * 2, [1.0], r"2 clouds need as many weights; got shape \(1,\)"),
    ([np.ones((3, 2))] * 2, [0.5, 0.6], r"add up to 1; got .* add up to 1\.1"),
    ([np.ones((3, 2))] * 2, [1.5, -0.5], r"nonnegative"),
    ([np.ones((3, 2))] * 2, [np.nan, 1.0], r"weights of shape .* holds NaN"),
]


@pytest.mark.parametrize(("given", "weights", "message"), BAD_CLOUDS)
@pytest.mark.parametrize(
    "function",
    [wasserstein_barycenter, mean_of_rows, lambda c, w: frechet_objective(np.ones((3, 2)), c, w)],
    ids=["barycenter", "mean", "objective"],
)
def test_bad_input_is_one_clear_error(function, given, weights, message):
    with without_type_checks(), pytest.raises(ValueError, match=message):
        function(given, np.array(weights))


def test_objective_of_a_cloud_of_another_size_is_an_error():
    with without_type_checks(), pytest.raises(ValueError, match=r"\(4, 2\)"):
        frechet_objective(np.ones((4, 2)), [np.ones((3, 2))] * 2, np.array([0.5, 0.5]))


@pytest.mark.parametrize(
    ("grid", "points", "edges", "corners"),
    [(triangle_grid(6), 28, 63, [0, 21, 27]), (square_grid(5), 36, 60, [0, 5, 30, 35])],
)
def test_grids_have_their_points_edges_and_corners(grid, points, edges, corners):
    assert len(grid.weights) == sum(grid.rows) == points
    np.testing.assert_allclose(grid.weights.sum(axis=1), 1)
    np.testing.assert_array_equal(grid.weights[corners], np.eye(len(corners)))
    pairs = [frozenset(e) for line in grid.lines for e in itertools.pairwise(line.tolist())]
    assert len(pairs) == len(set(pairs)) == edges


def test_neighbours_in_a_triangle_exchange_one_step():
    grid = triangle_grid(6)
    for line in grid.lines:
        steps = np.abs(np.diff(grid.weights[line], axis=0))
        np.testing.assert_allclose(np.sort(steps, axis=1), [[0, 1 / 6, 1 / 6]] * len(steps))


def test_square_is_bilinear():
    weights = square_grid(4).weights.reshape(5, 5, 4)
    np.testing.assert_allclose(weights[2, 2], 0.25)
    np.testing.assert_allclose(weights[0, 1], [0.75, 0.25, 0, 0])
    np.testing.assert_allclose(weights[1, 0], [0.75, 0, 0.25, 0])


@pytest.mark.parametrize("make", [triangle_grid, square_grid])
def test_a_grid_without_a_step_is_an_error(make):
    with pytest.raises(ValueError, match="at least one step along a side; got 0"):
        make(0)


@pytest.mark.parametrize("iterations", [0, -1])
def test_at_least_one_iteration_is_made(iterations):
    clouds = np.random.default_rng(0).normal(size=(2, 4, 3))
    with pytest.raises(ValueError, match=f"iterations is {iterations}; at least one"):
        wasserstein_barycenter(clouds, np.array([0.5, 0.5]), iterations=iterations)
