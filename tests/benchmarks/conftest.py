"""Benchmarks stand in bench_*.py and say what they measured, whether they pass or not."""

from collections.abc import Callable

import pytest


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a line of the benchmark's result to the terminal."""

    def write(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}", flush=True)  # noqa: T201 - a benchmark's output is its result

    return write
