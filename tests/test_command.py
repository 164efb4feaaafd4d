"""How a command ends: its exit code, and the line that says why."""

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from embedding_geometry.ground.command import run_command

REMEDIES = "smaller images, smaller batches, a smaller precision or another device may do"


@dataclass(frozen=True)
class Form:
    """Count."""

    number: int = 1


def end(run: Callable[[Form], None], *arguments: str) -> int:
    return run_command(
        Form, run, arguments, program="count", kept=lambda form: f"{form.number} is kept"
    )


def test_the_options_arrive_and_all_is_well() -> None:
    numbers = []
    assert end(lambda form: numbers.append(form.number), "--number", "3") == 0
    assert numbers == [3]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("no such\n   number"), 2, "error: no such number\n"),
        (OSError("no room"), 2, "error: no room\n"),
        (
            RuntimeError("Invalid buffer size: 8.21 GiB"),  # as MPS says it
            2,
            f"error: not enough memory (Invalid buffer size: 8.21 GiB); {REMEDIES}\n",
        ),
        (MemoryError("no room"), 2, f"error: not enough memory (no room); {REMEDIES}\n"),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
            2,
            "error: not enough memory (CUDA out of memory. Tried to allocate 2.00 GiB.); "
            f"{REMEDIES}\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted; 1 is kept\n"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(form: Form) -> None:
        raise error

    assert end(fail) == code
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize("error", [KeyError("number"), RuntimeError("illegal memory access")])
def test_a_mistake_of_the_program_is_not_called_bad_input(error: Exception) -> None:
    def fail(form: Form) -> None:
        raise error

    with pytest.raises(type(error)):
        end(fail)


def test_a_warning_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def warn(form: Form) -> None:
        warnings.warn("a cell is damaged", UserWarning, stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert end(warn) == 0
    assert capsys.readouterr().err == "warning: a cell is damaged\n"


@pytest.mark.parametrize("arguments", [["--help"], ["info", "--device", "cpu"]])
def test_a_reader_that_goes_away_is_no_error(arguments: list[str]) -> None:
    """As `head` does once it has its lines; here before the first one is written."""
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [sys.executable, "-m", "embedding_geometry", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=buffered,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
