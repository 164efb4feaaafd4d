"""A way of any name goes from one cloud to the other."""

import numpy as np
import pytest

from embedding_geometry import coupling_cost, optimal_coupling
from embedding_geometry.transport.ways import WAYS, Ends, between_couplings, find_way

TIMES = np.linspace(0, 1, 5)


@pytest.fixture
def ends() -> Ends:
    x, y = np.random.default_rng(0).normal(size=(2, 8, 3))
    return Ends(x, y, x_end=4, y_end=6)


@pytest.mark.parametrize("name", ["row", "optimal", "random", "worst"])
def test_a_coupling_is_a_way_that_arrives(ends: Ends, name: str) -> None:
    path = find_way(name)(ends, TIMES, np.random.default_rng(1))
    assert path.shape == (5, 8, 3)
    np.testing.assert_array_equal(path[0], ends.x)
    assert ends.arrives(path)


def test_the_optimal_way_follows_the_optimal_coupling(ends: Ends) -> None:
    path = find_way("optimal")(ends, TIMES, np.random.default_rng(1))
    np.testing.assert_array_equal(path[-1], ends.y[optimal_coupling(ends.x, ends.y)])


@pytest.mark.parametrize("name", ["optimal-random-25", "random-worst-50", "optimal-row-75"])
def test_a_coupling_between_two_others_is_a_way_that_arrives(ends: Ends, name: str) -> None:
    path = find_way(name)(ends, TIMES, np.random.default_rng(1))
    np.testing.assert_array_equal(path[0], ends.x)
    assert ends.arrives(path)


def test_graded_couplings_cost_more_from_optimal_over_random_to_worst() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 77, 4))
    ends = Ends(x, y, x_end=4, y_end=6)
    scale = ["optimal", "optimal-random-25", "optimal-random-50", "optimal-random-75", "random"]
    scale += ["random-worst-25", "random-worst-50", "random-worst-75", "worst"]
    paths = [find_way(name)(ends, TIMES, np.random.default_rng(1)) for name in scale]
    costs = [coupling_cost(x, path[-1], np.arange(77)) for path in paths]
    assert costs == sorted(costs)
    assert costs[0] == pytest.approx(coupling_cost(x, y, optimal_coupling(x, y)))


def test_ways_between_lead_to_the_same_random_coupling(ends: Ends) -> None:
    """Both ends of a chain that meets "random" are the coupling of that name."""
    expected = find_way("random")(ends, TIMES, np.random.default_rng(1))
    for start, end, percent in (("optimal", "random", 100), ("random", "worst", 0)):
        path = between_couplings(start, end, percent, ends, TIMES, np.random.default_rng(1))
        np.testing.assert_array_equal(path, expected)


def test_a_path_that_stops_short_does_not_arrive(ends: Ends) -> None:
    path = find_way("row")(ends, TIMES, np.random.default_rng(1))
    assert not ends.arrives(path[:-1])
    assert not ends.arrives(path * 1.0001)
    assert ends.arrives(path * (1 + 1e-9))


def test_an_unknown_way_is_named_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"'best' is unknown; there are row, optimal, random, wo"):
        find_way("best")


def test_every_way_keeps_the_source(ends: Ends) -> None:
    for name, way in WAYS.items():
        path = way(ends, TIMES, np.random.default_rng(1))
        np.testing.assert_allclose(path[0], ends.x, atol=1e-12, err_msg=name)
