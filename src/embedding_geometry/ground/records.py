"""Recorded tables and their manifests: read, or refused in one line that names the remedy."""

import json
from pathlib import Path
from typing import Any

import pandas as pd


class RecordError(ValueError):
    """A recorded file is there, but empty or damaged."""


def read_table(path: Path, command: str) -> pd.DataFrame:
    """Read a recorded table, CSV or Parquet by its suffix.

    Args:
        path: the file.
        command: what makes it, for the message of an error.

    Raises:
        FileNotFoundError: there is none.
        RecordError: it is damaged or has no rows.
    """
    _check_presence(path, command)
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except pd.errors.EmptyDataError:
        table = pd.DataFrame()
    except (ValueError, OSError) as error:  # pyarrow has both for a damaged file
        raise _damaged(path, command, error) from error
    if table.empty:
        raise RecordError(f"{path} has no rows, so it shows nothing; `{command}` makes it anew")
    return table


def read_manifest(path: Path, command: str) -> dict[str, Any]:
    """Read what a recorded table was made with, a JSON object.

    Args:
        path: the file.
        command: what makes it, for the message of an error.

    Raises:
        FileNotFoundError: there is none.
        RecordError: it is damaged.
    """
    _check_presence(path, command)
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise _damaged(path, command, error) from error


def _check_presence(path: Path, command: str) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"no record at {path}; `{command}` makes it")


def _damaged(path: Path, command: str, error: Exception) -> RecordError:
    return RecordError(f"{path} is damaged ({error}); `{command}` makes it anew")
