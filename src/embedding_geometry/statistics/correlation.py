"""Rank correlation over prompt pairs: Spearman's rho (Spearman 1904), by scipy."""

from dataclasses import dataclass

import numpy as np
import scipy  # its modules are imported when they are first used

from embedding_geometry.ground.types import Random, generator
from embedding_geometry.statistics.intervals import Interval, Sample, bootstrap_interval
from embedding_geometry.statistics.paired import check_pairs


@dataclass(frozen=True)
class Correlation:
    """What `spearman` finds: rho, its bootstrap interval, its two-sided p-value, the n pairs."""

    rho: float
    interval: Interval
    p_value: float
    n: int


def spearman(x: Sample, y: Sample, rng: Random, *, resamples: int = 9999) -> Correlation:
    """Spearman's rank correlation with a BCa interval at 95 %, as of `paired_comparison`.

    Both sides have a value for each pair, such as the similarity of the prompts and the
    improvement. A resample in which one side is constant shows no association and counts as 0; a
    perfect correlation leaves BCa undefined, and its interval is that of the percentiles.

    Raises:
        ValueError: The arrays differ in length, have fewer than three pairs, hold NaN or
            infinity, or one of them is constant and so has no ranks to correlate.
    """
    x, y = check_pairs("x", x, "y", y, least=3)
    for name, values in (("x", x), ("y", y)):
        if np.ptp(values) == 0:
            raise ValueError(
                f"{name} is {values[0]} in all {len(values)} pairs, and a constant has no rank "
                "correlation: take pairs in which it varies"
            )
    result = scipy.stats.spearmanr(x, y)
    interval = bootstrap_interval((x, y), _rank_correlation, generator(rng), resamples=resamples)
    return Correlation(float(result.statistic), interval, float(result.pvalue), len(x))


def _rank_correlation(x: np.ndarray, y: np.ndarray, axis: int = -1) -> float | np.ndarray:
    """Spearman's rho along an axis: the correlation of the ranks, 0 where one side is constant."""
    ranks = scipy.stats.rankdata(x, axis=axis), scipy.stats.rankdata(y, axis=axis)
    return np.nan_to_num(scipy.stats.pearsonr(*ranks, axis=axis).statistic)
