"""The claims of the poster and of this book, in reading order, and what decides each.

A chapter adds here where its table is recorded (a `Source`), the function that finds what the
table shows, and a `Section` in `SECTIONS`. How a verdict follows:

- a claim that was fixed before its study ran *holds* if the whole 95 % interval of the effect is
  above zero, *does not hold* if none of it is, else it is *undecided* (`statistics.verdict`);
- an exploratory claim holds only if its p-value, corrected for all tests made with it, is also
  below `LEVEL`;
- a claim for which the protocol has a rule of its own follows that: dose and response, other ways;
- a claim about every case of a table holds if there is no exception among them;
- a claim about a time holds if the median time is the shorter one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import linregress, wilcoxon

from embedding_geometry.ground.places import RESULTS
from embedding_geometry.pages.ledger import Claim, Finding, Findings, Manifest, Section, Source
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
from embedding_geometry.study.recorded import (
    REPEAT_COMMAND,
    pocket_study,
    prompt_table,
    study_file,
)

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


# --- where the tables are -----------------------------------------------------------------------


def _of_model(ending: str) -> Callable[[str], Path]:
    """A file of each model's own studies."""
    return lambda model_name: study_file(model_name, ending)


def _of_all(name: str) -> Callable[[str], Path]:
    """A file about this code rather than about a model; it comes with the book."""
    return lambda model_name: RESULTS / name


def _benchmark(name: str) -> Source:
    table, manifest = (_of_all(f"benchmark_{name}.{kind}") for kind in ("csv", "json"))
    return Source(f"benchmark {name}", table, manifest, "make benchmark")


COMPUTED = "python tools/run_notebooks.py notebooks/14_ledger.md"


def _of_pocket(name: str, stem: str, command: str = "make study") -> Source:
    """A study of pocket that comes with the book, whatever the model of the book."""
    table, manifest = (_of_all(f"{stem}_{end}") for end in ("study.csv", "manifest.json"))
    return Source(name, table, manifest, command)


ORDER = Source("order", prompt_table, None, COMPUTED)
GRIDS = Source("grids", prompt_table, None, COMPUTED)
STUDY = Source("study", _of_model("study.csv"), _of_model("manifest.json"), "make study")
ATLAS = Source(
    "atlas",
    _of_all("atlas.csv"),
    _of_all("atlas_manifest.json"),
    "python -m embedding_geometry.atlas --out data/results",
)
POCKET = _of_pocket("pocket", "pocket")
REPEAT = _of_pocket("repeat", "pocket_repeat", REPEAT_COMMAND)
DOSE = _of_pocket("dose", "pocket_dose")
WAYS = _of_pocket("ways", "pocket_ways")
RETIMING = Source(
    "retiming",
    _of_all("pocket_retiming.csv"),
    _of_all("pocket_retiming_manifest.json"),
    "python -m embedding_geometry.tempo",
)


# --- the poster's claims, and the study behind them ---------------------------------------------


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
    first, _ = pocket_study()
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


# --- costs --------------------------------------------------------------------------------------


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


# --- the atlas ----------------------------------------------------------------------------------


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


# --- dose and response --------------------------------------------------------------------------


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
    picked = pocket_study("pocket_dose")[0]["pair_id"]
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


# --- other ways ---------------------------------------------------------------------------------


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


# --- barycenters --------------------------------------------------------------------------------


def grid_findings(table: pd.DataFrame, manifest: Manifest) -> Findings:
    """Fréchet's objective at the points of each `shape`: `barycenter` and `mean_of_rows`."""
    lower = table["barycenter"] < table["mean_of_rows"]
    return {
        f"central-{shape}": _counted(lower[table["shape"] == shape], "points")
        for shape in ("triangle", "square")
    }


# --- tempo --------------------------------------------------------------------------------------


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


# --- all claims, in reading order ---------------------------------------------------------------

POSTER = "The poster's claims"
PATHS = "Paths of clouds"
STATISTICS = "Perceptual path length and statistics"
COSTS = "What it costs"
BACKBONES = "Which models see a prompt as a point cloud?"
DOSES = "Do shorter paths give shorter paths?"
OTHER_WAYS = "Other ways from A to B"
PROMPTS = "More than two prompts"
TEMPO = "Where do the tokens go, and how fast does the picture change?"


def _claims(anchor: str, statements: Mapping[str, str]) -> tuple[Claim, ...]:
    """Claims by their identifiers, all shown at one place of their page."""
    return tuple(Claim(name, statement, anchor) for name, statement in statements.items())


SHORTER = "the optimal coupling has a lower PPL than row order"
SECONDARY = (
    {f"grade-{grade}": f"Among pairs of grade {grade}, {SHORTER}." for grade in GRADES}
    | {
        "rigid-control": f"Where both sentences have the same form, {SHORTER}.",
        "optimal-against-random": "The optimal coupling has a lower PPL than a random one.",
        "row-against-random": "Row order has a lower PPL than a random coupling.",
        "row-against-worst": "Row order has a lower PPL than the worst coupling.",
        "optimal-against-worst": "The optimal coupling has a lower PPL than the worst one.",
        "random-against-worst": "A random coupling has a lower PPL than the worst one.",
    }
    | {
        measure: f"The {name} is lower along the optimal coupling than in row order."
        for measure, name in COMPANIONS.items()
    }
)

SMOOTHER = (
    {"ways-any": "Some other way is smoother than the optimal coupling."}
    | {
        f"ways-{way}-against-{control}": f"The way {way} has a lower PPL than {name}."
        for control, name in {"optimal": "the optimal coupling", "row": "row order"}.items()
        for way in ARRIVING
    }
    | {
        "ways-optimal-against-row": "On the pairs of this study too, " + SHORTER + ".",
        "ways-centred": "The optimal coupling of the centred clouds is the optimal coupling.",
    }
)
EVENER = {
    f"retimed-{coupling}-{measure}": f"Steps of equal length lower the {name}, coupling "
    f"{coupling}."
    for coupling in COUPLINGS
    for measure, name in EVENNESS.items()
} | {
    f"tempo-{when}-{measure}": f"At {times}, the {name} is lower along the optimal coupling than "
    "in row order."
    for when, times in {"before": "equal times", "after": "equal steps"}.items()
    for measure, name in (EVENNESS | {"ppl": "PPL"}).items()
}

SECTIONS: tuple[Section, ...] = (
    Section(
        POSTER,
        "06_statistics",
        ORDER,
        _claims(
            "sec-verdicts",
            {"poster-1": "Poster, claim 1: pictures do not depend on the order of the tokens."},
        ),
        order_findings,
    ),
    Section(
        POSTER,
        "06_statistics",
        STUDY,
        _claims(
            "sec-verdicts",
            {
                "poster-2": f"Poster, claim 2: {SHORTER}.",
                "poster-3": "Poster, claim 3: the improvement is greater for more similar "
                "prompts.",
            },
        ),
        poster_findings,
    ),
    Section(
        PATHS,
        "04_paths",
        STUDY,
        _claims(
            "length",
            {
                "geodesic": "The path of clouds along the optimal coupling is as long as the "
                "Wasserstein distance of its ends, and no other coupling's is shorter.",
                "row-is-longer": "The path of clouds is shorter along the optimal coupling than "
                "in row order.",
            },
        ),
        path_findings,
    ),
    Section(
        STATISTICS,
        "06_statistics",
        REPEAT,
        _claims(
            "on-another-processor",
            {
                "repeated": "Computed again on another processor, the study leads to the same "
                "verdicts on the poster's claims 2 and 3."
            },
        ),
        repeat_findings,
    ),
    Section(
        STATISTICS,
        "06_statistics",
        STUDY,
        _claims("secondary-comparisons", SECONDARY)
        + _claims(
            "improvement-and-similarity",
            {
                "saving": "The improvement is greater where the optimal coupling shortens the "
                "path of clouds by more."
            },
        ),
        secondary_findings,
    ),
    Section(
        COSTS,
        "08_costs",
        _benchmark("study"),
        _claims(
            "a-study-s-cell",
            {
                "faster-than-tutorials": "A study is faster than the tutorials' loop, frame by "
                "frame.",
                "faster-than-batches": "A study is faster than the same libraries batch by batch.",
            },
        ),
        study_cost_findings,
    ),
    Section(
        COSTS,
        "08_costs",
        _benchmark("wasserstein"),
        _claims(
            "distances-between-all-pairs",
            {
                "faster-than-pot": "All Wasserstein distances are found faster than by a loop "
                "over POT's exact solver.",
                "faster-than-pools": "They are found faster than by POT or SciPy in a pool of "
                "processes.",
            },
        ),
        distance_cost_findings,
    ),
    Section(
        COSTS,
        "08_costs",
        _benchmark("costs"),
        _claims(
            "how-the-time-grows",
            {
                "straight-study": "The time of a study grows along a straight line with frames "
                "and with prompt pairs.",
                "straight-distances": "The time of the distances grows along a straight line "
                "with pairs of clouds and with dimensions.",
            },
        ),
        size_findings,
    ),
    Section(
        BACKBONES,
        "09_atlas",
        ATLAS,
        _claims(
            "the-atlas",
            {
                "classic": "Stable Diffusion 1, 2 and XL see their text as a measure.",
                "unets": "Every UNet of the atlas sees its text as a measure.",
                "joint": "Every model with joint attention whose text tokens have no places of "
                "their own sees its text as a multiset.",
                "unordered": "The poster's claim 1 holds for every model of the atlas: the order "
                "of the tokens does not matter.",
            },
        )
        + _claims(
            "why",
            {"cause": "Where the order matters, it stops mattering once its cause is taken out."},
        ),
        atlas_findings,
    ),
    Section(
        DOSES,
        "10_dose",
        DOSE,
        _claims(
            "slopes-within-pairs",
            {
                "dose": "The shorter the path of clouds, the lower the PPL.",
            },
        )
        + _claims(
            "a-model-of-all-pairs-together",
            {
                "dose-beyond-name": "Beyond the coupling's name, too, the shorter the path of "
                "clouds, the lower the PPL."
            },
        ),
        dose_findings,
    ),
    Section(
        DOSES,
        "10_dose",
        POCKET,
        _claims(
            "the-same-scene-on-other-pairs",
            {
                "dose-same-scene": "Between two descriptions of the same scene, the shorter the "
                "path of clouds, the lower the PPL."
            },
        ),
        same_scene_findings,
    ),
    Section(
        OTHER_WAYS,
        "11_ways",
        WAYS,
        _claims("which-way-is-smoother", SMOOTHER),
        ways_findings,
    ),
    Section(
        PROMPTS,
        "12_barycenters",
        GRIDS,
        _claims(
            "barycenter-against-mean-of-rows",
            {
                f"central-{shape}": f"At every point of the {shape} that is no corner, the "
                "barycenter is more central than the mean of rows."
                for shape in ("triangle", "square")
            },
        ),
        grid_findings,
    ),
    Section(
        TEMPO,
        "13_tokens",
        RETIMING,
        _claims("what-it-does-to-every-coupling", EVENER),
        retiming_findings,
    ),
)
