"""From numbers to verdicts: where an interval lies, and Holm's correction (Holm 1979).

The correction is that of statsmodels.
"""

from collections.abc import Mapping
from typing import Literal, overload

import numpy as np
from jaxtyping import Float

from embedding_geometry.ground.types import real_array
from embedding_geometry.statistics.estimates import Sample

Verdict = Literal["holds", "does not hold", "undecided on this model"]
LEVEL = 0.05  # of a test that a verdict asks for


def verdict(low: float, high: float) -> Verdict:
    """Verdict on the claim "the effect is greater than 0" from an interval of the effect.

    It holds if the whole interval is above 0 and does not hold if none of it is.

    Raises:
        ValueError: The ends are NaN or in the wrong order.

    Examples:
        >>> eg.verdict(0.1, 0.3)
        'holds'
        >>> eg.verdict(-0.1, 0.3)
        'undecided on this model'
    """
    if not low <= high:
        raise ValueError(f"an interval goes from its low to its high end; got {low} to {high}")
    if low > 0:
        return "holds"
    return "does not hold" if high <= 0 else "undecided on this model"


def confirmed(by_interval: Verdict, p_value: float) -> Verdict:
    """A verdict that needs a p-value below `LEVEL`, too, in order to hold."""
    if by_interval == "holds" and p_value >= LEVEL:
        return "undecided on this model"
    return by_interval


@overload
def holm(p_values: Mapping[str, float]) -> dict[str, float]: ...
@overload
def holm(p_values: Sample) -> Float[np.ndarray, " p"]: ...
def holm(p_values: Mapping[str, float] | Sample) -> dict[str, float] | Float[np.ndarray, " p"]:
    """Holm's adjusted p-values, in the same order, and under the same names where they have some.

    Each is compared with the level meant for all of them together.

    Raises:
        ValueError: There is no p-value, or one lies outside [0, 1].
    """
    if isinstance(p_values, Mapping):
        return dict(zip(p_values, holm(list(p_values.values())).tolist(), strict=True))
    values = real_array(p_values, "p-values", finite=False)
    if values.ndim != 1 or len(values) == 0 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"p-values lie in [0, 1] and there is at least one; got {values.tolist()}"
        )
    from statsmodels.stats.multitest import multipletests

    return multipletests(values, method="holm")[1]
