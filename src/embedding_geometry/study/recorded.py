"""The recorded studies: what those of the book compute, and what the one of a model holds."""

import os
import re
import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.ground.disk import make_folder, write_whole
from embedding_geometry.ground.places import PROMPTS, STUDIES, prompt_table
from embedding_geometry.ground.records import STUDY, Record, RecordError, read_manifest, read_table
from embedding_geometry.study.prompts import PromptPair, PromptPairsError, read_prompt_pairs
from embedding_geometry.study.results import FIDELITY
from embedding_geometry.study.settings import StudySettings, StudySettingsError

COMPARED = {"row", "optimal", "random", "worst"}
PUBLISHED = {  # files of the results folder, and how the name of a copy ends
    "study.csv": "study.csv",
    "steps.parquet": "steps.parquet",
    "studied_pairs.csv": "pairs.csv",
    "manifest.json": "manifest.json",
}


class StudyNotRecordedError(FileNotFoundError):
    """There is no recorded study for the model that the page uses."""


# --- the studies of the book --------------------------------------------------------------------


def named_study(name: str) -> tuple[str, StudySettings]:
    """What a study of the book computes, after the subcommand that does it.

    Its name is that of `data/studies.toml`, by which its files in `data/results` are called.

    Raises:
        StudySettingsError: it has no study of this name, or it is damaged.
        FileNotFoundError: it is not there, as in a package without its repository.
    """
    if not STUDIES.is_file():
        raise FileNotFoundError(
            f"no named studies at {STUDIES}: they are part of the repository, so run this in a "
            "clone of it, or choose the settings with `python -m embedding_geometry study`"
        )
    try:
        commands = tomllib.loads(STUDIES.read_text(encoding="utf-8"))
        studies = {
            each: (command, _settings(entry))
            for command, entries in commands.items()
            for each, entry in entries.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StudySettingsError(f"{STUDIES} is damaged ({error})") from error
    if name not in studies:
        raise StudySettingsError(
            f"no study of the book is named {name!r}; there are {', '.join(studies)}"
        )
    return studies[name]


def _settings(entry: Mapping[str, Any]) -> StudySettings:
    """The settings of an entry of the file."""
    named = ["pairs", *({"reference"} & entry.keys())]
    tables = {name: PROMPTS / entry[name] for name in named}
    loading = LoadSettings(**entry["loading"])
    return StudySettings(**{**entry, **tables, "loading": loading})


def with_judge_there(settings: StudySettings) -> StudySettings:
    """The same without its judge where that has not been trained, which is said in a warning.

    A judge does not come with its model. Without one the table has no column `confidence`, and
    the manifest names no judge.
    """
    if settings.judging is None:
        return settings
    try:
        settings.judging.function(np.zeros((1, 64, 64, 3), np.uint8))
    except FileNotFoundError as error:
        warnings.warn(f"the study goes without its judge: {error}", stacklevel=2)
        return replace(settings, judge=None)
    return settings


# --- the study of a model -----------------------------------------------------------------------


def recorded_study(model_name: str) -> pd.DataFrame:
    """The study's table: one row per pair, initial latent and coupling.

    Raises:
        StudyNotRecordedError: there is none, or it lacks a coupling that the pages compare.
        RecordError: it is damaged or has no rows.
    """
    path, command = _recorded(model_name, "_study.csv")
    study = read_table(path, command)
    missing = sorted(COMPARED - set(study["coupling"]))
    if missing:
        raise StudyNotRecordedError(
            f"{path} has no paths along the coupling {', '.join(missing)}, which the pages "
            "compare with the others; run the study with the default couplings"
        )
    return study


def studied_pairs(model_name: str, study: Record = STUDY) -> list[PromptPair]:
    """The prompt pairs of a recorded study of a model, in the order of their table.

    A study is published with its pairs; one that is not took them from the table of its model.

    Raises:
        FileNotFoundError: the study has not been recorded.
        StudyNotRecordedError: the study has pairs that are not in the table.
    """
    published = study.file("_pairs.csv", model_name)
    table = published if published.is_file() else prompt_table(model_name)
    pairs = read_prompt_pairs(table)
    unknown = set(study.rows(model_name)["pair_id"]) - {pair.pair_id for pair in pairs}
    if unknown:
        raise StudyNotRecordedError(
            f"{len(unknown)} prompt pairs of {study.path(model_name)} are not in "
            f"{table}, such as {min(unknown)}; put the table that the study took at {published}"
        )
    return pairs


def recorded_steps(model_name: str) -> pd.DataFrame:
    """The perceptual distance of every single step of the study."""
    return read_table(*_recorded(model_name, "_steps.parquet"))


def recorded_manifest(model_name: str) -> dict[str, Any]:
    """Model, metric, settings, versions and hardware of the recorded study.

    Raises:
        StudyNotRecordedError: there is none.
        RecordError: it is damaged.
    """
    path, command = _recorded(model_name, "_manifest.json")
    manifest = read_manifest(path, command)
    missing = sorted({"model", "metric", "settings", "ended"} - manifest.keys())
    if missing:
        raise RecordError(f"{path} does not say {', '.join(missing)}; `{command}` makes it anew")
    return manifest


def _recorded(model_name: str, ending: str) -> tuple[Path, str]:
    """A file of the model's study that is there, and what makes it."""
    path = STUDY.file(ending, model_name)
    if not path.is_file():
        raise StudyNotRecordedError(
            f"no recorded study for the model {model_name!r}: {path} does not exist. Run "
            f"`python -m embedding_geometry study --help` to see how to make one, or name the "
            f"folder that holds it in EMBEDDING_GEOMETRY_RESULTS"
        )
    return path, STUDY.made_by(model_name)


def recorded_commit(model_name: str) -> str | None:
    """The hub's commit that the recorded study took its model from; None for a folder."""
    model = recorded_manifest(model_name)["model"]
    whole = re.fullmatch("[0-9a-f]{40}", model["revision"])
    return model["revision"] if whole and model["name"] == model_name else None


def recorded_rendering(model_name: str) -> RenderSettings:
    """How the recorded study made its images."""
    return RenderSettings.recorded(recorded_manifest(model_name)["settings"])


# --- a study becomes recorded -------------------------------------------------------------------


def publish_results(folder: str | os.PathLike[str], prefix: str | os.PathLike[str]) -> list[Path]:
    """Copy a finished study to `<prefix>_study.csv`, and so on for each of `PUBLISHED`.

    Where it has a reference, also to `<prefix>_fidelity.csv`.

    A table of the same pairs that stands in the place of a copy stays as it is: it may be the one
    that the study took, with columns of its own.

    Raises:
        FileNotFoundError: The study in the folder is not finished.
        ResultsFolderError: The copies cannot be written.
    """
    published = PUBLISHED | ({FIDELITY: FIDELITY} if (Path(folder) / FIDELITY).is_file() else {})
    originals = [Path(folder) / name for name in published]
    for original in originals:
        if not original.is_file():
            raise FileNotFoundError(f"{original} is missing; run the study there to its end first")
    prefix = Path(prefix)
    make_folder(prefix.parent)
    copies = [prefix.with_name(f"{prefix.name}_{ending}") for ending in published.values()]
    for original, copy in zip(originals, copies, strict=True):
        if copy.name.endswith("_pairs.csv") and _same_pairs(original, copy):
            continue
        write_whole(copy, original.read_bytes())
    return copies


def _same_pairs(original: Path, copy: Path) -> bool:
    try:
        return read_prompt_pairs(copy) == read_prompt_pairs(original)
    except (FileNotFoundError, PromptPairsError):
        return False
