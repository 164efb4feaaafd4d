"""Recorded measurements: a table or a few numbers, and the machine and versions they come from."""

import embedding_geometry  # noqa: F401 - before torch: it says how threads wait

# isort: split
import json
from pathlib import Path

import pandas as pd
import torch

from embedding_geometry.ground.disk import write_whole
from embedding_geometry.ground.machine import library_versions, this_machine, utc_now

LIBRARIES = ("torch", "diffusers", "lpips", "numpy", "scipy", "POT")


def manifest() -> dict[str, object]:
    """The machine, the versions, the threads and the time."""
    return {
        **this_machine(),
        "threads": torch.get_num_threads(),
        "versions": library_versions(*LIBRARIES),
        "recorded": utc_now(),
    }


def write_facts(file: Path, facts: dict[str, object]) -> None:
    """Write facts after the manifest, as JSON."""
    write_whole(file, json.dumps(manifest() | facts, indent=1).encode() + b"\n")


def write_table(file: Path, table: pd.DataFrame, facts: dict[str, object]) -> None:
    """Write a table as CSV, and its manifest and facts beside it under the same name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, table.to_csv(index=False).encode())
    write_facts(file.with_suffix(".json"), facts)
