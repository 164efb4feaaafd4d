"""What a study and the distances cost, as their sizes grow: the curves of the appendix.

Each point is the median of several rounds, in which the sizes take turns, so that a slow moment of
the machine falls on no single one of them.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import median

import pandas as pd
import pytest
from opponents import PAIR
from prompt_clouds import prompt_clouds

from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.ground.places import POCKET_FOLDER
from embedding_geometry.study.cells import Bench, compute_cells, prepare_bench
from embedding_geometry.study.settings import StudySettings
from embedding_geometry.study.tasks import Task
from embedding_geometry.transport.all_pairs import pairwise_wasserstein

FRAMES, PROMPT_PAIRS = (9, 17, 25, 33), (1, 2, 3, 4)
CLOUDS, TOKENS, WIDTHS = (
    (200, 300, 400, 500, 600),
    (19, 38, 77, 154, 231),
    (128, 256, 512, 768, 1024),
)
SAME = {"clouds": 150, "tokens": 77, "width": 768}
NEARLY_STRAIGHT = 0.95  # R²; page 8 says which are straight and why others bend
ROUNDS = 3


@pytest.fixture(scope="module")
def bench() -> Bench:
    settings = StudySettings(
        POCKET_FOLDER,
        couplings=("row", "optimal"),
        extra_couplings_first_seed=(),
        loading=LoadSettings("pocket", "cpu"),
        rendering=RenderSettings(steps=8),
    )
    return prepare_bench(settings)


def seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def curve(sizes: Sequence[int], runner: Callable[[int], Callable[[], object]]) -> Iterator[tuple]:
    """Size and median seconds; the runner prepares the work of a size."""
    runs = {size: runner(size) for size in sizes}
    runs[sizes[0]]()
    rounds = [{size: seconds(run) for size, run in runs.items()} for _ in range(ROUNDS)]
    for size in sizes:
        yield size, median(times[size] for times in rounds)


def cells(bench: Bench, pairs: int = 1) -> Callable[[], object]:
    """The study's work on a number of prompt pairs, one latent and all couplings."""
    tasks = [
        Task(replace(PAIR, pair_id=str(number)), 0, coupling, {})
        for number in range(pairs)
        for coupling in bench.couplings_of(0)
    ]
    return lambda: list(compute_cells(bench, tasks))


def all_pairs(clouds: int, tokens: int, width: int) -> Callable[[], object]:
    stack = prompt_clouds(clouds, tokens, width)
    return lambda: pairwise_wasserstein(stack, normalized=False)


def test_cost_curves(bench: Bench, record) -> None:
    curves = {
        ("study", "frames"): curve(FRAMES, lambda n: cells(replace(bench, frames=n))),
        ("study", "prompt pairs"): curve(PROMPT_PAIRS, lambda n: cells(bench, n)),
        ("distances", "pairs of clouds"): (
            (p * (p - 1) // 2, s)
            for p, s in curve(CLOUDS, lambda p: all_pairs(**SAME | {"clouds": p}))
        ),
        ("distances", "tokens"): curve(TOKENS, lambda n: all_pairs(**SAME | {"tokens": n})),
        ("distances", "dimensions"): curve(WIDTHS, lambda d: all_pairs(**SAME | {"width": d})),
    }
    rows = [
        {"what": what, "axis": axis, "size": size, "seconds": time}
        for (what, axis), points in curves.items()
        for size, time in points
    ]
    facts = {
        "couplings": len(bench.couplings_of(0)),
        "frames": bench.frames,
        "steps": bench.rendering.steps,
        "batch_size": bench.rendering.batch_size,
        "pairs_of_clouds": SAME["clouds"] * (SAME["clouds"] - 1) // 2,
        "tokens": SAME["tokens"],
        "width": SAME["width"],
        "rounds": ROUNDS,
        "model_revision": bench.model.provenance.revision,
    }
    table = pd.DataFrame(rows)
    record("costs", table, **facts)
    for axis, line in table[table["axis"] != "tokens"].groupby("axis"):
        assert line["size"].corr(line["seconds"]) ** 2 > NEARLY_STRAIGHT, axis
