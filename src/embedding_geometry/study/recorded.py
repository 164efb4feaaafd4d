"""The recorded studies and benchmarks: where they are looked for, and what they hold."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.ground.places import PROMPTS, RESULTS
from embedding_geometry.ground.records import RecordError, read_manifest, read_table
from embedding_geometry.study.prompts import PromptPair, read_prompt_pairs

if TYPE_CHECKING:
    pass


STUDY_COMMAND = "python -m embedding_geometry study --publish"


REPEAT_COMMAND = "python -m embedding_geometry study ... --publish data/results/pocket_repeat"


FULL_SIZE_COMMAND = "python tests/benchmarks/full_size.py FOLDER --record data/results"


COMPARED = {"row", "optimal", "random", "worst"}


class StudyNotRecordedError(FileNotFoundError):
    """There is no recorded study for the model that the page uses."""


def short_name(model_name: str) -> str:
    """The last part of a model's name, by which its recorded files are called."""
    return Path(model_name).name


def prompt_table(model_name: str) -> Path:
    """The book's prompt pairs for a model: pocket speaks only of its own small world."""
    table = "pocket_pairs.csv" if short_name(model_name) == "pocket" else "pairs.csv"
    return PROMPTS / table


def metric_name(model_name: str) -> str:
    """The net of the perceptual metric for a model: pocket's own, else LPIPS' default, alex."""
    return "pocket" if short_name(model_name) == "pocket" else "alex"


def results_folder() -> Path:
    """`data/results`, or the folder that EMBEDDING_GEOMETRY_RESULTS names.

    Raises:
        FileNotFoundError: the named folder does not exist; a page runs in its own folder, so a
            name that is not absolute may mean another place there.
    """
    named = os.environ.get("EMBEDDING_GEOMETRY_RESULTS")
    if named and not Path(named).is_dir():
        raise FileNotFoundError(
            f"EMBEDDING_GEOMETRY_RESULTS is {named!r}, but {Path(named).absolute()} is no folder; "
            "give its whole path, or leave it empty for data/results"
        )
    return Path(named) if named else RESULTS


def recorded_file(model_name: str, ending: str) -> Path:
    """A file of the recorded study, such as `pocket_study.csv`.

    Raises:
        StudyNotRecordedError: there is none for this model.
    """
    path = study_file(model_name, ending)
    if not path.is_file():
        raise StudyNotRecordedError(
            f"no recorded study for the model {model_name!r}: {path} does not exist. Run "
            f"`python -m embedding_geometry study --help` to see how to make one, or name the "
            f"folder that holds it in EMBEDDING_GEOMETRY_RESULTS"
        )
    return path


def study_file(model_name: str, ending: str) -> Path:
    """Where a file of a model's study is looked for, such as `pocket_study.csv`.

    In the results folder; pocket's come with the book and are found there where that has none.
    """
    name = f"{short_name(model_name)}_{ending}"
    own = results_folder() / name
    return own if short_name(model_name) != "pocket" or own.is_file() else RESULTS / name


def recorded_study(model_name: str) -> pd.DataFrame:
    """The study's table: one row per pair, initial latent and coupling.

    Raises:
        StudyNotRecordedError: it lacks a coupling that the pages compare.
    """
    path = recorded_file(model_name, "study.csv")
    study = read_table(path, STUDY_COMMAND)
    missing = sorted(COMPARED - set(study["coupling"]))
    if missing:
        raise StudyNotRecordedError(
            f"{path} has no paths along the coupling {', '.join(missing)}, which the pages "
            "compare with the others; run the study with the default couplings"
        )
    return study


def studied_pairs(model_name: str) -> list[PromptPair]:
    """The prompt pairs of the recorded study, in the order of their table.

    A study is published with its pairs; one that is not took the table of its model.

    Raises:
        StudyNotRecordedError: the study has pairs that are not in the table.
    """
    published = study_file(model_name, "pairs.csv")
    table = published if published.is_file() else prompt_table(model_name)
    pairs = read_prompt_pairs(table)
    unknown = set(recorded_study(model_name)["pair_id"]) - {pair.pair_id for pair in pairs}
    if unknown:
        raise StudyNotRecordedError(
            f"{len(unknown)} prompt pairs of {study_file(model_name, 'study.csv')} are not in "
            f"{table}, such as {min(unknown)}; put the table that the study took at {published}"
        )
    return pairs


def recorded_steps(model_name: str) -> pd.DataFrame:
    """The perceptual distance of every single step of the study."""
    return read_table(recorded_file(model_name, "steps.parquet"), STUDY_COMMAND)


def recorded_manifest(model_name: str) -> dict[str, Any]:
    """Model, metric, settings, versions and hardware of the recorded study.

    Raises:
        RecordError: it is damaged.
    """
    path = recorded_file(model_name, "manifest.json")
    manifest = read_manifest(path, STUDY_COMMAND)
    missing = sorted({"model", "metric", "settings", "ended"} - manifest.keys())
    if missing:
        raise RecordError(
            f"{path} does not say {', '.join(missing)}; `{STUDY_COMMAND}` makes it anew"
        )
    return manifest


def pocket_study(name: str = "pocket") -> tuple[pd.DataFrame, dict[str, Any]]:
    """A study that comes with the book, whatever model a page shows, and its manifest.

    Args:
        name: `pocket`, the first study; `pocket_repeat`, `pocket_dose` or `pocket_ways`.
    """
    table, manifest = (RESULTS / f"{name}_{end}" for end in ("study.csv", "manifest.json"))
    command = REPEAT_COMMAND if name == "pocket_repeat" else "make study"
    return read_table(table, command), read_manifest(manifest, command)


def recorded_commit(model_name: str) -> str | None:
    """The hub's commit that the recorded study took its model from; None for a folder."""
    model = recorded_manifest(model_name)["model"]
    whole = re.fullmatch("[0-9a-f]{40}", model["revision"])
    return model["revision"] if whole and model["name"] == model_name else None


def recorded_rendering(model_name: str) -> RenderSettings:
    """How the recorded study made its images."""
    return RenderSettings.recorded(recorded_manifest(model_name)["settings"])


def recorded_benchmark(name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A benchmark's table and its manifest: machine, versions, threads, time.

    It is about this code, whatever model a page shows, and so is always in `data/results`.

    Raises:
        FileNotFoundError: it has not been recorded.
        RecordError: it is empty or damaged.
    """
    table, manifest = (RESULTS / f"benchmark_{name}.{kind}" for kind in ("csv", "json"))
    command = FULL_SIZE_COMMAND if name == "full_size" else "make benchmark"
    return read_table(table, command), read_manifest(manifest, command)


def recorded_kills() -> dict[str, Any]:
    """What became of the cells of studies that were killed at random moments."""
    command = "python tests/stress/kill_study.py --record data/results/stress_kills.json"
    return read_manifest(RESULTS / "stress_kills.json", command)
