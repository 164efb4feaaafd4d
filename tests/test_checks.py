"""What is no cloud, no pair of clouds and no coupling is named with what came in."""

import numpy as np
import pytest
from strategies import without_type_checks

from embedding_geometry.transport.couplings import (
    cost_matrix,
    coupling_cost,
    optimal_coupling,
    random_coupling,
    row_coupling,
    wasserstein_distance,
    worst_coupling,
)


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
def test_nan_and_infinity_are_named(bad, name):
    pair = {"x": np.zeros((4, 3)), "y": np.zeros((4, 3))}
    pair[name][2, 1] = bad
    message = rf"cloud {name} of shape \(4, 3\) holds NaN or infinity in 1 of its 4 rows, 2 first"
    with pytest.raises(ValueError, match=message):
        wasserstein_distance(**pair, normalized=False)
    with pytest.raises(ValueError, match=message):
        random_coupling(**pair, rng=0)
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
