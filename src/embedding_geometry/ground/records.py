"""Recorded tables: where each lies, what makes it, and how it is written, read or refused.

A table is recorded with a manifest, which says what it was made with. `RECORDS` has them all;
claims, pages, the book and the commands that make the tables ask here for names and places.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from embedding_geometry.ground.disk import make_folder, write_whole
from embedding_geometry.ground.places import (
    DEFAULT,
    EMBEDDED,
    RESULTS,
    prompt_table,
    results_folder,
    short_name,
)

Manifest = Mapping[str, Any]


class RecordError(ValueError):
    """A recorded file is there, but empty or damaged."""


# --- what is recorded ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """A table, what is made with it, and the manifest beside them.

    Attributes:
        name: how the names of its files begin. `{model}` stands for the short name of a model.
        command: what makes it; that of an embedded model's own has a name (see `made_by`).
        tables: how the names of its tables end, the one that it is about first.
        manifest: how the name of the file ends that says what they were made with; None if a page
            computes the table, from the model's prompt pairs.
    """

    name: str
    command: str
    tables: tuple[str, ...] = ("_study.csv", "_steps.parquet", "_pairs.csv")
    manifest: str | None = "_manifest.json"

    @property
    def of_model(self) -> bool:
        """Whether every model has one of its own."""
        return self.manifest is None or "{model}" in self.name

    def made_by(self, model_name: str = DEFAULT) -> str:
        """What makes it; for an embedded model the studies of the book have it by name."""
        model = short_name(model_name)
        if "{model}" in self.name and model in EMBEDDED:
            return f"python -m embedding_geometry record {self.name.format(model=model)}"
        return self.command

    def file(self, ending: str, model_name: str = DEFAULT) -> Path:
        """Where one of its files is looked for, by the ending of its name.

        That of a model's own study is in the results folder; those of an embedded model come with
        the book, and are found there where that has none. Any other file comes with the book,
        whatever the model.
        """
        name = self.name.format(model=short_name(model_name)) + ending
        if "{model}" in self.name:
            own = results_folder() / name
            if short_name(model_name) not in EMBEDDED or own.is_file():
                return own
        return RESULTS / name

    def path(self, model_name: str = DEFAULT) -> Path:
        """Where the table is looked for; the prompt pairs of one that a page computes."""
        if self.manifest is None:
            return prompt_table(model_name)
        return self.file(self.tables[0], model_name)

    def recorded(self, model_name: str = DEFAULT) -> bool:
        """Whether the table is there; one that a page computes is not recorded."""
        return self.manifest is not None and self.path(model_name).is_file()

    def rows(self, model_name: str = DEFAULT) -> pd.DataFrame:
        """The table.

        Raises:
            FileNotFoundError: it has not been recorded.
            RecordError: it is damaged or has no rows.
        """
        return read_table(self.path(model_name), self.made_by(model_name))

    def facts(self, model_name: str = DEFAULT) -> Manifest:
        """What the table was made with; nothing is known of one that a page computes.

        Raises:
            FileNotFoundError: there is no manifest.
            RecordError: it is damaged.
        """
        if self.manifest is None:
            return {}
        return read_manifest(self.file(self.manifest, model_name), self.made_by(model_name))

    def read(self, model_name: str = DEFAULT) -> tuple[pd.DataFrame, Manifest]:
        """The table and what it was made with; raises as `rows` and `facts` do."""
        return self.rows(model_name), self.facts(model_name)


PUBLISH = "python -m embedding_geometry study --publish"
STUDY, DOSE, WAYS = (Record(f"{{model}}{kind}", PUBLISH) for kind in ("", "_dose", "_ways"))
RIVALS = Record("{model}_rivals", PUBLISH, (*STUDY.tables, "_fidelity.csv"))
RETIMING, RIVALS_RETIMING = (
    Record(name, "python -m embedding_geometry tempo", (".csv",))
    for name in ("{model}_retiming", "{model}_rivals_retiming")
)
MOTION = Record("motion", "python -m embedding_geometry.pocket causes", (".csv",))
ATLAS = Record("atlas", "python -m embedding_geometry.atlas", (".csv",))
BENCHMARKS = {
    name: Record(f"benchmark_{name}", "make benchmark", (".csv",), ".json")
    for name in ("study", "ways", "wasserstein", "costs", "busy", "laboratory")
}
BENCHMARKS["full_size"] = Record(
    "benchmark_full_size",
    "python tests/benchmarks/full_size.py FOLDER --record data/results",
    (".csv",),
    ".json",
)
KILLS = Record(
    "stress_kills",
    "python tests/stress/kill_study.py --record data/results/stress_kills.json",
    (".json",),
    ".json",
)
COSTS = Record("page_costs", "python tools/run_notebooks.py --costs", (".json",), ".json")
COMPUTED = "python tools/run_notebooks.py notebooks/14_ledger.md"
ORDER, GRIDS = (Record(name, COMPUTED, (), None) for name in ("order", "grids"))
BEFORE = "the commit before `git log -1 --format=%h -- data/pocket/perceptual`"
FIRST, FIRST_REPEAT = (Record(each, BEFORE, ("_study.csv",)) for each in ("first", "first_repeat"))
FIRST_LEDGER = Record("first_ledger", BEFORE, (".csv",))
_OF_MODELS = {
    "study": STUDY,
    "dose": DOSE,
    "ways": WAYS,
    "retiming": RETIMING,
    "rivals": RIVALS,
    "rivals_retiming": RIVALS_RETIMING,
}
_OTHERS = (FIRST, FIRST_REPEAT, FIRST_LEDGER, MOTION, ATLAS, *BENCHMARKS.values(), KILLS, COSTS)
RECORDS = _OF_MODELS | {record.name: record for record in (*_OTHERS, ORDER, GRIDS)}


# --- reading and writing ------------------------------------------------------------------------


def recording_day(manifest: Manifest) -> str:
    """The day on which something was recorded, as in 2026-01-31."""
    return str(manifest.get("ended") or manifest["recorded"])[:10]


def write_record(
    stem: Path, table: pd.DataFrame, manifest: Manifest, digits: int | None = None
) -> None:
    """Write a table as `<stem>.csv` and what it was made with as `<stem>_manifest.json`.

    Args:
        stem: beginning of the paths of both.
        table: the table.
        manifest: what it was made with, as JSON values.
        digits: significant digits of its numbers; all of them if not given.

    Raises:
        ResultsFolderError: they cannot be written.
    """
    make_folder(stem.parent)
    precision = None if digits is None else f"%.{digits}g"
    text = table.to_csv(index=False, float_format=precision, lineterminator="\n")
    write_whole(stem.with_name(f"{stem.name}.csv"), text.encode())
    lines = json.dumps(manifest, indent=1) + "\n"
    write_whole(stem.with_name(f"{stem.name}_manifest.json"), lines.encode())


def read_table(path: Path, command: str) -> pd.DataFrame:
    """Read a recorded table, CSV or Parquet by its suffix.

    Args:
        path: the file.
        command: what makes it, for the message of an error.

    Raises:
        FileNotFoundError: there is none.
        RecordError: it is damaged or has no rows.
    """
    table = pd.DataFrame()
    with _reading(path, command), contextlib.suppress(pd.errors.EmptyDataError):
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
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
    with _reading(path, command):
        return dict(json.loads(path.read_text(encoding="utf-8")))


@contextlib.contextmanager
def _reading(path: Path, command: str) -> Iterator[None]:
    """Say what makes a record that is missing or damaged."""
    if not path.is_file():
        raise FileNotFoundError(f"no record at {path}; `{command}` makes it")
    try:
        yield
    except (ValueError, TypeError, OSError) as error:  # pyarrow has two of them
        raise RecordError(f"{path} is damaged ({error}); `{command}` makes it anew") from error
