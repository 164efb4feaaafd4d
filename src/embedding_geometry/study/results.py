"""The results folder of a study: its settings, and one small file per finished cell.

A cell is one image interpolation: one prompt pair, one seed of the initial latent, one coupling.

    <folder>/settings.json          what the folder's study computes
    <folder>/cells/<name>.json      a finished cell, named by a hash of all that determines it

A file appears whole or not at all (written under a temporary name, flushed to disk, renamed), so
a study that is killed at any moment loses no finished cell, and finds the unfinished ones missing.
Several processes, on several machines, may work in one folder: a cell has one name for all.
"""

import contextlib
import hashlib
import json
import os
import secrets
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from embedding_geometry.ground.types import SEEDS, SchedulerName

Net = Literal["pocket", "alex", "vgg", "squeeze"]
ABANDONED_AFTER_SECONDS = 600.0  # a temporary file lives for milliseconds unless its writer died


class StudySettingsError(ValueError):
    """Settings that cannot be run, or that differ from those of the study in the same folder."""


class ResultsFolderError(OSError):
    """A folder for results cannot be written; finished cells stay where they are."""


class DamagedCellWarning(UserWarning):
    """A cell's file is not what was written; the cell is computed again."""


@dataclass(frozen=True)
class StudySettings:
    """What a study computes.

    Attributes:
        pairs: Table of prompt pairs (CSV: pair_id, source, target, similarity[, stratum]).
        model: pocket, a diffusers folder, or a hub id; EMBEDDING_GEOMETRY_MODEL if not given.
        net: Backbone of the perceptual metric: pocket, alex, vgg or squeeze.
        couplings: Computed on every initial latent: row, optimal, random or worst; or another way
            between the prompts, by its name in `ways.WAYS`.
        extra_couplings_first_seed: Couplings computed on the first initial latent only.
        seeds: One initial latent each, the same for all couplings and pairs.
        frames: Images along a path, both ends included.
        steps: Denoising steps; the model's own default if not given.
        guidance_scale: Classifier-free guidance scale; the model's own default if not given.
        negative_prompt: Text of the unconditional half of the guidance.
        batch_size: Images denoised at once, at most.
        scheduler: Sampler: ddim, dpm (DPM-Solver++) or euler, all deterministic.
        height: Height of the images in pixels, a multiple of 8; the model's own if not given.
        width: Width of the images in pixels, likewise.
        device: Where to compute (cpu, cuda, cuda:1, mps ...); the best there is if not given.
        dtype: Precision (float32, float16, bfloat16, float64); float32 if not given.
        revision: Branch, tag or commit of a hub id.
    """

    pairs: Path
    model: str | None = None
    net: Net = "pocket"
    couplings: tuple[str, ...] = ("row", "optimal", "random")
    extra_couplings_first_seed: tuple[str, ...] = ("worst",)
    seeds: tuple[int, ...] = (0, 1)
    frames: int = 11
    steps: int | None = None
    guidance_scale: float | None = None
    negative_prompt: str = ""
    batch_size: int = 16
    scheduler: SchedulerName = "ddim"
    height: int | None = None
    width: int | None = None
    device: str | None = None
    dtype: str | None = None
    revision: str | None = None

    def check(self) -> None:
        """Raise a StudySettingsError for values that cannot be run, saying what would do."""
        named = self.couplings + self.extra_couplings_first_seed
        _require(bool(self.couplings), "couplings is empty; name at least one")
        _require(len(set(named)) == len(named), f"a coupling is named twice: {' '.join(named)}")
        _require(bool(self.seeds), "seeds is empty; give at least one")
        for seed in self.seeds:
            _require(seed in SEEDS, f"seed is {seed}; use 0, 1, 2 ... {SEEDS[-1]}")
        _require(len(set(self.seeds)) == len(self.seeds), f"seeds {self.seeds} repeats one")
        _require(
            self.frames >= 3,
            f"frames is {self.frames}; a path needs 3 or more, "
            "because its two ends are the same images for every coupling",
        )
        _require(self.steps is None or self.steps >= 1, f"steps is {self.steps}; use 1 or more")
        _require(self.batch_size >= 1, f"batch_size is {self.batch_size}; use 1 or more")

    def couplings_of(self, seed: int) -> tuple[str, ...]:
        """Couplings computed on the initial latent of this seed."""
        first = seed == self.seeds[0]
        return self.couplings + (self.extra_couplings_first_seed if first else ())


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise StudySettingsError(message)


@dataclass(frozen=True)
class Cell:
    """A finished cell: what was measured, and what the measurement depends on.

    Attributes:
        identity: Everything that determines the measurement (texts, model, settings, seed ...).
        distances: Perceptual distance of every step, `frames - 1` of them.
        wasserstein_length: Length of the path of token clouds, in the poster's units.
        w2: Wasserstein distance of the path's ends, in the poster's units (no 1/N under the root).
        started: When its computation began, ISO 8601 in UTC.
        ended: When it ended.
        environment: Machine and library versions that computed it.
    """

    identity: dict[str, object]
    distances: list[float]
    wasserstein_length: float
    w2: float
    started: str
    ended: str
    environment: dict[str, object]

    @property
    def seconds(self) -> float:
        """How long the computation took."""
        return (
            datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.started)
        ).total_seconds()


def digest(value: object) -> str:
    """First 20 hex digits of the SHA-256 of a value's canonical JSON."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:20]


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
        raise _unwritable(path, error) from error


def open_results(folder: Path, settings: Mapping[str, object]) -> None:
    """Make the folder ready for the cells of a study with these settings.

    Args:
        folder: The results folder; created where it does not exist.
        settings: Every setting that the study's table depends on, as JSON values.

    Raises:
        StudySettingsError: The folder holds a study with other settings.
        ResultsFolderError: The folder cannot be created or written.
    """
    path = folder / "settings.json"
    check_settings(folder, settings)
    with writing(folder):
        (folder / "cells").mkdir(parents=True, exist_ok=True)
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
    path = folder / "settings.json"
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(folder, error) from error
    _check_same_settings(path, found, settings)


def _check_same_settings(path: Path, found: bytes, settings: Mapping[str, object]) -> None:
    try:
        recorded = dict(json.loads(found))
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
            f"{path.parent} holds a study with other settings: {'; '.join(differing)}. "
            "Choose another folder, or go back to the settings of this one"
        )


def save_cell(folder: Path, cell: Cell) -> None:
    """Write a finished cell.

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
    path = cell_path(folder, identity)
    if not path.exists():
        return None
    try:
        signed = json.loads(path.read_text(encoding="utf-8"))
        content = signed["cell"]
        intact = signed["sha256"] == digest(content) and content["identity"] == dict(identity)
    except (ValueError, TypeError, KeyError):
        intact = False
    if intact:
        return Cell(**content)
    warnings.warn(
        f"{path} is damaged; this cell is computed again", DamagedCellWarning, stacklevel=2
    )
    return None


def cell_path(folder: Path, identity: Mapping[str, object]) -> Path:
    """The file of the cell that is determined by `identity`."""
    return folder / "cells" / f"{digest(dict(identity))}.json"


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


def _unwritable(path: Path, error: OSError) -> ResultsFolderError:
    return ResultsFolderError(
        f"cannot write {path}: {error.strerror or error}. What was finished before is kept; make "
        "room or allow writing there, then run the same command again"
    )
