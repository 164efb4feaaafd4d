"""The study's table by prompt pair, and what is asked of two couplings of it."""

from collections.abc import Mapping

import pandas as pd

from embedding_geometry.ground.grades import RIGID, grade
from embedding_geometry.statistics.estimates import Correlation, spearman, with_ends
from embedding_geometry.statistics.paired import (
    Alternative,
    PairedComparison,
    PairedRatio,
    paired_comparison,
    paired_ratio,
)

SEED = 0  # of every resampling


def by_pair(study: pd.DataFrame, measure: str = "ppl") -> pd.DataFrame:
    """One row per prompt pair of a study: a measure under each coupling, mean over latents.

    Returns:
        Index `pair_id`; columns `grade` (the similarity rounded to a whole number), `similarity`,
        `stratum`, `w2`, one column for each coupling rendered from every initial latent, and
        `improvement`, the relative improvement (row − optimal)/row.
    """
    fixed = study.groupby("pair_id")[["similarity", "stratum", "w2"]].first()
    seeds = study.groupby("coupling")["seed"].nunique()
    complete = study[study["coupling"].isin(seeds.index[seeds == seeds.max()])]
    means = complete.pivot_table(index="pair_id", columns="coupling", values=measure)
    pairs = fixed.join(means)
    pairs.insert(0, "grade", pairs["similarity"].map(grade))
    # Two equal prompts have paths of length zero under every coupling: nothing to improve.
    change = pairs["row"] - pairs["optimal"]
    pairs["improvement"] = (change / pairs["row"]).where(pairs["row"] > 0, 0.0)
    return pairs


def representative_pairs(pairs: pd.DataFrame) -> list[str]:
    """The pair to show of each grade, most similar first: its median by relative improvement.

    The rule is fixed beforehand, so that no picture is chosen for its looks: in the order of
    improvement, then of `pair_id`, the middle pair, the lower one of two.
    """
    ordered = pairs.sort_index().sort_values("improvement", kind="stable")
    grades = ordered.groupby("grade")
    return [group.index[(len(group) - 1) // 2] for _, group in grades][::-1]


def of_first_seed(study: pd.DataFrame) -> pd.DataFrame:
    """The paths from a study's first initial latent, on which all its couplings are computed."""
    return study[study["seed"] == study["seed"].iloc[0]]


def free_and_rigid(study: pd.DataFrame, measure: str = "ppl") -> tuple[pd.DataFrame, pd.DataFrame]:
    """A measure by pair, the pairs of the rigid control kept apart."""
    pairs = by_pair(study, measure)
    rigid = pairs["stratum"] == RIGID
    return pairs[~rigid], pairs[rigid]


def compare(
    pairs: pd.DataFrame,
    treatment: str = "optimal",
    control: str = "row",
    alternative: Alternative = "greater",
) -> PairedComparison:
    """Paired comparison of two couplings; the resampling always starts from the same seed."""
    a, b = pairs[treatment].to_numpy(), pairs[control].to_numpy()
    return paired_comparison(a, b, SEED, alternative=alternative)


def ratio(values: pd.DataFrame, treatment: str, control: str) -> PairedRatio:
    """Ratio of a measure of two ways; the resampling always starts from the same seed."""
    return paired_ratio(values[treatment], values[control], SEED)


def ratios(measures: Mapping[str, pd.DataFrame], treatment: str, control: str) -> dict[str, float]:
    """Each measure's `ratio` under its name, the ends of its interval, and the number of pairs.

    The measures are of the same pairs. Their names with `_low` and `_high` are those of the ends.
    """
    found: dict[str, float] = {}
    for name, values in measures.items():
        of_pairs = ratio(values, treatment, control)
        found |= with_ends(name, of_pairs.ratio, of_pairs.interval)
        pairs = of_pairs.n
    return found | {"n": pairs}


def correlate(pairs: pd.DataFrame, values: "pd.Series[float]") -> Correlation:
    """Rank correlation of the improvement with something else about the pairs."""
    return spearman(pairs["improvement"].to_numpy(), values.to_numpy(dtype=float), SEED)
