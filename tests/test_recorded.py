"""Recorded studies are found, or refused with the remedy."""

import json
from pathlib import Path

import pandas as pd
import pytest
from study_tables import MANIFEST, study_table, whole_study

from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.ground.disk import digest
from embedding_geometry.ground.places import RESULTS
from embedding_geometry.ground.records import RecordError
from embedding_geometry.pages import display as pages
from embedding_geometry.study import recorded
from embedding_geometry.study.prompts import PromptPair, read_prompt_pairs, write_prompt_pairs


def test_missing_study_is_one_error_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    with pytest.raises(
        recorded.StudyNotRecordedError, match=r"some/model.*model_study\.csv.*study --help"
    ):
        recorded.recorded_study("some/model")


@pytest.mark.parametrize("text", ["", "pair_id,seed,coupling,ppl\n"])
def test_a_study_without_rows_is_one_error_with_the_remedy(text, tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    (tmp_path / "model_study.csv").write_text(text)
    with pytest.raises(RecordError, match=r"model_study\.csv has no rows.*study --publish"):
        recorded.recorded_study("some/model")
    monkeypatch.setattr(recorded, "RESULTS", tmp_path)
    (tmp_path / "pocket_dose_study.csv").write_text(text)
    with pytest.raises(RecordError, match=r"dose_study\.csv has no rows.*`make study`"):
        recorded.pocket_study("pocket_dose")


def test_the_studies_that_come_with_the_book_are_read_with_their_manifests():
    for name in ("pocket", "pocket_repeat", "pocket_dose", "pocket_ways"):
        study, manifest = recorded.pocket_study(name)
        assert len(study) == manifest["cells"]


def test_a_manifest_that_says_nothing_is_one_error(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    (tmp_path / "model_manifest.json").write_text('{"model": {}, "ended": ""}')
    with pytest.raises(
        RecordError, match=r"model_manifest\.json does not say metric, settings; `"
    ):
        recorded.recorded_commit("some/model")


def test_a_recorded_studys_images_are_made_again_with_its_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    settings = {"steps": 3, "guidance_scale": 2.0, "height": 64, "frames": 11, "dtype": "float16"}
    (tmp_path / "model_manifest.json").write_text(json.dumps(MANIFEST | {"settings": settings}))
    assert recorded.recorded_rendering("model") == RenderSettings(3, 2.0, height=64)


def test_recorded_files_are_found_by_the_short_name(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    whole_study({"a": (0.4, 0.3)}).to_csv(tmp_path / "model_study.csv", index=False)
    pd.DataFrame({"step": [0]}).to_parquet(tmp_path / "model_steps.parquet")
    (tmp_path / "model_manifest.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
    assert len(recorded.recorded_study("some/model")) == 8
    assert recorded.recorded_steps("some/model")["step"].tolist() == [0]
    assert recorded.recorded_manifest("some/model") == MANIFEST


def test_a_study_without_the_couplings_that_are_compared_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    study_table({"a": (0.4, 0.3)}).to_csv(tmp_path / "model_study.csv", index=False)
    with pytest.raises(recorded.StudyNotRecordedError, match=r"\.csv .* random, worst, which"):
        recorded.recorded_study("model")


def test_a_study_is_read_with_the_pairs_published_beside_it(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    whole_study({"a": (0.4, 0.3)}).to_csv(tmp_path / "model_study.csv", index=False)
    with pytest.raises(
        recorded.StudyNotRecordedError,
        match=r"1 prompt pairs of .*model_study\.csv are not in .*pairs\.csv, such as a; put",
    ):
        recorded.studied_pairs("some/model")
    own = [PromptPair("a", "one", "two", 5.0), PromptPair("b", "three", "four", 0.3)]
    write_prompt_pairs(tmp_path / "model_pairs.csv", own)
    assert recorded.studied_pairs("some/model") == own


@pytest.mark.parametrize("name", ["pocket", "pocket_dose", "pocket_ways"])
def test_the_recorded_pairs_are_those_that_the_study_took(name):
    texts = [
        [pair.pair_id, pair.source, pair.target]
        for pair in read_prompt_pairs(RESULTS / f"{name}_pairs.csv")
    ]
    assert digest(texts) == recorded.pocket_study(name)[1]["settings"]["pairs"]


@pytest.mark.parametrize(
    ("name", "revision", "commit"),
    [
        ("some/model", "0123456789abcdef" * 2 + "01234567", True),
        ("copies/model", "0123456789abcdef" * 2 + "01234567", False),  # a folder of that name
        ("some/model", "0123456789ab", False),  # the hash of a folder
    ],
)
def test_the_commit_of_a_study_is_known_where_it_came_from_the_hub(
    name, revision, commit, tmp_path, monkeypatch
):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    manifest = MANIFEST | {"model": {"name": "some/model", "revision": revision}}
    (tmp_path / "model_manifest.json").write_text(json.dumps(manifest))
    assert recorded.recorded_commit(name) == (revision if commit else None)


def test_a_results_folder_that_is_not_there_is_named_whole(monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", "runs/nowhere")
    whole = Path("runs/nowhere").absolute()
    with pytest.raises(FileNotFoundError, match=rf"'runs/nowhere', but {whole} is no folder; giv"):
        recorded.recorded_study("pocket")
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", "")
    assert recorded.results_folder() == RESULTS


def test_pocket_has_its_own_pairs_and_metric_and_others_the_natural_ones():
    assert recorded.prompt_table("pocket").name == "pocket_pairs.csv"
    assert recorded.prompt_table("some/stable-diffusion").name == "pairs.csv"
    assert [recorded.metric_name(name) for name in ("pocket", "some/stable-diffusion")] == [
        "pocket",
        "alex",
    ]


def test_a_recorded_benchmark_comes_with_its_manifest(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "RESULTS", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no record at .*benchmark_costs\.csv; `make ben"):
        recorded.recorded_benchmark("costs")
    pd.DataFrame({"size": [1, 2]}).to_csv(tmp_path / "benchmark_costs.csv", index=False)
    written = {
        "model": "pocket",
        "cpu": "Some CPU",
        "cores": 2,
        "threads": 1,
        "python": "3.11.7",
        "recorded": "2026-01-02T03:04:05+00:00",
        "versions": {"torch": "2.6.0+cpu", "scipy": "1.15"},
    }
    (tmp_path / "benchmark_costs.json").write_text(json.dumps(written))
    table, manifest = recorded.recorded_benchmark("costs")
    assert table["size"].tolist() == [1, 2]
    assert manifest == written
    assert pages.benchmark_line(manifest).data == (
        "**Provenance.** Model pocket; timed on 2026-01-02 on Some CPU, 2 cores, 1 threads; "
        "python 3.11.7, torch 2.6.0, scipy 1.15."
    )
