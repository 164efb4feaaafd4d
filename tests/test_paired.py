"""Paired statistics against cases worked by hand, scipy called directly, and planted effects."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from strategies import without_type_checks

from embedding_geometry.statistics.estimates import spearman
from embedding_geometry.statistics.paired import PairedRatio, paired_comparison, paired_ratio
from embedding_geometry.statistics.verdicts import verdict

# Five pairs worked by hand: differences 1, 2, 3, -1, 0 of controls 10, 10, 10, 4, 5.
TREATMENT = np.array([9.0, 8.0, 7.0, 5.0, 5.0])
CONTROL = np.array([10.0, 10.0, 10.0, 4.0, 5.0])


@pytest.fixture
def rng():
    return np.random.default_rng(20251112)


def planted(rng, n, gain, spread=0.05):
    """Treatment and control, over three decades from pair to pair, the first lower by `gain`."""
    control = 10 ** rng.uniform(-2, 1, n)
    return control * (1 - gain + spread * rng.normal(size=n)), control


def test_five_pairs_by_hand(rng):
    found = paired_comparison(TREATMENT, CONTROL, rng)
    assert found.n == 5
    assert found.mean_difference == pytest.approx(1)
    assert found.median_difference == 1
    # relative gains .1, .2, .3, -.25, 0
    assert found.relative_improvement == pytest.approx(0.1)
    # three won, one lost, one tie
    assert found.share_won == pytest.approx(0.7)
    # ranks of |0|, |1|, |-1|, |2|, |3|: 1, 2.5, 2.5, 4, 5; in favour .5 + 2.5 + 4 + 5 = 12 of 15
    assert found.rank_biserial == pytest.approx((12 - 3) / 15)


def test_the_p_value_of_untied_pairs_is_the_exact_count(rng):
    # differences 1, 2, 3, 4, -5: 10 of 15 ranks in favour. Of the 32 sign patterns, those with
    # at most 5 ranks against: {}, 1, 2, 3, 4, 5, 12, 13, 14, 23
    control = np.full(5, 10.0)
    treatment = control - [1, 2, 3, 4, -5]
    assert paired_comparison(treatment, control, rng).p_value == pytest.approx(10 / 32)


def test_the_test_is_one_sided_towards_a_lower_treatment(rng):
    treatment, control = planted(rng, 60, gain=0.05)
    better = paired_comparison(treatment, control, rng)
    worse = paired_comparison(control, treatment, rng)
    expected = stats.wilcoxon(treatment, control, alternative="less", zero_method="zsplit")
    assert better.p_value == pytest.approx(expected.pvalue, rel=1e-12)
    assert better.p_value < 0.001 < 0.999 < worse.p_value
    assert worse.rank_biserial == pytest.approx(-better.rank_biserial)
    assert worse.share_won == pytest.approx(1 - better.share_won)


def test_a_planted_gain_is_found_and_bracketed(rng):
    found = paired_comparison(*planted(rng, 300, gain=0.1), rng)
    low, high = found.relative_interval
    assert low < 0.1 < high
    assert high - low < 0.03
    assert low < found.relative_improvement < high
    assert found.interval[0] < found.mean_difference < found.interval[1]
    assert found.median_interval[0] <= found.median_difference <= found.median_interval[1]
    assert verdict(low, high) == "holds"


def test_gains_balanced_by_losses_leave_the_verdict_open(rng):
    gains = rng.normal(size=100)
    control = np.full(200, 10.0)
    found = paired_comparison(control - np.r_[gains, -gains], control, rng)
    assert found.p_value == pytest.approx(0.5, abs=0.01)
    assert found.rank_biserial == pytest.approx(0, abs=0.01)
    assert verdict(*found.relative_interval) == "undecided on this model"


def test_without_a_gain_the_test_errs_as_often_as_it_says():
    rng = np.random.default_rng(0)
    p_values = [
        paired_comparison(*planted(rng, 30, gain=0), rng, resamples=9).p_value for _ in range(300)
    ]
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.09


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng, covered = np.random.default_rng(1), 0
    for _ in range(200):
        control = rng.exponential(size=40) + 1
        treatment = control - rng.exponential(size=40) * 0.1  # true mean difference 0.1
        found = paired_comparison(treatment, control, rng, confidence=0.9, resamples=299)
        covered += found.interval[0] <= 0.1 <= found.interval[1]
    assert 0.8 < covered / 200 < 0.97


def test_intervals_are_scipys_bca():
    treatment, control = planted(np.random.default_rng(0), 30, gain=0.1)
    found = paired_comparison(treatment, control, np.random.default_rng(1), resamples=500)
    expected = stats.bootstrap(
        (control - treatment,), np.mean, n_resamples=500, rng=np.random.default_rng(1)
    )
    assert found.interval == pytest.approx(tuple(expected.confidence_interval), rel=1e-12)


def test_confidence_widens_the_intervals(rng):
    pairs = planted(rng, 50, gain=0.1)
    narrow = paired_comparison(*pairs, np.random.default_rng(0), confidence=0.5).interval
    wide = paired_comparison(*pairs, np.random.default_rng(0), confidence=0.99).interval
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_the_result_follows_the_generator_alone(rng):
    pairs = planted(rng, 40, gain=0.02)
    first = paired_comparison(*pairs, np.random.default_rng(3), resamples=200)
    assert paired_comparison(*pairs, np.random.default_rng(3), resamples=200) == first
    assert paired_comparison(*pairs, np.random.default_rng(4), resamples=200) != first


@pytest.mark.parametrize("n", [2, 10, 100])
@pytest.mark.parametrize("value", [0.0, 0.3])
def test_identical_inputs_show_no_effect_and_no_nan(rng, n, value):
    same = np.full(n, value)
    found = paired_comparison(same, same, rng, resamples=99)
    assert found.mean_difference == found.median_difference == found.relative_improvement == 0
    assert found.interval == found.median_interval == found.relative_interval == (0, 0)
    assert (found.share_won, found.p_value, found.rank_biserial) == (0.5, 1, 0)


def test_a_constant_difference_has_an_interval_without_width(rng):
    control = np.full(8, 4.0)
    found = paired_comparison(control - 1, control, rng, resamples=99)
    assert found.interval == found.median_interval == (1, 1)
    assert found.relative_interval == (0.25, 0.25)
    assert (found.share_won, found.rank_biserial) == (1, 1)
    assert found.p_value == pytest.approx(1 / 2**8)


def test_one_deviating_pair_leaves_a_finite_median_interval(rng):
    control = np.full(10, 4.0)
    treatment = control - np.r_[np.ones(9), 2]
    low, high = paired_comparison(treatment, control, rng, resamples=99).median_interval
    assert 1 <= low <= high <= 2


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=2, max_size=8))
def test_ties_and_zeros_never_make_a_nan(pairs):
    treatment, control = np.array(pairs, dtype=float).T
    found = paired_comparison(treatment, control, np.random.default_rng(0), resamples=49)
    for low, high in (found.interval, found.median_interval, found.relative_interval):
        assert -math.inf < low <= high < math.inf
    assert 0 <= found.p_value <= 1
    assert -1 <= found.rank_biserial <= 1


def test_a_two_sided_test_counts_losses_too(rng):
    treatment, control = planted(rng, 60, gain=0.05)
    for a, b in ((treatment, control), (control, treatment)):
        found = paired_comparison(a, b, rng, alternative="two-sided")
        expected = stats.wilcoxon(a, b, zero_method="zsplit").pvalue
        assert found.p_value == pytest.approx(expected, rel=1e-12)
        one_sided = paired_comparison(a, b, rng)
        assert found.rank_biserial == one_sided.rank_biserial


# ------------------------------------------------------------------ other kinds of input


def test_series_are_paired_by_their_indices():
    """By position the treatment would win one pair of three."""
    treatment = pd.Series([1.0, 5.0, 9.0], index=["a", "b", "c"])
    control = pd.Series([10.0, 2.0, 6.0], index=["c", "a", "b"])
    assert paired_comparison(treatment, control, 0).share_won == 1
    assert spearman(treatment, control, 0).rho == 1
    assert paired_comparison(treatment, control.to_numpy(), 0).share_won == pytest.approx(1 / 3)


def test_logarithms_get_everything_but_the_relative_improvement():
    """The differences are those of five pairs, moved below 0."""
    found, moved = (paired_comparison(TREATMENT - k, CONTROL - k, 1) for k in (0, 20))
    assert math.isnan(moved.relative_improvement)
    assert np.isnan(moved.relative_interval).all()
    names = set(vars(found)) - {"relative_improvement", "relative_interval"}
    assert {name: getattr(moved, name) for name in names} == {
        name: getattr(found, name) for name in names
    }


def test_lists_tensors_and_seeds_do_as_arrays_and_generators_do():
    expected = paired_comparison(TREATMENT, CONTROL, np.random.default_rng(4))
    tensor = torch.from_numpy(CONTROL).requires_grad_()
    assert paired_comparison(TREATMENT.tolist(), tensor, 4) == expected
    with pytest.raises(ValueError, match="control cannot be read .* masked"):
        paired_comparison(TREATMENT, np.ma.masked_equal(CONTROL, 4.0), 4)


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize("function", [paired_comparison, spearman])
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1.0, 2.0, 3.0], [1.0, 2.0], r"one length.*\(3,\).*\(2,\)"),
        ([1.0], [1.0], r"at least [23]; got .* of shape \(1,\)"),
        ([[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]], r"\(1, 3\).*one value for each prompt pair"),
        (
            [1.0, np.nan, 3.0],
            [1.0, 2.0, np.inf],
            "NaN or infinity in 1 of its 3 rows, 1 first",
        ),
    ],
)
def test_samples_that_are_not_paired_are_refused(function, a, b, message, rng):
    with without_type_checks(), pytest.raises(ValueError, match=message):
        function(np.array(a), np.array(b), rng)


def test_a_control_without_relative_improvement_is_refused(rng):
    with pytest.raises(ValueError, match=r"1 of 2 pairs, \[0\] first: leave them out"):
        paired_comparison(np.array([1.0, 1.0]), np.array([0.0, 2.0]), rng)


def test_series_of_different_pairs_are_refused(rng):
    a = pd.Series([1.0, 2.0, 3.0], index=["a", "b", "c"])
    for index in (["a", "b", "d"], ["a", "b", "b"]):
        for function in (paired_comparison, spearman):
            with pytest.raises(ValueError, match="treatment|x and .* have different indices"):
                function(a, pd.Series([1.0, 2.0, 3.0], index=index), rng)


def test_a_ratio_is_its_closed_form_and_refuses_what_has_no_logarithm():
    control = np.array([1.0, 10.0, 100.0, 1000.0])
    found = paired_ratio(control * [0.5, 2.0, 0.5, 0.5], control, 0)
    assert found.ratio == pytest.approx(0.5**0.5)
    assert paired_ratio(control, control, 0) == PairedRatio(4, 1.0, (1.0, 1.0), 1.0)
    with pytest.raises(ValueError, match="1 of the treatment and 0 of the control are not"):
        paired_ratio([0.0, 1.0], [1.0, 1.0], 0)
