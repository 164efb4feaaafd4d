"""The engine of one process streams its jobs; how engines are chosen and refused."""

from collections.abc import Iterator
from pathlib import Path

import stub_workers
from stub_workers import finished, jobs_of

from embedding_geometry.study.engines import LocalEngine
from embedding_geometry.study.tasks import Task


def test_the_local_engine_finishes_job_after_job_and_asks_for_the_next_only_then(
    tmp_path: Path,
) -> None:
    taken = []

    def jobs() -> Iterator[list[Task]]:
        for name, job in zip("abc", jobs_of("abc"), strict=True):
            assert sorted(finished(tmp_path)) == taken
            taken.append(name)
            yield job

    engine = LocalEngine(stub_workers.make(stub_workers.work)(None))
    assert list(engine.compute(tmp_path, jobs())) == [3] * 9
    assert sorted(finished(tmp_path)) == taken == ["a", "b", "c"]
    assert engine.facts.conditions == {"device": "cpu"}
