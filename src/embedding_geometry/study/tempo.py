"""How evenly the pictures of each coupling change, before and after re-timing: a recorded table.

For the first pairs of each grade, the rigid control left out, the path of every coupling is
rendered at equally spaced times, re-timed (`retiming.retime`), and measured after each round. The
book's protocol says which comparisons are made. A finished path is kept, so that a run that was
stopped at any moment goes on where it was.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from embedding_geometry.diffusion.clouds import encode
from embedding_geometry.diffusion.generation import initial_latent, render
from embedding_geometry.ground.disk import digest, make_folder
from embedding_geometry.ground.grades import RIGID
from embedding_geometry.ground.machine import utc_now
from embedding_geometry.ground.types import Frames, Times
from embedding_geometry.perception.fidelity import Reference, picture_features, realism
from embedding_geometry.perception.metric import perceptual_distances
from embedding_geometry.perception.path_length import perceptual_path_length
from embedding_geometry.perception.retiming import KnownFrames, Timing, retime
from embedding_geometry.study.cells import (
    Bench,
    check_prompts,
    conditions_of_cells,
    coupling_rng,
    prepare_bench,
)
from embedding_geometry.study.fidelity import feature_net, reference_features, reference_prompts
from embedding_geometry.study.prompts import PromptPair, read_prompt_pairs
from embedding_geometry.study.results import RetimedPath, load_retimed, save_cell
from embedding_geometry.study.settings import StudySettings
from embedding_geometry.study.table import about
from embedding_geometry.study.tasks import Task, plan_tasks
from embedding_geometry.transport.ways import find_way


def retime_study(
    settings: StudySettings, per_grade: int, rounds: int, folder: Path
) -> tuple[pd.DataFrame, dict[str, object]]:
    """Re-time the paths of a study's first pairs of each grade, as often as there are rounds.

    Args:
        settings: what the study computes.
        per_grade: pairs of each grade.
        rounds: how often the times of a path are improved.
        folder: where finished paths are kept. None of them is computed again.

    Returns:
        The rows of `retimed_rows` for every pair and seed, with a reference also `realism`, the
        mean over the inner frames at these times; and what they were made with.

    Raises:
        ValueError: A setting, a table of pairs or a prompt that cannot be used.
        FileNotFoundError: Pairs, model or metric are not where they were looked for.
        ResultsFolderError: The folder cannot be written.
    """
    settings.check()
    studied = read_prompt_pairs(settings.pairs)
    pairs = sample(studied, per_grade)
    others = read_prompt_pairs(settings.reference) if settings.reference else []
    bench = prepare_bench(settings)
    check_prompts(bench.model, bench.rendering, [*pairs, *others])
    prompts = reference_prompts(others, studied) if others else {}
    make_folder(folder / "cells")
    reference = None
    if prompts:
        reference = Reference.of(
            reference_features(bench, prompts, folder), str(settings.reference)
        )
    conditions = conditions_of_cells(bench) | {"rounds": rounds, "reference": digest(prompts)}
    paths = [
        (task, _kept_path(bench, task, rounds, reference, folder))
        for pair in tqdm(pairs, unit="pair")
        for task in plan_tasks(settings, [pair], conditions)
    ]
    rows = [
        about(task.pair, task.coupling, task.seed) | measured
        for task, path in paths
        for measured in path.rounds
    ]
    manifest: dict[str, object] = {
        "model": asdict(bench.model.provenance),
        "metric": {"net": bench.metric.net, "revision": bench.metric.revision},
        "settings": asdict(bench.rendering)
        | {"frames": bench.frames, "rounds": rounds, "seeds": settings.seeds}
        | bench.versions,
        "pairs": {"file": Path(settings.pairs).name, "per_grade": per_grade},
        "started": min(path.started for _, path in paths),
        "ended": max(path.ended for _, path in paths),
        "environment": bench.environment,
    }
    return pd.DataFrame(rows), manifest


def _kept_path(
    bench: Bench, task: Task, rounds: int, reference: Reference | None, folder: Path
) -> RetimedPath:
    """A path as an earlier run has kept it, or as it is re-timed now, which is kept."""
    kept = load_retimed(folder, task.identity)
    if kept is None:
        started = utc_now()
        found = list(_rounds(bench, task.pair, task.coupling, task.seed, rounds, reference))
        kept = RetimedPath(task.identity, found, started, utc_now())
        save_cell(folder, kept)
    return kept


def sample(pairs: Sequence[PromptPair], per_grade: int) -> list[PromptPair]:
    """The first pairs of each grade in the order of the table, the rigid control left out.

    Raises:
        ValueError: That leaves no pair.
    """
    taken: Counter[int] = Counter()
    chosen = []
    for pair in pairs:
        if pair.stratum != RIGID and taken[pair.grade] < per_grade:
            taken[pair.grade] += 1
            chosen.append(pair)
    if not chosen:
        raise ValueError(
            f"no pair is left of {len(pairs)} with per_grade {per_grade}; take 1 or more, of a "
            "table that holds pairs outside the stratum `rigid`"
        )
    return chosen


def known_frames(bench: Bench, pair: PromptPair, coupling: str, seed: int) -> KnownFrames:
    """The frames of a pair's path along a coupling, as the study renders them, at any times."""
    texts = encode(bench.model, [pair.source, pair.target])
    latent = initial_latent(bench.model, seed, bench.rendering)

    def frames_at(times: Times) -> Frames:
        path = find_way(coupling, bench.own)(texts.ends, times, coupling_rng(pair.pair_id))
        return render(bench.model, texts.along(path, times), latent, bench.rendering)

    return KnownFrames(frames_at)


def retime_path(bench: Bench, known: KnownFrames, rounds: int) -> list[Timing]:
    """The timings of a path of the bench's number of frames, before and after each round."""
    return retime(
        lambda times: perceptual_distances(bench.metric, known(times)), bench.frames, rounds
    )


def retimed_rows(
    bench: Bench, pair: PromptPair, seed: int, rounds: int
) -> Iterator[dict[str, object]]:
    """Re-time a pair along every coupling of a seed.

    Yields:
        For each coupling and each round, of which round 0 has the equally spaced times, the pair's
        columns, `coupling`, `seed`, `round`, `frames`, the `extra` frames rendered so far, `ppl`
        (the mean distance), `root_sum`, `gini` and `maximum_step`.
    """
    for coupling in bench.couplings_of(seed):
        for measured in _rounds(bench, pair, coupling, seed, rounds):
            yield about(pair, coupling, seed) | measured


def _rounds(
    bench: Bench,
    pair: PromptPair,
    coupling: str,
    seed: int,
    rounds: int,
    reference: Reference | None = None,
) -> Iterator[dict[str, object]]:
    """What is measured of a path before the first round and after each."""
    known = known_frames(bench, pair, coupling, seed)
    for number, timing in enumerate(retime_path(bench, known, rounds)):
        length = perceptual_path_length(timing.distances)
        measured: dict[str, object] = {
            "round": number,
            "frames": length.frames,
            "extra": timing.extra,
            "ppl": length.mean,
            "root_sum": length.root_sum,
            "gini": length.gini,
            "maximum_step": length.maximum_step,
        }
        if reference is not None:
            inner = picture_features(feature_net(bench), known(timing.times)[1:-1])
            measured["realism"] = float(realism(inner, reference).mean())
        yield measured
