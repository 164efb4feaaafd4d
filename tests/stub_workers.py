"""Workers without a model, whose work is a line in a file and whose faults are planted.

They import no torch, so that a process of a cluster starts with them at once.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from embedding_geometry.ground.disk import ResultsFolderError
from embedding_geometry.study.engines import Facts
from embedding_geometry.study.prompts import PromptPair
from embedding_geometry.study.settings import StudySettings
from embedding_geometry.study.tasks import Task, plan_tasks

SETTINGS = StudySettings(Path("pairs.csv"), seeds=(0,), extra_couplings_first_seed=())


def make(fault: Callable[[Path, str], None]) -> Callable[[int | None], "StubWorker"]:
    """Return what an engine needs to make workers with this fault."""
    return partial(StubWorker, fault)


class StubWorker:
    """Writes the pair's name into a file of the folder, unless the fault prevents it."""

    def __init__(self, fault: Callable[[Path, str], None], threads: int | None) -> None:
        self._fault = fault
        self._threads = threads

    def facts(self) -> Facts:
        if self._fault is differ:
            return Facts({"device": "cpu", "node": str(os.getpid())}, {})
        if self._fault is die_at_birth:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._fault is find_no_model:
            raise FileNotFoundError("no model at nowhere; name another")
        if self._fault is die_for_good and Path("c.tried").exists():
            raise RuntimeError("device 'cuda' is not available here")
        return Facts({"device": "cpu"}, {"name": "stub"})

    def check(self, pairs: Sequence[PromptPair]) -> None:
        if len(pairs) > 100:
            raise ValueError(f"{len(pairs)} pairs are too many")

    def seconds_per_image(self, tasks: Sequence[Task]) -> float:
        return 0.5

    def compute(self, folder: Path, tasks: Sequence[Task]) -> Iterator[int]:
        [name] = {task.pair.pair_id for task in tasks}
        self._fault(folder, name)
        with (folder / name).open("a") as file:
            file.write(f"{os.getpid()}\n")
        yield from [3] * len(tasks)


def work(folder: Path, name: str) -> None:
    """No fault."""


def differ(folder: Path, name: str) -> None:
    """The workers disagree about themselves."""


def die_at_birth(folder: Path, name: str) -> None:
    """The worker dies before it has said anything."""


def find_no_model(folder: Path, name: str) -> None:
    """The worker's model is missing."""


def die_once(folder: Path, name: str) -> None:
    """Killed on the third pair, the first time that it comes up."""
    if name == "c" and first_time(folder, name):
        os.kill(os.getpid(), signal.SIGKILL)


def die_for_good(folder: Path, name: str) -> None:
    """Killed as by `die_once`, and what takes its place finds no device."""
    die_once(folder, name)


def die_always(folder: Path, name: str) -> None:
    """Killed on the third pair whenever it comes up."""
    if name == "c":
        os.kill(os.getpid(), signal.SIGKILL)


def break_once(folder: Path, name: str) -> None:
    """An error of the device on the third pair, the first time."""
    if name == "c" and first_time(folder, name):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


def fill_disk(folder: Path, name: str) -> None:
    """The disk is full when the third pair comes up."""
    if name == "c":
        raise ResultsFolderError(f"cannot write {folder / name}: No space left on device")


def first_time(folder: Path, name: str) -> bool:
    """Whether this is the first call for the name, on any worker."""
    try:
        (folder / f"{name}.tried").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def jobs_of(names: str) -> list[list[Task]]:
    pairs = [PromptPair(name, "a cat", "a dog", 2.0) for name in names]
    return [plan_tasks(SETTINGS, [pair], {}) for pair in pairs]


def finished(folder: Path) -> dict[str, list[str]]:
    """The workers that finished each pair."""
    return {
        path.name: path.read_text().split() for path in folder.iterdir() if len(path.name) == 1
    }
