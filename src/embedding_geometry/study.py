"""The study: every coupling on every prompt pair, and what its images look like as a table.

For one pair (x, y) of token clouds and one initial latent, a cell renders the displacement
interpolation along one coupling and measures the perceptual distance of consecutive images. The
table is derived from the finished cells alone, so it does not depend on how often the study was
stopped and resumed, nor on the day or the order in which the cells were computed.

Couplings are compared like with like: the same initial latent, frames rendered in shared batches,
and the two ends of the path, which are the same images for every coupling, rendered once.
"""

import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from embedding_geometry.clouds import (
    encode_pooled,
    encode_prompts,
    interpolate_pooled,
    token_ids,
)
from embedding_geometry.couplings import couple, wasserstein_distance
from embedding_geometry.generation import RenderSettings, default_settings, initial_latent, render
from embedding_geometry.models import (
    TextToImageModel,
    configured_model,
    library_versions,
    load_model,
)
from embedding_geometry.paths import displacement_interpolation, wasserstein_length
from embedding_geometry.perception import (
    PerceptualMetric,
    load_metric,
    perceptual_distances,
    perceptual_path_length,
)
from embedding_geometry.prompts import PromptPair, read_prompt_pairs
from embedding_geometry.results import (
    Cell,
    StudySettings,
    digest,
    load_cell,
    open_results,
    save_cell,
    write_whole,
)
from embedding_geometry.types import Cloud, CloudPath, Clouds, CouplingName, Frames, SchedulerName

__all__ = ["StudySettings", "publish_results", "run_study"]

LIBRARIES = ("torch", "diffusers", "transformers", "lpips", "torchvision", "numpy", "scipy")


@dataclass(frozen=True)
class Task:
    """A cell of the study, computed or not.

    Attributes:
        pair: The two prompts.
        seed: Seed of the initial latent.
        coupling: How the tokens of the two prompts are paired.
        identity: Everything that determines the cell's numbers, as JSON values.
    """

    pair: PromptPair
    seed: int
    coupling: CouplingName
    identity: dict[str, object]

    @property
    def key(self) -> tuple[str, int, str]:
        """What tells the task apart within its study."""
        return (self.pair.pair_id, self.seed, self.coupling)


@dataclass(frozen=True)
class Bench:
    """What every cell needs, made ready once."""

    model: TextToImageModel
    metric: PerceptualMetric
    rendering: RenderSettings
    frames: int
    couplings_of: Callable[[int], tuple[CouplingName, ...]]  # those of a seed
    environment: dict[str, object]


def run_study(
    settings: StudySettings, folder: str | os.PathLike[str], *, progress: bool = True
) -> pd.DataFrame:
    """Run a study, or go on with the one that was begun in the folder.

    Args:
        settings: What to compute.
        folder: The results folder. Finished cells are taken from its `cells/`; at the end it also
            holds `study.csv` (the table), `steps.parquet` (the distance of every step) and
            `manifest.json` (how they came about).
        progress: Whether to show a bar with rate and remaining time on standard error.

    Returns:
        One row per cell: `pair_id, similarity, stratum, coupling, seed, frames`; the perceptual
        path length `ppl` (mean distance of consecutive frames) with its companions `total,
        scaled_mean, root_sum, gini, maximum_step`; `wasserstein_length` of the path of clouds and
        `w2` of its ends, both in the poster's units (no 1/N under the root).

    Raises:
        StudySettingsError: Settings that cannot be run, or that are not those of the study in the
            folder.
        ResultsFolderError: The folder cannot be written; finished cells are kept.
        ValueError: A table of pairs, a prompt or a setting that cannot be used.
        FileNotFoundError: Pairs, model or metric are not where they were looked for.
    """
    settings.check()
    folder = Path(folder)
    pairs = read_prompt_pairs(settings.pairs)
    bench = prepare_bench(settings)
    conditions = conditions_of_cells(bench)
    tasks = plan_tasks(settings, pairs, conditions)
    check_prompts(bench.model, bench.rendering, pairs)
    open_results(folder, conditions | conditions_of_plan(settings, pairs))
    cells = finished_cells(folder, tasks)
    pending = [task for task in tasks if task.key not in cells]
    with tqdm(total=len(tasks), initial=len(cells), unit="cell", disable=not progress) as bar:
        for task, cell in compute_cells(bench, pending):
            save_cell(folder, cell)
            cells[task.key] = cell
            bar.update()
    table = study_table(tasks, cells)
    write_whole(folder / "study.csv", table.to_csv(index=False).encode())
    write_whole(folder / "steps.parquet", steps_table(tasks, cells).to_parquet(index=False))
    manifest = study_manifest(settings, pairs, bench, list(cells.values()))
    write_whole(folder / "manifest.json", json.dumps(manifest, indent=1).encode() + b"\n")
    return table


def publish_results(folder: str | os.PathLike[str], prefix: str | os.PathLike[str]) -> list[Path]:
    """Copy a finished study to `<prefix>_study.csv`, `_steps.parquet` and `_manifest.json`.

    Raises:
        FileNotFoundError: The study in the folder is not finished.
        ResultsFolderError: The copies cannot be written.
    """
    originals = [Path(folder) / name for name in ("study.csv", "steps.parquet", "manifest.json")]
    for original in originals:
        if not original.is_file():
            raise FileNotFoundError(f"{original} is missing; run the study there to its end first")
    prefix = Path(prefix)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    copies = [prefix.with_name(f"{prefix.name}_{original.name}") for original in originals]
    for original, copy in zip(originals, copies, strict=True):
        write_whole(copy, original.read_bytes())
    return copies


def prepare_bench(settings: StudySettings) -> Bench:
    """Load model and metric, and settle what the settings leave to the model."""
    model = load_model(
        settings.model or configured_model(), settings.device, settings.dtype, settings.revision
    )
    metric = load_metric(settings.net, str(model.device))
    rendering = rendering_settings(
        model,
        settings.steps,
        settings.guidance_scale,
        settings.negative_prompt,
        settings.batch_size,
        settings.scheduler,
        (settings.height, settings.width),
    )
    return Bench(
        model, metric, rendering, settings.frames, settings.couplings_of, environment(model)
    )


def rendering_settings(
    model: TextToImageModel,
    steps: int | None,
    guidance_scale: float | None,
    negative_prompt: str,
    batch_size: int,
    scheduler: SchedulerName,
    size: tuple[int | None, int | None],
) -> RenderSettings:
    """The given settings, with the model's own where steps, guidance scale or a side are None."""
    defaults = default_settings(model)
    height, width = (
        own if given is None else given for own, given in zip(model.image_size, size, strict=True)
    )
    return RenderSettings(
        steps=defaults.steps if steps is None else steps,
        guidance_scale=defaults.guidance_scale if guidance_scale is None else guidance_scale,
        negative_prompt=negative_prompt,
        batch_size=batch_size,
        scheduler=scheduler,
        height=height,
        width=width,
    )


def check_prompts(
    model: TextToImageModel, settings: RenderSettings, pairs: list[PromptPair]
) -> None:
    """Raise for a prompt that is too long now, not hours later when its turn comes."""
    texts = [text for pair in pairs for text in (pair.source, pair.target)]
    for text in (settings.negative_prompt, *texts):
        token_ids(model, text, truncate=False)


def conditions_of_cells(bench: Bench) -> dict[str, object]:
    """What determines a cell besides texts, seed and coupling; batches matter by rounding."""
    return {
        "model": bench.model.provenance.revision,
        "device": bench.model.device.type,
        "dtype": bench.model.provenance.dtype,
        "net": bench.metric.net,
        "net_revision": bench.metric.revision,
        "frames": bench.frames,
        **asdict(bench.rendering),
    }


def conditions_of_plan(settings: StudySettings, pairs: list[PromptPair]) -> dict[str, object]:
    """What determines which cells there are; a similarity may be corrected later."""
    return {
        "pairs": digest([[pair.pair_id, pair.source, pair.target] for pair in pairs]),
        "couplings": list(settings.couplings),
        "extra_couplings_first_seed": list(settings.extra_couplings_first_seed),
        "seeds": list(settings.seeds),
    }


def plan_tasks(
    settings: StudySettings, pairs: list[PromptPair], conditions: Mapping[str, object]
) -> list[Task]:
    """All cells of the study: pair by pair, seed by seed, coupling by coupling."""
    tasks = []
    for pair in pairs:
        texts = {"pair_id": pair.pair_id, "source": pair.source, "target": pair.target}
        for seed in settings.seeds:
            for coupling in settings.couplings_of(seed):
                identity = {**conditions, **texts, "seed": seed, "coupling": coupling}
                tasks.append(Task(pair, seed, coupling, identity))
    return tasks


def finished_cells(folder: Path, tasks: Iterable[Task]) -> dict[tuple[str, int, str], Cell]:
    """The cells that are in the folder already, by the key of their task."""
    found = {task.key: load_cell(folder, task.identity) for task in tasks}
    return {key: cell for key, cell in found.items() if cell is not None}


def compute_cells(bench: Bench, tasks: Iterable[Task]) -> Iterator[tuple[Task, Cell]]:
    """Compute the tasks in their order; those of one pair, and of one seed, stand together.

    All couplings of a pair and a seed are rendered, also where only some of them are asked for:
    a frame is then in the same batch whatever was finished before, and the same to the bit.
    """
    started = datetime.now(UTC)
    for pair, tasks_of_pair in groupby(tasks, key=lambda task: task.pair):
        x, y = encode_pair(bench.model, pair)
        w2 = wasserstein_distance(x, y, normalized=False)
        for seed, tasks_of_latent in groupby(tasks_of_pair, key=lambda task: task.seed):
            paths = {
                coupling: cloud_path(pair, coupling, x, y, bench.frames)
                for coupling in bench.couplings_of(seed)
            }
            frames = render_paths(bench, pair, seed, np.stack([x, y]), paths)
            for task in tasks_of_latent:
                distances = perceptual_distances(bench.metric, frames[task.coupling])
                cell = Cell(
                    identity=task.identity,
                    distances=distances.tolist(),
                    wasserstein_length=wasserstein_length(paths[task.coupling]),
                    w2=w2,
                    started=started.isoformat(),
                    ended=datetime.now(UTC).isoformat(),
                    environment=bench.environment,
                )
                yield task, cell
                started = datetime.now(UTC)


def images_of_latent(bench: Bench, seed: int) -> int:
    """How many images are rendered for a pair from this seed's latent, whatever is asked for."""
    return 2 + len(bench.couplings_of(seed)) * (bench.frames - 2)


def render_paths(
    bench: Bench,
    pair: PromptPair,
    seed: int,
    ends: Clouds,
    paths: Mapping[CouplingName, CloudPath],
) -> dict[CouplingName, Frames]:
    """The frames of each path between two ends, in shared batches and the ends rendered once."""
    inner = np.linspace(0.0, 1.0, bench.frames)[1:-1]
    times = np.concatenate([[0.0, 1.0], *[inner] * len(paths)])
    pooled = interpolate_pooled(encode_pooled(bench.model, [pair.source, pair.target]), times)
    clouds = np.concatenate([ends, *(path[1:-1] for path in paths.values())])
    latent = initial_latent(bench.model, seed, bench.rendering)
    images = render(bench.model, clouds, latent, bench.rendering, pooled)
    ways = np.split(images[2:], len(paths))
    return {
        coupling: np.concatenate([images[:1], way, images[1:2]])
        for coupling, way in zip(paths, ways, strict=True)
    }


def encode_pair(model: TextToImageModel, pair: PromptPair) -> tuple[Cloud, Cloud]:
    """Token clouds of the two prompts; the same array twice where the prompts are the same."""
    texts = list(dict.fromkeys([pair.source, pair.target]))
    clouds = dict(zip(texts, encode_prompts(model, texts), strict=True))
    return clouds[pair.source], clouds[pair.target]


def cloud_path(
    pair: PromptPair, coupling: CouplingName, x: Cloud, y: Cloud, frames: int
) -> CloudPath:
    """The displacement interpolation that the frames of one coupling are rendered from."""
    sigma = couple(coupling, x, y, coupling_rng(pair.pair_id))
    return displacement_interpolation(x, y, sigma, np.linspace(0.0, 1.0, frames))


def coupling_rng(pair_id: str) -> np.random.Generator:
    """Source of a pair's random coupling: the same on every latent, machine and day.

    Its seed is the first 8 bytes, big-endian, of the SHA-256 of `random coupling of <pair_id>`.
    """
    digest_bytes = hashlib.sha256(f"random coupling of {pair_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest_bytes[:8], "big"))


def study_table(tasks: Iterable[Task], cells: Mapping[tuple[str, int, str], Cell]) -> pd.DataFrame:
    """The tidy table: one row per cell, in the order of the tasks."""
    rows = []
    for task in tasks:
        cell = cells[task.key]
        length = perceptual_path_length(np.array(cell.distances))
        rows.append(
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
    return pd.DataFrame(rows)


def steps_table(tasks: Iterable[Task], cells: Mapping[tuple[str, int, str], Cell]) -> pd.DataFrame:
    """One row per step of every cell; step k leads from frame k to frame k + 1."""
    rows = [
        (*task.key, step, distance)
        for task in tasks
        for step, distance in enumerate(cells[task.key].distances)
    ]
    table = pd.DataFrame(rows, columns=["pair_id", "seed", "coupling", "step", "distance"])
    return table[["pair_id", "coupling", "seed", "step", "distance"]]


def study_manifest(
    settings: StudySettings, pairs: list[PromptPair], bench: Bench, cells: list[Cell]
) -> dict[str, object]:
    """How the tables came about; times and machines are those of the cells, resumed or not."""
    environments = {digest(cell.environment): cell.environment for cell in cells}
    return {
        "model": asdict(bench.model.provenance),
        "settings": conditions_of_cells(bench) | conditions_of_plan(settings, pairs),
        "metric": {"net": bench.metric.net, "revision": bench.metric.revision},
        "pairs": {"file": settings.pairs.name, "count": len(pairs)},
        "cells": len(cells),
        "started": min(cell.started for cell in cells),
        "ended": max(cell.ended for cell in cells),
        "seconds": round(sum(cell.seconds for cell in cells), 1),
        "environments": list(environments.values()),
    }


def environment(model: TextToImageModel) -> dict[str, object]:
    """The machine and the library versions that compute now."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": model.provenance.device,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": library_versions(*LIBRARIES),
    }


def cpu_name() -> str:
    """The processor's name as the operating system gives it."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
