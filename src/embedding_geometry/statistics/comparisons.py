"""The comparisons of the protocol: couplings, other ways, and paths before and after re-timing.

What is asked together is corrected together, by Holm's method. Names of comparisons are those of
the claims about them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from embedding_geometry.ground.grades import GRADES
from embedding_geometry.ground.types import COUPLINGS
from embedding_geometry.statistics.by_pair import (
    by_pair,
    compare,
    correlate,
    free_and_rigid,
    of_first_seed,
)
from embedding_geometry.statistics.estimates import Correlation
from embedding_geometry.statistics.paired import PairedComparison
from embedding_geometry.statistics.verdicts import LEVEL, Verdict, holm, verdict

# Measures of a path of images by their columns, as tables call them.
MEASURES = {
    "ppl": "PPL",
    "root_sum": "sum of roots",
    "maximum_step": "largest step",
    "gini": "Gini coefficient",
}
COMPANIONS = ("root_sum", "maximum_step", "gini")  # of the PPL
EVENNESS = ("gini", "maximum_step")
ROUNDING = 1e-6  # of a length
CENTRED = 1e-3  # of a PPL

# The ways, beside straight lines in row order and along the optimal coupling, that reach the
# target; `centred` does too, and is a control.
ARRIVING = ("slerp-matrix", "slerp-tokens", "slerp-optimal", "words", "whitened", "cosine")


@dataclass(frozen=True)
class Family:
    """Comparisons made together, by name, and their p-values as Holm corrects them."""

    found: Mapping[str, PairedComparison]
    corrected: Mapping[str, float]


@dataclass(frozen=True)
class CouplingComparisons:
    """What is asked of a study of couplings.

    Attributes:
        primary: the optimal coupling against row order, over all pairs outside the control.
        similarity: rank correlation of the improvement with the similarity of the prompts.
        saving: the same with the share of the path of clouds that the optimal coupling saves.
        secondary: each grade with two pairs or more and the control; the other couplings; the
            other measures.
        corrected: the p-values of all but the primary one, as Holm corrects them.
    """

    primary: PairedComparison
    similarity: Correlation
    saving: Correlation
    secondary: Mapping[str, PairedComparison]
    corrected: Mapping[str, float]


def primary_effects(
    study: pd.DataFrame, measure: str = "ppl"
) -> tuple[PairedComparison, Correlation]:
    """The primary comparison, and how the improvement goes with the similarity."""
    free, _ = free_and_rigid(study, measure)
    return compare(free), correlate(free, free["similarity"])


def compare_couplings(study: pd.DataFrame) -> CouplingComparisons:
    """Compare a study's couplings; the worst one, where it is rendered, on the first latent."""
    primary, similarity = primary_effects(study)
    free, rigid = free_and_rigid(study)
    first, _ = free_and_rigid(of_first_seed(study))
    groups = {f"grade-{g}": free[free["grade"] == g] for g in GRADES} | {"rigid-control": rigid}
    found = {name: compare(group) for name, group in groups.items() if len(group) > 1}
    found |= {f"{c}-against-random": compare(free, c, "random") for c in ("optimal", "row")}
    found |= {f"{c}-against-worst": compare(first, c, "worst") for c in COUPLINGS}
    found |= {measure: compare(free_and_rigid(study, measure)[0]) for measure in COMPANIONS}
    lengths, _ = free_and_rigid(study, "wasserstein_length")
    saving = correlate(free, lengths["improvement"])
    corrected = _corrected({**found, "similarity": similarity, "saving": saving})
    return CouplingComparisons(primary, similarity, saving, found, corrected)


def compare_ways(study: pd.DataFrame) -> Family:
    """Compare each way with the optimal coupling and with row order, and these two, two-sided.

    Returns:
        Comparisons of a study of ways on one initial latent, named `<way>-against-<control>`, in
        the order of the study's ways.
    """
    ppl = study.pivot(index="pair_id", columns="coupling", values="ppl")
    others = [w for w in study["coupling"].unique() if w not in ("row", "optimal", "centred")]
    asked = [(way, control) for control in ("optimal", "row") for way in others]
    found = {
        f"{way}-against-{control}": compare(ppl, way, control, "two-sided")
        for way, control in [*asked, ("optimal", "row")]
    }
    return Family(found, _corrected(found))


def way_verdict(ways: Family, name: str) -> Verdict:
    """Whether a way is smoother; it is rougher, and neither is chance, by the protocol's rule."""
    low, high = ways.found[name].relative_interval
    decided = ways.corrected[name] < LEVEL and not low <= 0 <= high
    return verdict(low, high) if decided else "undecided on this model"


def centring_agrees(study: pd.DataFrame) -> "pd.Series[bool]":
    """Whether each pair's PPL along the control `centred` is that of the optimal coupling."""
    ppl = study.pivot(index="pair_id", columns="coupling", values="ppl")
    return ((ppl["centred"] - ppl["optimal"]).abs() <= CENTRED * ppl["optimal"]).rename(None)


def any_smoother(verdicts: Collection[Verdict]) -> Verdict:
    """The claim that some way is smoother, from the verdicts on each; all rougher refute it."""
    if "holds" in verdicts:
        return "holds"
    return "does not hold" if set(verdicts) == {"does not hold"} else "undecided on this model"


def before_and_after(table: pd.DataFrame) -> pd.DataFrame:
    """Each recorded path before the first round of re-timing and after its last, mean over seeds.

    Returns:
        Index `pair_id` and `coupling`; columns in two levels, a measure (`ppl`, `root_sum`,
        `gini`, `maximum_step`, `extra`) and `before` or `after`.
    """
    of_seeds = dict.fromkeys(["ppl", "root_sum", "gini", "maximum_step"], "mean")
    rounds = table.groupby(["pair_id", "coupling", "round"]).agg(of_seeds | {"extra": "max"})
    paths = rounds.groupby(["pair_id", "coupling"])
    sides = pd.concat({"before": paths.first(), "after": paths.last()}, axis=1)
    return sides.swaplevel(axis=1)


def side(sides: pd.DataFrame, measure: str, coupling: str, when: str) -> "pd.Series[float]":
    """One measure of each pair's path along a coupling, `before` or `after`; see above."""
    return sides[measure, when].xs(coupling, level="coupling")


def compare_retimed(sides: pd.DataFrame) -> Family:
    """Compare each coupling after re-timing with before, and the optimal one with row order.

    Returns:
        Comparisons of `before_and_after`, named `retimed-<coupling>-<measure>`, and
        `tempo-<when>-<measure>` before and after.
    """
    found = {
        f"retimed-{c}-{m}": compare(
            pd.DataFrame(sides[m].xs(c, level="coupling")), "after", "before"
        )
        for c in COUPLINGS
        for m in EVENNESS
    } | {
        f"tempo-{when}-{m}": compare(sides[m, when].unstack("coupling"))
        for when in ("before", "after")
        for m in (*EVENNESS, "ppl")
    }
    return Family(found, _corrected(found))


def compare_lengths(study: pd.DataFrame) -> tuple["pd.Series[bool]", PairedComparison]:
    """Whether each pair's optimal path of clouds is a geodesic, and how much longer row order is.

    A geodesic is as long as the Wasserstein distance of its ends, and no other coupling's path is
    shorter; both but for rounding.
    """
    lengths = by_pair(study, "wasserstein_length")
    others = [coupling for coupling in COUPLINGS if coupling != "optimal"]
    shortest = lengths["optimal"] <= (1 + ROUNDING) * lengths[others].min(axis=1)
    as_long = np.isclose(lengths["optimal"], lengths["w2"], rtol=ROUNDING)
    return shortest & as_long, compare(lengths)


def _corrected(results: Mapping[str, PairedComparison | Correlation]) -> dict[str, float]:
    return holm({name: result.p_value for name, result in results.items()})


def improvement_table(results: Mapping[str, PairedComparison]) -> pd.DataFrame:
    """Improvements with their intervals, in per cent, and the numbers of pairs.

    Returns:
        Index: the names; columns `estimate`, `low`, `high` and `n`.
    """
    rows = {
        name: [100 * found.relative_improvement, *(100 * end for end in found.relative_interval)]
        for name, found in results.items()
    }
    table = pd.DataFrame(rows, index=["estimate", "low", "high"]).T
    return table.assign(n=[found.n for found in results.values()])
