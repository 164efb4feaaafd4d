"""A page says what made it, quotes numbers, and shows pictures and tables."""

import base64
import io
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.figure import Figure
from PIL import Image, ImageColor

from embedding_geometry.ground import records
from embedding_geometry.ground.records import DOSE, RETIMING, STUDY
from embedding_geometry.pages import display as pages
from embedding_geometry.pages.computed import Walk
from embedding_geometry.pages.twins import KEY
from embedding_geometry.study.prompts import PromptPair


@pytest.fixture
def shown(monkeypatch):
    """Collect what a page displays."""
    displayed = []

    def record(data, metadata=None, raw=False):
        assert raw
        displayed.append((data, metadata))

    monkeypatch.setattr(pages, "display", record)
    return displayed


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


def test_badge_and_prose_say_how_many_agree_and_how_far(shown):
    badge = pages.show_agreement(np.array([True] * 6), 1e-3).data
    assert 'class="agreement agrees"' in badge
    assert "6 of 6 within 0.1\u202f%" in badge
    badge = pages.show_agreement([True, False, True], 1e-3).data
    assert 'class="agreement differs"' in badge
    assert "2 of 3" in badge
    glued = [next(iter(data.values())) for data, _ in shown]
    assert glued == ["'agree'", "'6'", "'do NOT agree'", "'3'"]


def test_badge_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="no recomputed value"):
        pages.show_agreement([], 1e-3)


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


def test_a_drawing_is_a_small_png_of_what_was_drawn(shown, monkeypatch):
    monkeypatch.setitem(rcParams, "figure.constrained_layout.use", False)  # moves when drawn again
    figure = Figure(figsize=(2, 1))
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], color="#0072B2")
    colours = ["#D55E00", "#E69F00", "#56B4E9"]  # few points of each, and near to one another
    ax.scatter([0, 0.5, 1], [1, 1, 0], c=colours)
    whole = io.BytesIO()
    figure.savefig(whole, format="png", dpi=150)
    pages.show_drawing(figure)
    [(data, _)] = shown
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert len(data["image/png"]) < len(whole.getvalue())
    drawn = np.asarray(Image.open(whole).convert("RGB"), dtype=int)
    off = np.abs(np.asarray(picture.convert("RGB"), dtype=int) - drawn).max(axis=2)
    for colour in colours:
        assert off[(drawn == ImageColor.getrgb(colour)).all(axis=2)].max() < 16


def test_lists_stand_under_their_heads_and_are_recorded(shown):
    pages.show_lists({"On one": ["a < b.", "c."]}, "advice")
    [(data, metadata)] = shown
    assert data["text/html"] == (
        "<p><strong>On one</strong></p><ul><li>a &lt; b.</li><li>c.</li></ul>"
    )
    assert data["text/plain"] == "On one: a < b. c."
    assert metadata["scrapbook"]["name"] == "advice"


def test_a_walk_is_strips_with_their_pair_and_what_captions_quote(shown, tiny_model):
    pair = PromptPair("p", "a cat", "two birds", 3.0)
    frames = {"row": np.zeros((3, 8, 8, 3), np.uint8), "pooled": np.ones((3, 8, 8, 3), np.uint8)}
    pages.show_walk(Walk(tiny_model, pair, frames, np.array([True, True])), "one", ["pooled"])
    names = {meta["scrapbook"]["name"]: data for data, meta in shown if "scrapbook" in meta}
    assert names.keys() == {"model_one", "source_one", "target_one"}
    assert list(names["target_one"].values()) == ["'two birds'"]
    picture, metadata = shown[-1]
    assert "image/jpeg" in picture
    assert metadata["tried_pair"]["asked"] == {"source": "a cat", "target": "two birds", "seed": 0}


def test_written_table_is_shown_and_recorded_for_other_pages(shown):
    pages.show_html("<table></table>", "sums", "a table")
    [(data, metadata)] = shown
    assert data == {"text/html": "<table></table>", "text/plain": "a table"}
    assert metadata == {"scrapbook": {"name": "sums", "mime_prefix": ""}}


def test_a_page_without_records_of_its_model_is_about_an_embedded_one_and_says_so(
    tmp_path, monkeypatch
):
    notes = []
    monkeypatch.setattr(pages, "display", notes.append)
    monkeypatch.setattr(records, "RESULTS", tmp_path)
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    for name in ("pocket_study", "pocket_dose_study", "menagerie_study"):
        (tmp_path / f"{name}.csv").touch()
    assert pages.studied_model("menagerie") == "menagerie"
    assert notes == []
    assert pages.studied_model("menagerie", STUDY, DOSE) == "pocket"
    assert "has no menagerie_dose_study.csv, so" in notes[0].data
    assert "but about **pocket**" in notes[0].data
    assert "recorded by `python -m embedding_geometry record menagerie_dose`" in notes[0].data
    (tmp_path / "model_dose_study.csv").touch()
    assert pages.studied_model("some/model", DOSE) == "some/model"
    assert pages.studied_model("some/model", STUDY, DOSE) == "pocket"
    assert "no model_study.csv, so this page is not about some/model" in notes[1].data
    assert pages.studied_model("some/model", RETIMING) == "some/model"  # reading it says what for
    assert len(notes) == 2


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


def test_a_benchmarks_line_names_machine_day_and_versions():
    manifest = {
        "model": "pocket",
        "cpu": "Some CPU",
        "cores": 2,
        "threads": 1,
        "python": "3.11.7",
        "recorded": "2026-01-02T03:04:05+00:00",
        "versions": {"torch": "2.6.0+cpu", "scipy": "1.15"},
    }
    assert pages.benchmark_line(manifest).data == (
        "**Provenance.** Model pocket; timed on 2026-01-02 on Some CPU, 2 cores, 1 threads; "
        "python 3.11.7, torch 2.6.0, scipy 1.15."
    )


def test_pages_hush_the_missing_progress_bar_before_a_model_is_loaded():
    complaint = "import embedding_geometry.pages, warnings; warnings.warn('IProgress not found.')"
    run = subprocess.run([sys.executable, "-c", complaint], capture_output=True, text=True)
    assert run.stderr == ""
