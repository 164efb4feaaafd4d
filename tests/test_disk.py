"""Files appear whole or not at all, and what cannot be written is one clear error."""

import errno
import os
from pathlib import Path

import pytest

from embedding_geometry.ground.disk import ResultsFolderError, make_folder, write_whole


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_failing_disk_keeps_the_earlier_version(tmp_path, monkeypatch, call):
    def refuse(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_whole(tmp_path / "table.csv", b"earlier")
    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(ResultsFolderError, match=r"table\.csv.*No space left"):
        write_whole(tmp_path / "table.csv", b"later")
    assert files_in(tmp_path) == ["table.csv"]
    assert (tmp_path / "table.csv").read_bytes() == b"earlier"


def test_a_write_that_is_interrupted_leaves_the_earlier_version_and_no_temporary_file(
    tmp_path, monkeypatch
):
    write_whole(tmp_path / "table.csv", b"earlier")

    def interrupt(descriptor: int) -> None:
        assert any(name.endswith(".tmp") for name in files_in(tmp_path))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "table.csv", b"later")
    assert files_in(tmp_path) == ["table.csv"]
    assert (tmp_path / "table.csv").read_bytes() == b"earlier"


def test_a_folder_that_can_be_written_is_made_and_left_empty(tmp_path):
    make_folder(tmp_path / "a/b")
    assert files_in(tmp_path / "a/b") == []


def test_a_folder_in_the_place_of_a_file_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResultsFolderError, match=r"cannot write into .*file/results"):
        make_folder(tmp_path / "file/results")
