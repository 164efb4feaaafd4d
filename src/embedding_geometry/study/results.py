"""The results folder of a study: its settings, and one small file per finished cell.

A cell is one image interpolation: one prompt pair, one seed of the initial latent, one coupling.

    <folder>/settings.json          what the folder's study computes
    <folder>/cells/<name>.json      a finished cell, named by a hash of all that determines it; in
                                    the folder of a re-timing, a re-timed path
    <folder>/seen/<name>.npz        what is kept of its pictures, where fidelity is asked for, or
                                    of a picture that they are held against

A file appears whole or not at all (written under a temporary name, flushed to disk, renamed), so
a study that is killed at any moment loses no finished cell, and finds the unfinished ones missing.
Several processes, on several machines, may work in one folder: a cell has one name for all.
"""

import contextlib
import io
import json
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from embedding_geometry.ground.disk import ABANDONED_AFTER_SECONDS, digest, write_whole, writing
from embedding_geometry.study.settings import StudySettingsError

FIDELITY = "fidelity.csv"  # of a study that has a reference, under the same name when published


class DamagedCellWarning(UserWarning):
    """A cell's file is not what was written; the cell is computed again."""


@dataclass(frozen=True)
class Cell:
    """A finished cell: what was measured, and what the measurement depends on.

    Attributes:
        identity: Everything that determines the measurement (texts, model, settings, seed ...).
        distances: Perceptual distance of every step, `frames - 1` of them.
        wasserstein_length: Length of the path of token clouds, in the poster's units; None for a
            rule that mixes texts, on which no cloud moves.
        w2: Wasserstein distance of the path's ends, in the poster's units (no 1/N under the root).
        started: When its computation began, ISO 8601 in UTC.
        ended: When it ended.
        environment: Machine and library versions that computed it.
        beside: The distances by further nets, by their names.
    """

    identity: dict[str, object]
    distances: list[float]
    wasserstein_length: float | None
    w2: float
    started: str
    ended: str
    environment: dict[str, object]
    beside: dict[str, list[float]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long the computation took."""
        started, ended = map(datetime.fromisoformat, (self.started, self.ended))
        return (ended - started).total_seconds()


@dataclass(frozen=True)
class RetimedPath:
    """A path that was re-timed.

    Attributes:
        identity: Everything that determines it.
        rounds: What was measured before the first round and after each, by column.
        started: When its computation began, ISO 8601 in UTC.
        ended: When it ended.
    """

    identity: dict[str, object]
    rounds: list[dict[str, object]]
    started: str
    ended: str


@dataclass(frozen=True)
class Seen:
    """What is kept of the pictures of a cell, or of one for reference: fidelity follows from it.

    Attributes:
        features: Of every frame, ends included, as `picture_features` makes them.
        distinct: How many different pictures the frames are.
        unet_rows: Rows of the UNet a frame and step, mean over the frames.
        confidence: Of a judge in every frame; of length 0 where there is none.
    """

    features: Float[np.ndarray, "t c"]
    distinct: int
    unet_rows: float
    confidence: Float[np.ndarray, " judged"]


def open_results(folder: Path, settings: Mapping[str, object]) -> None:
    """Make the folder, if need be, and make it ready for the cells of a study.

    Its settings are all that the study's table depends on, as JSON values.

    Raises:
        StudySettingsError: The folder holds a study with other settings.
        ResultsFolderError: The folder cannot be created or written.
    """
    check_settings(folder, settings)
    with writing(folder):
        (folder / "cells").mkdir(parents=True, exist_ok=True)
    path = folder / "settings.json"
    write_whole(path, json.dumps(settings, indent=1, ensure_ascii=False).encode())
    now = path.stat().st_mtime  # by the clock of the disk, which may be that of another machine
    for abandoned in folder.rglob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):  # another process may tidy up as well
            if now - abandoned.stat().st_mtime > ABANDONED_AFTER_SECONDS:
                abandoned.unlink()


def check_settings(folder: Path, settings: Mapping[str, object]) -> None:
    """Raise if the folder holds a study with other settings; one that is not there yet is fine.

    Raises:
        StudySettingsError: as said, or what the folder says of its settings is damaged.
        ResultsFolderError: The folder cannot be read.
    """
    path, content = folder / "settings.json", None
    with writing(folder), contextlib.suppress(FileNotFoundError):
        content = path.read_bytes()
    if content is None:
        return
    try:
        recorded = dict(json.loads(content))
    except (ValueError, TypeError) as error:
        raise StudySettingsError(
            f"{path} is damaged ({error}); delete this one file to go on, "
            "cells made with other settings are never taken up"
        ) from error
    wanted = json.loads(json.dumps(settings))
    differing = [
        "its prompt pairs have other names or texts"
        if name == "pairs"
        else f"{name} is {recorded.get(name)!r} there and {wanted.get(name)!r} now"
        for name in sorted(recorded.keys() | wanted.keys())
        if recorded.get(name) != wanted.get(name)
    ]
    if differing:
        raise StudySettingsError(
            f"{folder} holds a study with other settings: {'; '.join(differing)}. "
            "Choose another folder, or go back to the settings of this one"
        )


def save_cell(folder: Path, cell: Cell | RetimedPath) -> None:
    """Write a finished cell, or a re-timed path, where `cell_path` has it.

    Raises:
        ResultsFolderError: The folder cannot be written (disk full, read-only ...).
    """
    content = asdict(cell)
    signed = {"sha256": digest(content), "cell": content}
    text = json.dumps(signed, ensure_ascii=False, allow_nan=False)
    write_whole(cell_path(folder, cell.identity), text.encode())


def load_cell(folder: Path, identity: Mapping[str, object]) -> Cell | None:
    """Read the finished cell of this identity; None where it is missing or damaged.

    A damaged file is reported as a `DamagedCellWarning` that names it.
    """
    content = _load_signed(folder, identity)
    return None if content is None else Cell(**content)


def load_retimed(folder: Path, identity: Mapping[str, object]) -> RetimedPath | None:
    """The same for the re-timed path of this identity."""
    content = _load_signed(folder, identity)
    return None if content is None else RetimedPath(**content)


def _load_signed(folder: Path, identity: Mapping[str, object]) -> dict[str, Any] | None:
    path = cell_path(folder, identity)
    if not path.exists():
        return None
    with contextlib.suppress(ValueError, TypeError, KeyError):
        signed = json.loads(path.read_text(encoding="utf-8"))
        content: dict[str, Any] = signed["cell"]
        if signed["sha256"] == digest(content) and content["identity"] == dict(identity):
            return content
    warnings.warn(
        f"{path} is damaged; this cell is computed again", DamagedCellWarning, stacklevel=3
    )
    return None


def cell_path(folder: Path, identity: Mapping[str, object]) -> Path:
    """The file of the cell that is determined by `identity`."""
    return folder / "cells" / f"{digest(dict(identity))}.json"


def save_seen(folder: Path, identity: Mapping[str, object], judge: str, seen: Seen) -> None:
    """Write what is kept of a cell's pictures; raises as `save_cell`."""
    content = io.BytesIO()
    np.savez(content, **asdict(seen) | {"features": seen.features.astype(np.float32)})
    path = seen_path(folder, identity, judge)
    with writing(path.parent):
        path.parent.mkdir(exist_ok=True)
    write_whole(path, content.getvalue())


def load_seen(folder: Path, identity: Mapping[str, object], judge: str) -> Seen | None:
    """Read it; None where it is missing or, which a `DamagedCellWarning` says, damaged."""
    path = seen_path(folder, identity, judge)
    if not path.exists():
        return None
    try:
        # of its bytes: numpy leaves a damaged file open
        with np.load(io.BytesIO(path.read_bytes())) as kept:
            return Seen(
                kept["features"].astype(np.float64),
                int(kept["distinct"]),
                float(kept["unet_rows"]),
                kept["confidence"],
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        message = f"{path} is damaged; its pictures are made again"
        warnings.warn(message, DamagedCellWarning, stacklevel=2)
        return None


def seen_path(folder: Path, identity: Mapping[str, object], judge: str) -> Path:
    """The file of what is kept of the pictures of a cell, as seen by a judge of this version.

    The version is empty where there is no judge.
    """
    return folder / "seen" / f"{digest(dict(identity) | {'judge': judge})}.npz"
