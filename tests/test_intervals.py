"""Bootstrap intervals of a mean and a median are scipy's."""

import numpy as np
import pytest
from scipy import stats
from strategies import without_type_checks

from embedding_geometry.statistics.intervals import mean_with_interval, median_interval


@pytest.fixture
def rng():
    return np.random.default_rng(20251112)


def test_interval_of_a_median_is_that_of_the_comparison():
    sample = np.random.default_rng(1).normal(1, 1, 50)
    found = median_interval(sample, np.random.default_rng(0))
    expected = stats.bootstrap(
        (sample,), np.median, n_resamples=9999, rng=np.random.default_rng(0)
    ).confidence_interval
    assert found == pytest.approx(tuple(expected))
    assert found[0] < np.median(sample) < found[1]


def test_interval_of_a_median_needs_two_finite_values(rng):
    with pytest.raises(ValueError, match="two values or|NaN or inf"):
        median_interval(np.array([1.0]), rng)
    with pytest.raises(ValueError, match="the sample .* NaN or infinity in 1 of its"):
        median_interval(np.array([1.0, np.nan]), rng)


def test_interval_of_a_mean_is_that_of_scipy(rng):
    values = rng.exponential(size=40)
    mean, interval = mean_with_interval(values, np.random.default_rng(3), resamples=999)
    reference = stats.bootstrap(
        (values,), np.mean, n_resamples=999, rng=np.random.default_rng(3)
    ).confidence_interval
    assert mean == values.mean()
    assert interval == pytest.approx(tuple(reference))


def test_interval_of_a_constant_is_the_constant(rng):
    assert mean_with_interval(np.full(5, 0.25), rng) == (0.25, (0.25, 0.25))


@pytest.mark.parametrize("values", [[1.0], [1.0, np.nan], [[1.0], [2.0]]])
def test_a_mean_without_an_interval_is_refused(values, rng):
    with (
        without_type_checks(),
        pytest.raises(ValueError, match="two values or|NaN or inf"),
    ):
        mean_with_interval(np.array(values), rng)
