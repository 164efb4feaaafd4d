"""Benchmarks stand in bench_*.py and say what they measured, whether they pass or not.

    cd tests/benchmarks; python -m pytest --confcutdir=. bench_*.py --record ../../data/results

prints the tables and writes each as `benchmark_<name>.csv` beside `benchmark_<name>.json`, which
says on what machine, with which versions and threads, and when. Without --record nothing is
written. Ratios compare what was timed in one process; run nothing else meanwhile.

The tests have every call of the package check the shapes of its arguments, which takes time from
the study and none from its opponents; `--confcutdir` leaves that out.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from records import write_table

from embedding_geometry.ground.places import POCKET_FOLDER

Record = Callable[..., None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", type=Path, help="folder to write the benchmarks' tables to")


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print something to the terminal, unless the package is slowed down by checks of shapes."""
    if any(type(finder).__module__.startswith("jaxtyping") for finder in sys.meta_path):
        pytest.fail("the package checks its shapes; run with --confcutdir=tests/benchmarks")

    def write(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", flush=True)

    return write


@pytest.fixture
def record(request: pytest.FixtureRequest, report: Callable[[str], None]) -> Record:
    """Print a benchmark's table, and write it with its manifest where --record asks for it.

    The fixture is a function of the table's name, its rows, and facts for the manifest by keyword.
    """

    def write(name: str, table: pd.DataFrame, **facts: object) -> None:
        report(table.to_string(index=False, float_format="{:.4g}".format))
        folder = request.config.getoption("record")
        if folder is not None:
            facts = {"model": POCKET_FOLDER.name, **facts}
            write_table(folder / f"benchmark_{name}.csv", table, facts)

    return write
