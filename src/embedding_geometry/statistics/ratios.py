"""Paired ratios: how many times a control, over prompt pairs whose levels differ by decades."""

from dataclasses import dataclass

import numpy as np

from embedding_geometry.ground.types import Random
from embedding_geometry.statistics.intervals import Interval, Sample, mean_with_interval
from embedding_geometry.statistics.paired import check_pairs, signed_ranks


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
    p_value, _ = signed_ranks(logarithms, "two-sided")
    return PairedRatio(len(logarithms), float(np.exp(mean)), (float(low), float(high)), p_value)
