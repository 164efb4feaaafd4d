"""Numbers as a reader meets them: rounded, with true signs and thin spaces, in one place."""

import math
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from embedding_geometry.statistics.paired import Correlation, PairedComparison


SIZE_CLASSES = (-12, -9, -5, -2, -1, 0)  # powers of ten


SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number_text(value: float, digits: int, *, percent: bool = False) -> str:
    """Write a number for reading: rounded to `digits` decimals, with a true minus sign."""
    rounded = round(100 * value if percent else value, digits) + 0.0  # no "-0.0"
    text = f"{rounded:,.{digits}f}".replace("-", "−").replace(",", "\u202f")
    return text + ("\u202f%" if percent else "")


def interval_text(interval: tuple[float, float], digits: int, *, percent: bool = False) -> str:
    """Write an interval for reading, such as "0.5 to 3.1 %"."""
    low, high = (number_text(end, digits, percent=percent) for end in interval)
    return f"{low.removesuffix(chr(0x202F) + '%')}\u00a0to\u00a0{high}"


def p_number(p_value: float) -> str:
    """Write a p-value for a table, such as "0.012" or "< 0.0001"."""
    return "<\u00a00.0001" if p_value < 1e-4 else f"{p_value:.2g}"


def p_text(p_value: float) -> str:
    """Write a p-value for a sentence, such as "p = 0.012" or "p < 0.0001", in one line."""
    number = p_number(p_value)
    return f"p\u00a0{number}" if number.startswith("<") else f"p\u00a0=\u00a0{number}"


def p_and_n_text(result: "PairedComparison | Correlation") -> str:
    """Write what a test rests on for a sentence, such as "p = 0.012, n = 36"."""
    return f"{p_text(result.p_value)}, n\u00a0=\u00a0{result.n}"


def comparison_row(comparison: "PairedComparison") -> dict[str, str]:
    """Write a paired comparison as a line of a table."""
    return {
        "pairs": str(comparison.n),
        "improvement": number_text(comparison.relative_improvement, 1, percent=True),
        "95 % interval": interval_text(comparison.relative_interval, 1, percent=True),
        "pairs won": number_text(comparison.share_won, 0, percent=True),
        "effect size": number_text(comparison.rank_biserial, 2),
        "p": p_number(comparison.p_value),
    }


def at_most(value: float) -> str:
    """A bound for a rounding error: the size class in which it lies.

    Rounding errors differ from one processor to the next, and so does the next power of ten; the
    classes are far enough apart to tell float64, float32 and half precision from one another.
    """
    if value < 0 or not math.isfinite(value):
        raise ValueError(f"a size is expected, not {value}")
    if value == 0:
        return "0"
    exponent = next((e for e in SIZE_CLASSES if value <= 10.0**e), math.ceil(math.log10(value)))
    return f"≤\u00a010{str(exponent).translate(SUPERSCRIPTS)}"


def coverage_text(study: pd.DataFrame, pairs: int) -> str:
    """Say whether the recorded study covers all prompt pairs of its table, or is a pilot."""
    recorded = study["pair_id"].nunique()
    if recorded == pairs:
        return f"It covers all {pairs} prompt pairs"
    return f"It is a pilot: it covers {recorded} of the {pairs} prompt pairs"
