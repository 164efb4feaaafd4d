"""What the recorded tables show: each analysis once, as numbers.

How a verdict follows:

- a claim that was fixed before its study ran *holds* if the whole 95 % interval of the effect is
  above zero, *does not hold* if none of it is, else it is *undecided* (`statistics.verdict`);
- an exploratory claim holds only if its p-value, corrected for all tests made with it, is also
  below `LEVEL`;
- a claim for which the protocol has a rule of its own follows that: dose and response, other ways;
- a claim about every case of a table holds if there is no exception among them;
- a claim about a time holds if the median time is the shorter one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import linregress, wilcoxon

from embedding_geometry.ground.records import DOSE, POCKET, Manifest
from embedding_geometry.pages.texts import at_most, interval_text, number_text
from embedding_geometry.statistics import dose
from embedding_geometry.statistics.by_pair import by_pair, compare, correlate, free_and_rigid
from embedding_geometry.statistics.paired import (
    Correlation,
    Interval,
    PairedComparison,
    Verdict,
    holm,
    verdict,
)
from embedding_geometry.study import tempo


@dataclass(frozen=True)
class Finding:
    """What a recorded table shows about a claim.

    Attributes:
        value: the number in which the claim is measured, for reading; an effect is positive where
            it speaks for the claim.
        interval: its 95 % interval, or nothing where all cases were counted.
        test: how it was decided.
        n: on how many cases it rests.
        unit: what these are, such as "pairs".
        verdict: what follows.
        p_value: of the test, if there is one.
    """

    value: str
    interval: str
    test: str
    n: int
    unit: str
    verdict: Verdict
    p_value: float | None = None


Findings = Mapping[str, Finding]


LEVEL = 0.05


UNCHANGED, CHANGED = 1e-3, 1e-2  # of the first claim, by the protocol


STRAIGHT = 0.99  # the R² from which on points are called a straight line


GRADES = range(5, -1, -1)


COUPLINGS = ("row", "optimal", "random")


COMPANIONS = {
    "root_sum": "sum of the roots of the steps",
    "maximum_step": "largest step",
    "gini": "Gini coefficient of the steps",
}


ARRIVING = ("slerp-matrix", "slerp-tokens", "slerp-optimal", "words", "whitened", "cosine")


EVENNESS = {"gini": "Gini coefficient of the steps", "maximum_step": "largest step"}


def order_findings(table: pd.DataFrame, manifest: Manifest) -> Findings:
    """What shuffling the tokens changes: columns `by_order` and `by_text`, one row per prompt."""
    largest, smallest = table["by_order"].max(), table["by_text"].min()
    finding = Finding(
        value=f"relative change {at_most(largest)}",
        interval="",
        test=f"below {UNCHANGED:g}; another text changes at least {smallest:.1f}",
        n=len(table),
        unit="prompts",
        verdict=_without_exception(largest < UNCHANGED and smallest > CHANGED),
    )
    return {"poster-1": finding}


def poster_findings(study: pd.DataFrame, manifest: Manifest) -> Findings:
    """The poster's second claim by the primary comparison, its third by a rank correlation.

    The third one's p-value is corrected with the other secondary ones, its verdict follows from
    the interval alone: so the protocol has it.
    """
    found = poster_effects(study)
    _, _, corrected = _secondary(study)
    p_value = corrected["similarity"]
    third = replace(found["poster-3"], p_value=p_value, test=_test("Spearman", p_value))
    return {**found, "poster-3": third}


def poster_effects(study: pd.DataFrame) -> Findings:
    """The same with the third claim's p-value as it is alone, for which no other test is made."""
    free, _ = free_and_rigid(study)
    return {
        "poster-2": _paired(compare(free)),
        "poster-3": _correlated(correlate(free, free["similarity"])),
    }


def repeat_findings(repeated: pd.DataFrame, manifest: Manifest) -> Findings:
    """Whether pocket's study, computed again on another processor, leads to the same verdicts."""
    first = POCKET.rows()
    verdicts = [
        [finding.verdict for finding in poster_effects(study).values()]
        for study in (first, repeated)
    ]
    return {"repeated": _counted(pd.Series(verdicts[0]) == verdicts[1], "verdicts")}


def secondary_findings(study: pd.DataFrame, manifest: Manifest) -> Findings:
    """The secondary comparisons of the protocol, corrected together by Holm's method."""
    found, correlations, corrected = _secondary(study)
    findings = {name: _paired(result, corrected[name]) for name, result in found.items()}
    return findings | {"saving": _correlated(correlations["saving"], corrected["saving"])}


def _secondary(
    study: pd.DataFrame,
) -> tuple[dict[str, PairedComparison], dict[str, Correlation], dict[str, float]]:
    """Comparisons and correlations by name, and the corrected p-values of all of them."""
    free, rigid = free_and_rigid(study)
    first, _ = free_and_rigid(study[study["seed"] == 0])
    groups = {f"grade-{g}": free[free["grade"] == g] for g in GRADES} | {"rigid-control": rigid}
    found = {name: compare(group) for name, group in groups.items() if len(group) > 1}
    found |= {f"{c}-against-random": compare(free, c, "random") for c in ("optimal", "row")}
    found |= {f"{c}-against-worst": compare(first, c, "worst") for c in COUPLINGS}
    found |= {what: compare(free_and_rigid(study, what)[0]) for what in COMPANIONS}
    lengths, _ = free_and_rigid(study, "wasserstein_length")
    correlations = {
        "similarity": correlate(free, free["similarity"]),
        "saving": correlate(free, lengths["improvement"]),
    }
    p_values = {name: result.p_value for name, result in found.items()}
    p_values |= {name: result.p_value for name, result in correlations.items()}
    return found, correlations, holm(p_values)


def path_findings(study: pd.DataFrame, manifest: Manifest) -> Findings:
    """The length of the paths of clouds: the optimal one is the shortest there can be."""
    lengths = by_pair(study, "wasserstein_length")
    others = [c for c in COUPLINGS if c != "optimal"]
    room = 1 + 1e-6  # for rounding
    shortest = lengths["optimal"] <= room * lengths[others].min(axis=1)
    as_long = np.isclose(lengths["optimal"], lengths["w2"], rtol=1e-6)
    return {
        "geodesic": _counted(shortest & as_long, "pairs"),
        "row-is-longer": _paired(compare(lengths)),
    }


def _paired(found: PairedComparison, corrected: float | None = None) -> Finding:
    p_value = found.p_value if corrected is None else corrected
    return Finding(
        value=number_text(found.relative_improvement, 1, percent=True),
        interval=interval_text(found.relative_interval, 1, percent=True),
        test=_test("Wilcoxon, one-sided", corrected),
        n=found.n,
        unit="pairs",
        verdict=_decide(found.relative_interval, corrected),
        p_value=p_value,
    )


def _correlated(found: Correlation, corrected: float | None = None) -> Finding:
    return Finding(
        value=f"rank correlation {number_text(found.rho, 2)}",
        interval=interval_text(found.interval, 2),
        test=_test("Spearman", corrected),
        n=found.n,
        unit="pairs",
        verdict=_decide(found.interval, corrected),
        p_value=found.p_value if corrected is None else corrected,
    )


def _test(name: str, corrected: float | None) -> str:
    return name if corrected is None else f"{name}, Holm"


def _decide(interval: Interval, corrected: float | None) -> Verdict:
    """The verdict from the interval; an exploratory claim also needs its corrected p-value."""
    by_interval = verdict(*interval)
    return by_interval if corrected is None else _confirmed(by_interval, corrected)


def _confirmed(by_interval: Verdict, p_value: float) -> Verdict:
    """A verdict that needs a p-value below the level, too, in order to hold."""
    if by_interval == "holds" and p_value >= LEVEL:
        return "undecided on this model"
    return by_interval


def _counted(cases: "pd.Series[bool]", unit: str) -> Finding:
    """A claim about every case."""
    agreeing = int(cases.sum())
    return Finding(
        value=f"{agreeing} of {len(cases)}",
        interval="",
        test="counted",
        n=len(cases),
        unit=unit,
        verdict=_without_exception(agreeing == len(cases) > 0),
    )


def _without_exception(true: bool | np.bool) -> Verdict:
    return "holds" if true else "does not hold"


def study_cost_findings(table: pd.DataFrame, manifest: Manifest) -> Findings:
    """Times of a study's cell against plain loops over diffusers and lpips."""
    ratio = table.set_index("what")["times the study's"]
    return {
        "faster-than-tutorials": _faster(ratio["frame by frame"], manifest),
        "faster-than-batches": _faster(ratio["batch by batch"], manifest),
    }


def distance_cost_findings(table: pd.DataFrame, manifest: Manifest) -> Findings:
    """Times of all Wasserstein distances against POT and SciPy."""
    ratio = table.set_index("what")["times ours"]
    pools = ratio[ratio.index.str.contains("pool")]
    return {
        "faster-than-pot": _faster(ratio["loop over ot.emd2"], manifest),
        "faster-than-pools": _faster(pools.min(), manifest),
    }


def size_findings(table: pd.DataFrame, manifest: Manifest) -> Findings:
    """How straight time runs against each size but tokens, for which no line is claimed."""
    claimed = table[table["axis"] != "tokens"]
    return {
        "straight-study": _straight(claimed[claimed["what"] == "study"]),
        "straight-distances": _straight(claimed[claimed["what"] != "study"]),
    }


def _straight(times: pd.DataFrame) -> Finding:
    """The least R² of the lines through the times, one line for each size that varies."""
    fits = {
        str(axis): linregress(panel["size"], panel["seconds"]).rvalue ** 2
        for axis, panel in times.groupby("axis", sort=False)
    }
    least = min(fits, key=lambda axis: fits[axis])
    return Finding(
        value=f"R² ≥\u00a0{number_text(fits[least], 3)}",
        interval="",
        test=f"least squares, above {STRAIGHT:g}; the least for {least}",
        n=len(times),
        unit="times",
        verdict=_without_exception(fits[least] > STRAIGHT),
    )


def _faster(ratio: float, manifest: Manifest) -> Finding:
    return Finding(
        value=f"{number_text(ratio, 1)} times as fast",
        interval="",
        test="median time, in turns",
        n=manifest["rounds"],
        unit="rounds",
        verdict=_without_exception(ratio > 1),
    )


def atlas_findings(atlas: pd.DataFrame, manifest: Manifest) -> Findings:
    """What the backbones of the atlas see, counted."""
    atlas = atlas[atlas["verdict"] != "absent"]
    classic = atlas["model"].isin(
        ["Stable Diffusion 1", "Stable Diffusion 2", "Stable Diffusion XL"]
    )
    sequences = atlas[atlas["verdict"] == "sequence"]

    def sees(members: "pd.Series[bool]", verdict: str) -> Finding:
        return _counted(atlas.loc[members, "verdict"] == verdict, "backbones")

    return {
        "classic": sees(classic, "measure"),
        "unets": sees(atlas["family"] == "UNet", "measure"),
        "joint": sees(atlas["family"] == "joint attention", "multiset"),
        "unordered": _counted(atlas["verdict"] != "sequence", "backbones"),
        "cause": _counted(sequences["verdict_removed"].isin(["measure", "multiset"]), "backbones"),
    }


def dose_findings(study: pd.DataFrame, manifest: Manifest) -> Findings:
    """Whether images take longer ways where clouds do; decided by the intervals."""
    cells = dose.dose_table(study)
    beyond = dose.fit_mixed_model(cells, by_coupling=True)
    return {
        "dose": _slope(dose.pair_slopes(cells)),
        "dose-beyond-name": Finding(
            value=f"slope {number_text(beyond.slope, 2)}",
            interval=interval_text(beyond.interval, 2),
            test="mixed-effects model",
            n=beyond.pairs,
            unit="pairs",
            verdict=verdict(*beyond.interval),
        ),
    }


def same_scene_findings(study: pd.DataFrame, manifest: Manifest) -> Findings:
    """The slope of grade 5, on pairs of the first study that are not in the one of the dose."""
    picked = DOSE.rows()["pair_id"]
    same = (study["stratum"] == "free") & (study["similarity"] == 5)
    others = study[same & ~study["pair_id"].isin(picked)]
    slopes = dose.pair_slopes(dose.dose_table(others))
    p_value = float(wilcoxon(slopes, alternative="greater").pvalue)
    found = _slope(slopes)
    status, test = _confirmed(found.verdict, p_value), "Wilcoxon, one-sided"
    return {"dose-same-scene": replace(found, verdict=status, test=test, p_value=p_value)}


def _slope(slopes: "pd.Series[float]") -> Finding:
    found = dose.median_slope(slopes, np.random.default_rng(0))
    return Finding(
        value=f"median slope {number_text(found.estimate, 2)}",
        interval=interval_text(found.interval, 2),
        test="median of slopes within pairs",
        n=found.n,
        unit="pairs",
        verdict=verdict(*found.interval),
    )


def ways_findings(study: pd.DataFrame, manifest: Manifest) -> Findings:
    """Each way against the optimal coupling and row order; the tests have two sides."""
    ppl = study.pivot(index="pair_id", columns="coupling", values="ppl")
    others = [way for way in ppl.columns if way not in ("row", "optimal", "centred")]
    asked = [(way, control) for control in ("optimal", "row") for way in others]
    asked.append(("optimal", "row"))
    tests = {f"{w}-against-{c}": wilcoxon(ppl[c] - ppl[w], zero_method="zsplit") for w, c in asked}
    corrected = holm({name: float(test.pvalue) for name, test in tests.items()})
    found = {
        f"ways-{way}-against-{control}": _two_sided(
            compare(ppl, way, control), corrected[f"{way}-against-{control}"]
        )
        for way, control in asked
        if way in (*ARRIVING, "optimal")
    }
    found["ways-any"] = _any_smoother([found[f"ways-{way}-against-optimal"] for way in ARRIVING])
    same = pd.Series(np.isclose(ppl["centred"], ppl["optimal"], rtol=1e-3))
    return found | {"ways-centred": _counted(same, "pairs")}


def _two_sided(found: PairedComparison, corrected: float) -> Finding:
    """A way that is smoother holds the claim, a rougher one refutes it, by the protocol's rule."""
    low, high = found.relative_interval
    decided = corrected < LEVEL and not low <= 0 <= high
    return Finding(
        value=number_text(found.relative_improvement, 1, percent=True),
        interval=interval_text(found.relative_interval, 1, percent=True),
        test="Wilcoxon, two-sided, Holm",
        n=found.n,
        unit="pairs",
        verdict=verdict(low, high) if decided else "undecided on this model",
        p_value=corrected,
    )


def _any_smoother(found: Sequence[Finding]) -> Finding:
    """The claim that some way is smoother, from the findings about each."""
    smoother = sum(finding.verdict == "holds" for finding in found)
    rougher = sum(finding.verdict == "does not hold" for finding in found)
    undecided: Verdict = "undecided on this model"
    return Finding(
        value=f"{smoother} of {len(found)} smoother, {rougher} rougher",
        interval="",
        test="counted",
        n=len(found),
        unit="ways",
        verdict="holds" if smoother else "does not hold" if rougher == len(found) else undecided,
    )


def grid_findings(table: pd.DataFrame, manifest: Manifest) -> Findings:
    """Fréchet's objective at the points of each `shape`: `barycenter` and `mean_of_rows`."""
    lower = table["barycenter"] < table["mean_of_rows"]
    return {
        f"central-{shape}": _counted(lower[table["shape"] == shape], "points")
        for shape in ("triangle", "square")
    }


def retiming_findings(table: pd.DataFrame, manifest: Manifest) -> Findings:
    """What steps of equal length do to each coupling, and to the difference between two."""
    sides = tempo.compared(table)

    def side(measure: str, coupling: str, when: str) -> "pd.Series[float]":
        return sides[measure, when].xs(coupling, level="coupling")

    asked = {
        f"retimed-{c}-{m}": (side(m, c, "after"), side(m, c, "before"))
        for c in COUPLINGS
        for m in EVENNESS
    } | {
        f"tempo-{when}-{m}": (side(m, "optimal", when), side(m, "row", when))
        for when in ("before", "after")
        for m in (*EVENNESS, "ppl")
    }
    found = {
        name: compare(pd.DataFrame({"treatment": a, "control": b}), "treatment", "control")
        for name, (a, b) in asked.items()
    }
    corrected = holm({name: result.p_value for name, result in found.items()})
    return {name: _paired(result, corrected[name]) for name, result in found.items()}
