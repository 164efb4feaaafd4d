"""Estimates over prompt pairs with their intervals: a mean, a median, a rank correlation.

The correlation is Spearman's (1904). Intervals are of the bias-corrected and accelerated bootstrap
(Efron 1987), by scipy; where BCa is undefined, because the resamples or the leave-one-out values
are all the same, they are those of the percentiles of the same resamples.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy  # its modules are imported when they are first used
from jaxtyping import Float

from embedding_geometry.ground.types import ArrayLike, Random, generator, real_array

Sample = Float[np.ndarray, " p"] | ArrayLike  # a value for each pair
Interval = tuple[float, float]


@dataclass(frozen=True)
class Correlation:
    """What `spearman` finds: rho, its bootstrap interval, its two-sided p-value, the n pairs."""

    rho: float
    interval: Interval
    p_value: float
    n: int


def median_interval(sample: Sample, rng: Random) -> Interval:
    """BCa interval of a median over pairs at 95 %, with errors as of `mean_with_interval`."""
    return bootstrap_interval((_check_sample(sample),), np.median, generator(rng))


def mean_with_interval(
    values: Sample, rng: Random, *, resamples: int = 9999
) -> tuple[float, Interval]:
    """Mean over pairs and its BCa interval at 95 %, resampled as by `paired_comparison`.

    Raises:
        ValueError: There are fewer than two values, or NaN or infinity among them.
    """
    values = _check_sample(values)
    interval = bootstrap_interval((values,), np.mean, generator(rng), resamples=resamples)
    return float(values.mean()), interval


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


def bootstrap_interval(
    data: tuple[np.ndarray, ...],
    statistic: Callable,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 9999,
) -> Interval:
    """BCa interval of a statistic of paired samples, or percentiles where BCa is undefined."""
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        # constant resamples and the 0/0 they lead to are dealt with here and in _rank_correlation
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)
        warnings.simplefilter("ignore", scipy.stats.ConstantInputWarning)
        result = scipy.stats.bootstrap(
            data,
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=resamples,
            confidence_level=confidence,
            rng=rng,
        )
    ends = np.array(result.confidence_interval)
    if np.isnan(ends).any():
        tail = (1 - confidence) / 2
        ends = np.quantile(result.bootstrap_distribution, [tail, 1 - tail])
    return float(ends[0]), float(ends[1])


def _check_sample(values: Sample) -> np.ndarray:
    """A sample in float64, once it is known to be finite and long enough for an interval."""
    values = real_array(values, "the sample")
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(
            f"an interval needs two values or more in one array; got shape {values.shape}"
        )
    return values


def with_ends(name: str, value: float | None, interval: Interval | None) -> dict[str, float]:
    """A number and its interval as three columns; NaN where there is none."""
    low, high = interval or (np.nan, np.nan)
    return {name: np.nan if value is None else value, f"{name}_low": low, f"{name}_high": high}


def check_pairs(
    name_a: str, a: Sample, name_b: str, b: Sample, *, least: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both samples in float64, once they are known to be paired, finite and long enough."""
    import pandas as pd  # for whoever has a table: no evaluation of a path waits for it

    if isinstance(a, pd.Series) and isinstance(b, pd.Series) and not a.index.equals(b.index):
        if len(a) != len(b) or not a.index.is_unique or set(a.index) != set(b.index):
            raise ValueError(
                f"{name_a} and {name_b} have different indices, {a.index[:3].tolist()} ... and "
                f"{b.index[:3].tolist()} ...: index both by the prompt pair, or give .to_numpy() "
                "where they are paired by position"
            )
        b = b.loc[a.index]
    a, b = real_array(a, name_a), real_array(b, name_b)
    if a.ndim != 1 or a.shape != b.shape or len(a) < least:
        raise ValueError(
            f"paired samples are two arrays of one length, at least {least}; got {name_a} of "
            f"shape {a.shape} and {name_b} of {b.shape}: pass one value for each prompt pair"
        )
    return a, b
