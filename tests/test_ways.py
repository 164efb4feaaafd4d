"""Couplings and ways of any name: planted answers, and what all of them have in common."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    angles,
    clouds,
    coupled_clouds,
    hidden_permutation,
    random_clouds,
    without_type_checks,
)

from embedding_geometry.transport.couplings import (
    cost_matrix,
    coupling_cost,
    optimal_coupling,
    random_coupling,
    row_coupling,
    worst_coupling,
)
from embedding_geometry.transport.other_couplings import cayley_distance, words_coupling
from embedding_geometry.transport.ways import (
    COUPLINGS,
    EPSILONS,
    RULES,
    SCALES,
    WAYS,
    Ends,
    between,
    couple,
    find_way,
    projection,
)

TIMES = np.linspace(0, 1, 11)
PATHS = sorted(WAYS.keys() - RULES.keys())  # the ways that are paths of clouds
STOPS_SHORT = {"entropic-0.01", "entropic-0.1", "entropic-1", "pooled"}
SOME_WAY = st.sampled_from(PATHS)


@pytest.fixture
def rng():
    return np.random.default_rng(20251112)


@pytest.fixture
def ends(rng) -> Ends:
    return Ends(random_clouds(rng, 9, 5), random_clouds(rng, 9, 5) + 1, x_end=4, y_end=6)


def walk(name: str, ends: Ends, times=TIMES) -> np.ndarray:
    """The path of that name, its generator the same every time."""
    return find_way(name)(ends, times, np.random.default_rng(1))


# --- every way ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PATHS)
def test_every_way_starts_at_the_source(ends, name):
    path = walk(name, ends)
    assert path.shape == (11, 9, 5)
    np.testing.assert_allclose(path[0], ends.x, atol=1e-14)


@pytest.mark.parametrize("name", sorted(set(PATHS) - STOPS_SHORT))
def test_these_ways_end_at_each_token_of_the_target_once(ends, name):
    last = walk(name, ends)[-1]
    nearest = cost_matrix(last, ends.y).argmin(axis=1)
    assert sorted(nearest) == list(range(9))
    np.testing.assert_allclose(last, ends.y[nearest], atol=1e-14)
    assert ends.arrives(last[None])


@pytest.mark.parametrize("name", sorted(STOPS_SHORT))
def test_these_ways_do_not_arrive(ends, name):
    assert not ends.arrives(walk(name, ends))


@given(clouds(max_n=4), SOME_WAY)
def test_ties_and_zeros_give_finite_paths(pair, name):
    x, y = (np.concatenate([cloud, cloud]) for cloud in pair)
    assert np.isfinite(walk(name, Ends(x, y, 1, 1))).all()


@given(coupled_clouds(), SOME_WAY, st.floats(0, 1))
def test_one_time_gives_the_cloud_that_the_whole_path_has_there(coupled, name, time):
    x, y, _ = (np.concatenate([part, part]) for part in coupled)
    alone, among = (
        walk(name, Ends(x, y, 1, 1), np.array(times)) for times in ([time], [0.0, time, 1.0])
    )
    np.testing.assert_array_equal(alone[0], among[1])


@pytest.mark.parametrize("name", PATHS)
def test_clouds_of_single_precision_are_moved_in_double(ends, name):
    x, y = ends.x.astype(np.float32), ends.y.astype(np.float32)
    path = walk(name, Ends(x, y, 4, 6))
    np.testing.assert_array_equal(path, walk(name, Ends(x.astype(float), y.astype(float), 4, 6)))


@pytest.mark.parametrize("name", WAYS)
def test_clouds_of_different_shape_are_refused(ends, name):
    message = r"x has shape \(9, 5\) and y \(8, 5\)"
    with without_type_checks(), pytest.raises(ValueError, match=message):
        walk(name, Ends(ends.x, ends.y[:-1], 4, 6))


@pytest.mark.parametrize("name", WAYS)
def test_times_beyond_the_ends_are_refused(ends, name):
    with pytest.raises(ValueError, match=r"times lie between 0 .* got 0.0 to 1.5"):
        walk(name, ends, np.array([0.0, 1.5]))


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("side", ["x", "y"])
def test_tokens_that_are_not_finite_are_refused(ends, name, side):
    getattr(ends, side)[3, 0] = np.nan
    with pytest.raises(ValueError, match=f"cloud {side} .* holds NaN or infinity in 1 of its"):
        walk(name, ends)


def test_an_unknown_way_is_named_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"'best' is unknown; there are row, optimal, random, wo"):
        find_way("best")


def test_a_path_that_stops_short_does_not_arrive(ends):
    path = walk("row", ends)
    assert not ends.arrives(path[:-1])
    assert not ends.arrives(path * 1.0001)
    assert ends.arrives(path * (1 + 1e-9))


# --- couplings ----------------------------------------------------------------------------------


def test_couple_maps_each_name_to_its_function(ends, rng):
    x, y = ends.x, ends.y
    np.testing.assert_array_equal(couple("row", x, y, rng), row_coupling(x, y))
    np.testing.assert_array_equal(couple("optimal", x, y, rng), optimal_coupling(x, y))
    np.testing.assert_array_equal(couple("worst", x, y, rng), worst_coupling(x, y))
    drawn = couple("random", x, y, np.random.default_rng(3))
    np.testing.assert_array_equal(drawn, random_coupling(x, y, np.random.default_rng(3)))
    found = couple("words", x, y, rng, (4, 6))
    np.testing.assert_array_equal(found, words_coupling(x, y, (4, 6)))


def test_an_unknown_coupling_is_named_with_the_known_ones(ends, rng):
    with pytest.raises(ValueError, match="'best'.*row, optimal, random"):
        couple("best", ends.x, ends.y, rng)


@pytest.mark.parametrize("name", ["optimal", "words", "whitened", "centred", "cosine"])
def test_these_couplings_find_the_hidden_permutation(rng, name):
    """Jittered copies of tokens far apart, behind a start token and before padding."""
    x, sigma = 10 * random_clouds(rng, 30, 20), np.arange(30)
    sigma[1:21] = 1 + rng.permutation(20)
    y = np.empty_like(x)
    y[sigma] = x + 0.01 * random_clouds(rng, 30, 20)
    np.testing.assert_array_equal(couple(name, x, y, rng, (15, 20)), sigma)


@pytest.mark.parametrize("name", COUPLINGS)
def test_the_way_of_a_coupling_is_straight_and_ends_at_the_partners(ends, name):
    sigma = couple(name, ends.x, ends.y, np.random.default_rng(1), (ends.x_end, ends.y_end))
    path = walk(name, ends, np.array([0.25, 1.0]))
    np.testing.assert_array_equal(path[1], ends.y[sigma])
    np.testing.assert_allclose(path[0], 0.75 * ends.x + 0.25 * ends.y[sigma], atol=1e-14)


def test_graded_couplings_cost_more_from_optimal_over_random_to_worst(rng):
    x, y = random_clouds(rng, 2, 77, 4)
    scale = ["optimal", "optimal-random-25", "optimal-random-50", "optimal-random-75", "random"]
    scale += ["random-worst-25", "random-worst-50", "random-worst-75", "worst"]
    sigmas = [couple(name, x, y, np.random.default_rng(1)) for name in scale]
    costs = [coupling_cost(x, y, sigma) for sigma in sigmas]
    assert costs == sorted(costs)


@pytest.mark.parametrize("percent", [25, 50, 75])
@pytest.mark.parametrize(("start", "end"), SCALES)
def test_a_graded_coupling_lies_its_percent_of_the_way_between_two_others(
    ends, start, end, percent
):
    names = (start, f"{start}-{end}-{percent}", end)
    a, sigma, b = (couple(name, ends.x, ends.y, np.random.default_rng(1)) for name in names)
    whole = cayley_distance(a, b)
    assert cayley_distance(a, sigma) == round(percent / 100 * whole)
    assert cayley_distance(sigma, b) == whole - round(percent / 100 * whole)


def test_couplings_between_lead_to_the_same_random_coupling(ends):
    """Both ends of a chain that meets "random" are the coupling of that name."""
    expected = couple("random", ends.x, ends.y, np.random.default_rng(1))
    for start, end, percent in (("optimal", "random", 100), ("random", "worst", 0)):
        sigma = between(start, end, percent)(ends, np.random.default_rng(1))
        np.testing.assert_array_equal(sigma, expected)


@pytest.mark.parametrize("rows", [(0, 3), (3, 9), (-1, 3)])
@pytest.mark.parametrize("name", ["words", "pooled"])
def test_end_rows_that_are_none_are_refused(ends, name, rows):
    with pytest.raises(ValueError, match=rf"rows {rows[0]} and {rows[1]}, but a prompt of 9"):
        walk(name, Ends(ends.x, ends.y, *rows))


# --- great circles ------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "coupling"), [("tokens", "row"), ("optimal", "optimal")])
def test_tokens_turn_at_constant_speed_to_their_partners(ends, rng, name, coupling):
    goal = ends.y[couple(coupling, ends.x, ends.y, rng)]
    path = walk(f"slerp-{name}", ends)
    whole = angles(goal, ends.x)
    np.testing.assert_allclose(angles(path[1:], ends.x), TIMES[1:, None] * whole, rtol=1e-10)


def test_the_whole_matrix_turns_as_one_vector(ends):
    x, y = ends.x.ravel(), ends.y.ravel()
    path = walk("slerp-matrix", ends).reshape(11, -1)
    np.testing.assert_allclose(angles(path[1:], x), TIMES[1:] * angles(y, x), rtol=1e-10)
    assert not np.allclose(path, walk("slerp-tokens", ends).reshape(11, -1))


# --- goals --------------------------------------------------------------------------------------


def test_little_entropy_goes_the_optimal_way(rng):
    x, y, sigma = hidden_permutation(rng, 12, 3)
    np.testing.assert_allclose(projection(1e-3)(Ends(x, y, 1, 1), rng), y[sigma], rtol=1e-9)


def test_much_entropy_sends_every_token_to_the_mean(ends, rng):
    expected = np.tile(ends.y.mean(axis=0), (9, 1))
    np.testing.assert_allclose(projection(1e6)(ends, rng), expected, atol=1e-4)


def test_more_entropy_contracts_the_end_more(ends, rng):
    spreads = [np.var(projection(share)(ends, rng), axis=0).sum() for share in (0.05, 0.3, 2.0)]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[0] < np.var(ends.y, axis=0).sum()


@pytest.mark.parametrize("share", EPSILONS)
def test_the_entropic_ways_go_straight_to_the_projection_of_their_share(ends, rng, share):
    path = walk(f"entropic-{share:g}", ends, np.array([0.5, 1.0]))
    goal = projection(share)(ends, rng)
    np.testing.assert_array_equal(path[1], goal)
    np.testing.assert_allclose(path[0], (ends.x + goal) / 2, atol=1e-14)


def test_the_unit_of_the_embedding_does_not_matter(ends):
    larger = Ends(1e3 * ends.x, 1e3 * ends.y, 1, 1)
    path, scaled = walk("entropic-0.1", ends), walk("entropic-0.1", larger)
    np.testing.assert_allclose(scaled, 1e3 * path, rtol=1e-9)


def test_the_pooled_walk_moves_every_token_by_the_difference_of_the_end_tokens(ends):
    x, y = ends.x, ends.y
    path = walk("pooled", ends)
    np.testing.assert_allclose(path[5] - x, np.tile((y[6] - x[4]) / 2, (9, 1)), atol=1e-14)
    np.testing.assert_allclose(path[-1][4], y[6], atol=1e-14)
