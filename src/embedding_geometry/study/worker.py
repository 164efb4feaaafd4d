"""A process that computes cells: model and metric kept warm, batches that fit into memory."""

import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import cast

import torch

from embedding_geometry.ground.devices import lacks_memory
from embedding_geometry.ground.disk import ResultsFolderError
from embedding_geometry.study.cells import (
    check_prompts,
    compute_cells,
    conditions_of_cells,
    images_of_latent,
    prepare_bench,
)
from embedding_geometry.study.engines import Facts
from embedding_geometry.study.fidelity import keep_look
from embedding_geometry.study.prompts import PromptPair
from embedding_geometry.study.results import Cell, load_cell, save_cell
from embedding_geometry.study.settings import StudySettings, StudySettingsError
from embedding_geometry.study.tasks import Task, unfinished


class StudyWorker:
    """Model and metric, kept warm, that compute one pair's cells after another's."""

    def __init__(self, settings: StudySettings, threads: int | None = None) -> None:
        """Load both; `threads` limits the CPU threads of this process."""
        if threads is not None:
            torch.set_num_threads(threads)
        self.bench = prepare_bench(settings)
        self._judge = settings.judge_version
        self._batch_size = settings.rendering.batch_size

    def facts(self) -> Facts:
        """Say what the cells depend on, the batch size that was asked for included."""
        model = asdict(self.bench.model.provenance)
        return Facts(conditions_of_cells(self.bench), model)

    def check(self, pairs: Sequence[PromptPair]) -> None:
        """Raise for a prompt that is too long."""
        check_prompts(self.bench.model, self.bench.rendering, pairs)

    def seconds_per_image(self, tasks: Sequence[Task]) -> float:
        """Estimate the time of an image, its part of the metric included, from a few steps.

        Time is a straight line in the denoising steps, so two points of it are enough. The tasks
        are what there is to do for one pair and one seed.
        """
        steps = cast(int, self.bench.rendering.steps)
        few, more = min(2, steps), min(5, steps)
        self._seconds(tasks, few)  # the first pass through the networks is slower
        at_few, at_more = self._seconds(tasks, few), self._seconds(tasks, more)
        per_step = max(0.0, at_more - at_few) / (more - few) if more > few else 0.0
        images = images_of_latent(self.bench, tasks[0].seed)
        return (at_more + per_step * (steps - more)) / images

    def compute(self, folder: Path, tasks: Sequence[Task]) -> Iterator[int]:
        """Compute and save the tasks of one pair that are not finished; see `LocalEngine.compute`.

        Raises:
            ResultsFolderError: The folder is not the one in which the study was begun, or cannot
                be written.
        """
        if not (folder / "settings.json").is_file():
            raise ResultsFolderError(
                f"no study was begun in {folder} as {platform.node()} sees it; the results "
                "folder has to be the same for all that compute, on a disk that they share"
            )
        missing = unfinished(folder, tasks, self._judge)
        yield from [0] * (len(tasks) - len(missing))
        latent = None
        for task, cell in self._cells(missing, self.bench.rendering.steps, folder):
            if load_cell(folder, task.identity) is None:
                save_cell(folder, cell)
            yield 0 if task.seed == latent else images_of_latent(self.bench, task.seed)
            latent = task.seed

    def _seconds(self, tasks: Sequence[Task], steps: int) -> float:
        started = time.perf_counter()
        list(self._cells(tasks, steps))
        return time.perf_counter() - started

    def _cells(
        self, tasks: Sequence[Task], steps: int | None, folder: Path | None = None
    ) -> Iterator[tuple[Task, Cell]]:
        """`compute_cells`, in batches that fit into memory from the first failure on.

        What fidelity asks for is kept in the folder.
        """
        missing = list(tasks)
        while missing:
            rendering = replace(self.bench.rendering, steps=steps, batch_size=self._batch_size)
            used = self.bench.environment | {"batch_size": self._batch_size}
            bench = replace(self.bench, rendering=rendering, environment=used)
            if folder is not None and self._judge is not None:
                bench = replace(bench, keep=partial(keep_look, bench, folder))
            try:
                for task, cell in compute_cells(bench, tuple(missing)):
                    missing.remove(task)
                    yield task, cell
            except (MemoryError, RuntimeError) as error:
                self._halve_batch(error)

    def _halve_batch(self, error: Exception) -> None:
        """Go on with smaller batches; raise what is no lack of memory, or has no remedy here."""
        if not lacks_memory(error):
            raise error
        if self._batch_size == 1:
            source = self.bench.model.provenance
            raise StudySettingsError(
                f"one image at a time of {source.name} in {source.dtype} does not fit into the "
                f"memory of {source.device}; choose a smaller dtype, such as bfloat16, a smaller "
                "model, or another device"
            ) from error
        self._batch_size //= 2
