"""Measure which backbones of diffusers see their text as a point cloud, and record the table."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

import pandas as pd

from embedding_geometry.atlas.table import Row, record, rows
from embedding_geometry.ground.command import run_command
from embedding_geometry.ground.places import RESULTS
from embedding_geometry.ground.types import check_seed


@dataclass(frozen=True)
class Atlas:
    """Examine every backbone of the registry (half a minute)."""

    out: Path = RESULTS
    """Folder for atlas.csv and atlas_manifest.json."""
    models: tuple[str, ...] = ()
    """Only these, by name or by class; nothing is written then."""
    seed: int = 0
    """Of the other text and the random permutations."""

    def run(self) -> None:
        """Measure, show each row as it is finished, and record the whole table."""
        check_seed(self.seed)
        start, found = time.perf_counter(), []
        for row in rows(self.models, self.seed):
            show(row)
            found.append(row)
        seconds = time.perf_counter() - start
        if not self.models:
            record(pd.DataFrame(found), self.out, seconds, self.seed)
            sys.stdout.write(f"{len(found)} backbones in {seconds:.0f} s -> {self.out}\n")


def show(row: Row) -> None:
    """Write one row as one line."""
    numbers = "".join(f"{row.get(name, nan):>10.1e}" for name in ("permuting", "doubling"))
    cause = f"  because of: {row['cause']}" if "cause" in row else ""
    sys.stdout.write(f"{row['model']:26}{numbers}  {row['verdict']}{cause}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, as `run_command` does."""
    return run_command(
        Atlas,
        lambda atlas: atlas.run(),
        arguments,
        program="python -m embedding_geometry.atlas",
        kept=lambda _: "nothing was written",
    )


if __name__ == "__main__":
    sys.exit(main())
