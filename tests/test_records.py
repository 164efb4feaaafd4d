"""Recorded files are read back, and every way in which they can be unusable is one clear error."""

import json

import pandas as pd
import pytest

from embedding_geometry.ground.records import RecordError, read_manifest, read_table

TABLE = pd.DataFrame({"pair_id": ["a", "b"], "ppl": [0.25, 0.5]})


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
