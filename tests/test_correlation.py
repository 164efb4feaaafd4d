"""Rank correlation against ranks counted by hand, Fisher's interval and planted correlations."""

import math

import numpy as np
import pytest

from embedding_geometry.statistics.correlation import spearman


@pytest.fixture
def rng():
    return np.random.default_rng(20251112)


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
