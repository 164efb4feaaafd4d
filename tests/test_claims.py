"""The claims: planted tables decide them as planted, and the pages say what the ledger says."""

import ast
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from docutils.nodes import make_id

from embedding_geometry.ground.places import RESULTS
from embedding_geometry.ground.records import DOSE, POCKET, REPEAT, STUDY
from embedding_geometry.pages import claims, findings
from embedding_geometry.pages.claims import SECTIONS
from embedding_geometry.pages.ledger import count_text, ledger
from embedding_geometry.pages.texts import p_and_n_text, p_number
from embedding_geometry.statistics import by_pair

GRIDS = pd.DataFrame(
    {"shape": ["triangle", "square"], "barycenter": [1.0, 3.0], "mean_of_rows": [2.0, 3.0]}
)
NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
ORDER = pd.DataFrame({"by_order": [1e-6, 3e-6], "by_text": [0.7, 0.9]})


# --- planted tables -----------------------------------------------------------------------------


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
    found = findings.poster_findings(planted_study(gain), {})["poster-2"]
    assert found.verdict.startswith(expected)
    assert (found.n, found.unit) == (18, "pairs")


def test_a_planted_trend_decides_the_third_claim():
    study = planted_study(0.0)
    optimal = study["coupling"] == "optimal"
    study.loc[optimal, "ppl"] *= 1 - study.loc[optimal, "similarity"] / 10
    assert findings.poster_findings(study, {})["poster-3"].verdict == "holds"
    study.loc[optimal, "ppl"] /= (1 - study.loc[optimal, "similarity"] / 10) ** 2
    assert findings.poster_findings(study, {})["poster-3"].verdict == "does not hold"


def test_the_third_claim_states_its_p_value_as_corrected_with_the_other_secondary_ones():
    study = planted_study(0.0)
    optimal = study["coupling"] == "optimal"
    study.loc[optimal, "ppl"] *= 1 - study.loc[optimal, "similarity"] / 10
    found = findings.poster_findings(study, {})["poster-3"]
    free, _ = by_pair.free_and_rigid(study)
    alone = by_pair.correlate(free, free["similarity"]).p_value
    assert found.p_value > alone
    assert found.test == "Spearman, Holm"


def test_a_repeated_study_is_held_against_the_recorded_one():
    repeated = REPEAT.rows()
    assert findings.repeat_findings(repeated, {})["repeated"].value == "2 of 2"
    optimal = repeated["coupling"] == "optimal"
    repeated.loc[optimal, "ppl"] *= 1.1
    found = findings.repeat_findings(repeated, {})["repeated"]
    assert (found.value, found.verdict, found.unit) == ("1 of 2", "does not hold", "verdicts")


def test_an_exploratory_claim_needs_its_corrected_p_value_too():
    assert findings._decide((0.1, 0.2), None) == "holds"
    assert findings._decide((0.1, 0.2), 0.049) == "holds"
    assert findings._decide((0.1, 0.2), 0.05) == "undecided on this model"
    assert findings._decide((-0.2, -0.1), 1.0) == "does not hold"
    assert findings._decide((-0.2, 0.1), 0.01) == "undecided on this model"


def test_secondary_claims_are_corrected_together():
    study = planted_study(0.3)
    found = findings.secondary_findings(study, {})
    assert found["optimal-against-random"].verdict == "holds"
    assert found["row-against-random"].verdict == "undecided on this model"
    alone = by_pair.compare(by_pair.free_and_rigid(study)[0], "optimal", "random").p_value
    assert found["optimal-against-random"].p_value > 5 * alone
    assert all("Holm" in finding.test for finding in found.values())


def test_a_grade_of_one_pair_is_left_out():
    study = planted_study(0.3)
    study = study[(study["similarity"] < 5) | (study["pair_id"] == "p5")]
    assert set(claims.SECONDARY) - set(findings.secondary_findings(study, {})) == {"grade-5"}


def test_one_shorter_path_refutes_the_geodesic():
    study = planted_study(0.0)
    assert findings.path_findings(study, {})["geodesic"].value == "24 of 24"
    row = study["coupling"] == "row"
    study.loc[row & (study["pair_id"] == "p3"), "wasserstein_length"] = 2.9
    found = findings.path_findings(study, {})["geodesic"]
    assert (found.value, found.verdict) == ("23 of 24", "does not hold")


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
    assert "prompt pairs" in found["straight-study"].test
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
    assert {name: (f.value, f.verdict) for name, f in found.items()} == {
        "classic": ("1 of 1", "holds"),
        "unets": ("1 of 2", "does not hold"),
        "joint": ("1 of 1", "holds"),
        "unordered": ("3 of 4", "does not hold"),
        "cause": ("1 of 1", "holds"),
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
    assert found["dose"].value == f"median slope {slope:.2f}".replace("-", "−")
    assert found["dose"].n == 18


@pytest.mark.parametrize(
    ("slope", "expected"),
    [(2.0, "holds"), (-2.0, "does not hold"), (0.0, "undecided on this model")],
)
def test_a_planted_slope_decides_the_claim_about_the_same_scene(slope, expected):
    """Planted where the test looks alone: elsewhere the slope is the opposite."""
    study = POCKET.rows()
    picked = study["pair_id"].isin(DOSE.rows()["pair_id"])
    tested = (study["similarity"] == 5) & (study["stratum"] == "free") & ~picked
    length = np.log(study["wasserstein_length"] / study["w2"])
    noise = np.random.default_rng(4).normal(0, 0.1, len(study))
    study["ppl"] = np.exp(np.where(tested, slope, -3 * slope) * length + noise)
    found = findings.same_scene_findings(study, {})["dose-same-scene"]
    assert (found.verdict, found.n) == (expected, 42)


def test_a_verdict_that_needs_a_test_is_undecided_without_one():
    assert findings._confirmed("holds", 0.049) == "holds"
    assert findings._confirmed("holds", 0.05) == "undecided on this model"
    assert findings._confirmed("does not hold", 0.9) == "does not hold"


def ways_study(gains, pairs=40):
    """A study in which each way gains so much over the optimal coupling, but for noise."""
    rng = np.random.default_rng(2)
    gains = (
        {"row": 0.0, "optimal": 0.0, "entropic-1": 0.5}
        | dict.fromkeys(findings.ARRIVING, 0.0)
        | gains
    )
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
    assert (found["ways-any"].verdict, found["ways-any"].value) == (
        "holds",
        "1 of 6 smoother, 1 rougher",
    )
    assert found["ways-centred"].verdict == "holds"
    rougher = findings.ways_findings(ways_study(dict.fromkeys(findings.ARRIVING, -0.2)), {})
    assert rougher["ways-any"].verdict == "does not hold"
    none = findings.ways_findings(ways_study({}), {})  # a way that does not arrive cannot win
    assert none["ways-any"].verdict == "undecided on this model"


def test_a_claim_about_ways_needs_interval_and_p_value():
    found = by_pair.compare(ways_study({"words": 0.2}).pivot(
        index="pair_id", columns="coupling", values="ppl"), "words", "row")  # fmt: skip
    assert findings._two_sided(found, 0.049).verdict == "holds"
    assert findings._two_sided(found, 0.05).verdict == "undecided on this model"


def test_planted_evenness_decides_the_claims_about_tempo():
    rng = np.random.default_rng(3)
    rows = [
        {"pair_id": f"p{k}", "coupling": coupling, "round": step, "extra": 9 * step,
         "ppl": 1 + 0.01 * rng.normal(), "root_sum": 1.0, "gini": 0.5 - 0.2 * step,
         "maximum_step": 1 + 0.3 * step * (coupling == "row") + 0.01 * rng.normal()}
        for k in range(20)
        for coupling in findings.COUPLINGS
        for step in (0, 1)
    ]  # fmt: skip
    found = findings.retiming_findings(pd.DataFrame(rows), {})
    assert set(found) == set(claims.EVENER)
    assert {found[f"retimed-{c}-gini"].verdict for c in findings.COUPLINGS} == {"holds"}
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


# --- the list -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def entries():
    """The ledger of the recorded tables."""
    return ledger(SECTIONS, "pocket", {"order": ORDER, "grids": GRIDS.assign(barycenter=0.5)})


@pytest.fixture(scope="module")
def found(entries):
    return {entry.claim.identifier: entry.finding for entry in entries}


def test_every_claim_has_one_name_and_a_finding(entries):
    names = [entry.claim.identifier for entry in entries]
    assert len(set(names)) == len(names)
    assert [entry.claim.identifier for entry in entries if entry.finding is None] == []


def test_the_posters_claims_come_first_and_then_the_pages_in_their_order(entries):
    assert [e.claim.identifier for e in entries[:3]] == ["poster-1", "poster-2", "poster-3"]
    later = [entry.section.page for entry in entries[3:]]
    assert later == sorted(later)


def test_statements_are_sentences(entries):
    for entry in entries:
        assert entry.claim.statement.endswith(".")
        assert entry.claim.statement[0].isupper()


def places(page):
    """Where a page can be linked to: its labels, headings and figures."""
    text = (NOTEBOOKS / f"{page}.md").read_text()
    headings = re.findall(r"^#+ (.*)", text, flags=re.MULTILINE)
    labels = re.findall(r"^\(([\w-]+)\)=|^    name: ([\w-]+)", text, flags=re.MULTILINE)
    return {make_id(heading) for heading in headings} | {a or b for a, b in labels}


def test_every_claim_is_shown_at_a_place_that_exists(entries):
    missing = [
        (entry.section.page, entry.claim.anchor)
        for entry in entries
        if entry.claim.anchor not in places(entry.section.page)
    ]
    assert missing == []


def test_titles_are_those_of_the_pages():
    for section in SECTIONS:
        title = re.search(r"^# (.*)", (NOTEBOOKS / f"{section.page}.md").read_text(), re.MULTILINE)
        assert section.title in (title[1], claims.POSTER)


def test_tables_and_manifests_exist_for_pocket():
    for source in {section.source.name: section.source for section in SECTIONS}.values():
        assert source.path("pocket").is_file(), source.command
        assert source.manifest is None or source.file(source.manifest).is_file()


def test_another_models_claims_wait_for_its_study():
    waiting = ledger(SECTIONS, "some/stable-diffusion", {})
    status = {entry.section.source.name: entry.status for entry in waiting}
    assert status["order"] == status[STUDY.name] == "not recorded"
    assert "not recorded" not in {status["atlas"], status["benchmark_study"]}


# --- agreement with the pages -------------------------------------------------------------------


def outputs(page):
    notebook = nbformat.read(NOTEBOOKS / f"{page}.ipynb", as_version=4)
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    return [output for cell in cells for output in cell.outputs if "data" in output]


def glued(page):
    """The texts that an executed page has recorded for its prose, by their names."""
    kind = "application/papermill.record/text/plain"
    return {
        output.metadata["scrapbook"]["name"]: ast.literal_eval(output.data[kind])
        for output in outputs(page)
        if kind in output.data
    }


def table_lines(page):
    """The lines of all tables of an executed page, by their first cell."""
    html = "".join(output.data.get("text/html", "") for output in outputs(page))
    lines = re.findall(r"<tr>\s*<th>(.*?)</th>(.*?)</tr>", html, flags=re.DOTALL)
    return {name: re.findall(r"<td>(.*?)</td>", cells) for name, cells in lines}


def test_the_posters_claims_are_those_of_the_page(found):
    page = glued("06_statistics")
    for number in "23":
        finding = found[f"poster-{number}"]
        assert finding.verdict == page[f"claim_{number}_verdict"]
        measured = page[f"claim_{number}_measured"]
        assert finding.value in measured
        assert f"interval {finding.interval}, {p_and_n_text(finding)})" in measured


def test_the_page_shows_both_runs_of_the_study_with_their_verdicts(found):
    lines = table_lines("06_statistics")
    assert len(set(lines["processor"])) == 2
    for number in "23":
        recorded, repeated = lines[f"claim {number}"]
        finding = found[f"poster-{number}"]
        assert recorded == f"{finding.value} ({finding.interval}): {finding.verdict}"
        assert recorded.partition(": ")[2] == repeated.partition(": ")[2]


def test_the_first_claim_is_computed_twice_with_the_same_result():
    there, here = glued("06_statistics"), outputs("14_ledger")
    [html] = [o.data["text/html"] for o in here if "claim-poster-1" in str(o.data)]
    line = html[html.index('id="claim-poster-1"') :].partition("</tr>")[0]
    assert re.search(r">(relative change [^<]+)<", line)[1] in there["claim_1_measured"]
    assert f">{there['claim_1_verdict']}<" in line
    assert re.search(r">(\d+)\u00a0prompts<", line)[1] in there["claim_1_measured"]


def test_dose_is_that_of_the_page(found):
    page = glued("10_dose")
    for name, slope, interval, status in [
        ("dose", "slope", "slope_interval", "verdict"),
        ("dose-same-scene", "same_slope", "same_interval", "same_verdict"),
        ("dose-beyond-name", "beyond", "beyond_interval", "beyond_verdict"),
    ]:
        finding = found[name]
        assert finding.value.endswith(f"slope {page[slope]}")
        assert (finding.interval, finding.verdict) == (page[interval], page[status])


WAYS_WORDS = {
    "smoother": "holds",
    "rougher": "does not hold",
    "undecided": "undecided on this model",
}


def test_ways_are_those_of_the_page(found):
    page = glued("11_ways")
    assert found["ways-any"].verdict == page["claim_ways"]
    for control in ("optimal", "row"):
        told = {
            way: status
            for word, status in WAYS_WORDS.items()
            for way in page[f"{word}_{control}"].split(", ")
        }
        for way in findings.ARRIVING:
            assert found[f"ways-{way}-against-{control}"].verdict == told[way]
    assert found["ways-optimal-against-row"].verdict == WAYS_WORDS[page["optimal_row"]]


def test_grids_are_those_of_the_page():
    html = "".join(o.data.get("text/html", "") for o in outputs("14_ledger"))
    for shape in ("triangle", "square"):
        line = html[html.index(f'id="claim-central-{shape}"') :].partition("</tr>")[0]
        assert f">{glued('12_barycenters')[f'{shape}_lower']}<" in line


def test_tempo_is_that_of_the_page(found):
    lines = table_lines("13_tokens")
    measures = {"gini": "Gini coefficient", "maximum_step": "largest step", "ppl": "PPL"}
    for name in claims.EVENER:
        kind, what, measure = name.split("-")
        label = f"{what}, re-timed" if kind == "retimed" else f"optimal against row, {what}"
        n, improvement, interval, *_, p_holm = lines[f"{label}: {measures[measure]}"]
        finding = found[name]
        shown = [str(finding.n), finding.value, finding.interval, p_number(finding.p_value)]
        assert [t.replace("&lt;", "<") for t in (n, improvement, interval, p_holm)] == shown


PAGES_NAMES = {
    "rigid-control": "rigid control",
    "root_sum": "sum of roots",
    "maximum_step": "largest step",
    "gini": "Gini coefficient",
}


@pytest.mark.parametrize("name", claims.SECONDARY)
def test_secondary_claims_are_lines_of_the_pages_table(found, name):
    line = table_lines("06_statistics")[PAGES_NAMES.get(name, name.replace("-", " "))]
    n, improvement, interval, *_, p_holm = line
    finding = found[name]
    shown = [str(finding.n), finding.value, finding.interval, p_number(finding.p_value)]
    assert [text.replace("&lt;", "<") for text in (n, improvement, interval, p_holm)] == shown


def test_saving_is_a_line_of_the_pages_table(found):
    rho, interval, p_value = table_lines("06_statistics")["share of length saved"]
    assert found["saving"].value == f"rank correlation {rho}"
    assert found["saving"].interval == interval
    assert p_number(found["saving"].p_value) == p_value.replace("&lt;", "<")


def test_costs_are_those_of_the_page(found):
    page = glued("08_costs")
    assert found["faster-than-tutorials"].value.startswith(page["frame_by_frame"])
    assert float(found["faster-than-batches"].value.split()[0]) == pytest.approx(
        float(page["batch_by_batch"]), abs=0.05
    )
    assert found["faster-than-pot"].value.startswith(page["loop"])
    assert found["faster-than-pools"].value.startswith(page["pool"])
    straight = [found["straight-study"], found["straight-distances"]]
    least = min(straight, key=lambda finding: finding.value)
    assert page["least_straight"] in least.value
    assert least.test.endswith(page["least_straight_axis"])


def test_counts_are_those_of_the_atlas_page(found):
    page = glued("09_atlas")
    assert found["cause"].value == f"{page['n_freed']} of {page['n_sequence']}"
    ordered = int(page["n_measure"]) + int(page["n_multiset"])
    assert found["unordered"].value == f"{ordered} of {page['n_backbones']}"


def test_the_ledgers_page_counts_what_the_ledger_counts(entries):
    page = glued("14_ledger")
    assert page["ledger_count"] == count_text(entries)
    assert page["poster_count"] == count_text(entries[:3])


def test_the_ledger_reads_pockets_study_where_other_results_are_kept_elsewhere(
    tmp_path, monkeypatch
):
    """As pages 5 and 6 do: it comes with the book. Another model's is in the results folder."""
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    for ending in ("_study.csv", "_manifest.json"):
        assert STUDY.file(ending, "pocket").parent == RESULTS
        assert STUDY.file(ending, "some/model").parent == tmp_path
