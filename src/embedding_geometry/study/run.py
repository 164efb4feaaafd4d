"""The study: every coupling on every prompt pair, and what its images look like as a table.

For one pair (x, y) of token clouds and one initial latent, a cell renders the displacement
interpolation along one coupling and measures the perceptual distance of consecutive images (see
`cells`). The table is derived from the finished cells alone, so it does not depend on how often
the study was stopped and resumed, on how many processes shared the work, nor on the day or the
order in which the cells were computed.
"""

import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from embedding_geometry.diffusion.loading import configured_model
from embedding_geometry.ground.command import lacks_memory
from embedding_geometry.perception.metric import perceptual_path_length
from embedding_geometry.study.cells import (
    check_prompts,
    compute_cells,
    conditions_of_cells,
    images_of_latent,
    prepare_bench,
)
from embedding_geometry.study.engines import HERE, Engine, EngineSettings, Facts, open_engine
from embedding_geometry.study.planning import (
    WHOLE,
    Shard,
    StudyPlan,
    Task,
    images_to_render,
    plan_tasks,
    unfinished,
)
from embedding_geometry.study.prompts import (
    PromptPair,
    PromptPairsError,
    read_prompt_pairs,
    write_prompt_pairs,
)
from embedding_geometry.study.results import (
    Cell,
    ResultsFolderError,
    StudySettings,
    StudySettingsError,
    check_settings,
    digest,
    load_cell,
    make_folder,
    open_results,
    save_cell,
    write_whole,
)
from embedding_geometry.transport.ways import find_way

__all__ = [
    "EngineSettings",
    "Shard",
    "StudySettings",
    "open_study",
    "plan_tasks",
    "publish_results",
    "run_study",
]

PUBLISHED = {  # files of the results folder, and how the name of a copy ends
    "study.csv": "study.csv",
    "steps.parquet": "steps.parquet",
    "studied_pairs.csv": "pairs.csv",
    "manifest.json": "manifest.json",
}


def run_study(
    settings: StudySettings,
    folder: str | os.PathLike[str],
    *,
    progress: bool = True,
    shard: Shard = WHOLE,
    engine: EngineSettings = HERE,
) -> pd.DataFrame:
    """Run a study, or go on with the one that was begun in the folder.

    Args:
        settings: What to compute.
        folder: The results folder. Finished cells are taken from its `cells/`; when all are there
            it also holds `study.csv` (the table), `steps.parquet` (the distance of every step),
            `studied_pairs.csv` (the prompts) and `manifest.json` (how they came about).
        progress: Whether to show a bar with rate and remaining time on standard error.
        shard: The part of the study to compute here, where other processes compute the others.
        engine: Where to compute it.

    Returns:
        One row per finished cell of the study, of whatever shard. `pair_id, similarity, stratum,
        coupling, seed, frames`; the perceptual path length `ppl` (mean distance of consecutive
        frames) with its companions `total, scaled_mean, root_sum, gini, maximum_step`;
        `wasserstein_length` of the path of clouds and `w2` of its ends, both in the poster's units
        (no 1/N under the root).

    Raises:
        StudySettingsError: Settings that cannot be run, or that are not those of the study in the
            folder.
        ResultsFolderError: The folder cannot be written; finished cells are kept.
        ValueError: A table of pairs, a prompt, a setting or an engine that cannot be used.
        FileNotFoundError: Pairs, model or metric are not where they were looked for.
    """
    with open_study(settings, folder, shard=shard, engine=engine) as study:
        study.compute(progress=progress)
        return study.collect()


@contextmanager
def open_study(
    settings: StudySettings,
    folder: str | os.PathLike[str],
    *,
    shard: Shard = WHOLE,
    engine: EngineSettings = HERE,
) -> Iterator["StudyRun"]:
    """Check all that can be checked and load the model; nothing is written yet.

    Raises:
        ValueError: As `run_study`.
        FileNotFoundError: As `run_study`.
    """
    settings.check()
    for name in settings.couplings + settings.extra_couplings_first_seed:
        find_way(name)
    pairs = read_prompt_pairs(settings.pairs)
    settings = replace(settings, model=configured_model(settings.model))
    with open_engine(engine, settings.device, partial(StudyWorker, settings)) as workers:
        workers.ask(lambda worker: worker.check(pairs))
        study = StudyRun(settings, Path(folder).absolute(), shard, pairs, workers)
        check_settings(study.folder, study.conditions)
        yield study


class StudyRun:
    """A process that works on a study, alone or beside others on the same results folder."""

    def __init__(
        self,
        settings: StudySettings,
        folder: Path,
        shard: Shard,
        pairs: list[PromptPair],
        engine: Engine,
    ) -> None:
        """Take what `open_study` has made ready."""
        self.settings = settings
        self.folder = folder
        self.pairs = pairs
        self.engine = engine
        self._share = shard.share(pairs)
        self._per_pair = sum(len(settings.couplings_of(seed)) for seed in settings.seeds)

    @property
    def cells(self) -> int:
        """How many cells the whole study has."""
        return self._per_pair * len(self.pairs)

    @property
    def conditions(self) -> dict[str, object]:
        """Every setting that the table depends on."""
        plan = conditions_of_plan(self.settings, self.pairs)
        return self.engine.facts.conditions | plan

    def plan(self) -> StudyPlan:
        """Count what is left to do in this shard and measure how long it will take."""
        pending, images, pairs = 0, 0, 0
        example: list[Task] = []
        for job in self._jobs():
            missing = unfinished(self.folder, job)
            pending += len(missing)
            pairs += bool(missing)
            latents = {task.seed for task in missing}
            rendered = [task for task in job if task.seed in latents]
            images += images_to_render(rendered, self.settings.frames)
            example = example or [task for task in missing if task.seed == missing[0].seed]
        cells = self._per_pair * len(self._share)
        plan = StudyPlan(
            cells=cells,
            finished=cells - pending,
            images=images,
            passes=pending * self.settings.frames,
            workers=self.engine.workers,
        )
        if not example:
            return plan
        seconds = self.engine.ask(lambda worker: worker.seconds_per_image(example))
        return replace(plan, seconds=seconds * images / min(plan.workers, pairs))

    def compute(self, *, progress: bool = True) -> None:
        """Finish this shard's cells, except those that another process has finished."""
        open_results(self.folder, self.conditions)
        cells = self._per_pair * len(self._share)
        images, started = 0, time.perf_counter()
        with tqdm(total=cells, unit="cell", disable=not progress) as bar:
            for rendered in self.engine.compute(self.folder, self._pending(bar)):
                images += rendered
                rate = images / (time.perf_counter() - started)
                bar.set_postfix_str(f"{rate:.1f} images/s", refresh=False)
                bar.update()

    def collect(self) -> pd.DataFrame:
        """Read the study's cells, of all shards; once none is missing, write what they add up to.

        Raises:
            StudySettingsError: Another study was begun in the folder in the meantime.
            ResultsFolderError: The folder cannot be written.
        """
        findings = Findings()
        for pair in self.pairs:
            for task in self._tasks(pair):
                cell = load_cell(self.folder, task.identity)
                if cell is not None:
                    findings.add(task, cell)
        table = findings.table()
        if len(table) == self.cells:
            check_settings(self.folder, self.conditions)
            manifest = self._manifest() | findings.origin()
            write_whole(self.folder / "study.csv", table.to_csv(index=False).encode())
            write_whole(self.folder / "steps.parquet", findings.steps().to_parquet(index=False))
            write_prompt_pairs(self.folder / "studied_pairs.csv", self.pairs)
            text = json.dumps(manifest, indent=1)
            write_whole(self.folder / "manifest.json", text.encode() + b"\n")
        return table

    def _tasks(self, pair: PromptPair) -> list[Task]:
        return plan_tasks(self.settings, [pair], self.engine.facts.conditions)

    def _jobs(self) -> Iterator[list[Task]]:
        """This shard's tasks, made when they are asked for, a pair's at a time."""
        return (self._tasks(pair) for pair in self._share)

    def _pending(self, bar: tqdm) -> Iterator[list[Task]]:
        """The jobs without what is finished, which the bar counts, but not as speed."""
        for job in self._jobs():
            missing = unfinished(self.folder, job)
            if not bar.disable:
                bar.n += len(job) - len(missing)
                bar.initial += len(job) - len(missing)
            if missing:
                yield missing

    def _manifest(self) -> dict[str, object]:
        conditions = self.conditions
        return {
            "model": self.engine.facts.model,
            "settings": conditions,
            "metric": {"net": conditions["net"], "revision": conditions["net_revision"]},
            "pairs": {"file": self.settings.pairs.name, "count": len(self.pairs)},
        }


class StudyWorker:
    """Model and metric, kept warm, that compute one pair's cells after another's."""

    def __init__(self, settings: StudySettings, threads: int | None = None) -> None:
        """Load both; `threads` limits the CPU threads of this process."""
        if threads is not None:
            torch.set_num_threads(threads)
        self._bench = prepare_bench(settings)
        self._batch_size = settings.batch_size

    def facts(self) -> Facts:
        """Say what the cells depend on, the batch size that was asked for included."""
        model = asdict(self._bench.model.provenance)
        return Facts(conditions_of_cells(self._bench), model)

    def check(self, pairs: Sequence[PromptPair]) -> None:
        """Raise for a prompt that is too long."""
        check_prompts(self._bench.model, self._bench.rendering, pairs)

    def seconds_per_image(self, tasks: Sequence[Task]) -> float:
        """Estimate the time of an image, its part of the metric included, from a few steps.

        Time is a straight line in the denoising steps, so two points of it are enough.

        Args:
            tasks: What there is to do for one pair and one seed.
        """
        steps = self._bench.rendering.steps
        few, more = min(2, steps), min(5, steps)
        self._seconds(tasks, few)  # the first pass through the networks is slower
        at_few, at_more = self._seconds(tasks, few), self._seconds(tasks, more)
        per_step = max(0.0, at_more - at_few) / (more - few) if more > few else 0.0
        images = images_of_latent(self._bench, tasks[0].seed)
        return (at_more + per_step * (steps - more)) / images

    def compute(self, folder: Path, tasks: Sequence[Task]) -> Iterator[int]:
        """Compute and save the tasks of one pair that are not finished; see `Engine.compute`.

        Raises:
            ResultsFolderError: The folder is not the one in which the study was begun, or cannot
                be written.
        """
        if not (folder / "settings.json").is_file():
            raise ResultsFolderError(
                f"no study was begun in {folder} as {platform.node()} sees it; the results "
                "folder has to be the same for all that compute, on a disk that they share"
            )
        missing = unfinished(folder, tasks)
        yield from [0] * (len(tasks) - len(missing))
        latent = None
        for task, cell in self._cells(missing, self._bench.rendering.steps):
            save_cell(folder, cell)
            yield 0 if task.seed == latent else images_of_latent(self._bench, task.seed)
            latent = task.seed

    def _seconds(self, tasks: Sequence[Task], steps: int) -> float:
        started = time.perf_counter()
        list(self._cells(tasks, steps))
        return time.perf_counter() - started

    def _cells(self, tasks: Sequence[Task], steps: int) -> Iterator[tuple[Task, Cell]]:
        """`compute_cells`, in batches that fit into memory from the first failure on."""
        missing = list(tasks)
        while missing:
            rendering = replace(self._bench.rendering, steps=steps, batch_size=self._batch_size)
            used = self._bench.environment | {"batch_size": self._batch_size}
            bench = replace(self._bench, rendering=rendering, environment=used)
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
            source = self._bench.model.provenance
            raise StudySettingsError(
                f"one image at a time of {source.name} in {source.dtype} does not fit into the "
                f"memory of {source.device}; choose a smaller dtype, such as bfloat16, a smaller "
                "model, or another device"
            ) from error
        self._batch_size //= 2


def publish_results(folder: str | os.PathLike[str], prefix: str | os.PathLike[str]) -> list[Path]:
    """Copy a finished study to `<prefix>_study.csv`, and so on for each of `PUBLISHED`.

    A table of the same pairs that stands in the place of a copy stays as it is: it may be the one
    that the study took, with columns of its own.

    Raises:
        FileNotFoundError: The study in the folder is not finished.
        ResultsFolderError: The copies cannot be written.
    """
    originals = [Path(folder) / name for name in PUBLISHED]
    for original in originals:
        if not original.is_file():
            raise FileNotFoundError(f"{original} is missing; run the study there to its end first")
    prefix = Path(prefix)
    make_folder(prefix.parent)
    copies = [prefix.with_name(f"{prefix.name}_{ending}") for ending in PUBLISHED.values()]
    for original, copy in zip(originals, copies, strict=True):
        if copy.name.endswith("_pairs.csv") and _same_pairs(original, copy):
            continue
        write_whole(copy, original.read_bytes())
    return copies


def _same_pairs(original: Path, copy: Path) -> bool:
    try:
        return read_prompt_pairs(copy) == read_prompt_pairs(original)
    except (FileNotFoundError, PromptPairsError):
        return False


def conditions_of_plan(settings: StudySettings, pairs: list[PromptPair]) -> dict[str, object]:
    """What determines which cells there are; a similarity may be corrected later."""
    return {
        "pairs": digest([[pair.pair_id, pair.source, pair.target] for pair in pairs]),
        "couplings": list(settings.couplings),
        "extra_couplings_first_seed": list(settings.extra_couplings_first_seed),
        "seeds": list(settings.seeds),
    }


class Findings:
    """What the cells of a study add up to; a cell is let go once it has been added."""

    def __init__(self) -> None:
        """Begin with no cell."""
        self._rows: list[dict[str, object]] = []
        self._distances: list[np.ndarray] = []
        self._environments: dict[str, dict[str, object]] = {}
        self._times: list[tuple[str, str, float]] = []

    def add(self, task: Task, cell: Cell) -> None:
        """Add a finished cell."""
        distances = np.array(cell.distances)
        length = perceptual_path_length(distances)
        self._rows.append(
            {
                "pair_id": task.pair.pair_id,
                "similarity": task.pair.similarity,
                "stratum": task.pair.stratum,
                "coupling": task.coupling,
                "seed": task.seed,
                "frames": length.frames,
                "ppl": length.mean,
                "total": length.total,
                "scaled_mean": length.scaled_mean,
                "root_sum": length.root_sum,
                "gini": length.gini,
                "maximum_step": length.maximum_step,
                "wasserstein_length": cell.wasserstein_length,
                "w2": cell.w2,
            }
        )
        self._distances.append(distances)
        self._environments.setdefault(digest(cell.environment), cell.environment)
        self._times.append((cell.started, cell.ended, cell.seconds))

    def table(self) -> pd.DataFrame:
        """The tidy table: one row per cell, in the order in which they were added."""
        return pd.DataFrame(self._rows)

    def steps(self) -> pd.DataFrame:
        """One row per step of every cell; step k leads from frame k to frame k + 1."""
        counts = [len(distances) for distances in self._distances]
        cells = self.table()[["pair_id", "coupling", "seed"]]
        table = cells.loc[cells.index.repeat(counts)].reset_index(drop=True)
        table["step"] = np.concatenate([np.arange(count) for count in counts])
        table["distance"] = np.concatenate(self._distances)
        return table

    def origin(self) -> dict[str, object]:
        """When and where the cells were computed, resumed or not, on one machine or on many."""
        started, ended, seconds = zip(*self._times, strict=True)
        return {
            "cells": len(self._rows),
            "started": min(started),
            "ended": max(ended),
            "seconds": round(sum(seconds), 1),
            "environments": list(self._environments.values()),
        }
