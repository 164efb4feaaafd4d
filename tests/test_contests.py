"""The tables and sentences of the page on rivals, from studies with planted ways of two models."""

import numpy as np
import pandas as pd
import pytest
from study_tables import MANIFEST, rivals_study

from embedding_geometry.ground.records import write_record
from embedding_geometry.pages import contests

# PPL and realism as multiples of row order's, and rows of the UNet a frame
ONE = {
    "row": (1, 1, 2),
    "optimal": (0.9, 1, 2),
    "outer": (0.6, 1, 2),
    "late-switch": (1.5, 1, 2),
    "cross-fade": (0.3, 0.6, 0.2),
}
BLIND = {way: (ppl, 1, rows) for way, (ppl, _, rows) in ONE.items()}
NAMES = ("some/one", "some/two", "some/three", "some/four")


def record(folder, model, ways, pairs=18):
    """A study of rivals and its re-timing, which halves the differences from row order."""
    study = rivals_study(ways, pairs, noise=0.0)
    still = (study["pair_id"] == "p00") & (study["coupling"] == "outer")
    study.loc[still, "ppl"] = 0.0
    study.to_csv(folder / f"{model}_rivals_study.csv", index=False)
    (folder / f"{model}_rivals_manifest.json").write_text("{}")
    kernels = {"grade": "all", "reference": "held-out", "kid": -0.15, "low": -0.2, "high": -0.1}
    duels = [{"coupling": w, "control": c} for w in ways for c in ("optimal", "row") if w != c]
    table = pd.DataFrame([kernels | duel for duel in duels])
    table.to_csv(folder / f"{model}_rivals_fidelity.csv", index=False)
    first = study[study["seed"] == 0].assign(round=0)
    part = first["coupling"].map({way: planted[0] for way, planted in ways.items()})
    again = first.assign(round=1, ppl=first["ppl"] / part**0.5)
    write_record(folder / f"{model}_rivals_retiming", pd.concat([first, again]), MANIFEST)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """On the first model `outer` is better; on the second realism is blind; two more lack records.

    The re-timing of the third is missing, and the fourth has nothing.
    """
    folder = tmp_path_factory.mktemp("results")
    record(folder, "one", ONE)
    for model in ("two", "three"):
        record(folder, model, BLIND)
    (folder / "three_rivals_retiming.csv").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(folder))
        yield contests.recorded(NAMES)


def test_models_without_a_comparison_are_left_out_unless_none_has_one(
    found, tmp_path, monkeypatch
):
    assert list(found) == ["one", "two"]
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"four_rivals_study\.csv; `python -m .*study"):
        contests.recorded(NAMES[3:])


def test_a_comparison_without_its_retiming_is_named_where_there_is_no_other(tmp_path, monkeypatch):
    record(tmp_path, "three", ONE)
    (tmp_path / "three_rivals_retiming.csv").unlink()
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"three_rivals_retiming\.csv; `python -m .*tempo"):
        contests.recorded(NAMES[2:])


def test_each_way_stands_against_the_control_on_both_models(found):
    table = contests.duel_table(found, "optimal")
    assert list(table.index) == ["outer", "late-switch", "cross-fade"]
    assert table.loc["outer", ("one", "verdict")] == "better"
    assert table.loc["outer", ("two", "verdict")] == "undecided"
    assert table.loc["outer", ("one", "PPL")].startswith("0.67 [0.6")
    assert list(contests.duel_table(found, "row").index)[-1] == "optimal"


def test_what_the_measure_can_tell_is_said_of_each_model(found):
    table = contests.control_table(found)
    assert table.loc["pairs"].tolist() == ["17", "17"]
    assert table.loc["pairs without a ratio"].tolist() == ["p00", "p00"]
    assert table.loc["a loss is told"].tolist() == ["yes", "no"]
    assert table.loc["beside that the margin is"].tolist() == ["generous", "generous"]
    # the kernel distance of all ways is surely less, which contradicts what surely is a loss
    assert "cross-fade against row" in table.loc["kernel distance contradicts", "one"]


def test_costs_and_medians_are_those_that_were_measured(found):
    costs = contests.cost_table(found)
    assert costs["one"]["rows a frame"].to_dict()["cross-fade"] == "0.20"
    assert list(costs["one"]) == ["rows a frame", "pictures"]  # no judge was asked
    medians = contests.median_table(found)
    assert medians.index[0] == ("one", "row")
    assert len(medians) == 2 * len(ONE)
    assert "PPL, VGG16" not in medians


def test_kernel_distances_stand_beside_what_they_exceed_the_controls_by(found):
    table = contests.kernel_table(found).loc["one", "held-out"]
    assert list(table) == ["less optimal", "less row"]
    assert table.loc["outer", "less row"].replace("\u00a0", " ") == ("−0.150 [−0.200 to −0.100]")
    assert table.loc["row", "less row"] == "–"


def test_timing_is_told_of_ways_that_differed(found):
    table = contests.timing_table(found)["one"]
    assert "row" not in table.index
    assert table.loc["late-switch", "timing"] == "50 %".replace(" ", "\u202f")
    assert table.loc["late-switch", "equal times"].startswith("1.5")
    assert table.loc["late-switch", "equal steps"].startswith("1.2")
    sure = {"ppl": [1, 1.1], "ppl_low": [1, 0.9], "ppl_high": [1, 1.3]}
    before = pd.DataFrame(sure, ["row", "unsure"])
    assert contests._timing(before, before)["timing"].to_dict() == {"unsure": "–"}


def test_timing_is_summed_up_over_the_ways_that_surely_differ(found):
    assert contests.timing_sentence(found) == (
        "Of a way's difference from row order, timing makes 50\u202f% on one (median of 4 that "
        "surely differ) and 50\u202f% on two (median of 4 that surely differ)"
    )


def test_planes_stand_by_model_and_by_grade(found):
    assert list(contests.planes(found)) == ["one, n = 17", "two, n = 17"]
    assert contests.fronts(found)["one, n = 17"][0] == "cross-fade"
    assert list(contests.retimed_planes(found)) == ["one, n = 17", "two, n = 17"]
    grades = list(contests.grade_planes(found))
    # p00, which has no ratio, is of grade 5
    assert grades[:3] == ["one, grade 5", "two, grade 5", "one, grade 4"]
    assert len(grades) == 12


def test_the_sentences_name_what_is_better_on_each_model_and_on_all(found):
    assert contests.front_page(found) == (
        "Smoother than the optimal coupling at no loss of fidelity: on one outer; on two none. "
        "Smoother, whatever their fidelity: on one outer, cross-fade; on two outer, cross-fade. "
        "On two the measure of fidelity does not find even the cross-fade to be a loss, so no way "
        "is called better there"
    )
    lists = contests.advice_lists(found)
    assert list(lists) == ["On one", "On two", "On all of these models"]
    assert (
        lists["On one"][0] == "Smoother than the optimal coupling at no loss of fidelity: outer."
    )
    assert lists["On two"][0].startswith("Realism does not find the cross-fade to be a loss here")
    assert lists["On all of these models"][1] == "Better than row order: no way."
    assert list(contests.advice_lists({"one": found["one"]})) == ["On one"]
    one, two = found["one"], found["two"]
    assert contests.better_on_all([one, one], "row") == ["outer", "optimal"]
    assert contests.better_on_all([one, one, two], "row") == []


def test_the_prose_quotes_counts_margin_and_fronts(found):
    glued = contests.glued(found)
    assert (glued["n_rivals"], glued["n_tests"]) == ("5", str(2 * (2 * 3 + 1)))
    assert (glued["floor"], glued["margin"]) == ("0.95", "5\u202f%")
    assert glued["fronts"].startswith("on one cross-fade, ")


def test_the_tie_breaks_where_the_constants_surely_differ():
    names = "clouds", "constant", "pictures"
    tie = pd.DataFrame(
        {name: [0.9, 0.9] for name in names}
        | {f"{name}_low": [0.8, 0.8] for name in names}
        | {f"{name}_high": [0.95, 1.1] for name in names},
        index=["5", "0"],
    )
    everywhere = pd.concat([tie, tie.iloc[:1].rename({"5": "all"})])
    broken = contests.broken_ties({"one": everywhere, "two": tie.iloc[1:]})
    assert broken == "on one 5; on two none"
    table = contests.tie_table({"one": tie})
    assert table.loc["5", ("one", "constant")].replace("\u00a0", " ") == "0.90 [0.80 to 0.95]"


def test_ways_stand_against_both_controls_with_companions_of_the_ppl():
    rng = np.random.default_rng(0)
    planted = {"row": 1.0, "optimal": 0.9, "words": 0.5, "centred": 0.9}
    rows = [
        {
            "pair_id": f"p{k}",
            "coupling": way,
            "ppl": level * ppl,
            "root_sum": ppl,
            "maximum_step": 1,
        }
        for k, level in enumerate(rng.uniform(1, 2, 9))
        for way, ppl in planted.items()
    ]
    table = contests.ways_table(pd.DataFrame(rows))
    assert list(table.index) == ["words", "optimal"]
    assert table.loc["words", "over row"].replace("\u202f", " ").startswith("50.0 % [50.0")
    assert table.loc["words", "sum of roots"] == "44.4\u202f%"
    assert table.loc["optimal", "over optimal"] == "–"
