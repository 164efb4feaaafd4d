"""A study on a real Ray cluster of two nodes: the same table, whoever dies on the way.

What an engine does with faults is tested with workers without a model; the study itself runs on
the tiny model, once undisturbed and once with a worker killed.
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path

import pytest
import stub_workers
from stub_workers import finished, jobs_of

from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.ground.disk import ResultsFolderError
from embedding_geometry.study.cluster import (
    ATTEMPTS,
    RAY_DEFAULTS,
    LostWorkerWarning,
    RayEngine,
    count_workers,
    open_engine,
)
from embedding_geometry.study.engines import EngineError, EngineSettings
from embedding_geometry.study.settings import StudySettings
from embedding_geometry.study.tasks import Task

PATIENCE = 1800.0  # seconds: a busy machine is no bug
CELLS_OF_PAIR = 3
SMALL_STORE = 80_000_000  # bytes: only counts travel


# Ray leaves sockets and files of its processes to the garbage collector
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore::FutureWarning:ray",
    "ignore::DeprecationWarning:ray",
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[EngineSettings]:
    """Two nodes with one core each, in processes of their own."""
    pytest.importorskip("ray", reason="the extra 'cluster' is not installed")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in RAY_DEFAULTS.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))  # for stub_workers
        nodes = start_cluster()
        yield EngineSettings("ray", address=nodes.address)
        nodes.shutdown()


def start_cluster():
    """Start both nodes; Ray gives each half a minute, which may take a second go when busy."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": SMALL_STORE}
    for attempt in (1, 2, 3):
        nodes = Cluster()
        try:
            nodes.add_node(**node, include_dashboard=False)  # the first is the head
            nodes.add_node(**node)
            nodes.wait_for_nodes(timeout=PATIENCE)
        except Exception:  # Ray raises nothing more special
            nodes.shutdown()
            if attempt == 3:
                raise
        else:
            break
    return nodes


def open_ray(cluster: EngineSettings, fault) -> AbstractContextManager[RayEngine]:
    return closing(RayEngine(cluster, "cpu", stub_workers.make(fault)))


def start_all(engine: RayEngine) -> None:
    """Wait until every worker is ready; a study begins with the first."""
    while engine._starting:
        engine._wait()


def test_all_workers_share_the_jobs_and_few_are_in_flight(
    cluster: EngineSettings, tmp_path: Path
) -> None:
    """Of any number of jobs no more than one per worker, and the next one, are held at once."""
    taken, done, names = 0, 0, "abcdefghijklmnopqrstuvwxyz"

    def jobs() -> Iterator[list[Task]]:
        nonlocal taken
        for job in jobs_of(names):
            taken += 1
            assert taken - done // CELLS_OF_PAIR <= engine.workers + 1
            yield job

    with open_ray(cluster, stub_workers.work) as engine:
        assert engine.workers == 2
        engine.ask(lambda worker: worker.check([]))
        start_all(engine)
        for images in engine.compute(tmp_path, jobs()):
            assert images == 3
            done += 1
    assert done == len(names) * CELLS_OF_PAIR
    by = finished(tmp_path)
    assert sorted(by) == list(names)
    assert {len(workers) for workers in by.values()} == {1}
    assert len({worker for [worker] in by.values()}) == 2


@pytest.mark.parametrize("fault", [stub_workers.die_once, stub_workers.break_once])
def test_the_job_of_a_worker_that_fails_is_done_by_another(
    cluster: EngineSettings, tmp_path: Path, fault
) -> None:
    with open_ray(cluster, fault) as engine:
        assert len(list(engine.compute(tmp_path, jobs_of("abcdef")))) == 6 * CELLS_OF_PAIR
    assert {name: len(by) for name, by in finished(tmp_path).items()} == dict.fromkeys("abcdef", 1)
    assert (tmp_path / "c.tried").exists()


def test_the_others_go_on_without_a_worker_that_cannot_be_replaced(
    cluster: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # workers stand where the study was started
    done = []
    with open_ray(cluster, stub_workers.die_for_good) as engine:
        start_all(engine)

        def compute() -> None:
            done.extend(engine.compute(tmp_path, jobs_of("abcdef")))
            start_all(engine)  # the last attempt may come after the last job

        with pytest.warns(LostWorkerWarning, match=f"{ATTEMPTS} times.*'cuda' is not available"):
            compute()
        assert engine.workers == 1
    assert len(done) == 6 * CELLS_OF_PAIR
    assert {name: len(by) for name, by in finished(tmp_path).items()} == dict.fromkeys("abcdef", 1)


def test_a_job_that_kills_every_worker_is_given_up_by_name(
    cluster: EngineSettings, tmp_path: Path
) -> None:
    with (
        open_ray(cluster, stub_workers.die_always) as engine,
        pytest.raises(EngineError, match=f"the pair 'c' failed on {ATTEMPTS} workers in turn"),
    ):
        list(engine.compute(tmp_path, jobs_of("abcdef")))
    assert {"a", "b"} <= finished(tmp_path).keys()


def test_an_error_that_would_recur_is_raised_as_it_is(
    cluster: EngineSettings, tmp_path: Path
) -> None:
    with (
        open_ray(cluster, stub_workers.fill_disk) as engine,
        pytest.raises(ResultsFolderError, match="c: No space left on device$") as caught,
    ):
        list(engine.compute(tmp_path, jobs_of("abcdef")))
    assert type(caught.value) is ResultsFolderError
    assert {"a", "b"} <= finished(tmp_path).keys()


def test_a_question_is_answered_or_its_error_raised_as_it_is(cluster: EngineSettings) -> None:
    with open_ray(cluster, stub_workers.work) as engine:
        [task, *_] = tasks = jobs_of("a")[0]
        assert engine.ask(lambda worker: worker.seconds_per_image(tasks)) == 0.5
        with pytest.raises(ValueError, match="^101 pairs are too many$"):
            engine.ask(lambda worker: worker.check([task.pair] * 101))


def test_a_question_is_answered_by_another_worker_if_one_has_died(
    cluster: EngineSettings,
) -> None:
    with open_ray(cluster, stub_workers.work) as engine:
        start_all(engine)
        [task, *_] = tasks = jobs_of("a")[0]
        for left in (1, 0):
            os.kill(engine._ray.get(engine._idle[0].ask.remote(pid_of)), signal.SIGKILL)
            if left:
                assert engine.ask(lambda worker: worker.seconds_per_image(tasks)) == 0.5
            else:
                with pytest.raises(EngineError, match="the last worker of the cluster died"):
                    engine.ask(lambda worker: worker.check([task.pair]))
            assert engine.workers == left


def test_another_address_than_that_of_the_cluster_joined_is_refused(
    cluster: EngineSettings,
) -> None:
    with (
        open_ray(cluster, stub_workers.work),
        pytest.raises(EngineError, match=r"address is 10\.0\.0\.7:6379, but .* has joined the"),
    ):
        open_ray(replace(cluster, address="10.0.0.7:6379"), stub_workers.work)


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (stub_workers.find_no_model, FileNotFoundError, "^no model at nowhere; name another$"),
        (stub_workers.die_at_birth, EngineError, "no worker of the cluster lived"),
    ],
)
def test_workers_that_cannot_start_are_one_error(
    cluster: EngineSettings, fault, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_ray(cluster, fault)


def test_workers_that_would_compute_different_cells_are_refused(
    cluster: EngineSettings, tmp_path: Path
) -> None:
    """Whichever answers second disagrees, before it is given any work."""
    with (
        open_ray(cluster, stub_workers.differ) as engine,
        pytest.raises(EngineError, match=r"differ: node is '\d+' on one and '\d+' on another"),
    ):
        start_all(engine)


# --- the study ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def settings(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> StudySettings:
    pairs = tmp_path_factory.mktemp("pairs") / "pairs.csv"
    lines = [f"{name},a small cat number {name},two birds over the sea,2" for name in "abcdef"]
    pairs.write_text("\n".join(["pair_id,source,target,similarity", *lines]))
    return StudySettings(
        pairs,
        frames=4,
        loading=LoadSettings(str(tiny_folder), "cpu"),
        rendering=RenderSettings(2, 3.0),
    )


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """As the workers compute: another number of threads rounds otherwise."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def local_tables(settings: StudySettings, tmp_path_factory, one_thread: None) -> list[bytes]:
    from embedding_geometry.study.run import run_study

    folder = tmp_path_factory.mktemp("local")
    run_study(settings, folder, progress=False)
    return tables(folder)


def tables(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("study.csv", "steps.parquet")]


def cell_times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cells").glob("*.json")}


def test_a_study_on_two_nodes_has_the_table_of_one_process_though_a_worker_is_killed(
    cluster: EngineSettings, settings: StudySettings, local_tables: list[bytes], tmp_path: Path
) -> None:
    from embedding_geometry.study.run import open_study

    at_the_kill = {}

    def kill_when_cells_appear(pid: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while len(cell_times(tmp_path)) < 3 and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
        at_the_kill.update(cell_times(tmp_path))

    with open_study(settings, tmp_path, engine=cluster) as study:
        start_all(study.engine)
        pids = [study.engine._ray.get(actor.ask.remote(pid_of)) for actor in study.engine.actors]
        assert len(set(pids) - {os.getpid()}) == 2
        killer = threading.Thread(target=kill_when_cells_appear, args=(pids[0],))
        killer.start()
        study.compute(progress=False)
        killer.join()
        table = study.collect()
    assert 3 <= len(at_the_kill) < len(table) == study.cells == 6 * 7
    assert at_the_kill.items() <= cell_times(tmp_path).items()
    assert tables(tmp_path) == local_tables


def pid_of(worker: object) -> int:
    """The process of a worker."""
    return os.getpid()


def test_workers_finish_what_was_begun_here_and_know_ways_and_a_metric_of_the_users_own(
    cluster: EngineSettings,
    settings: StudySettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    one_thread: None,
) -> None:
    """Functions travel, module:function is found in the current folder, which PYTHONPATH lacks."""
    from embedding_geometry.study.planning import Shard
    from embedding_geometry.study.run import run_study
    from embedding_geometry.transport import ways

    monkeypatch.chdir(tmp_path)
    (tmp_path / "on_the_node.py").write_text("def rows(x, y):\n    return list(range(len(x)))\n")

    def squares(frames):
        return ((frames[1:] - 1.0 * frames[:-1]) ** 2).mean(axis=(1, 2, 3))

    monkeypatch.setitem(
        ways.WAYS, "put", lambda ends, times, rng: ways.WAYS["row"](ends, times, rng)
    )
    settings = replace(
        settings,
        couplings=("row", "passed", "put", "on_the_node:rows"),
        extra_couplings_first_seed=(),
        seeds=(0,),
        net="squares",
        own={"passed": lambda x, y: list(range(len(x))), "squares": squares},
    )
    both, here = tmp_path / "both", tmp_path / "here"
    run_study(settings, both, progress=False, shard=Shard(1, 2))
    before = cell_times(both)
    assert len(before) == 3 * 4
    assert not (both / "study.csv").exists()
    found = run_study(settings, both, progress=False, engine=cluster)
    assert before.items() <= cell_times(both).items()
    run_study(settings, here, progress=False)
    assert tables(both) == tables(here)
    assert (found.groupby("pair_id")["ppl"].agg(lambda ppl: ppl.max() / ppl.min()) < 1.01).all()


# --- bad input ----------------------------------------------------------------------------------


def open_any(settings: EngineSettings) -> None:
    with open_engine(settings, "cpu", stub_workers.make(stub_workers.work)):
        pass


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match=r"pip install -e '\.\[cluster\]'"):
        open_any(EngineSettings("ray"))


def test_a_head_that_is_not_there_is_named_soon() -> None:
    pytest.importorskip("ray")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"  # nobody listens there
        started = time.monotonic()
        with pytest.raises(EngineError, match=f"answers at {address} .*ray start --head"):
            open_any(EngineSettings("ray", address=address))
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("address", ["head", "head:", "ray://head:10001", "head:port"])
def test_an_address_of_another_form_is_quoted(address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(EngineError, match=f"address '{address}' is not host:port"):
        open_any(EngineSettings("ray", address=address))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (EngineSettings(address="head:6379"), "add --engine ray"),
        (EngineSettings(cores_per_worker=2), "add --engine ray"),
        (EngineSettings("ray", cores_per_worker=0), "cores-per-worker is 0"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    settings: EngineSettings, message: str
) -> None:
    with pytest.raises(EngineError, match=message):
        open_any(settings)


CPU_NODES = [{"CPU": 8.0}, {"CPU": 3.0}]
GPU_NODES = [{"CPU": 32.0, "GPU": 4.0}, {"CPU": 2.0, "GPU": 4.0}, {"CPU": 64.0}]


@pytest.mark.parametrize(
    ("nodes", "device", "cores", "expected"),
    [
        (CPU_NODES, None, 1, (11, 0)),
        (CPU_NODES, "cpu", 2, (5, 0)),  # no worker on cores of two nodes
        (GPU_NODES, None, 1, (6, 1)),
        (GPU_NODES, "cuda", 2, (5, 1)),
        (GPU_NODES, "cpu", 1, (98, 0)),
    ],
)
def test_as_many_workers_are_started_as_fit(nodes, device, cores: int, expected) -> None:
    assert count_workers(nodes, device, cores) == expected


@pytest.mark.parametrize(
    ("nodes", "device", "cores", "message"),
    [
        (CPU_NODES, "cuda", 1, "with 1 cores and a GPU: its nodes have .8, 3. cores and 0 GPUs"),
        (CPU_NODES, None, 9, r"no room for a worker with 9 cores: its nodes have \[8, 3\] cores"),
        (GPU_NODES, "cuda:1", 1, "device is cuda:1, .* use cuda"),
    ],
)
def test_a_cluster_without_room_is_described(nodes, device, cores: int, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        count_workers(nodes, device, cores)
