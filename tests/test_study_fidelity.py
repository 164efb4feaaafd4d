"""What a study keeps of its pictures: fidelity from them, whatever was interrupted."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from embedding_geometry.diffusion.clouds import encode
from embedding_geometry.diffusion.generation import initial_latent, render
from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.perception.fidelity import (
    Reference,
    kernel_distance,
    picture_features,
    realism,
)
from embedding_geometry.study import cells
from embedding_geometry.study.fidelity import reference_features, reference_prompts
from embedding_geometry.study.prompts import PromptPair, write_prompt_pairs
from embedding_geometry.study.recorded import PUBLISHED, publish_results
from embedding_geometry.study.results import DamagedCellWarning, Seen, save_seen
from embedding_geometry.study.run import run_study
from embedding_geometry.study.settings import StudySettings
from embedding_geometry.study.tempo import retime_study

PAIRS = [
    PromptPair("a", "a small cat on the beach", "on the beach a cat", 5.0),
    PromptPair("b", "a red car", "a blue car", 4.0),
    PromptPair("c", "a red car in the snow", "two birds over the sea", 0.0),
]
OTHERS = [
    PromptPair("x", "a tree", "a dog", 3.0),
    PromptPair("y", "a red car", "the sky", 3.0),  # its source is one of the study's
    *(PromptPair(f"z{k}", text, "a big dog", 3.0) for k, text in enumerate(
        ["a meadow", "the sea at night", "two birds", "a tree", "snow under the blue sky"]
    )),
]  # fmt: skip
WAYS = ("row", "cross-fade", "late-switch")
NEW = ["distinct", "unet_rows", "realism", "realism_ends"]


def brightness(frames):
    """A judge that is sure of what is bright."""
    return frames.mean(axis=(1, 2, 3)) / 255


@pytest.fixture(scope="module")
def settings(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    write_prompt_pairs(folder / "pairs.csv", PAIRS)
    write_prompt_pairs(folder / "others.csv", OTHERS)
    return StudySettings(
        folder / "pairs.csv",
        net="alex",
        couplings=WAYS,
        extra_couplings_first_seed=(),
        seeds=(3,),
        frames=4,
        loading=LoadSettings(str(tiny_folder), "cpu"),
        rendering=RenderSettings(2, 3.0, height=32, width=32),
        nets_beside=("vgg",),
        reference=folder / "others.csv",
        judge="bright",
        own={"bright": brightness},
    )


@pytest.fixture(scope="module")
def finished(settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return folder, run_study(settings, folder, progress=False)


@pytest.fixture(scope="module")
def bench(settings):
    return cells.prepare_bench(settings)


def rendered(bench, pair, way):
    """The frames of a way, each pair and way by itself."""
    texts = encode(bench.model, [pair.source, pair.target])
    path = cells.cloud_path(pair, way, texts.ends, bench.frames)
    return cells.render_paths(bench, texts, 3, {way: path})[way]


def test_the_table_has_the_fidelity_of_every_path(bench, finished):
    """Against everything rendered anew: pictures of the prompts, frames of each path."""
    _, table = finished
    frames = rendered(bench, PAIRS[1], "cross-fade")
    vgg = bench.beside[0]
    pictures = [
        render(bench.model, encode(bench.model, [prompt]),
               initial_latent(bench.model, 10_000 + k, bench.rendering), bench.rendering)
        for k, prompt in enumerate(
            ["a tree", "a meadow", "the sea at night", "two birds", "snow under the blue sky"]
        )
    ]  # fmt: skip
    known = Reference.of(picture_features(vgg, np.concatenate(pictures)))
    inner = picture_features(vgg, frames[1:-1])
    row = table.query("pair_id == 'b' and coupling == 'cross-fade'").iloc[0]
    assert row["realism"] == pytest.approx(realism(inner, known).mean(), rel=1e-3)
    ends = [
        picture_features(vgg, rendered(bench, pair, "row")[[0, -1]])
        for pair in (PAIRS[0], PAIRS[2])
    ]
    others = Reference.of(np.concatenate(ends))
    assert row["realism_ends"] == pytest.approx(realism(inner, others).mean(), rel=1e-3)
    assert row["confidence"] == pytest.approx(frames[1:-1].mean() / 255, rel=1e-3)
    assert row["distinct"] == 4


def test_rows_and_distinct_frames_are_those_of_each_way(finished):
    _, table = finished
    by_way = table.groupby("coupling")[["unet_rows", "distinct"]].max()
    assert by_way["unet_rows"].to_dict() == {
        "row": 2.0, "late-switch": 2.0, "cross-fade": 1.0,
    }  # fmt: skip
    assert by_way.loc["late-switch", "distinct"] == 3  # two steps can be shared out in three ways


def test_kernel_distances_are_those_of_all_inner_frames(bench, finished):
    folder, _ = finished
    kernels = pd.read_csv(folder / "fidelity.csv")
    assert set(kernels["grade"]) == {"all"}  # no grade has three pairs
    assert len(kernels) == 2 * (3 + 2)  # `optimal` is not there to be held against
    frames, vgg = [rendered(bench, pair, "late-switch") for pair in PAIRS], bench.beside[0]
    inner = picture_features(vgg, np.concatenate([each[1:-1] for each in frames]))
    ends = picture_features(vgg, np.concatenate([each[[0, -1]] for each in frames]))
    groups = np.repeat([7, 8, 9], 2)
    wanted = kernel_distance(inner, Reference.of(ends), groups, groups)
    [row] = kernels.query(
        "coupling == 'late-switch' and reference == 'ends' and control == 'none'"
    ).to_dict("records")
    assert row["kid"] == pytest.approx(wanted.value, rel=1e-2)
    assert (row["low"], row["high"]) == pytest.approx(wanted.interval, rel=1e-2)
    kid = kernels[kernels["control"] == "none"].set_index(["reference", "coupling"])["kid"]
    for row in kernels[kernels["control"] != "none"].to_dict("records"):
        both = (kid[row["reference"], row[side]] for side in ("coupling", "control"))
        assert row["kid"] == pytest.approx(np.subtract(*both))


def test_cells_are_those_of_a_study_without_a_reference(settings, finished, tmp_path):
    """Its cells stay; only what was not kept of their pictures is made."""
    folder, table = finished
    with_row = replace(settings, judge=None, couplings=("row",))
    plain = replace(with_row, reference=None)
    without = run_study(plain, tmp_path / "plain", progress=False)
    assert not (tmp_path / "plain/seen").exists()
    assert not (tmp_path / "plain/fidelity.csv").exists()
    cells_before = {f: f.stat().st_mtime_ns for f in (tmp_path / "plain/cells").iterdir()}
    row = table[table["coupling"] == "row"].reset_index(drop=True)
    pd.testing.assert_frame_equal(without, row[without.columns], rtol=1e-3)  # in other batches
    assert list(table.columns[len(without.columns) :]) == [*NEW, "confidence"]
    names = [{f.name for f in (f / "cells").iterdir()} for f in (folder, tmp_path / "plain")]
    assert names[1] < names[0]
    later = run_study(with_row, tmp_path / "plain", progress=False)
    assert list(later.columns[len(without.columns) :]) == NEW  # nobody judged
    assert {f: f.stat().st_mtime_ns for f in cells_before} == cells_before


def test_an_interrupted_study_makes_what_is_missing_and_nothing_else(settings, finished):
    folder, table = finished
    lost, damaged, *_ = sorted((folder / "seen").iterdir())
    lost.unlink()
    damaged.write_bytes(damaged.read_bytes()[:100])
    made = {path: path.stat().st_mtime_ns for path in folder.glob("*/*") if path.is_file()}
    with pytest.warns(DamagedCellWarning, match="pictures are made again"):
        again = run_study(settings, folder, progress=False)
    pd.testing.assert_frame_equal(again, table)
    assert lost.exists()
    changed = {path for path, time in made.items() if path.stat().st_mtime_ns != time}
    assert changed <= {lost, damaged}


def test_a_reference_picture_is_made_once(bench, tmp_path):
    """What was kept of another run is taken as it is; only what is missing is made."""
    prompts = reference_prompts(OTHERS, PAIRS)
    first = dict([*prompts.items()][:3])
    made = reference_features(bench, first, tmp_path)
    assert len(list((tmp_path / "seen").iterdir())) == 3
    planted = np.full((1, made.shape[1]), 7.0)
    identity = cells.conditions_of_cells(bench) | {"prompt": "a meadow", "seed": 10_001}
    save_seen(tmp_path, identity, "", Seen(planted, 1, 2.0, np.zeros(0)))
    again = reference_features(bench, prompts, tmp_path)
    assert (again[1] == 7.0).all()
    assert (again[[0, 2]] == made[[0, 2]]).all()
    assert len(again) == 5


def test_what_is_published_has_the_kernel_distances(finished, tmp_path):
    folder, table = finished
    copies = publish_results(folder, tmp_path / "tiny")
    wanted = [f"tiny_{ending}" for ending in [*PUBLISHED.values(), "fidelity.csv"]]
    assert [copy.name for copy in copies] == wanted
    assert list(pd.read_csv(copies[0]).columns) == list(table.columns)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["fidelity"] == {"file": "others.csv", "pictures": 5, "judge": "bright"}


def test_re_timed_paths_have_their_realism(settings, finished, tmp_path):
    table, _ = retime_study(replace(settings, couplings=("row",)), 1, 1, tmp_path)
    before, after = (table[table["round"] == k].set_index("pair_id")["realism"] for k in (0, 1))
    wanted = finished[1].query("coupling == 'row'").set_index("pair_id")["realism"]
    assert before.to_numpy() == pytest.approx(wanted[before.index].to_numpy(), rel=1e-2)
    assert (after > 0).all()
    assert not np.allclose(before, after, rtol=1e-3)


def test_the_prompts_of_a_reference_are_no_ones_of_the_study():
    assert list(reference_prompts(OTHERS, PAIRS)) == [
        "a tree", "a meadow", "the sea at night", "two birds", "snow under the blue sky",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="uses every source"):
        reference_prompts(PAIRS, PAIRS)
    with pytest.raises(ValueError, match="has 2 pairs.*three|has 2 pairs.*3 pairs or more"):
        reference_prompts(OTHERS, PAIRS[:2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nets_beside": ()}, "--nets-beside vgg"),
        ({"reference": None}, "judge is 'bright' and there is no reference"),
        ({"judge": "no.module:here"}, "'no.module:here' is not found"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, changes, message):
    with pytest.raises(ValueError, match=message):
        replace(settings, **changes).check()


@pytest.mark.parametrize(
    "judge", [lambda frames: np.full(len(frames), 1.5), lambda frames: np.zeros(1)]
)
def test_a_judge_that_is_none_is_named(settings, tmp_path, judge):
    with pytest.raises(ValueError, match="for 2 frames the judge returned"):
        run_study(
            replace(settings, own={"bright": judge}, couplings=("row",)),
            tmp_path / "study",
            progress=False,
        )
