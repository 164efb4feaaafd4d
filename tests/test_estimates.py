"""Intervals are scipy's; rank correlation is what is counted by hand and what was planted."""

import math

import numpy as np
import pytest
from scipy import stats
from strategies import without_type_checks

from embedding_geometry.statistics.estimates import mean_with_interval, median_interval, spearman


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


def test_spearman_by_hand(rng):
    # ranks 1 2 3 4 5 against 2 1 4 3 5: 1 - 6·4 / (5·24) = .8
    x, y = np.array([1.0, 2.0, 3.0, 4.0, 100.0]), np.array([0.2, 0.1, 5.0, 4.0, 6.0])
    found = spearman(x, y, rng, resamples=199)
    assert found.rho == pytest.approx(0.8)
    assert found.n == 5
    assert -1 <= found.interval[0] <= 0.8 <= found.interval[1] <= 1


def test_spearman_brackets_a_planted_correlation():
    rng = np.random.default_rng(2)
    x, noise = rng.normal(size=(2, 400))
    found = spearman(x, np.exp(0.6 * x + 0.8 * noise), rng, resamples=999)
    truth = 6 / math.pi * math.asin(0.6 / 2)  # of a normal pair with correlation .6
    assert found.interval[0] < truth < found.interval[1]
    assert found.interval[1] - found.interval[0] < 0.2
    assert found.p_value < 1e-20


def test_spearman_interval_is_near_fishers(rng):
    x, noise = rng.normal(size=(2, 300))
    found = spearman(x, 0.5 * x + noise, rng, resamples=1999)
    # Bonett & Wright 2000: standard error of the Fisher transform of a rank correlation
    half = 1.96 * math.sqrt((1 + found.rho**2 / 2) / (300 - 3))
    expected = (math.tanh(math.atanh(found.rho) + side * half) for side in (-1, 1))
    assert found.interval == pytest.approx(tuple(expected), abs=0.04)


def test_spearman_of_a_perfect_order_is_one_without_width(rng):
    x = np.arange(9.0)
    found = spearman(x, x**3, rng, resamples=199)
    assert found.rho == pytest.approx(1)
    assert found.interval == pytest.approx((1, 1))
    assert spearman(x, -x, rng, resamples=199).interval == pytest.approx((-1, -1))


def test_spearman_of_few_tied_pairs_is_finite(rng):
    found = spearman(np.array([1.0, 1, 2]), np.array([0.0, 1, 1]), rng, resamples=199)
    assert -1 <= found.interval[0] <= found.interval[1] <= 1


@pytest.mark.parametrize("name", ["x", "y"])
def test_a_constant_has_no_rank_correlation(name, rng):
    samples = {"x": np.arange(4.0), "y": np.arange(4.0)} | {name: np.full(4, 7.0)}
    with pytest.raises(ValueError, match=f"{name} is 7.0 in all 4 pairs"):
        spearman(**samples, rng=rng)
