"""Verdicts and Holm's correction against cases worked by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from embedding_geometry.statistics.verdicts import confirmed, holm, verdict


def test_holm_by_hand():
    # sorted .01, .02, .03 times 3, 2, 1, made increasing: .03, .04, .04
    adjusted = holm({"b": 0.03, "a": 0.01, "c": 0.02})
    assert list(adjusted) == ["b", "a", "c"]
    assert adjusted == pytest.approx({"b": 0.04, "a": 0.03, "c": 0.04})
    assert holm({"one": 0.2}) == pytest.approx({"one": 0.2})
    assert holm({"x": 0.9, "y": 0.8}) == pytest.approx({"x": 1, "y": 1})


def test_holm_takes_a_sequence_in_its_order():
    np.testing.assert_allclose(holm([0.03, 0.01, 0.02]), [0.04, 0.03, 0.04])
    np.testing.assert_allclose(holm(pd.Series([0.2])), [0.2])


@pytest.mark.parametrize("p_values", [{}, {"a": 1.2}, {"a": -0.1}, {"a": math.nan}, [], [2.0]])
def test_holm_refuses_what_is_no_p_value(p_values):
    with pytest.raises(ValueError, match=r"p-values lie in \[0, 1\]"):
        holm(p_values)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.1, 0.2, "holds"),
        (-0.1, 0.2, "undecided on this model"),
        (0.0, 0.2, "undecided on this model"),
        (-0.2, -0.1, "does not hold"),
        (-0.2, 0.0, "does not hold"),
        (0.0, 0.0, "does not hold"),
    ],
)
def test_verdict_asks_where_the_interval_lies(low, high, expected):
    assert verdict(low, high) == expected


@pytest.mark.parametrize(
    ("by_interval", "p_value", "expected"),
    [
        ("holds", 0.049, "holds"),
        ("holds", 0.05, "undecided on this model"),
        ("does not hold", 0.9, "does not hold"),
        ("undecided on this model", 0.01, "undecided on this model"),
    ],
)
def test_a_verdict_that_needs_a_test_holds_only_with_it(by_interval, p_value, expected):
    assert confirmed(by_interval, p_value) == expected


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (math.nan, 1.0), (0.0, math.nan)])
def test_verdict_refuses_what_is_no_interval(low, high):
    with pytest.raises(ValueError, match="from its low to its high end"):
        verdict(low, high)
