"""The table of re-timings: its sample, its rows on a tiny model, and what it says of bad input."""

import json

import numpy as np
import pandas as pd
import pytest

from embedding_geometry.__main__ import main
from embedding_geometry.diffusion.clouds import encode
from embedding_geometry.diffusion.settings import LoadSettings
from embedding_geometry.ground.places import EMBEDDED, PROMPTS
from embedding_geometry.ground.records import RETIMING, RIVALS, RIVALS_RETIMING, STUDY
from embedding_geometry.ground.types import COUPLINGS
from embedding_geometry.perception.metric import perceptual_distances
from embedding_geometry.perception.path_length import perceptual_path_length
from embedding_geometry.study import tempo
from embedding_geometry.study.cells import cloud_path, prepare_bench, render_paths
from embedding_geometry.study.prompts import PromptPair, read_prompt_pairs
from embedding_geometry.study.recorded import named_study
from embedding_geometry.study.results import DamagedCellWarning
from embedding_geometry.study.settings import StudySettings
from embedding_geometry.study.tempo import retimed_rows, sample

PAIRS = """\
pair_id,source,target,similarity,stratum
a,a small cat on the beach,on the beach a cat,5,free
b,a red car,a blue car,5,free
r,a red car in the snow,a red car in the rain,5,rigid
c,a red car in the snow,two birds over the sea,0,free
"""


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(PAIRS)
    return path


@pytest.fixture
def arguments(pairs, tiny_folder, tmp_path):
    places = f"--kept {tmp_path / 'kept'} --out {tmp_path / 'tiny'}"
    options = f"--pairs {pairs} --model {tiny_folder} {places} --device cpu"
    fixed = "--seeds 3 --extra-couplings-first-seed --per-grade 1 --rounds 1 --frames 4"
    return ["tempo", *options.split(), *fixed.split()]


def test_sample_is_the_first_pairs_of_each_grade_without_the_control(pairs):
    table = read_prompt_pairs(pairs)
    assert [pair.pair_id for pair in sample(table, 1)] == ["a", "c"]
    assert [pair.pair_id for pair in sample(table, 8)] == ["a", "b", "c"]


recorded = pytest.mark.parametrize(
    ("model", "record", "study", "pairs", "first"),
    [(model, RETIMING, STUDY, f"{model}_pairs.csv", 1) for model in EMBEDDED]
    + [(model, RIVALS_RETIMING, RIVALS, f"{model}_pairs_rivals.csv", 11) for model in EMBEDDED],
)


@recorded
def test_recorded_sample_is_the_protocols(model, record, study, pairs, first):
    chosen = sample(read_prompt_pairs(PROMPTS / pairs), 8)
    table, manifest = record.read(model)
    wanted = {f"f{grade}-{first + k:03}" for grade in range(6) for k in range(8)}
    assert {pair.pair_id for pair in chosen} == wanted
    assert list(table["pair_id"].unique()) == [pair.pair_id for pair in chosen]
    assert set(table["coupling"]) == set(named_study(record.name.format(model=model))[1].couplings)
    assert set(table["round"]) == {0, 1, 2}
    assert table["extra"].max() <= 18
    assert manifest["pairs"] == {"file": pairs, "per_grade": 8}


@recorded
def test_recorded_paths_before_re_timing_are_those_of_the_study(
    model, record, study, pairs, first
):
    """The study rendered them in other batches; pictures agree to rounding."""
    table = record.rows(model)
    before, key = table[table["round"] == 0], ["pair_id", "coupling", "seed"]
    both = before.merge(study.rows(model), on=key, suffixes=("", "_study"))
    assert len(both) == len(before) == 48 * table["coupling"].nunique()
    np.testing.assert_allclose(both["ppl"], both["ppl_study"], rtol=1e-2, atol=1e-5)
    if "realism" in table:
        np.testing.assert_allclose(both["realism"], both["realism_study"], rtol=1e-2)


def test_command_records_a_row_for_each_coupling_and_round(arguments, tmp_path, capsys):
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("2 pairs -> ")
    table = pd.read_csv(tmp_path / "tiny.csv")
    manifest = json.loads((tmp_path / "tiny_manifest.json").read_text())
    assert len(table) == 2 * 3 * 2
    assert set(table["seed"]) == {3}
    assert table["extra"].between(0, 2).all()
    assert (table["extra"] == 0).equals(table["round"] == 0)
    assert manifest["settings"]["rounds"] == 1
    assert manifest["settings"]["frames"] == 4
    assert manifest["settings"]["seeds"] == [3]


def test_first_round_is_the_studys_path(pairs, tiny_folder):
    settings = StudySettings(pairs, frames=4, loading=LoadSettings(str(tiny_folder), "cpu"))
    bench = prepare_bench(settings)
    pair = read_prompt_pairs(pairs)[0]
    texts = encode(bench.model, [pair.source, pair.target])
    paths = {name: cloud_path(pair, name, texts.ends, 4) for name in settings.couplings_of(0)}
    frames = render_paths(bench, texts, 0, paths)
    rows = list(retimed_rows(bench, pair, seed=0, rounds=1))
    for row in rows[::2]:
        wanted = perceptual_path_length(
            perceptual_distances(bench.metric, frames[row["coupling"]])
        )
        assert row["ppl"] == pytest.approx(wanted.mean, rel=1e-2)
        assert row["gini"] == pytest.approx(wanted.gini, rel=1e-2)


@pytest.fixture
def stopped(pairs, tiny_folder, tmp_path, monkeypatch):
    """A re-timing that was killed while its third path of six was under way."""

    def re_time(rounds=1):
        measured.clear()
        return tempo.retime_study(settings, 1, rounds, tmp_path)[0]

    def timed(bench, known, rounds):
        measured.append(known)
        if len(measured) == 3 and not list(tmp_path.glob("*.done")):
            raise KeyboardInterrupt
        return retime_path(bench, known, rounds)

    measured, retime_path = [], tempo.retime_path
    settings = StudySettings(
        pairs,
        couplings=COUPLINGS,
        extra_couplings_first_seed=(),
        seeds=(3,),
        frames=4,
        loading=LoadSettings(str(tiny_folder), "cpu"),
    )
    monkeypatch.setattr(tempo, "retime_path", timed)
    with pytest.raises(KeyboardInterrupt):
        re_time()
    (tmp_path / "stop.done").touch()
    return re_time, measured


def test_what_was_finished_before_a_stop_is_not_computed_again(stopped, tmp_path, pairs):
    re_time, measured = stopped
    table = re_time()
    assert len(measured) == 6 - 2
    pairs.write_text(PAIRS.replace("cat,5", "cat,4.9"))
    again = re_time()
    assert not measured
    assert again["similarity"].tolist() == [4.9] * 6 + [0.0] * 6  # of the table as it is now
    pd.testing.assert_frame_equal(
        again.drop(columns="similarity"), table.drop(columns="similarity")
    )
    damaged, *_ = sorted((tmp_path / "cells").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.warns(DamagedCellWarning, match=f"{damaged.name} is damaged"):
        pd.testing.assert_frame_equal(re_time(), again)
    assert len(measured) == 1
    re_time(rounds=2)
    assert len(measured) == 6  # none was made with as many rounds


def test_no_pair_left_is_an_error(pairs):
    with pytest.raises(ValueError, match="per_grade 0; take 1 or more"):
        sample(read_prompt_pairs(pairs), 0)
    with pytest.raises(ValueError, match="no pair is left of 1"):
        sample([PromptPair("r", "a", "b", 5.0, "rigid")], 1)


def test_bad_input_is_one_line(arguments, tmp_path, capsys):
    assert main([*arguments, "--frames", "2"]) == 2
    assert capsys.readouterr().err.startswith("error: frames is 2")
    assert main([*arguments, "--pairs", str(tmp_path / "no.csv")]) == 2
    assert "no.csv" in capsys.readouterr().err
    assert main([*arguments, "--out", f"{tmp_path}/pairs.csv/out"]) == 2
    assert "cannot write into" in capsys.readouterr().err
