"""The registry knows every recorded file; each is read back, or refused in one clear error."""

import json
from itertools import product

import pandas as pd
import pytest

from embedding_geometry.ground import records
from embedding_geometry.ground.places import EMBEDDED, PROMPTS, RESULTS
from embedding_geometry.ground.records import (
    ATLAS,
    BENCHMARKS,
    DOSE,
    FIRST,
    KILLS,
    ORDER,
    RECORDS,
    STUDY,
    Record,
    RecordError,
    read_manifest,
    read_table,
    recording_day,
    write_record,
)

RECORDED = [record for record in RECORDS.values() if record.manifest]
TABLE = pd.DataFrame({"pair_id": ["a", "b"], "ppl": [0.25, 0.5]})


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A results folder of one's own."""
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    return tmp_path


# --- the registry -------------------------------------------------------------------------------


@pytest.mark.parametrize("model", EMBEDDED)
@pytest.mark.parametrize("record", RECORDED, ids=lambda record: record.name)
def test_what_is_registered_comes_with_the_book(record, model):
    assert record.recorded(model)
    assert record.file(record.manifest, model).is_file()
    assert recording_day(record.facts(model)) > "2026-01-01"


def test_every_recorded_file_is_registered():
    registered = {
        record.file(ending, model)
        for record, model in product(RECORDED, EMBEDDED)
        for ending in (*record.tables, record.manifest)
    }
    assert set(RESULTS.iterdir()) <= registered


def test_a_table_of_an_embedded_model_is_made_by_the_study_of_that_name():
    assert DOSE.made_by("copies/menagerie") == "python -m embedding_geometry record menagerie_dose"
    assert DOSE.made_by("some/model") == "python -m embedding_geometry study --publish"
    assert BENCHMARKS["costs"].made_by("pocket") == "make benchmark"


def test_a_models_study_is_in_the_results_folder(mine):
    TABLE.to_csv(mine / "model_study.csv", index=False)
    (mine / "model_manifest.json").write_text('{"ended": "2026-01-02T03:04:05"}')
    table, manifest = STUDY.read("some/model")
    pd.testing.assert_frame_equal(table, TABLE)
    assert recording_day(manifest) == "2026-01-02"
    assert STUDY.file("_steps.parquet", "some/model") == mine / "model_steps.parquet"


def test_pockets_study_comes_with_the_book_where_the_folder_has_none(mine):
    assert STUDY.path("pocket") == STUDY.path("a/copy/of/pocket") == RESULTS / "pocket_study.csv"
    TABLE.to_csv(mine / "pocket_study.csv", index=False)
    assert len(STUDY.rows("pocket")) == 2
    assert STUDY.path("other") == mine / "other_study.csv"


def test_what_is_about_this_code_comes_with_the_book_whatever_the_model(mine):
    for record in (FIRST, ATLAS, KILLS, *BENCHMARKS.values()):
        assert record.path("some/model").parent == RESULTS
        assert record.recorded("some/model")


def test_what_a_page_computes_is_not_recorded_and_stands_on_the_prompts():
    assert ORDER.path("some/model") == PROMPTS / "pairs.csv"
    assert not ORDER.recorded("some/model")
    assert ORDER.facts("some/model") == {}


def test_what_is_missing_or_damaged_is_named_with_its_command(mine, monkeypatch):
    assert not STUDY.recorded("some/model")
    with pytest.raises(FileNotFoundError, match=r"model_study\.csv; `python -m .* study --pub"):
        STUDY.rows("some/model")
    monkeypatch.setattr(records, "RESULTS", mine)
    (mine / "pocket_dose_study.csv").write_text("pair_id,seed\n")
    (mine / "pocket_dose_manifest.json").write_text("{")
    with pytest.raises(RecordError, match=r"dose_study\.csv has no rows.*record pocket_dose`"):
        DOSE.rows("pocket")
    with pytest.raises(RecordError, match=r"dose_manifest\.json is damaged.*record pocket_dose`"):
        DOSE.facts("pocket")
    with pytest.raises(FileNotFoundError, match=r"benchmark_costs\.csv; `make benchmark`"):
        BENCHMARKS["costs"].rows()


def test_a_record_is_read_as_it_was_written(mine, monkeypatch):
    monkeypatch.setattr(records, "RESULTS", mine)
    record = Record("new/made", "make made", (".csv",))
    write_record(mine / record.name, TABLE, {"pairs": 2})
    table, manifest = record.read()
    pd.testing.assert_frame_equal(table, TABLE)
    assert manifest == {"pairs": 2}
    write_record(mine / record.name, TABLE.assign(ppl=1 / 3), {}, digits=3)
    assert record.rows()["ppl"].tolist() == [0.333, 0.333]


# --- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_is_read_by_its_suffix(suffix, tmp_path):
    path = tmp_path / f"study.{suffix}"
    TABLE.to_csv(path, index=False) if suffix == "csv" else TABLE.to_parquet(path)
    pd.testing.assert_frame_equal(read_table(path, "make study"), TABLE)


def test_a_manifest_is_read(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"cells": 2}))
    assert read_manifest(path, "make study") == {"cells": 2}


@pytest.mark.parametrize("read", [read_table, read_manifest])
def test_a_missing_file_is_named_with_the_command_that_makes_it(read, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no record at .*gone\.csv; `make study` makes"):
        read(tmp_path / "gone.csv", "make study")


@pytest.mark.parametrize("text", ["", "pair_id,ppl\n"])
def test_a_table_without_rows_shows_nothing(text, tmp_path):
    path = tmp_path / "study.csv"
    path.write_text(text)
    with pytest.raises(RecordError, match=r"study\.csv has no rows.*`make study` makes it anew"):
        read_table(path, "make study")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("study.csv", b'pair_id,ppl\n"a,0.25\n'),
        ("study.csv", b"\xff\xfe\x00,\x81\n1,2\n"),
        ("steps.parquet", b""),
        ("steps.parquet", b"PAR1 half of a file"),
    ],
)
def test_a_damaged_table_is_named(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RecordError, match=rf"{name} is damaged \(.*`make study` makes it anew"):
        read_table(path, "make study")


@pytest.mark.parametrize("content", [b"", b'{"cells": 2', b"[1, 2]", b"3", b"\xff\xfe"])
def test_a_damaged_manifest_is_named(content, tmp_path):
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"manifest\.json is damaged \(.*`make study` makes it"):
        read_manifest(path, "make study")
