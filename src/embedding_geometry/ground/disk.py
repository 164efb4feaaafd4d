"""Files that appear whole or not at all, and folders that can be written."""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


class ResultsFolderError(OSError):
    """A folder for results cannot be written; finished cells stay where they are."""


def digest(value: object) -> str:
    """First 20 hex digits of the SHA-256 of a value's canonical JSON."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:20]


@contextlib.contextmanager
def naming(problem: str, *kinds: type[Exception]) -> Iterator[None]:
    """Make errors of these kinds a ValueError that says first which file has what problem."""
    try:
        yield
    except kinds as error:
        raise ValueError(f"{problem}: {error}") from error


def make_folder(folder: Path) -> None:
    """Create a folder, and see that files can be written there before long work begins.

    Raises:
        ResultsFolderError: It cannot be created, or nothing can be written in it.
    """
    probe = folder / f".{secrets.token_hex(8)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ResultsFolderError(
            f"cannot write into {folder}: {error.strerror}; allow writing there, or name another "
            "folder"
        ) from error


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the file or folder in whatever goes wrong while it is written.

    Raises:
        ResultsFolderError: It cannot be written (disk full, read-only ...).
    """
    try:
        yield
    except OSError as error:
        raise ResultsFolderError(
            f"cannot write {path}: {error.strerror or error}. What was finished before is kept; "
            "make room or allow writing there, then run the same command again"
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whenever the process is stopped.

    Raises:
        ResultsFolderError: The file cannot be written; an earlier version of it stays.
    """
    # a name of its own even among processes of several machines, whose numbers may coincide
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with writing(path):
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


ABANDONED_AFTER_SECONDS = 600.0  # a temporary file lives for milliseconds unless its writer died
