"""Better means smoother at no loss of fidelity: planted ways that are one, the other, neither."""

import numpy as np
import pandas as pd
import pytest
from study_tables import rivals_study

from embedding_geometry.statistics import rivals
from embedding_geometry.statistics.paired import PairedRatio
from embedding_geometry.statistics.rivals import (
    Duel,
    advise,
    compare_rivals,
    last_round,
    pareto_front,
    part_of_timing,
    plane,
    planes_by_grade,
    rival_table,
)
from embedding_geometry.statistics.verdicts import holm
from embedding_geometry.study.recorded import named_study
from embedding_geometry.transport.ways import RULES

OPEN = "undecided on this model"
# PPL and realism as multiples of row order's, and rows of the UNet a frame
PLANTED = {
    "row": (1.0, 1.0, 2.0),
    "optimal": (0.9, 1.0, 2.0),
    "outer": (0.6, 1.02, 2.0),
    "scores": (0.5, 0.99, 3.0),
    "late-switch": (1.6, 1.1, 2.0),
    "measures": (0.5, 0.95, 2.0),
    "cross-fade": (0.3, 0.6, 0.2),
}


@pytest.fixture(scope="module")
def found():
    return compare_rivals(rivals_study(PLANTED))


def test_a_way_is_better_if_it_is_smoother_and_no_less_faithful(found):
    assert found.sensitive
    assert found.better("row") == ["outer", "scores", "optimal"]
    assert found.better("optimal") == ["outer", "scores"]
    against = found.against("row")
    assert {way: (d.smoother, d.faithful, d.better) for way, d in against.items()} == {
        "outer": ("holds", "holds", "holds"),
        "scores": ("holds", "holds", "holds"),
        "late-switch": ("does not hold", "holds", "does not hold"),
        "measures": ("holds", OPEN, OPEN),  # as faithful as the margin allows
        "cross-fade": ("holds", "does not hold", "does not hold"),
        "optimal": ("holds", "holds", "holds"),
    }


def test_ratios_are_geometric_means_over_pairs_of_means_over_latents(found):
    table = rivals_study(PLANTED)
    pairs = table.groupby(["pair_id", "coupling"])["ppl"].mean().unstack()
    wanted = np.exp(np.log(pairs["outer"] / pairs["row"]).mean())
    duel = found.against("row")["outer"]
    assert duel.ppl.ratio == pytest.approx(wanted)
    assert duel.ppl.interval[0] < wanted < duel.ppl.interval[1] < 1
    assert duel.ppl.n == 30


def test_all_tests_are_corrected_together(found):
    each = [r for d in found.duels for r in (d.ppl, d.realism)]
    assert len(each) == 2 * (2 * 5 + 1)
    corrected = holm([r.p_value for r in each])
    assert [d.corrected for d in found.duels] == pytest.approx(corrected[::2])


def test_where_no_loss_can_be_told_no_way_is_better():
    """Realism that says the same of all ways, the cross-fade among them, says nothing."""
    blind = compare_rivals(rivals_study({way: (p, 1.0, r) for way, (p, _, r) in PLANTED.items()}))
    assert not blind.sensitive
    assert blind.better("row") == []
    assert {duel.faithful for duel in blind.duels} == {OPEN}
    points = plane(rivals_study(PLANTED))
    assert not advise(blind, points, pd.Series(2.0, PLANTED)).sensitive


@pytest.mark.parametrize(
    ("ppl", "realism", "corrected", "better"),
    [
        ((0.8, 0.9), (0.96, 1.1), 0.01, "holds"),
        ((0.8, 0.9), (0.96, 1.1), 0.05, OPEN),  # the test does not confirm it
        ((0.8, 0.9), (0.94, 1.1), 0.01, OPEN),  # a loss of more than 5 % is not excluded
        ((0.8, 0.9), (0.80, 0.94), 0.01, "does not hold"),
        ((0.9, 1.1), (0.96, 1.1), 0.01, OPEN),
        ((1.1, 1.2), (0.96, 1.1), 0.01, "does not hold"),
        ((1.1, 1.2), (0.94, 1.1), 0.01, "does not hold"),
    ],
)
def test_the_verdict_follows_from_both_intervals(ppl, realism, corrected, better):
    ratios = (PairedRatio(9, 0.9, interval, 0.01) for interval in (ppl, realism))
    assert Duel("a", "b", *ratios, corrected, sensitive=True).better == better


def test_a_pair_that_stands_still_is_left_out_and_counted():
    table = rivals_study(PLANTED)
    still = table["pair_id"] == "p00"
    table.loc[still & (table["coupling"] == "outer"), "ppl"] = 0.0
    left = compare_rivals(table)
    assert (left.left_out, left.duels[0].ppl.n) == (["p00"], 29)


def test_the_plane_is_relative_to_row_order():
    points = plane(rivals_study(PLANTED))
    assert list(points.index) == list(PLANTED)
    assert points.loc["row", ["ppl", "ppl_low", "ppl_high", "realism"]].tolist() == [1.0] * 4
    for way, (ppl, realism, _) in PLANTED.items():
        assert points.loc[way, "ppl"] == pytest.approx(ppl, rel=0.05)
        assert points.loc[way, "realism"] == pytest.approx(realism, rel=0.05)
        assert points.loc[way, "ppl_low"] <= points.loc[way, "ppl"] <= points.loc[way, "ppl_high"]
    by_grade = planes_by_grade(rivals_study({"row": (1, 1, 2), "outer": (0.6, 1, 2)}))
    assert list(by_grade) == [5, 4, 3, 2, 1, 0]
    assert {part["n"].iloc[0] for part in by_grade.values()} == {5}


def test_the_front_has_what_no_other_beats():
    points = pd.DataFrame(
        {"ppl": [0.3, 0.6, 0.7, 0.7, 1.0, 1.0], "realism": [0.6, 1.0, 1.0, 1.1, 1.1, 1.2]},
        index=["cross-fade", "outer", "beaten", "optimal", "row", "late-switch"],
    )
    assert pareto_front(points) == ["cross-fade", "outer", "optimal", "late-switch"]
    twins = pd.DataFrame({"ppl": [1.0, 1.0], "realism": [1.0, 1.0]}, index=["a", "b"])
    assert pareto_front(twins) == ["a", "b"]


def test_advice_names_what_the_duels_show(found):
    table = rivals_study(PLANTED)
    advice = advise(found, plane(table), rival_table(table)["unet_rows"])
    assert advice.better == {"optimal": ["outer", "scores"], "row": ["outer", "scores", "optimal"]}
    assert advice.traps == ["cross-fade"]
    assert advice.open["row"] == ["measures"]
    assert advice.thrifty == "outer"  # `scores` is smoother, and takes three rows
    assert advice.front[0] == "cross-fade"
    none = compare_rivals(rivals_study(PLANTED | {w: (1.5, 0.8, 2) for w in ("outer", "scores")}))
    assert advise(none, plane(table), rival_table(table)["unet_rows"]).thrifty == "optimal"


def test_what_re_timing_leaves_is_no_timing():
    rounds = [
        {"pair_id": "a", "coupling": way, "seed": 0, "round": k, "ppl": ppl}
        for way, ppls in {"row": [4.0, 2.0], "late-switch": [9.0]}.items()
        for k, ppl in enumerate(ppls)
    ]
    last = last_round(pd.DataFrame(rounds))
    assert last.set_index("coupling")["ppl"].to_dict() == {"row": 2.0, "late-switch": 9.0}
    before, after = (pd.DataFrame({"ppl": v}, index=["row", *"abc"])
                     for v in ([1, 0.25, 0.5, 0.5], [1, 0.5, 1.0, 0.25]))  # fmt: skip
    assert part_of_timing(before, after).tolist()[1:] == pytest.approx([0.5, 1.0, -1.0])
    assert np.isnan(part_of_timing(before, after)["row"])


def test_the_table_of_ways_has_medians_and_what_a_frame_costs():
    table = rival_table(rivals_study(PLANTED).assign(confidence=0.75))
    assert table["unet_rows"].to_dict() == {way: rows for way, (_, _, rows) in PLANTED.items()}
    assert table.loc["row", "confidence"] == 0.75
    assert "ppl_vgg" not in table


def test_measures_of_fidelity_that_contradict_each_other_are_named(found):
    """The cross-fade is a loss by realism; a kernel distance that is surely less denies that."""
    signs = {"cross-fade": (-0.2, -0.1), "late-switch": (-0.2, -0.1), "measures": (-0.1, 0.1)}
    rows = [
        {"grade": grade, "reference": "held-out", "coupling": duel.way, "control": duel.control,
         "low": low, "high": high}
        for duel in found.duels
        for grade, (low, high) in {"all": signs.get(duel.way, (0.1, 0.2)), "5": (0, 0)}.items()
    ]  # fmt: skip
    named = rivals.disagreements(found, pd.DataFrame(rows))
    assert "cross-fade against row" in named
    assert "late-switch against row" not in named  # more faithful by both
    assert "measures against row" not in named  # one of the two is not sure
    surely = [d for d in found.duels if d.way == "outer" and d.realism.interval[0] > 1]
    assert [f"outer against {d.control}" for d in surely] == [n for n in named if "outer" in n]


def test_the_margin_is_the_protocols_and_is_held_against_the_latents():
    assert rivals.MARGIN == 0.05
    table = rivals_study({"row": (1, 1, 2)}, noise=0.0)
    assert rivals.between_latents(table) == pytest.approx(0.0)
    table.loc[table["seed"] == 1, "realism"] *= 0.9
    assert rivals.between_latents(table) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="one initial latent"):
        rivals.between_latents(table[table["seed"] == 0])


@pytest.mark.parametrize("model", ["pocket", "menagerie"])
def test_the_rivals_are_those_of_the_protocol(model):
    """In the order of the protocol, with its pairs, reference, latents and judge."""
    command, study = named_study(f"{model}_rivals")
    tempo, retimed = named_study(f"{model}_rivals_retiming")
    assert (command, tempo) == ("study", "tempo")
    for settings in (study, retimed):
        settings.check()
        assert settings.pairs.name == f"{model}_pairs_rivals.csv"
        assert settings.reference.name == f"{model}_reference.csv"
        assert (settings.net, settings.nets_beside) == ("alex", ("vgg",))
        assert settings.couplings[:3] == ("row", "optimal", "random")
        assert len(settings.named_couplings) == 15
        assert set(RULES) < set(settings.named_couplings)
    assert (study.seeds, retimed.seeds) == ((0, 1), (0,))
    assert study.judge == f"embedding_geometry.pocket.judging:{model}"
