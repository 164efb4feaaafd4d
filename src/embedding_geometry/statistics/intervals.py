"""Intervals over prompt pairs: bias-corrected and accelerated bootstrap (Efron 1987), by scipy.

Where BCa is undefined, because the resamples or the leave-one-out values are all the same, an
interval is that of the percentiles of the same resamples.
"""

import warnings
from collections.abc import Callable

import numpy as np
import scipy  # its modules are imported when they are first used
from jaxtyping import Float

from embedding_geometry.ground.types import ArrayLike, Random, generator, real_array

Sample = Float[np.ndarray, " p"] | ArrayLike  # a value for each pair
Interval = tuple[float, float]


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


def bootstrap_interval(
    data: tuple[np.ndarray, ...],
    statistic: Callable,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 9999,
) -> Interval:
    """BCa interval of a statistic of paired samples, or percentiles where BCa is undefined."""
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        # constant resamples and the 0/0 they lead to are dealt with here and in `spearman`
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
