"""Provenance, glued numbers, photographs, and the rule that picks the pairs shown."""

import base64
import io
import json
import re
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from embedding_geometry.diffusion.generation import RenderSettings
from embedding_geometry.ground.disk import digest
from embedding_geometry.ground.places import RESULTS
from embedding_geometry.ground.records import RecordError
from embedding_geometry.pages import display as pages
from embedding_geometry.pages.twins import KEY
from embedding_geometry.statistics.paired import Correlation
from embedding_geometry.study.prompts import PromptPair, read_prompt_pairs, write_prompt_pairs

MANIFEST = {"model": {}, "metric": {}, "settings": {}, "ended": "2026-01-01", "cells": 4}


@pytest.fixture
def shown(monkeypatch):
    """Collect what a page displays."""
    displayed = []

    def record(data, metadata=None, raw=False):
        assert raw
        displayed.append((data, metadata))

    monkeypatch.setattr(pages, "display", record)
    return displayed


def study_table(ppl, seeds=(0, 1), grade=5.0):
    """A study in which pair k has the given PPL under (row, optimal) on every seed."""
    rows = [
        {"pair_id": pair_id, "similarity": grade, "stratum": "free", "coupling": coupling,
         "seed": seed, "ppl": value, "w2": 3.0}
        for pair_id, values in ppl.items()
        for seed in seeds
        for coupling, value in zip(("row", "optimal"), values, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def whole_study(ppl):
    """The same with two more couplings, as a recorded study has them."""
    table = study_table(ppl)
    others = table["coupling"].map({"row": "random", "optimal": "worst"})
    return pd.concat([table, table.assign(coupling=others)])


def test_a_recorded_line_names_model_metric_versions_and_day():
    manifest = {
        "model": {
            "name": "pocket",
            "revision": "abc",
            "device": "cpu",
            "dtype": "float32",
            "versions": {"torch": "2.6.0+cpu"},
        },
        "metric": {"net": "pocket", "revision": "def"},
        "ended": "2026-11-24T19:53:14+00:00",
    }
    assert pages.recorded_line(manifest).data == (
        "**Provenance.** Model pocket (revision abc) on cpu in float32, perceptual metric pocket "
        "(revision def), recorded on 2026-11-24; torch 2.6.0."
    )


@pytest.mark.parametrize(
    ("value", "digits", "percent", "text"),
    [
        (0.123456, 2, False, "0.12"),
        (0.123456, 1, True, "12.3\u202f%"),
        (-0.5, 1, False, "−0.5"),
        (-1e-9, 1, False, "0.0"),
        (1234567.0, 0, False, "1\u202f234\u202f567"),
        (77.0, 0, False, "77"),
    ],
)
def test_numbers_are_rounded_and_written_for_reading(value, digits, percent, text):
    assert pages.number_text(value, digits, percent=percent) == text


def test_interval_names_its_unit_once():
    assert pages.interval_text((-0.01, 0.0312), 1, percent=True) == "−1.0\u00a0to\u00a03.1\u202f%"
    assert pages.interval_text((0.1, 0.2), 2) == "0.10\u00a0to\u00a00.20"


def test_p_values_keep_two_digits_down_to_a_floor():
    assert [pages.p_text(p) for p in (0.01234, 0.5, 1e-7)] == [
        "p\u00a0=\u00a00.012",
        "p\u00a0=\u00a00.5",
        "p\u00a0<\u00a00.0001",
    ]


def test_p_value_of_a_table_needs_no_p():
    assert [pages.p_number(p) for p in (0.01234, 1e-7)] == ["0.012", "<\u00a00.0001"]


def test_test_of_a_sentence_names_p_and_n_without_a_break_within():
    result = Correlation(rho=0.5, interval=(0.1, 0.9), p_value=0.012, n=36)
    assert pages.p_and_n_text(result) == "p\u00a0=\u00a00.012, n\u00a0=\u00a036"


def test_glued_number_is_the_record_that_jupyter_book_reads(shown):
    pages.glue_number("gain", 0.0213, 1, percent=True)
    [(data, metadata)] = shown
    assert data == {"application/papermill.record/text/plain": "'2.1\\u202f%'"}
    prefix = "application/papermill.record/"
    assert metadata == {"scrapbook": {"name": "gain", "mime_prefix": prefix}}


def test_glued_text_survives_quotes(shown):
    pages.glue_text("pair", 'a cat\'s "tail"')
    [(data, _)] = shown
    assert eval(data["application/papermill.record/text/plain"]) == 'a cat\'s "tail"'


def test_many_values_are_glued_as_they_are(shown):
    pages.glue_all({"n": 2123, "gain": "2.1\u202f%"})
    records = {meta["scrapbook"]["name"]: next(iter(data.values())) for data, meta in shown}
    assert records == {"n": "'2123'", "gain": repr("2.1\u202f%")}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_not_quoted(value):
    with pytest.raises(ValueError, match="'gain' is (nan|inf)"):
        pages.glue_number("gain", value, 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (3e-16, "≤ 10⁻¹²"),
        (8e-8, "≤ 10⁻⁵"),
        (2e-6, "≤ 10⁻⁵"),
        (1e-5, "≤ 10⁻⁵"),
        (1.1e-5, "≤ 10⁻²"),
        (2.0, "≤ 10¹"),
    ],
)
def test_bound_is_a_size_class_that_another_processor_shares(value, text):
    assert pages.at_most(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_bound_of_no_size_is_an_error(value):
    with pytest.raises(ValueError, match="size"):
        pages.at_most(value)


def test_provenance_names_model_metric_seed_and_released_versions():
    @dataclass
    class Source:
        name: str = "pocket"
        revision: str = "0123456789ab"
        device: str = "cpu"
        dtype: str = "float32"

        def __post_init__(self):
            self.versions = {"torch": "2.9.1+cpu", "diffusers": "0.36.0"}

    @dataclass
    class Part:
        provenance: Source
        net: str = "alex"
        revision: str = "ba9876543210"

    line = pages.provenance_line(Part(Source()), Part(Source()), seed=3).data
    for fact in ("pocket", "0123456789ab", "cpu", "float32", "alex", "ba9876543210", "seed 3",
                 "torch 2.9.1,", "diffusers 0.36.0."):  # fmt: skip
        assert fact in line


def test_badge_says_how_many_agree_and_how_far():
    badge = pages.agreement_badge(6, 6, 1e-3).data
    assert 'class="agreement agrees"' in badge
    assert "6 of 6 within 0.1\u202f%" in badge
    assert 'class="agreement differs"' in pages.agreement_badge(5, 6, 1e-3).data


@pytest.mark.parametrize(("agreeing", "compared"), [(0, 0), (3, 2), (-1, 2)])
def test_badge_of_nothing_is_an_error(agreeing, compared):
    with pytest.raises(ValueError, match=f"{agreeing} of {compared} values"):
        pages.agreement_badge(agreeing, compared, 1e-3)


def test_photo_is_a_jpeg_that_another_page_can_show(shown):
    figure = Figure(figsize=(2, 1))
    figure.subplots().imshow(np.random.default_rng(0).random((8, 8)))
    pages.show_photo(figure, name="key")
    [(data, metadata)] = shown
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"])))
    assert picture.format == "JPEG"
    assert picture.size == (250, 125)
    assert metadata == {"scrapbook": {"name": "key", "mime_prefix": ""}}


def test_twins_are_a_jpeg_whose_frames_travel_where_nothing_compares_them(shown):
    frames = {name: np.full((3, 8, 8, 3), 99, np.uint8) for name in ("row", "optimal")}
    pages.show_twins(frames, dict.fromkeys(frames, np.array([0.1, 0.2])), name="key")
    [(data, metadata)] = shown
    assert set(data) == {"image/jpeg", "text/plain"}  # the check compares no JPEG
    assert metadata["scrapbook"]["name"] == "key"
    assert metadata[KEY]["frames"] == 3


def test_pairs_average_over_latents_and_compare_within_the_pair():
    study = study_table({"a": (0.4, 0.3), "b": (0.2, 0.3)})
    study.loc[study["seed"] == 1, "ppl"] *= 3
    pairs = pages.by_pair(study)
    np.testing.assert_allclose(pairs.loc["a", ["row", "optimal"]].astype(float), [0.8, 0.6])
    np.testing.assert_allclose(pairs["improvement"], [0.25, -0.5])
    assert pairs["grade"].tolist() == [5, 5]


def test_coupling_of_one_latent_alone_is_not_averaged_with_the_others():
    study = study_table({"a": (0.4, 0.3)})
    worst = study.iloc[[0]].assign(coupling="worst")
    assert "worst" not in pages.by_pair(pd.concat([study, worst]))


def test_equal_prompts_have_nothing_to_improve():
    assert pages.by_pair(study_table({"a": (0.0, 0.0)}))["improvement"].tolist() == [0.0]


def test_written_table_is_shown_and_recorded_for_other_pages(shown):
    pages.show_html("<table></table>", "sums", "a table")
    [(data, metadata)] = shown
    assert data == {"text/html": "<table></table>", "text/plain": "a table"}
    assert metadata == {"scrapbook": {"name": "sums", "mime_prefix": ""}}


def test_representative_pair_is_the_median_of_its_grade():
    high = study_table({f"h{k}": (1.0, 1.0 - gain) for k, gain in enumerate([0.5, 0.1, 0.3])})
    low = study_table(
        {f"l{k}": (1.0, 1.0 - gain) for k, gain in enumerate([0.4, 0.2, 0.1, 0.3])}, grade=0.0
    )
    pairs = pages.by_pair(pd.concat([low, high]))
    assert pages.representative_pairs(pairs) == ["h2", "l1"]  # most similar first, lower middle


def test_representative_pair_does_not_depend_on_the_order_of_the_table():
    pairs = pages.by_pair(study_table({f"p{k}": (1.0, 0.9) for k in range(5)}))
    assert pages.representative_pairs(pairs.iloc[::-1]) == ["p2"]


def test_missing_study_is_one_error_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    with pytest.raises(
        pages.StudyNotRecordedError, match=r"some/model.*model_study\.csv.*study --help"
    ):
        pages.recorded_study("some/model")


@pytest.mark.parametrize("text", ["", "pair_id,seed,coupling,ppl\n"])
def test_a_study_without_rows_is_one_error_with_the_remedy(text, tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    (tmp_path / "model_study.csv").write_text(text)
    with pytest.raises(RecordError, match=r"model_study\.csv has no rows.*study --publish"):
        pages.recorded_study("some/model")
    monkeypatch.setattr(pages, "RESULTS", tmp_path)
    (tmp_path / "pocket_dose_study.csv").write_text(text)
    with pytest.raises(RecordError, match=r"dose_study\.csv has no rows.*`make study`"):
        pages.pocket_study("pocket_dose")


def test_the_studies_that_come_with_the_book_are_read_with_their_manifests():
    for name in ("pocket", "pocket_repeat", "pocket_dose", "pocket_ways"):
        study, manifest = pages.pocket_study(name)
        assert len(study) == manifest["cells"]


def test_a_page_without_a_study_of_its_model_is_about_pocket_and_says_so(tmp_path, monkeypatch):
    notes = []
    monkeypatch.setattr(pages, "display", notes.append)
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    assert pages.studied_model("some/model") == "pocket"
    [note] = notes
    assert re.search(
        r"No study of some/model .* shows the recorded study of \*\*pocket", note.data
    )
    (tmp_path / "model_study.csv").touch()
    assert pages.studied_model("some/model") == "some/model"
    assert pages.studied_model("pocket") == "pocket"
    assert notes == [note]
    assert len(pages.recorded_study("pocket")) == len(pages.pocket_study()[0])
    whole_study({"a": (0.4, 0.3)}).to_csv(tmp_path / "pocket_study.csv", index=False)
    assert len(pages.recorded_study("pocket")) == 8


def test_a_model_that_is_not_the_one_studied_is_noted(monkeypatch, tiny_model):
    notes = []
    monkeypatch.setattr(pages, "display", notes.append)
    same = {"name": "elsewhere/tiny", "revision": tiny_model.provenance.revision}
    pages.note_other_revision(tiny_model, {"model": same})
    assert notes == []
    pages.note_other_revision(tiny_model, {"model": same | {"revision": "0123456789ab"}})
    [note] = notes
    assert "study is of elsewhere/tiny at revision 0123456789ab; what is" in note.data
    assert f"at revision {same['revision']}. The badge" in note.data


def test_a_manifest_that_says_nothing_is_one_error(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    (tmp_path / "model_manifest.json").write_text('{"model": {}, "ended": ""}')
    with pytest.raises(
        RecordError, match=r"model_manifest\.json does not say metric, settings; `"
    ):
        pages.recorded_commit("some/model")


def test_a_recorded_studys_images_are_made_again_with_its_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    assert set(pages.RENDERING) == {field.name for field in fields(RenderSettings)}
    recorded = {"steps": 3, "guidance_scale": 2.0, "height": 64, "frames": 11, "dtype": "float16"}
    (tmp_path / "model_manifest.json").write_text(json.dumps(MANIFEST | {"settings": recorded}))
    assert RenderSettings(**pages.recorded_rendering("model")) == RenderSettings(3, 2.0, height=64)


def test_a_pilot_is_called_a_pilot():
    study = study_table({"a": (1.0, 0.9), "b": (1.0, 0.9)})
    assert pages.coverage_text(study, 2) == "It covers all 2 prompt pairs"
    assert pages.coverage_text(study, 3) == "It is a pilot: it covers 2 of the 3 prompt pairs"


def test_recorded_files_are_found_by_the_short_name(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    whole_study({"a": (0.4, 0.3)}).to_csv(tmp_path / "model_study.csv", index=False)
    pd.DataFrame({"step": [0]}).to_parquet(tmp_path / "model_steps.parquet")
    (tmp_path / "model_manifest.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
    assert len(pages.recorded_study("some/model")) == 8
    assert pages.recorded_steps("some/model")["step"].tolist() == [0]
    assert pages.recorded_manifest("some/model") == MANIFEST


def test_a_study_without_the_couplings_that_are_compared_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    study_table({"a": (0.4, 0.3)}).to_csv(tmp_path / "model_study.csv", index=False)
    with pytest.raises(pages.StudyNotRecordedError, match=r"_study\.csv .* random, worst, which"):
        pages.recorded_study("model")


def test_a_study_is_read_with_the_pairs_published_beside_it(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    whole_study({"a": (0.4, 0.3)}).to_csv(tmp_path / "model_study.csv", index=False)
    with pytest.raises(
        pages.StudyNotRecordedError,
        match=r"1 prompt pairs of .*model_study\.csv are not in .*pairs\.csv, such as a; put",
    ):
        pages.studied_pairs("some/model")
    own = [PromptPair("a", "one", "two", 5.0), PromptPair("b", "three", "four", 0.3)]
    write_prompt_pairs(tmp_path / "model_pairs.csv", own)
    assert pages.studied_pairs("some/model") == own


@pytest.mark.parametrize("name", ["pocket", "pocket_dose", "pocket_ways"])
def test_the_recorded_pairs_are_those_that_the_study_took(name):
    texts = [
        [pair.pair_id, pair.source, pair.target]
        for pair in read_prompt_pairs(RESULTS / f"{name}_pairs.csv")
    ]
    assert digest(texts) == pages.pocket_study(name)[1]["settings"]["pairs"]


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
    assert pages.recorded_commit(name) == (revision if commit else None)


def test_a_results_folder_that_is_not_there_is_named_whole(monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", "runs/nowhere")
    whole = Path("runs/nowhere").absolute()
    with pytest.raises(FileNotFoundError, match=rf"'runs/nowhere', but {whole} is no folder; giv"):
        pages.recorded_study("pocket")
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", "")
    assert pages.results_folder() == RESULTS


def test_pocket_has_its_own_pairs_and_metric_and_others_the_natural_ones():
    assert pages.prompt_table("pocket").name == "pocket_pairs.csv"
    assert pages.prompt_table("some/stable-diffusion").name == "pairs.csv"
    assert [pages.metric_name(name) for name in ("pocket", "some/stable-diffusion")] == [
        "pocket",
        "alex",
    ]


def test_a_recorded_benchmark_comes_with_its_manifest(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "RESULTS", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no record at .*benchmark_costs\.csv; `make ben"):
        pages.recorded_benchmark("costs")
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
    table, manifest = pages.recorded_benchmark("costs")
    assert table["size"].tolist() == [1, 2]
    assert manifest == written
    assert pages.benchmark_line(manifest).data == (
        "**Provenance.** Model pocket; timed on 2026-01-02 on Some CPU, 2 cores, 1 threads; "
        "python 3.11.7, torch 2.6.0, scipy 1.15."
    )
