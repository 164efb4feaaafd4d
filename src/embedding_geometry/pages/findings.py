"""What the recorded tables show of each claim: the analyses of `statistics`, and their verdicts.

How a verdict follows:

- a claim that was fixed before its study ran *holds* if the whole 95 % interval of the effect is
  above zero, *does not hold* if none of it is, else it is *undecided* (`statistics.verdict`);
- an exploratory claim holds only if its p-value, corrected for all tests made with it, is also
  below `statistics.verdicts.LEVEL`;
- a claim for which the protocol has a rule of its own follows that: dose and response, other
  ways, rivals;
- a claim about every case of a table holds if there is no exception among them;
- a claim about a time holds if the median time is the shorter one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from embedding_geometry.ground.records import DOSE, FIRST, Manifest
from embedding_geometry.statistics import comparisons, dose, rivals
from embedding_geometry.statistics.comparisons import ARRIVING, Family
from embedding_geometry.statistics.estimates import Correlation, Interval
from embedding_geometry.statistics.growth import straight_lines
from embedding_geometry.statistics.paired import PairedComparison
from embedding_geometry.statistics.verdicts import Verdict, confirmed, verdict

Kind = Literal[
    "improvement",
    "rank correlation",
    "median slope",
    "slope",
    "change",
    "count",
    "smoother",
    "better",
    "straightness",
    "speed",
]
UNCHANGED, CHANGED = 1e-3, 1e-2  # of the first claim, by the protocol
STRAIGHT = 0.99  # the R² from which on points are called a straight line


@dataclass(frozen=True)
class Finding:
    """What a recorded table shows about a claim, in numbers; `texts` writes them.

    Attributes:
        kind: what the effect is.
        estimate: the effect, positive where it speaks for the claim.
        interval: its 95 % interval, or None where all cases were counted.
        test: how it was decided; braces stand for `facts`.
        n: on how many cases it rests.
        unit: what these are, such as "pairs".
        verdict: what follows.
        p_value: of the test, if there is one.
        corrected: whether the p-value is corrected by Holm's method.
        facts: what else the texts of effect and test quote.
    """

    kind: Kind
    estimate: float
    interval: Interval | None
    test: str
    n: int
    unit: str
    verdict: Verdict
    p_value: float | None = None
    corrected: bool = False
    facts: tuple[float | str, ...] = ()


Findings = Mapping[str, Finding]


# --- the poster's claims and the study ----------------------------------------------------------


def order_findings(table: pd.DataFrame, manifest: Manifest) -> Findings:
    """What shuffling the tokens changes: columns `by_order` and `by_text`, one row per prompt."""
    largest, smallest = table["by_order"].max(), float(table["by_text"].min())
    true, n = largest < UNCHANGED and smallest > CHANGED, (len(table), "prompts")
    test = "below {:g}; another text changes at least {:.1f}"
    return {"poster-1": _decided(true, "change", largest, n, test, UNCHANGED, smallest)}


def coupling_findings(study: pd.DataFrame, manifest: Manifest) -> Findings:
    """The poster's claims 2 and 3, and the secondary ones of the protocol.

    The second claim is decided by the primary comparison, the third by a rank correlation. The
    p-values of all but the primary comparison are corrected together by Holm's method. Only the
    third claim's verdict follows from the interval alone: so the protocol has it.
    """
    made = comparisons.compare_couplings(study)
    p_value = made.corrected["similarity"]
    third = replace(_correlated(made.similarity), p_value=p_value, corrected=True)
    return {
        "poster-2": _paired(made.primary),
        "poster-3": third,
        **_family(Family(made.secondary, made.corrected)),
        "saving": _correlated(made.saving, made.corrected["saving"]),
    }


def poster_effects(study: pd.DataFrame) -> Findings:
    """The poster's two with the third claim's p-value as it is alone: no other test is made."""
    primary, similarity = comparisons.primary_effects(study)
    return {"poster-2": _paired(primary), "poster-3": _correlated(similarity)}


def repeat_findings(repeated: pd.DataFrame, manifest: Manifest) -> Findings:
    """Whether the first study, computed again on another processor, led to the same verdicts."""
    studies = FIRST.rows(), repeated
    verdicts = [[f.verdict for f in poster_effects(study).values()] for study in studies]
    return {"repeated": _counted(pd.Series(verdicts[0]) == verdicts[1], "verdicts")}


def path_findings(study: pd.DataFrame, manifest: Manifest) -> Findings:
    """The length of the paths of clouds: the optimal one is the shortest there can be."""
    geodesic, longer = comparisons.compare_lengths(study)
    return {"geodesic": _counted(geodesic, "pairs"), "row-is-longer": _paired(longer)}


def _paired(found: PairedComparison, corrected: float | None = None) -> Finding:
    """A comparison; an exploratory claim also needs its corrected p-value."""
    effect, interval = found.relative_improvement, found.relative_interval
    finding = _estimated("improvement", effect, interval, found.n, "Wilcoxon, one-sided")
    return _tested(finding, found.p_value, corrected)


def _correlated(found: Correlation, corrected: float | None = None) -> Finding:
    """A rank correlation; an exploratory claim also needs its corrected p-value."""
    finding = _estimated("rank correlation", found.rho, found.interval, found.n, "Spearman")
    return _tested(finding, found.p_value, corrected)


def _family(family: Family) -> Findings:
    return {name: _paired(each, family.corrected[name]) for name, each in family.found.items()}


# --- kinds of findings --------------------------------------------------------------------------


def _estimated(kind: Kind, estimate: float, interval: Interval, n: int, test: str) -> Finding:
    """An effect over pairs, decided by its interval."""
    return Finding(kind, estimate, interval, test, n, "pairs", verdict(*interval))


def _tested(finding: Finding, p_value: float, corrected: float | None) -> Finding:
    """The same with the p-value of its test, which decides, too, where it is corrected."""
    if corrected is None:
        return replace(finding, p_value=p_value)
    status = confirmed(finding.verdict, corrected)
    return replace(finding, verdict=status, p_value=corrected, corrected=True)


def _decided(
    true: bool | np.bool,
    kind: Kind,
    estimate: float,
    cases: tuple[int, str],
    test: str,
    *facts: float | str,
) -> Finding:
    """A claim that is true or false, without an interval, and on how many cases of what."""
    status: Verdict = "holds" if true else "does not hold"
    return Finding(kind, float(estimate), None, test, *cases, status, facts=facts)


def _counted(cases: "pd.Series[bool]", unit: str) -> Finding:
    """A claim about every case."""
    agreeing, n = float(cases.sum()), len(cases)
    return _decided(agreeing == n > 0, "count", agreeing, (n, unit), "counted")


# --- what it costs ------------------------------------------------------------------------------


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
    straightness = straight_lines(times)["r_squared"]
    axis, least = str(straightness.idxmin()), float(straightness.min())
    test = "least squares, above {:g}; the least for {}"
    times_of = len(times), "times"
    return _decided(least > STRAIGHT, "straightness", least, times_of, test, STRAIGHT, axis)


def _faster(ratio: float, manifest: Manifest) -> Finding:
    rounds = manifest["rounds"], "rounds"
    return _decided(ratio > 1, "speed", ratio, rounds, "median time, in turns")


# --- models, doses, ways, more than two prompts, tempo ------------------------------------------


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
    of_all = beyond.pairs, "mixed-effects model"
    slope = dose.median_slope(dose.pair_slopes(cells))
    return {
        "dose": _slope(slope, "median of slopes within pairs"),
        "dose-beyond-name": _estimated("slope", beyond.slope, beyond.interval, *of_all),
    }


def same_scene_findings(study: pd.DataFrame, manifest: Manifest) -> Findings:
    """The slope of grade 5, on pairs of a model's study that are not in the one of the dose."""
    model = manifest["model"]["name"]
    if not DOSE.recorded(model):
        return {}
    found, p_value = dose.same_scene_slope(study, DOSE.rows(model)["pair_id"])
    slope = _slope(found, "Wilcoxon, one-sided")
    decided = confirmed(slope.verdict, p_value)  # the protocol asks for a test, which has to agree
    return {"dose-same-scene": replace(slope, verdict=decided, p_value=p_value)}


def _slope(found: dose.MedianSlope, test: str) -> Finding:
    return _estimated("median slope", found.estimate, found.interval, found.n, test)


def ways_findings(study: pd.DataFrame, manifest: Manifest) -> Findings:
    """Each way against the optimal coupling and row order; the tests have two sides."""
    ways = comparisons.compare_ways(study)
    found = {
        f"ways-{name}": replace(
            finding, test="Wilcoxon, two-sided", verdict=comparisons.way_verdict(ways, name)
        )
        for name, finding in _family(ways).items()
    }
    verdicts = [found[f"ways-{way}-against-optimal"].verdict for way in ARRIVING]
    found["ways-any"] = _some("smoother", verdicts, float(verdicts.count("does not hold")))
    return found | {"ways-centred": _counted(comparisons.centring_agrees(study), "pairs")}


def rivals_findings(study: pd.DataFrame, manifest: Manifest) -> Findings:
    """Each way against the optimal coupling and row order: smoother at no loss of fidelity?"""
    made = rivals.compare_rivals(study)
    found = {f"rivals-{duel.way}-against-{duel.control}": _duel(duel) for duel in made.duels}
    some = _some("better", [duel.better for duel in made.against("optimal").values()])
    return found | {"rivals-any": some, "rivals-sensitive": _sensitive(made)}


def _duel(duel: rivals.Duel) -> Finding:
    """By how much a way's PPL is lower, decided by its fidelity, too."""
    low, high = duel.ppl.interval
    return Finding(
        "improvement",
        1 - duel.ppl.ratio,
        (1 - high, 1 - low),
        "Wilcoxon, two-sided; realism {:.2f} times, [{:.2f} to {:.2f}]",
        duel.ppl.n,
        "pairs",
        duel.better,
        duel.corrected,
        corrected=True,
        facts=(duel.realism.ratio, *duel.realism.interval),
    )


def _sensitive(made: rivals.Rivals) -> Finding:
    """Whether the cross-fade, the way that is smooth and false, is found to be a loss."""
    loss = made.against("row")[rivals.NULL].realism
    low, high = loss.interval
    return replace(
        _decided(made.sensitive, "improvement", 1 - loss.ratio, (loss.n, "pairs"),
                 "whole interval above {:.0%}", rivals.MARGIN),
        interval=(1 - high, 1 - low),
    )  # fmt: skip


def _some(kind: Kind, verdicts: list[Verdict], *facts: float) -> Finding:
    """The claim that some way is smoother or better, from the verdicts on each."""
    held, n, status = verdicts.count("holds"), len(verdicts), comparisons.any_smoother(verdicts)
    return Finding(kind, float(held), None, "counted", n, "ways", status, facts=facts)


def grid_findings(table: pd.DataFrame, manifest: Manifest) -> Findings:
    """Fréchet's objective at the points of each `shape`: `barycenter` and `mean_of_rows`."""
    lower = table["barycenter"] < table["mean_of_rows"]
    return {
        f"central-{shape}": _counted(lower[table["shape"] == shape], "points")
        for shape in ("triangle", "square")
    }


def retiming_findings(table: pd.DataFrame, manifest: Manifest) -> Findings:
    """What steps of equal length do to each coupling, and to the difference between two."""
    return _family(comparisons.compare_retimed(comparisons.before_and_after(table)))
