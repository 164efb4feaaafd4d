"""The machine and the libraries are named."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from embedding_geometry.ground import machine
from embedding_geometry.ground.machine import (
    cpu_name,
    library_versions,
    package_source,
    this_machine,
    utc_now,
)


def test_versions_are_those_of_the_installed_libraries():
    assert library_versions("numpy") == {"numpy": np.__version__}
    with pytest.raises(PackageNotFoundError):
        library_versions("no-such-library")


def test_the_processor_has_a_name():
    assert cpu_name().strip() == cpu_name() != ""


def test_the_machine_is_the_one_that_computes() -> None:
    facts = this_machine()
    assert list(facts) == ["cpu", "cores", "system", "python"]
    assert facts["python"] == sys.version.split()[0]


@pytest.mark.parametrize("timespec", ["seconds", "microseconds"])
def test_the_time_is_that_of_greenwich(timespec: str) -> None:
    """To the second, or to the microsecond where durations follow from it."""
    now = datetime.fromisoformat(utc_now(timespec))
    assert now.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - now) < timedelta(minutes=1)
    assert ("." in utc_now(timespec)) == (timespec == "microseconds")


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=someone", "-c", "user.email=someone@example.org")
    command = ["git", *identity, *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_package_says_its_version_and_the_commit_of_its_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In no clone, in one that knows nothing of it, in its own, and in that with changes."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "code.py").write_text("one\n")
    monkeypatch.setattr(machine, "PACKAGE", folder)
    assert package_source() == {"package": version("embedding-geometry"), "commit": None}
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "none of it")
    assert package_source()["commit"] is None
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "all of it")
    head = git(tmp_path, "rev-parse", "HEAD").strip()
    assert package_source()["commit"] == head
    (folder / "code.py").write_text("two\n")
    assert package_source()["commit"] == f"{head} with changes"


def test_a_package_from_a_repository_says_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As pip writes it down, PEP 610."""
    origin = '{"url": "https://example.org", "vcs_info": {"vcs": "git", "commit_id": "0123abc"}}'
    installed = SimpleNamespace(version="1.2", read_text=lambda name: origin)
    monkeypatch.setattr(machine, "distribution", lambda name: installed)
    monkeypatch.setattr(machine, "PACKAGE", Path("/"))
    assert package_source() == {"package": "1.2", "commit": "0123abc"}
