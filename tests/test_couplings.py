"""Couplings and the Wasserstein distance against planted answers, brute force and theorems."""

import itertools
import math

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import (
    clouds,
    coupled_clouds,
    gradient_of_convex,
    hidden_permutation,
    padded,
    random_clouds,
    without_type_checks,
)

from embedding_geometry.transport.all_pairs import pairwise_wasserstein
from embedding_geometry.transport.couplings import (
    cost_matrix,
    couple,
    coupling_cost,
    optimal_coupling,
    optimum_is_unique,
    random_coupling,
    row_coupling,
    wasserstein_distance,
    worst_coupling,
)
from embedding_geometry.transport.other_couplings import cayley_distance, go_toward


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


def pot_distance(x, y):
    """Wasserstein distance of the uniform measures, by POT's network simplex."""
    return math.sqrt(ot.emd2([], [], ot.dist(x, y)))


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


def test_couple_maps_each_name_to_its_function(rng):
    x, y = random_clouds(rng, 12, 3), random_clouds(rng, 12, 3)
    np.testing.assert_array_equal(couple("row", x, y, rng), row_coupling(x, y))
    np.testing.assert_array_equal(couple("optimal", x, y, rng), optimal_coupling(x, y))
    np.testing.assert_array_equal(couple("worst", x, y, rng), worst_coupling(x, y))
    drawn = couple("random", x, y, np.random.default_rng(3))
    np.testing.assert_array_equal(drawn, random_coupling(x, y, np.random.default_rng(3)))


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


# ------------------------------------------------------------------ all pairs


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


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize("function", [row_coupling, optimal_coupling, worst_coupling])
@pytest.mark.parametrize(
    ("x_shape", "y_shape", "message"),
    [
        ((4, 3), (5, 3), r"\(4, 3\) and y \(5, 3\).*same number of tokens"),
        ((4, 3), (4, 2), r"\(4, 3\) and y \(4, 2\).*same text encoder"),
        ((4,), (4, 3), r"\(4,\) and y \(4, 3\).*one cloud each"),
        ((2, 4, 3), (2, 4, 3), r"\(2, 4, 3\).*not a batch"),
        ((0, 3), (0, 3), r"both at least 1, but x has shape \(0, 3\)"),
    ],
)
def test_clouds_that_do_not_fit_are_named_with_their_shapes(function, x_shape, y_shape, message):
    with without_type_checks(), pytest.raises(ValueError, match=message):
        function(np.zeros(x_shape), np.zeros(y_shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["x", "y"])
def test_nan_and_infinity_are_named(bad, name, rng):
    pair = {"x": np.zeros((4, 3)), "y": np.zeros((4, 3))}
    pair[name][2, 1] = bad
    message = rf"cloud {name} of shape \(4, 3\) holds NaN or infinity in 1 of its tokens"
    with pytest.raises(ValueError, match=message):
        wasserstein_distance(**pair, normalized=False)
    with pytest.raises(ValueError, match=message):
        random_coupling(**pair, rng=rng)
    with pytest.raises(ValueError, match=message):
        cost_matrix(**pair)


@pytest.mark.parametrize(
    ("sigma", "message"),
    [
        ([0, 1], r"3 tokens.*shape \(3,\); got shape \(2,\)"),
        ([0.0, 1.0, 2.0], "integer array.*float64"),
        ([0, 1, 1], "exactly once; got 2 distinct"),
        ([1, 2, 3], "0 … 2 exactly once.*from 1 to 3"),
        ([-1, 0, 1], "from -1 to 1"),
    ],
)
def test_what_is_no_permutation_is_refused(sigma, message):
    x = np.zeros((3, 2))
    with without_type_checks(), pytest.raises(ValueError, match=message):
        coupling_cost(x, x, np.array(sigma))


def test_an_unknown_coupling_is_named_with_the_known_ones(rng):
    x = np.zeros((3, 2))
    with without_type_checks(), pytest.raises(ValueError, match="'best'.*row, optimal, random"):
        couple("best", x, x, rng)


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
    with pytest.raises(ValueError, match=r"\(9, 4, 3\) hold NaN or infinity, at \[7\]"):
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


# --- couplings of graded cost -------------------------------------------------------------------


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
