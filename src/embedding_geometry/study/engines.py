"""Where a study's cells are computed: in this process, or on the workers of a Ray cluster.

A worker holds model and metric, warm, and computes one job after another: the cells of a prompt
pair. An engine has one worker or many and streams jobs through them. It never holds more than one
job per worker, so its memory does not grow with the number of jobs.

The workers on Ray are in `cluster`. All write the cells themselves; only counts travel back.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar, get_args, runtime_checkable

from embedding_geometry.study.prompts import PromptPair
from embedding_geometry.study.tasks import Task

Answer = TypeVar("Answer")
EngineName = Literal["local", "ray"]


class EngineError(ValueError):
    """An engine that is not there or cannot do the work; says what would help."""


@dataclass(frozen=True)
class EngineSettings:
    """Where to compute.

    Attributes:
        engine: This process (local), or the workers of a Ray cluster (ray).
        address: Head of a running Ray cluster, host:port; RAY_ADDRESS if not given; without
            either a cluster is started on this machine.
        cores_per_worker: CPU cores of a Ray worker, 1 if not given; with GPUs it has one, too.
    """

    engine: EngineName = "local"
    address: str | None = None
    cores_per_worker: int | None = None

    def check(self) -> None:
        """Raise an EngineError for values that are none, or do not go together."""
        if self.engine not in get_args(EngineName):
            raise EngineError(f"engine is {self.engine!r}; use local or ray")
        if self.engine == "local" and (self.address or self.cores_per_worker):
            raise EngineError(
                f"address {self.address} and cores-per-worker {self.cores_per_worker} say how to "
                "use a cluster; add --engine ray, or leave them out"
            )
        if self.address == "":
            raise EngineError(
                "address is empty; name the head of the cluster, host:port, or leave it out to "
                "use this machine alone"
            )
        if self.cores_per_worker is not None and self.cores_per_worker < 1:
            raise EngineError(f"cores-per-worker is {self.cores_per_worker}; use 1 or more")


HERE = EngineSettings()


@dataclass(frozen=True)
class Facts:
    """What a worker says about itself.

    Attributes:
        conditions: What its cells depend on besides texts, seed and coupling, as JSON values.
        model: Provenance of the model that it has loaded.
    """

    conditions: dict[str, object]
    model: dict[str, object]


@runtime_checkable  # the tests check annotations while they run
class Worker(Protocol):
    """What an engine needs of the code that computes."""

    def facts(self) -> Facts:
        """Say what the cells depend on."""

    def check(self, pairs: Sequence[PromptPair]) -> None:
        """Raise for a pair that cannot be computed."""

    def seconds_per_image(self, tasks: Sequence[Task]) -> float:
        """Measure how long an image of these tasks, of one pair and one seed, takes."""

    def compute(self, folder: Path, tasks: Sequence[Task]) -> Iterator[int]:
        """Finish the tasks and count, for each of them, the images that were rendered."""


MakeWorker = Callable[[int | None], Worker]  # from its number of threads; None: torch's default


class LocalEngine:
    """The one worker of this process: what is asked of many, too, see `cluster.RayEngine`."""

    workers = 1

    def __init__(self, worker: Worker) -> None:
        """Take the worker."""
        self._worker = worker
        self.facts = worker.facts()

    def ask(self, question: Callable[[Worker], Answer]) -> Answer:
        """Have the worker answer the question."""
        return question(self._worker)

    def compute(self, folder: Path, jobs: Iterable[Sequence[Task]]) -> Iterator[int]:
        """Finish all jobs; a number for each cell that is finished, in any order.

        The number is that of the images rendered for it, 0 where another process had done it.

        Raises:
            ValueError: as raised by a worker.
            OSError: as raised by a worker.
        """
        for job in jobs:
            yield from self._worker.compute(folder, job)
