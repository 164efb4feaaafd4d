"""Workers on a Ray cluster (Moritz et al., OSDI 2018), each with a GPU or some CPU cores.

The job of a worker that dies is given to another one, and a new one takes its place. Workers
write the cells themselves, into a folder that all nodes share; only counts travel back.
"""

import logging
import os
import re
import socket
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

from embedding_geometry.study.engines import (
    Answer,
    EngineError,
    EngineSettings,
    Facts,
    LocalEngine,
    MakeWorker,
    Worker,
)
from embedding_geometry.study.tasks import Task

ATTEMPTS = 3  # a job that takes down so many workers, or a worker that dies so often, is given up
HEAD_ANSWERS_WITHIN = 10.0  # seconds
RAY_DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to Ray's makers
    "RAY_gcs_server_port_wait_time_s": "1",  # a head that does not answer is tried once only
    "RAY_agent_register_timeout_ms": "30000",  # a busy machine needs longer than 15 s
}


class LostWorkerWarning(UserWarning):
    """A worker that died could not be replaced; the others do its work."""


class Host:
    """The process of one worker on a cluster; the worker is made when it is first asked."""

    def __init__(self, make_worker: MakeWorker, threads: int, folder: str) -> None:
        """Stand in the folder that the study was started in, where this node has it."""
        self._make_worker = partial(make_worker, threads)
        if os.path.isdir(folder):
            os.chdir(folder)

    def ask(self, question: Callable[[Worker], Answer]) -> Answer:
        """Have the worker answer the question."""
        return question(self._worker)

    @cached_property
    def _worker(self) -> Worker:
        return self._make_worker()


@dataclass
class _Job:
    """The tasks of one pair, and how many workers failed on them."""

    tasks: Sequence[Task]
    failures: int = 0


class RayEngine:
    """Workers on a Ray cluster; `close` ends them.

    An actor is starting, idle or busy. It is given a job only when it has said something about
    itself, so a worker that waits for a node keeps no job waiting. Ray does not restart actors or
    repeat calls here: a call to an actor that is being restarted fails, so new ones are made.
    """

    def __init__(
        self, settings: EngineSettings, device: str | None, make_worker: MakeWorker
    ) -> None:
        """Connect, start all workers, and wait for the first of them."""
        self._ray = _import_ray()
        self._joined = _join_cluster(self._ray, settings.address)
        self._starting: dict[Any, tuple[Any, int]] = {}  # call under way -> actor, attempt
        self._idle: deque[Any] = deque()
        self._busy: dict[Any, tuple[Any, _Job]] = {}
        self._queue: deque[_Job] = deque()
        self._facts: list[Facts] = []
        try:
            cores = settings.cores_per_worker or 1
            nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
            count, gpus = count_workers(nodes, device, cores)
            host = self._ray.remote(Host).options(num_cpus=cores, num_gpus=gpus)
            self._hire = partial(host.remote, make_worker, cores, os.getcwd())
            for _ in range(count):
                self._greet(attempt=1)
            while not self._idle:
                self._wait()
        except BaseException:
            self.close()
            raise

    @property
    def actors(self) -> list[Any]:
        """The workers' handles."""
        under_way = (*self._starting.values(), *self._busy.values())
        return [*self._idle, *(actor for actor, _ in under_way)]

    @property
    def workers(self) -> int:
        """How many workers there are."""
        return len(self.actors)

    @property
    def facts(self) -> Facts:
        """What the workers agree to say about themselves."""
        return self._facts[0]

    def close(self) -> None:
        """End the workers, busy or not, and leave the cluster if this object has joined it."""
        for actor in self.actors:
            self._ray.kill(actor)
        if self._joined:
            self._ray.shutdown()

    def ask(self, question: Callable[[Worker], Answer]) -> Answer:
        """Have the first worker that is ready answer the question."""
        while True:
            while not self._idle:
                self._wait()
            actor = self._idle[0]
            try:
                return self._ray.get(actor.ask.remote(question))
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except self._ray.exceptions.RayError as error:
                self._idle.remove(actor)
                if not self.actors:
                    message = f"the last worker of the cluster died: {_last_line(error)}"
                    raise EngineError(message) from error

    def compute(self, folder: Path, jobs: Iterable[Sequence[Task]]) -> Iterator[int]:
        """Stream the jobs through the workers; see `LocalEngine`.

        Raises:
            EngineError: no worker could finish a job.
        """
        source = (_Job(tasks) for tasks in jobs)
        while True:
            if not self._queue:
                self._queue.extend(islice(source, 1))
            if self._queue and self._idle:
                self._assign(folder, self._queue.popleft())
            elif self._queue or self._busy:
                yield from self._wait()
            else:
                return

    def _greet(self, attempt: int) -> None:
        """Start a worker and ask it about itself."""
        actor = self._hire()
        self._starting[actor.ask.remote(lambda worker: worker.facts())] = (actor, attempt)

    def _assign(self, folder: Path, job: _Job) -> None:
        actor, tasks = self._idle.popleft(), job.tasks
        reference = actor.ask.remote(lambda worker: list(worker.compute(folder, tasks)))
        self._busy[reference] = (actor, job)

    def _wait(self) -> list[int]:
        """Wait for the next answer and see to it; return what a job's worker counted."""
        [reference], _ = self._ray.wait([*self._starting, *self._busy], num_returns=1)
        if reference in self._starting:
            self._welcome(reference)
            return []
        actor, job = self._busy.pop(reference)
        try:
            counts = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._replace(actor, job, error)
            return []
        self._idle.append(actor)
        return counts

    def _welcome(self, reference: Any) -> None:
        """See to a worker that has started, or has not."""
        actor, attempt = self._starting.pop(reference)
        try:
            facts = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._ray.kill(actor)
            cause = getattr(error, "cause", None)
            if cause is not None and not self._facts:  # every other would find the same
                raise cause from None
            if attempt < ATTEMPTS:
                self._greet(attempt + 1)
            elif not self.actors:
                raise EngineError(
                    f"no worker of the cluster lived to load the model: {_last_line(error)}"
                ) from error
            elif self._facts:
                warnings.warn(
                    f"a worker could not be started {ATTEMPTS} times in turn, and {self.workers} "
                    f"go on without it: {_last_line(error)}",
                    LostWorkerWarning,
                    stacklevel=2,
                )
            return
        self._idle.append(actor)
        self._agree(facts)

    def _agree(self, facts: Facts) -> None:
        """Raise if a worker's cells would not be those of the others."""
        self._facts = self._facts or [facts]
        differing = [
            f"{name} is {self.facts.conditions.get(name)!r} on one and {value!r} on another"
            for name, value in facts.conditions.items()
            if self.facts.conditions.get(name) != value
        ]
        if differing:
            raise EngineError(
                f"the workers of the cluster differ: {'; '.join(differing)}. Name the device and "
                "the precision, and give all nodes the same model"
            )

    def _replace(self, actor: Any, job: _Job, error: Any) -> None:
        """Have a failed worker's job done by another, and a new worker take its place.

        An exception of the device is the worker's own; bad input or a bad disk would recur.
        """
        self._ray.kill(actor)
        cause = getattr(error, "cause", None)
        if isinstance(cause, ValueError | OSError):
            raise cause from None
        job.failures += 1
        if job.failures == ATTEMPTS:
            pair = job.tasks[0].pair.pair_id
            raise EngineError(
                f"the pair {pair!r} failed on {ATTEMPTS} workers in turn: {_last_line(error)}"
            ) from error
        self._queue.append(job)
        self._greet(attempt=1)


def count_workers(
    nodes: Sequence[Mapping[str, float]], device: str | None, cores: int
) -> tuple[int, int]:
    """How many workers fit on the nodes, and how many GPUs each of them gets (0 or 1).

    Args:
        nodes: Ray's resources of every node; CPU and GPU matter here.
        device: The torch device that was asked for; None takes the GPUs if there are any.
        cores: CPU cores of a worker.

    Raises:
        EngineError: not one fits, or a certain GPU is asked for.
    """
    if device is not None and re.fullmatch(r"cuda:\d+", device):
        raise EngineError(
            f"device is {device}, but every worker of a cluster sees one GPU; use cuda"
        )
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    on_gpu = device == "cuda" or (device is None and gpus > 0)
    needs = {"CPU": cores, "GPU": 1} if on_gpu else {"CPU": cores}
    count = sum(
        min(int(node.get(kind, 0) // need) for kind, need in needs.items()) for node in nodes
    )
    if count == 0:
        cpus = [int(node.get("CPU", 0)) for node in nodes]
        raise EngineError(
            f"the cluster has no room for a worker with {cores} cores"
            f"{' and a GPU' if on_gpu else ''}: its nodes have {cpus} cores and {gpus} GPUs in all"
        )
    return count, int(on_gpu)


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise EngineError(
            f"the engine ray needs the package ray, which is missing here ({error}); "
            "`make setup` installs it, as does pip install -e '.[cluster]' in a clone; or use "
            "--engine local"
        ) from error
    return ray


def _join_cluster(ray: Any, address: str | None) -> bool:
    """Connect to the cluster unless this process is; return whether it was done here."""
    if ray.is_initialized():
        joined = ray.get_runtime_context().gcs_address
        if address not in (None, "auto", joined):
            raise EngineError(
                f"address is {address}, but this process has joined the cluster at {joined}; "
                "leave the address out, or call ray.shutdown() first"
            )
        return False
    address = address or os.environ.get("RAY_ADDRESS")
    for name, value in RAY_DEFAULTS.items():
        os.environ.setdefault(name, value)
    if address is not None:
        _check_head(address)
    try:
        ray.init(address=address or "local", logging_level=logging.WARNING)
    except Exception as error:  # Ray raises nothing more special
        if address is not None:
            raise _no_head(address, error) from error
        raise EngineError(
            f"Ray could not be started on this machine: {_last_line(error)}; try again when it is "
            "less busy, or use --engine local"
        ) from error
    return True


def _check_head(address: str) -> None:
    """Raise soon where nothing listens: Ray itself would try for a quarter of an hour."""
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if not colon or "/" in host or not port.isdecimal():
        raise EngineError(
            f"address {address!r} is not host:port, such as 10.0.0.7:6379 for a cluster's head"
        )
    try:
        socket.create_connection((host, int(port)), HEAD_ANSWERS_WITHIN).close()
    except (OSError, OverflowError) as error:
        raise _no_head(address, error) from error


def _no_head(address: str, error: Exception) -> EngineError:
    return EngineError(
        f"no head of a Ray cluster answers at {address} ({_last_line(error)}); start one there "
        "with `ray start --head`, or leave out the address to use this machine alone"
    )


def _last_line(error: Exception) -> str:
    """The line of a message that says what happened; Ray puts a traceback before it."""
    return ([type(error).__name__, *str(error).strip().splitlines()])[-1]


Engine = LocalEngine | RayEngine


@contextmanager
def open_engine(
    settings: EngineSettings, device: str | None, make_worker: MakeWorker
) -> Iterator[Engine]:
    """Start the workers, and end them when the block is left.

    None leaves the torch device to what is there. A worker is made in its own process.

    Raises:
        EngineError: the engine cannot be used.
    """
    settings.check()
    if settings.engine == "local":
        yield LocalEngine(make_worker(None))
        return
    with closing(RayEngine(settings, device, make_worker)) as engine:
        yield engine
