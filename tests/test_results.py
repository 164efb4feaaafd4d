"""Cells are written whole, told apart, checked when read, and kept when a disk fails."""

import errno
import json
import os
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from embedding_geometry.ground.disk import ResultsFolderError
from embedding_geometry.study import results
from embedding_geometry.study.results import (
    Cell,
    DamagedCellWarning,
    cell_path,
    load_cell,
    open_results,
    save_cell,
)
from embedding_geometry.study.settings import StudySettingsError

SETTINGS = {"frames": 4, "couplings": ["row", "optimal"], "negative_prompt": "häßlich"}
CELL = Cell(
    identity={"pair_id": "a", "source": "ein Kätzchen", "seed": 0, "coupling": "row"},
    distances=[0.1, 1 / 3, 0.0],
    wasserstein_length=12.5,
    w2=11.25,
    started="2026-01-01T12:00:00+00:00",
    ended="2026-01-01T12:00:01.500000+00:00",
    environment={"cpu": "one", "versions": {"torch": "2"}},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    open_results(tmp_path / "results", SETTINGS)
    return tmp_path / "results"


def refuse(code: int):
    """An operating-system call that always fails with this error number."""

    def call(*arguments, **options):
        raise OSError(code, os.strerror(code))

    return call


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# --- cells --------------------------------------------------------------------------------------


def test_a_cell_is_read_back_as_it_was_written(folder: Path) -> None:
    save_cell(folder, CELL)
    assert load_cell(folder, CELL.identity) == CELL
    assert CELL.seconds == 1.5


@pytest.mark.parametrize("change", [{"seed": 1}, {"source": "ein Hund"}, {"steps": 20}])
def test_a_cell_of_another_identity_is_missing(folder: Path, change: dict) -> None:
    save_cell(folder, CELL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_cell(folder, CELL.identity | change) is None


def truncate(text: str) -> str:
    return text[: len(text) // 2]


def change_a_digit(text: str) -> str:
    return text.replace("12.5", "12.6")


def forget_a_field(text: str) -> str:
    signed = json.loads(text)
    del signed["cell"]["w2"]
    return json.dumps(signed)


def take_over_another_cell(text: str) -> str:
    signed = json.loads(text)
    signed["cell"]["identity"]["seed"] = 1
    signed["sha256"] = results.digest(signed["cell"])
    return json.dumps(signed)


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        change_a_digit,
        forget_a_field,
        take_over_another_cell,
        lambda text: "",
        lambda text: "[]",
        lambda text: "\0" * len(text),
        lambda text: "{}",
    ],
)
def test_a_damaged_cell_is_reported_by_name_and_missing(folder: Path, damage) -> None:
    save_cell(folder, CELL)
    path = cell_path(folder, CELL.identity)
    path.write_text(damage(path.read_text()))
    with pytest.warns(DamagedCellWarning, match=f"{path.name} is damaged"):
        assert load_cell(folder, CELL.identity) is None


def test_bytes_that_are_no_text_are_a_damaged_cell(folder: Path) -> None:
    cell_path(folder, CELL.identity).write_bytes(b"\xff\xfe\x00")
    with pytest.warns(DamagedCellWarning):
        assert load_cell(folder, CELL.identity) is None


def test_a_cell_without_a_number_is_not_written(folder: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_cell(folder, replace(CELL, w2=float("nan")))
    assert files_in(folder) == ["settings.json"]


# --- writing ------------------------------------------------------------------------------------


# --- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_failing_disk_is_one_clear_error_and_keeps_what_was_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    save_cell(folder, CELL)
    before = files_in(folder)
    monkeypatch.setattr(os, call, refuse(code))
    other = replace(CELL, identity=CELL.identity | {"seed": 1})
    with pytest.raises(ResultsFolderError, match=os.strerror(code)) as caught:
        save_cell(folder, other)
    assert str(cell_path(folder, other.identity)) in str(caught.value)
    assert "run the same command again" in str(caught.value)
    assert files_in(folder) == before
    assert load_cell(folder, CELL.identity) == CELL


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResultsFolderError, match=r"cannot write .*file/results: Not a directory"):
        open_results(tmp_path / "file" / "results", SETTINGS)


def test_temporary_files_of_dead_writers_are_removed_and_those_of_living_ones_stay(
    folder: Path,
) -> None:
    dead, living = folder / "cells/.a.json.1.tmp", folder / "cells/.b.json.2.tmp"
    for path in (dead, living):
        path.write_text("{")
    old = time.time() - 2 * results.ABANDONED_AFTER_SECONDS
    os.utime(dead, (old, old))
    open_results(folder, SETTINGS)
    assert not dead.exists()
    assert living.exists()


def test_the_same_settings_open_a_folder_again(folder: Path) -> None:
    save_cell(folder, CELL)
    open_results(folder, {**SETTINGS, "couplings": ("row", "optimal")})
    assert load_cell(folder, CELL.identity) == CELL


def test_other_settings_are_refused_by_name(folder: Path) -> None:
    other = {"frames": 5, "couplings": ["row"], "steps": 3} | {"negative_prompt": "häßlich"}
    with pytest.raises(StudySettingsError) as caught:
        open_results(folder, other)
    message = str(caught.value)
    assert "couplings is ['row', 'optimal'] there and ['row'] now" in message
    assert "frames is 4 there and 5 now" in message
    assert "steps is None there and 3 now" in message
    assert "negative_prompt" not in message
    assert "Choose another folder" in message


@pytest.mark.parametrize("content", [b"{", b"", b"7", b"\xff"])
def test_damaged_settings_are_named_with_the_remedy(folder: Path, content: bytes) -> None:
    (folder / "settings.json").write_bytes(content)
    with pytest.raises(StudySettingsError, match=r"settings.json is damaged .*delete this one"):
        open_results(folder, SETTINGS)


PAIRS = Path("pairs.csv")
