"""The study: every coupling on every prompt pair, and what its images look like as a table.

For one pair (x, y) of token clouds and one initial latent, a cell renders the displacement
interpolation along one coupling and measures the perceptual distance of consecutive images (see
`cells`). The table is derived from the finished cells alone, so it does not depend on how often
the study was stopped and resumed, on how many processes shared the work, nor on the day or the
order in which the cells were computed.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from embedding_geometry.ground.disk import digest, write_whole
from embedding_geometry.ground.places import configured_model
from embedding_geometry.perception.fidelity import Features, Reference
from embedding_geometry.study.cluster import Engine, open_engine
from embedding_geometry.study.engines import HERE, EngineName, EngineSettings, Worker
from embedding_geometry.study.fidelity import (
    kernel_table,
    reference_features,
    reference_prompts,
    with_fidelity,
)
from embedding_geometry.study.planning import WHOLE, Shard, StudyPlan, plan_jobs
from embedding_geometry.study.prompts import PromptPair, read_prompt_pairs, write_prompt_pairs
from embedding_geometry.study.results import (
    FIDELITY,
    Seen,
    check_settings,
    load_cell,
    load_seen,
    open_results,
)
from embedding_geometry.study.settings import StudySettings
from embedding_geometry.study.table import Findings, report_equal_images
from embedding_geometry.study.tasks import Task, plan_tasks, unfinished
from embedding_geometry.study.worker import StudyWorker
from embedding_geometry.transport.ways import own_ways


def run_study(
    settings: StudySettings,
    folder: str | os.PathLike[str],
    *,
    progress: bool = True,
    shard: Shard | str = WHOLE,
    engine: EngineSettings | EngineName = HERE,
) -> pd.DataFrame:
    """Run a study, or go on with the one that was begun in the folder.

    Args:
        settings: What to compute.
        folder: The results folder. Finished cells are taken from its `cells/`; when all are there
            it also holds `study.csv` (the table), `steps.parquet` (the distance of every step),
            `studied_pairs.csv` (the prompts) and `manifest.json` (how they came about); with a
            reference also `fidelity.csv` (kernel distances of each way, see `fidelity`).
        progress: Whether to show a bar with rate and remaining time on standard error.
        shard: The part of the study to compute here, where other processes compute the others;
            "1/4" is the first of four.
        engine: Where to compute it.

    Returns:
        One row per finished cell of the study, of whatever shard. `pair_id, similarity, stratum,
        coupling, seed, frames`; the perceptual path length `ppl` (mean distance of consecutive
        frames) with its companions `total, scaled_mean, root_sum, gini, maximum_step`;
        `wasserstein_length` of the path of clouds (NaN for rules) and `w2` of its ends, both in
        the poster's units (no 1/N under the root). With a reference, once no cell is missing, also
        the columns of `fidelity.with_fidelity`.

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
    shard: Shard | str = WHOLE,
    engine: EngineSettings | EngineName = HERE,
) -> Iterator["StudyRun"]:
    """Check all that can be checked and load the model; nothing is written yet.

    Raises:
        ValueError: As `run_study`.
        FileNotFoundError: As `run_study`.
    """
    shard = shard if isinstance(shard, Shard) else Shard.parse(shard)
    engine = engine if isinstance(engine, EngineSettings) else EngineSettings(engine)
    settings.check()
    pairs = read_prompt_pairs(settings.pairs)
    others = read_prompt_pairs(settings.reference) if settings.reference else []
    prompts = reference_prompts(others, pairs) if others else {}
    # by name: a worker on another machine has an environment of its own
    loading = replace(settings.loading, model=configured_model(settings.loading.model))
    # and no ways but those of the package; module:function it imports itself
    ways = own_ways(settings.named_couplings, settings.own)
    passed = {name: way for name, way in ways.items() if ":" not in name}
    settings = replace(settings, loading=loading, own={**settings.own, **passed})
    with open_engine(engine, loading.device, partial(StudyWorker, settings)) as workers:
        workers.ask(lambda worker: worker.check([*pairs, *others]))
        study = StudyRun(settings, Path(folder).absolute(), shard, pairs, workers, prompts)
        check_settings(study.folder, study.conditions)
        yield study


@dataclass(frozen=True)
class StudyRun:
    """A process that works on a study, alone or beside others on the same results folder."""

    settings: StudySettings
    folder: Path
    shard: Shard
    pairs: list[PromptPair]
    engine: Engine
    prompts: Mapping[str, int] = field(default_factory=dict)  # of reference pictures, with seeds

    @property
    def cells(self) -> int:
        """How many cells the whole study has."""
        return self._cells_of(self.pairs)

    @property
    def conditions(self) -> dict[str, object]:
        """Every setting that the table depends on; a similarity may be corrected later."""
        settings = self.settings
        return self.engine.facts.conditions | {
            "pairs": digest([[pair.pair_id, pair.source, pair.target] for pair in self.pairs]),
            "couplings": list(settings.couplings),
            "extra_couplings_first_seed": list(settings.extra_couplings_first_seed),
            "seeds": list(settings.seeds),
        }

    def plan(self) -> StudyPlan:
        """Count what is left to do in this shard and measure how long it will take."""
        frames, pictures = self.settings.frames, len(self.prompts)
        return plan_jobs(self._jobs(), frames, pictures, self.engine)

    def compute(self, *, progress: bool = True) -> None:
        """Finish this shard's cells, except those that another process has finished."""
        open_results(self.folder, self.conditions)
        cells = self._cells_of(self.shard.share(self.pairs))
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
        findings = self._finished()
        table = findings.table()
        if len(table):
            report_equal_images(table, self.pairs)
        if len(table) == self.cells:
            conditions = self.conditions
            check_settings(self.folder, conditions)
            manifest: dict[str, object] = {
                "model": self.engine.facts.model,
                "settings": conditions,
                "metric": {"net": conditions["net"], "revision": conditions["net_revision"]},
                "pairs": {"file": Path(self.settings.pairs).name, "count": len(self.pairs)},
            }
            if self.prompts:
                table = self._judge(table, findings.seen)
                manifest["fidelity"] = {
                    "file": Path(str(self.settings.reference)).name,
                    "pictures": len(self.prompts),
                    "judge": self.settings.judge,
                }
            manifest |= findings.origin()
            write_whole(self.folder / "study.csv", table.to_csv(index=False).encode())
            write_whole(self.folder / "steps.parquet", findings.steps().to_parquet(index=False))
            write_prompt_pairs(self.folder / "studied_pairs.csv", self.pairs)
            text = json.dumps(manifest, indent=1)
            write_whole(self.folder / "manifest.json", text.encode() + b"\n")
        return table

    def _finished(self) -> Findings:
        """What the finished cells say, and, with a reference, what was kept of their pictures."""
        findings, judge = Findings(), self.settings.judge_version
        for pair in self.pairs:
            for task in self._tasks(pair):
                cell = load_cell(self.folder, task.identity)
                seen = None if judge is None else load_seen(self.folder, task.identity, judge)
                if cell is not None and (judge is None or seen is not None):
                    findings.add(task, cell, seen)
        return findings

    def _judge(self, table: pd.DataFrame, seen: Sequence[Seen]) -> pd.DataFrame:
        """Hold what was seen against the references; the table with columns more."""
        prompts, folder = self.prompts, self.folder

        def features(worker: Worker) -> Features:
            assert isinstance(worker, StudyWorker)
            return reference_features(worker.bench, prompts, folder)

        known = Reference.of(self.engine.ask(features), str(self.settings.reference))
        kernels = kernel_table(table, seen, known)
        write_whole(self.folder / FIDELITY, kernels.to_csv(index=False).encode())
        return with_fidelity(table, seen, known)

    def _cells_of(self, pairs: Sequence[PromptPair]) -> int:
        """How many cells these pairs have, each as many as another."""
        settings = self.settings
        return len(pairs) * sum(len(settings.couplings_of(seed)) for seed in settings.seeds)

    def _tasks(self, pair: PromptPair) -> list[Task]:
        return plan_tasks(self.settings, [pair], self.engine.facts.conditions)

    def _jobs(self) -> Iterator[tuple[list[Task], list[Task]]]:
        """This shard's tasks and the unfinished of them, when asked for, a pair's at a time."""
        for pair in self.shard.share(self.pairs):
            tasks = self._tasks(pair)
            yield tasks, unfinished(self.folder, tasks, self.settings.judge_version)

    def _pending(self, bar: tqdm) -> Iterator[list[Task]]:
        """The jobs without what is finished, which the bar counts, but not as speed."""
        for tasks, missing in self._jobs():
            if not bar.disable:
                bar.n += len(tasks) - len(missing)
                bar.initial += len(tasks) - len(missing)
            if missing:
                yield missing
