r"""Paired comparisons over prompt pairs: how much, how often, how surely.

Every prompt pair is measured under a treatment and under a control, here two couplings on the
same initial latent, giving numbers :math:`a_k` and :math:`b_k` where lower is better. The
analysis rests on the differences :math:`b_k - a_k`, *positive where the treatment is better*:
Wilcoxon's signed-rank test of scipy (Wilcoxon 1945) and the matched-pairs rank-biserial
correlation (Kerby 2014), the share of the rank sum in favour less the share against. Intervals are
those of `estimates`; what follows from them, `verdicts` says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy  # its modules are imported when they are first used

from embedding_geometry.ground.types import Random, generator
from embedding_geometry.statistics.estimates import (
    Interval,
    Sample,
    bootstrap_interval,
    check_pairs,
    mean_with_interval,
)

Alternative = Literal["greater", "two-sided"]


@dataclass(frozen=True)
class PairedComparison:
    """What `paired_comparison` finds; every effect is positive where the treatment is lower.

    Attributes:
        n: number of pairs.
        mean_difference: mean of control - treatment, in the units of the measurements.
        interval: bootstrap interval of `mean_difference`.
        median_difference: median of control - treatment.
        median_interval: bootstrap interval of `median_difference`.
        relative_improvement: median of (control - treatment) / control; 0.02 is a gain of 2 %.
            NaN where a measurement is negative, as logarithms are: no share of it is a gain.
        relative_interval: bootstrap interval of `relative_improvement`.
        share_won: share of pairs in which the treatment is lower, ties counting half.
        p_value: Wilcoxon signed-rank test, one-sided against "the treatment is not lower", unless
            the other alternative was asked for.
        rank_biserial: effect size from -1 (treatment always higher) to 1 (always lower).
    """

    n: int
    mean_difference: float
    interval: Interval
    median_difference: float
    median_interval: Interval
    relative_improvement: float
    relative_interval: Interval
    share_won: float
    p_value: float
    rank_biserial: float


@dataclass(frozen=True)
class PairedRatio:
    """What `paired_ratio` finds.

    Attributes:
        n: number of pairs.
        ratio: geometric mean over the pairs of treatment over control.
        interval: bootstrap interval of `ratio`.
        p_value: Wilcoxon signed-rank test of the logarithms, against "both are alike".
    """

    n: int
    ratio: float
    interval: Interval
    p_value: float


def paired_comparison(
    treatment: Sample,
    control: Sample,
    rng: Random,
    *,
    alternative: Alternative = "greater",
    confidence: float = 0.95,
    resamples: int = 9999,
) -> PairedComparison:
    """Compare two measurements of the same pairs, the lower being the better.

    Zero differences keep their ranks, half of each counting for either side (scipy's ``zsplit``):
    a tie is evidence for neither, and as in `share_won` it weakens the result instead of leaving
    it. Without any difference p is 1 and all effects and intervals are 0. A pair with control 0
    and treatment 0 has improved by 0. Intervals are BCa; where BCa is undefined, because the
    resamples or the leave-one-out values are all the same, they are the percentiles of the same
    resamples.

    Args:
        treatment: measurements (p,), one a pair.
        control: measurements (p,) of the same pairs in the same order; two Series of pandas are
            brought into the same order by their indices.
        rng: source of the bootstrap resamples, or its seed.
        alternative: what the test takes for an effect, a lower treatment or any difference.
        confidence: coverage of the intervals.
        resamples: number of bootstrap resamples.

    Raises:
        ValueError: The arrays differ in length, have fewer than two pairs, hold NaN or infinity,
            or are Series of different pairs; or, of measurements of which none is negative, a
            control is 0 where the treatment is not, so that there is no relative improvement.

    Examples:
        >>> row = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
        >>> found = eg.paired_comparison(0.9 * row, row, np.random.default_rng(0))
        >>> print(f"{found.relative_improvement:.0%} less, p = {found.p_value:.3f}")
        10% less, p = 0.016
    """
    rng = generator(rng)
    treatment, control = check_pairs("treatment", treatment, "control", control, least=2)
    difference = control - treatment
    signed = bool((treatment < 0).any() or (control < 0).any())
    relative = np.full(len(control), np.nan) if signed else _relative(difference, control)
    p_value, rank_biserial = _signed_ranks(difference, alternative)

    def interval(sample: np.ndarray, statistic: Callable) -> Interval:
        return bootstrap_interval((sample,), statistic, rng, confidence, resamples)

    return PairedComparison(
        n=len(difference),
        mean_difference=float(difference.mean()),
        interval=interval(difference, np.mean),
        median_difference=float(np.median(difference)),
        median_interval=interval(difference, np.median),
        relative_improvement=float(np.median(relative)),
        relative_interval=(np.nan, np.nan) if signed else interval(relative, np.median),
        share_won=float(np.mean((1 + np.sign(difference)) / 2)),
        p_value=p_value,
        rank_biserial=rank_biserial,
    )


def paired_ratio(treatment: Sample, control: Sample, rng: Random) -> PairedRatio:
    """How many times the control the treatment is, over pairs whose levels differ by decades.

    Ratios are compared by their logarithms: half and twice cancel. The interval is BCa at 95 %, as
    of `paired_comparison`; without any difference it is 1 to 1, and p is 1.

    Raises:
        ValueError: as `paired_comparison`, or a measurement that is not above 0.
    """
    treatment, control = check_pairs("treatment", treatment, "control", control, least=2)
    if min(treatment.min(), control.min()) <= 0:
        raise ValueError(
            f"a ratio is of positive measurements; {(treatment <= 0).sum()} of the treatment and "
            f"{(control <= 0).sum()} of the control are not: leave these pairs out, and say so"
        )
    logarithms = np.log(treatment) - np.log(control)
    mean, ends = mean_with_interval(logarithms, rng)
    low, high = np.exp(ends)
    p_value, _ = _signed_ranks(logarithms, "two-sided")
    return PairedRatio(len(logarithms), float(np.exp(mean)), (float(low), float(high)), p_value)


def _relative(difference: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Improvement of each pair as a share of its control."""
    undefined = (control == 0) & (difference != 0)
    if undefined.any():
        raise ValueError(
            "no relative improvement over a control that is 0 where the treatment is "
            f"not, as in {undefined.sum()} of {len(control)} pairs, "
            f"{np.flatnonzero(undefined)[:5].tolist()} first: leave them out, and say so"
        )
    return np.divide(difference, control, out=np.zeros_like(difference), where=control > 0)


def _signed_ranks(difference: np.ndarray, alternative: Alternative) -> tuple[float, float]:
    """Signed-rank test for positive differences, or for any: p-value and rank-biserial."""
    if not difference.any():
        return 1.0, 0.0
    test = scipy.stats.wilcoxon(difference, alternative=alternative, zero_method="zsplit")
    ranks = scipy.stats.rankdata(np.abs(difference))
    return float(test.pvalue), float(np.sign(difference) @ ranks / ranks.sum())
