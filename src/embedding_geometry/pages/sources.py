"""The recorded tables that claims rest on: where each lies for a model, and what makes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from embedding_geometry.ground.places import RESULTS
from embedding_geometry.ground.records import read_manifest, read_table
from embedding_geometry.study.recorded import (
    REPEAT_COMMAND,
    prompt_table,
    short_name,
    study_file,
)

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """A table that claims rest on.

    Attributes:
        name: by which a page hands over a table that it has computed.
        table: its file for a model.
        manifest: the file that says what it was made with; None if a page computes the table.
        command: what makes it.
    """

    name: str
    table: Callable[[str], Path]
    manifest: Callable[[str], Path] | None
    command: str


def recorded_table(source: Source, model_name: str) -> pd.DataFrame | None:
    """A recorded table, or None if it is not there.

    Raises:
        RecordError: it is there, and damaged or without rows.
    """
    path = source.table(model_name)
    if source.manifest is None or not path.is_file():
        return None
    return read_table(path, source.command)


def recorded_manifest(source: Source, model_name: str) -> Manifest:
    """What a recorded table was made with; empty for one that a page computes."""
    if source.manifest is None:
        return {}
    return read_manifest(source.manifest(model_name), source.command)


def made_with(source: Source, model_name: str) -> str:
    """The model of a table, or the library whose models it is about."""
    if source.manifest is None:
        return "computed on this page"
    manifest = recorded_manifest(source, model_name)
    model = manifest.get("model")
    if model is None:
        return f"diffusers {manifest['versions']['diffusers']}, random weights"
    return short_name(model["name"] if isinstance(model, dict) else model)


def _of_model(ending: str) -> Callable[[str], Path]:
    """A file of each model's own studies."""
    return lambda model_name: study_file(model_name, ending)


def _of_all(name: str) -> Callable[[str], Path]:
    """A file about this code rather than about a model; it comes with the book."""
    return lambda model_name: RESULTS / name


def benchmark(name: str) -> Source:
    """The source of a recorded benchmark."""
    table, manifest = (_of_all(f"benchmark_{name}.{kind}") for kind in ("csv", "json"))
    return Source(f"benchmark {name}", table, manifest, "make benchmark")


COMPUTED = "python tools/run_notebooks.py notebooks/14_ledger.md"


def _of_pocket(name: str, stem: str, command: str = "make study") -> Source:
    """A study of pocket that comes with the book, whatever the model of the book."""
    table, manifest = (_of_all(f"{stem}_{end}") for end in ("study.csv", "manifest.json"))
    return Source(name, table, manifest, command)


ORDER = Source("order", prompt_table, None, COMPUTED)


GRIDS = Source("grids", prompt_table, None, COMPUTED)


STUDY = Source("study", _of_model("study.csv"), _of_model("manifest.json"), "make study")


ATLAS = Source(
    "atlas",
    _of_all("atlas.csv"),
    _of_all("atlas_manifest.json"),
    "python -m embedding_geometry.atlas --out data/results",
)


POCKET = _of_pocket("pocket", "pocket")


REPEAT = _of_pocket("repeat", "pocket_repeat", REPEAT_COMMAND)


DOSE = _of_pocket("dose", "pocket_dose")


WAYS = _of_pocket("ways", "pocket_ways")


RETIMING = Source(
    "retiming",
    _of_all("pocket_retiming.csv"),
    _of_all("pocket_retiming_manifest.json"),
    "python -m embedding_geometry.tempo",
)


SOURCES = {
    source.name: source
    for source in (
        *(ORDER, GRIDS, STUDY, ATLAS, POCKET, REPEAT, DOSE, WAYS, RETIMING),
        *(benchmark(name) for name in ("study", "wasserstein", "costs")),
    )
}
