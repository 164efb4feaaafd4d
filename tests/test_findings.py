"""Findings: planted tables decide the claims as planted."""

import numpy as np
import pandas as pd
import pytest
from study_tables import rivals_study

from embedding_geometry.ground.records import DOSE, FIRST_REPEAT, STUDY
from embedding_geometry.ground.types import COUPLINGS
from embedding_geometry.pages import findings, texts
from embedding_geometry.statistics import by_pair
from embedding_geometry.statistics.comparisons import ARRIVING

GRIDS = pd.DataFrame(
    {"shape": ["triangle", "square"], "barycenter": [1.0, 3.0], "mean_of_rows": [2.0, 3.0]}
)


def planted_study(gain, spread=0.02, pairs=24, seed=0):
    """A study in which the optimal coupling gains `gain` in every grade, the others nothing."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(pairs):
        level = 10 ** rng.uniform(-2, 0)
        for coupling in ("row", "optimal", "random", "worst"):
            better = gain if coupling == "optimal" else 0.0
            ppl = level * (1 - better + spread * rng.normal())
            length = 3.0 if coupling == "optimal" else 3.5 + rng.uniform()
            rows.append(
                {"pair_id": f"p{k}", "similarity": float(k % 6), "coupling": coupling, "seed": 0,
                 "stratum": "rigid" if k >= pairs - 6 else "free", "w2": 3.0, "ppl": ppl,
                 "root_sum": ppl, "gini": ppl, "maximum_step": ppl, "wasserstein_length": length}
            )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("gain", "expected"), [(0.3, "holds"), (-0.3, "does not hold"), (0.0, "undecided")]
)
def test_a_planted_gain_decides_the_second_claim(gain, expected):
    found = findings.coupling_findings(planted_study(gain), {})["poster-2"]
    assert found.verdict.startswith(expected)
    assert (found.n, found.unit) == (18, "pairs")


def test_a_planted_trend_decides_the_third_claim():
    study = planted_study(0.0)
    optimal = study["coupling"] == "optimal"
    study.loc[optimal, "ppl"] *= 1 - study.loc[optimal, "similarity"] / 10
    assert findings.coupling_findings(study, {})["poster-3"].verdict == "holds"
    study.loc[optimal, "ppl"] /= (1 - study.loc[optimal, "similarity"] / 10) ** 2
    assert findings.coupling_findings(study, {})["poster-3"].verdict == "does not hold"


def test_the_third_claim_states_its_p_value_as_corrected_with_the_other_secondary_ones():
    study = planted_study(0.0)
    optimal = study["coupling"] == "optimal"
    study.loc[optimal, "ppl"] *= 1 - study.loc[optimal, "similarity"] / 10
    found = findings.coupling_findings(study, {})["poster-3"]
    free, _ = by_pair.free_and_rigid(study)
    alone = by_pair.correlate(free, free["similarity"]).p_value
    assert found.p_value > alone
    assert found.corrected


def test_a_repeated_study_is_held_against_the_recorded_one():
    repeated = FIRST_REPEAT.rows()
    assert findings.repeat_findings(repeated, {})["repeated"].estimate == 2
    optimal = repeated["coupling"] == "optimal"
    repeated.loc[optimal, "ppl"] *= 1.1
    found = findings.repeat_findings(repeated, {})["repeated"]
    assert (found.estimate, found.verdict, found.unit) == (1, "does not hold", "verdicts")


def test_secondary_claims_are_corrected_together():
    study = planted_study(0.3)
    found = findings.coupling_findings(study, {})
    assert found["optimal-against-random"].verdict == "holds"
    assert found["row-against-random"].verdict == "undecided on this model"
    alone = by_pair.compare(by_pair.free_and_rigid(study)[0], "optimal", "random").p_value
    assert found["optimal-against-random"].p_value > 5 * alone
    assert {name for name, finding in found.items() if not finding.corrected} == {"poster-2"}


def test_a_grade_of_one_pair_is_left_out():
    study = planted_study(0.3)
    study = study[(study["similarity"] < 5) | (study["pair_id"] == "p5")]
    whole = findings.coupling_findings(planted_study(0.3), {})
    assert set(whole) - set(findings.coupling_findings(study, {})) == {"grade-5"}


def test_one_shorter_path_refutes_the_geodesic():
    study = planted_study(0.0)
    assert findings.path_findings(study, {})["geodesic"].estimate == 24
    row = study["coupling"] == "row"
    study.loc[row & (study["pair_id"] == "p3"), "wasserstein_length"] = 2.9
    found = findings.path_findings(study, {})["geodesic"]
    assert (found.estimate, found.verdict) == (23, "does not hold")


@pytest.mark.parametrize(
    ("by_order", "by_text", "expected"),
    [(9e-4, 0.011, "holds"), (1.1e-3, 0.5, "does not hold"), (1e-6, 0.009, "does not hold")],
)
def test_order_and_text_decide_the_first_claim(by_order, by_text, expected):
    table = pd.DataFrame({"by_order": [1e-7, by_order], "by_text": [0.9, by_text]})
    found = findings.order_findings(table, {})["poster-1"]
    assert (found.verdict, found.n) == (expected, 2)


def test_the_faster_one_has_the_claim():
    table = pd.DataFrame(
        {"what": ["study", "batch by batch", "frame by frame"], "times the study's": [1, 0.9, 4.0]}
    )
    found = findings.study_cost_findings(table, {"rounds": 3})
    assert found["faster-than-tutorials"].verdict == "holds"
    assert found["faster-than-batches"].verdict == "does not hold"
    assert found["faster-than-tutorials"].n == 3


def test_a_bent_line_is_not_straight():
    sizes = np.arange(1, 6)
    panels = {
        ("study", "frames"): 2 * sizes,
        ("study", "prompt pairs"): sizes**3,
        ("distances", "pairs of clouds"): 3 + sizes,
        ("distances", "tokens"): sizes**3,
    }
    table = pd.concat(
        pd.DataFrame({"what": what, "axis": axis, "size": sizes, "seconds": seconds})
        for (what, axis), seconds in panels.items()
    )
    found = findings.size_findings(table, {})
    assert found["straight-study"].verdict == "does not hold"
    assert "prompt pairs" in found["straight-study"].facts
    assert found["straight-distances"].verdict == "holds"  # none is claimed for tokens
    assert found["straight-distances"].n == 5


def test_one_exception_refutes_a_claim_about_all_models():
    atlas = pd.DataFrame(
        [("Stable Diffusion 1", "UNet", "measure", None), ("New", "UNet", "multiset", None),
         ("Old", "UNet", "absent", None), ("FLUX.1", "joint attention", "multiset", None),
         ("FLUX.2", "text with positions", "sequence", "multiset")],
        columns=["model", "family", "verdict", "verdict_removed"],
    )  # fmt: skip
    found = findings.atlas_findings(atlas, {})
    assert {name: (f.estimate, f.n, f.verdict) for name, f in found.items()} == {
        "classic": (1, 1, "holds"),
        "unets": (1, 2, "does not hold"),
        "joint": (1, 1, "holds"),
        "unordered": (3, 4, "does not hold"),
        "cause": (1, 1, "holds"),
    }


def dose_study(slope, pairs=18):
    """A study in which log PPL rises by `slope` per unit of log length, but for noise."""
    rng = np.random.default_rng(1)
    rows = []
    for k in range(pairs):
        level = rng.normal(0, 2)
        for coupling, length in {"optimal": 1.0, "row": 1.2, "random": 1.5, "worst": 1.9}.items():
            for seed in (0, 1):
                dose = np.log(length * (1 + 0.05 * rng.uniform() * (coupling != "optimal")))
                ppl = np.exp(level + slope * dose + 0.01 * rng.normal())
                rows.append(
                    {"pair_id": f"p{k}", "similarity": float(k % 6), "coupling": coupling,
                     "seed": seed, "w2": 3.0, "wasserstein_length": 3 * np.exp(dose), "ppl": ppl,
                     "root_sum": np.sqrt(ppl)}
                )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("slope", "expected"), [(2.0, "holds"), (-2.0, "does not hold")])
def test_a_planted_slope_decides_the_claims_about_dose(slope, expected):
    found = findings.dose_findings(dose_study(slope), {})
    assert {finding.verdict for finding in found.values()} == {expected}
    assert found["dose"].estimate == pytest.approx(slope, abs=0.01)
    assert found["dose"].n == 18


@pytest.mark.parametrize(("model", "n"), [("pocket", 42), ("menagerie", 50)])
@pytest.mark.parametrize(
    ("slope", "expected"),
    [(2.0, "holds"), (-2.0, "does not hold"), (0.0, "undecided on this model")],
)
def test_a_planted_slope_decides_the_claim_about_the_same_scene(model, n, slope, expected):
    """Planted where the test looks alone: elsewhere the slope is the opposite."""
    study, manifest = STUDY.read(model)
    picked = study["pair_id"].isin(DOSE.rows(model)["pair_id"])
    tested = (study["similarity"] == 5) & (study["stratum"] == "free") & ~picked
    length = np.log(study["wasserstein_length"] / study["w2"])
    noise = np.random.default_rng(4).normal(0, 0.1, len(study))
    study["ppl"] = np.exp(np.where(tested, slope, -3 * slope) * length + noise)
    found = findings.same_scene_findings(study, manifest)["dose-same-scene"]
    assert (found.verdict, found.n) == (expected, n)


def test_without_a_study_of_the_dose_nothing_is_said_of_the_same_scene():
    manifest = {"model": {"name": "some/model"}}
    assert findings.same_scene_findings(STUDY.rows(), manifest) == {}


def ways_study(gains, pairs=40):
    """A study in which each way gains so much over the optimal coupling, but for noise."""
    rng = np.random.default_rng(2)
    gains = {"row": 0.0, "optimal": 0.0, "entropic-1": 0.5} | dict.fromkeys(ARRIVING, 0.0) | gains
    rows = [
        {"pair_id": f"p{k}", "coupling": way, "ppl": 1 - gain + 0.02 * rng.normal()}
        for k in range(pairs)
        for way, gain in gains.items()
    ]
    optimal = [row for row in rows if row["coupling"] == "optimal"]
    return pd.DataFrame(rows + [row | {"coupling": "centred"} for row in optimal])


def test_a_smoother_way_holds_the_claim_and_all_rougher_ones_refute_it():
    found = findings.ways_findings(ways_study({"words": 0.2, "cosine": -0.2}), {})
    assert found["ways-words-against-optimal"].verdict == "holds"
    assert found["ways-cosine-against-row"].verdict == "does not hold"
    assert found["ways-whitened-against-row"].verdict == "undecided on this model"
    some = found["ways-any"]
    assert (some.verdict, some.estimate, some.facts, some.n) == ("holds", 1, (1,), 6)
    assert found["ways-centred"].verdict == "holds"
    rougher = findings.ways_findings(ways_study(dict.fromkeys(ARRIVING, -0.2)), {})
    assert rougher["ways-any"].verdict == "does not hold"
    none = findings.ways_findings(ways_study({}), {})  # a way that does not arrive cannot win
    assert none["ways-any"].verdict == "undecided on this model"


def test_planted_evenness_decides_the_claims_about_tempo():
    rng = np.random.default_rng(3)
    rows = [
        {"pair_id": f"p{k}", "coupling": coupling, "round": step, "extra": 9 * step,
         "ppl": 1 + 0.01 * rng.normal(), "root_sum": 1.0, "gini": 0.5 - 0.2 * step,
         "maximum_step": 1 + 0.3 * step * (coupling == "row") + 0.01 * rng.normal()}
        for k in range(20)
        for coupling in COUPLINGS
        for step in (0, 1)
    ]  # fmt: skip
    found = findings.retiming_findings(pd.DataFrame(rows), {})
    assert {found[f"retimed-{c}-gini"].verdict for c in COUPLINGS} == {"holds"}
    assert found["retimed-row-maximum_step"].verdict == "does not hold"
    assert found["tempo-after-maximum_step"].verdict == "holds"
    assert found["tempo-before-maximum_step"].verdict == "undecided on this model"
    assert found["tempo-after-gini"].verdict == "does not hold"  # no difference at all


def test_the_barycenter_is_compared_at_every_point():
    found = findings.grid_findings(GRIDS, {})
    assert {name: f.verdict for name, f in found.items()} == {
        "central-triangle": "holds",
        "central-square": "does not hold",  # as central as the mean is not more central
    }


def test_a_rival_is_better_only_if_it_is_as_faithful():
    """A cross-fade is the smoothest, and better than nothing; `outer` is, and makes the claim."""
    ways = {"row": (1, 1, 2), "optimal": (0.95, 1, 2), "outer": (0.7, 1, 2),
            "cross-fade": (0.3, 0.6, 0.2)}  # fmt: skip
    found = findings.rivals_findings(rivals_study(ways), {})
    assert {name: f.verdict for name, f in found.items()} == {
        "rivals-outer-against-optimal": "holds",
        "rivals-cross-fade-against-optimal": "does not hold",
        "rivals-outer-against-row": "holds",
        "rivals-cross-fade-against-row": "does not hold",
        "rivals-optimal-against-row": "holds",
        "rivals-any": "holds",
        "rivals-sensitive": "holds",
    }
    fade = found["rivals-cross-fade-against-row"]
    assert fade.estimate == pytest.approx(0.7, abs=0.02)
    assert fade.interval[0] < fade.estimate < fade.interval[1]
    assert texts.effect_text(fade).startswith("70.")
    assert texts.test_text(fade).startswith("Wilcoxon, two-sided; realism 0.60 times, [0.5")
    assert texts.effect_text(found["rivals-any"]) == "1 of 2 better"
    assert found["rivals-sensitive"].estimate == pytest.approx(0.4, abs=0.02)
    without = {way: planted for way, planted in ways.items() if way != "outer"}
    assert findings.rivals_findings(rivals_study(without), {})["rivals-any"].verdict == (
        "does not hold"
    )
