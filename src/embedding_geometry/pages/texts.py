"""Numbers as a reader meets them: rounded, with true signs and thin spaces, in one place."""

import math
import sys
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from embedding_geometry.pages.findings import Finding
    from embedding_geometry.statistics.estimates import Correlation
    from embedding_geometry.statistics.paired import PairedComparison
    from embedding_geometry.statistics.rivals import Advice, Duel

# Of each kind of effect how it is written, and to how many decimals.
EFFECTS = {
    "improvement": ("{}\u202f%", 1),
    "rank correlation": ("rank correlation {}", 2),
    "median slope": ("median slope {}", 2),
    "slope": ("slope {}", 2),
    "change": ("relative change {}", 3),
    "count": ("{} of {n}", 0),
    "smoother": ("{} of {n} smoother, {:.0f} rougher", 0),
    "better": ("{} of {n} better", 0),
    "straightness": ("R² ≥\u00a0{}", 3),
    "speed": ("{} times as fast", 1),
}
SIZE_CLASSES = (-12, -9, -4, -2, -1, 0)  # powers of ten
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number_text(value: float, digits: int, *, percent: bool = False) -> str:
    """Write a number for reading: rounded to `digits` decimals, with a true minus sign.

    Raises:
        ValueError: it is not finite: the prose would quote nonsense.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} is no number to be read; only finite numbers can be quoted")
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


def comparison_row(
    comparison: "PairedComparison", corrected: float | None = None
) -> dict[str, str]:
    """Write a paired comparison as a line of a table."""
    return {
        "pairs": str(comparison.n),
        **improvement_row(comparison),
        "effect size": number_text(comparison.rank_biserial, 2),
        "p": p_number(comparison.p_value),
        "p, Holm": "–" if corrected is None else p_number(corrected),
    }


def improvement_row(comparison: "PairedComparison") -> dict[str, str]:
    """Write the effect of a paired comparison as cells of a table."""
    return {
        "improvement": number_text(comparison.relative_improvement, 1, percent=True),
        "95 % interval": interval_text(comparison.relative_interval, 1, percent=True),
        "pairs won": number_text(comparison.share_won, 0, percent=True),
    }


def correlation_row(correlation: "Correlation") -> dict[str, str]:
    """Write a rank correlation as cells of a table."""
    return {
        "rank correlation": number_text(correlation.rho, 2),
        "95 % interval": interval_text(correlation.interval, 2),
    }


def by_name(texts: "Mapping[str, str]") -> str:
    """Write what is so on each model, such as "52 % on pocket, 24 % on menagerie"."""
    return ", ".join(f"{text} on {name}" for name, text in texts.items())


# --- findings -----------------------------------------------------------------------------------


def effect_text(finding: "Finding") -> str:
    """Write the effect of a finding, such as "rank correlation 0.12" or "23 of 24"."""
    _, digits = EFFECTS[finding.kind]
    number = number_text(_shown(finding), digits)
    return _effect(finding, at_most(finding.estimate) if finding.kind == "change" else number)


def effect_interval(finding: "Finding") -> str:
    """Write the interval of a finding; nothing where it has none."""
    if finding.interval is None:
        return ""
    if finding.kind == "improvement":
        return interval_text(finding.interval, 1, percent=True)
    return interval_text(finding.interval, EFFECTS[finding.kind][1])


def effect_key(finding: "Finding") -> str:
    """A key that sorts effects of one kind by what is shown; raised, for a minus is a hyphen."""
    return f"{_effect(finding, '')} {_shown(finding) + 5e6:.6f}"


def test_text(finding: "Finding") -> str:
    """Write how a claim was decided, such as "Wilcoxon, one-sided, Holm"."""
    return finding.test.format(*finding.facts) + (", Holm" if finding.corrected else "")


def _effect(finding: "Finding", number: str) -> str:
    form, _ = EFFECTS[finding.kind]
    return form.format(number, *finding.facts, n=finding.n)


def _shown(finding: "Finding") -> float:
    """The estimate in the unit in which it is written, rounded."""
    unit = 100 if finding.kind == "improvement" else 1
    return round(unit * finding.estimate, EFFECTS[finding.kind][1])


# --- rivals -------------------------------------------------------------------------------------

# What follows from a comparison of rivals: with names, and where there are none.
ADVICE = {
    "blind": (
        "Realism does not find {} to be a loss here, so of no way can it be said to be none.",
    ),
    "better-optimal": (
        "Smoother than the optimal coupling at no loss of fidelity: {}.",
        "No way is found to be smoother than the optimal coupling at no loss of fidelity.",
    ),
    "better-row": (
        "Smoother than row order at no loss of fidelity: {}.",
        "No way is found to be smoother than row order at no loss of fidelity.",
    ),
    "traps": (
        "Smoother than row order, but at a loss of fidelity: {}.",
        "No way that is smoother than row order is found to be a loss of fidelity.",
    ),
    "open-row": ("Undecided against row order: {}.", "Against row order nothing is undecided."),
    "thrifty": (
        "At no more rows of the UNet than row order takes, the smoothest of these is {}.",
    ),
    "front": ("No other way is both smoother and more faithful than: {}.",),
}
RIVAL_VERDICTS = {
    "holds": "better",
    "does not hold": "not better",
    "undecided on this model": "undecided",
}


def advice_sentences(advice: "Advice") -> list[str]:
    """Write which way is to be used, a sentence for each thing that a reader may want."""
    names: dict[str, Sequence[str]] = {
        "blind": [] if advice.sensitive else ["the cross-fade"],
        **{f"better-{control}": found for control, found in advice.better.items()},
        "traps": advice.traps,
        "open-row": advice.open["row"],
        "thrifty": [advice.thrifty] if advice.thrifty != "row" else [],
        "front": advice.front,
    }
    return [
        filled[0].format(", ".join(names[about])) if names[about] else "".join(filled[1:])
        for about, filled in ADVICE.items()
        if names[about] or len(filled) > 1
    ]


def rival_row(duel: "Duel") -> dict[str, str]:
    """Write a way against another as a line of a table."""
    return {
        "PPL": ratio_text(duel.ppl.ratio, duel.ppl.interval),
        "realism": ratio_text(duel.realism.ratio, duel.realism.interval),
        "verdict": RIVAL_VERDICTS[duel.better],
    }


def ratio_text(ratio: float, interval: tuple[float, float], digits: int = 2) -> str:
    """Write a ratio with its interval, such as "0.93 [0.90 to 0.97]"."""
    return f"{number_text(ratio, digits)} [{interval_text(interval, digits)}]"


def on_models(found: "Mapping[str, Sequence[str]]") -> str:
    """Write what was found on each model: "on pocket outer, scores; on menagerie none"."""
    parts = (f"on {model} {', '.join(names) or 'none'}" for model, names in found.items())
    return "; ".join(parts)


# --- sizes and coverage -------------------------------------------------------------------------


def at_most(value: float) -> str:
    """A bound for a rounding error: the size class in which it lies.

    Rounding errors differ from one processor to the next, and so does the next power of ten; the
    classes are far enough apart to tell float64, float32 and half precision from one another. That
    there is no error at all differs as well: 0 has the smallest class, and no name of its own.
    """
    if value < 0 or not math.isfinite(value):
        raise ValueError(f"a size is expected, not {value}")
    classes = [e for e in SIZE_CLASSES if value <= 10.0**e] or [math.ceil(math.log10(value))]
    return f"≤\u00a0{power_of_ten(classes[0])}"


def at_least(value: float) -> str:
    """A power of ten that a large number reaches, such as "≥ 10⁴²"; infinity reaches them all."""
    if not value > 0:
        raise ValueError(f"a size above 0 is expected, not {value}")
    exponent = math.floor(math.log10(min(value, sys.float_info.max)))
    return f"≥\u00a0{power_of_ten(exponent)}"


def power_of_ten(exponent: int) -> str:
    """Write a power of ten, such as "10⁻¹²"."""
    return f"10{str(exponent).translate(SUPERSCRIPTS)}"


def coverage_text(study: pd.DataFrame, pairs: int) -> str:
    """Say whether the recorded study covers all prompt pairs of its table, or is a pilot."""
    recorded = study["pair_id"].nunique()
    if recorded == pairs:
        return f"It covers all {pairs} prompt pairs"
    return f"It is a pilot: it covers {recorded} of the {pairs} prompt pairs"
