"""All pairs of 1,000 clouds against what one would write with POT and SciPy, in one run.

The opponents would take many minutes, so they are timed on pairs drawn at random, and their time
per pair stands beside that of `pairwise_wasserstein` over all pairs.
"""

import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import combinations
from multiprocessing import get_context

import numpy as np
import ot
import pandas as pd
import pytest
from prompt_clouds import prompt_clouds
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from embedding_geometry.transport import all_pairs
from embedding_geometry.transport.all_pairs import cheapest_permutation, pairwise_wasserstein

CLOUDS, TOKENS, WIDTH = 1000, 77, 768
SAMPLED_PAIRS, SAMPLED_BLOCKS, BLOCK, ROUNDS = 1000, 16, 32, 3
FASTER_THAN_LOOP, FASTER_THAN_POOL, TIMES_THE_BOUND = 20.0, 5.0, 2.0
Pair = tuple[int, int]


@pytest.fixture(scope="module")
def clouds() -> np.ndarray:
    return prompt_clouds(CLOUDS, TOKENS, WIDTH)


def with_pot(x: np.ndarray, y: np.ndarray) -> float:
    """Cost matrix and exact transport, weights of one."""
    weights = np.ones(len(x))
    return ot.emd2(weights, weights, ot.dist(x.astype(float), y.astype(float))) ** 0.5


def with_scipy(x: np.ndarray, y: np.ndarray) -> float:
    """Cost matrix and exact assignment."""
    costs = cdist(x, y, "sqeuclidean")
    return costs[linear_sum_assignment(costs)].sum() ** 0.5


class Worker:
    """In a process of the pool: the clouds, which are sent once and not with every pair."""

    clouds: np.ndarray

    @classmethod
    def start(cls, clouds: np.ndarray) -> None:
        cls.clouds = clouds


def distances_in_worker(
    distance: Callable[[np.ndarray, np.ndarray], float], pairs: list[Pair]
) -> list[float]:
    return [distance(Worker.clouds[i], Worker.clouds[j]) for i, j in pairs]


@contextmanager
def process_pool(clouds: np.ndarray) -> Iterator[Executor]:
    """A process for each core, each with one thread and the clouds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("OPENBLAS_NUM_THREADS", "1")
        with ProcessPoolExecutor(
            mp_context=get_context("spawn"), initializer=Worker.start, initargs=(clouds,)
        ) as pool:
            list(pool.map(distances_in_worker, [with_pot] * 8, [[(0, 1)]] * 8))  # all have started
            yield pool


def in_pool(pool: Executor, distance: Callable, pairs: list[Pair]) -> list[float]:
    parts = [part.tolist() for part in np.array_split(pairs, 4 * os.cpu_count())]
    return sum(pool.map(distances_in_worker, [distance] * len(parts), parts), [])


def bounds(clouds: np.ndarray) -> dict[str, float]:
    """Seconds per pair of what no method of this kind can do without.

    The blocked float32 product, and with it the bare assignments, on costs that are ready in
    float64 and as easy for the solver as `pairwise_wasserstein` makes them.
    """
    residuals, _ = all_pairs._about_own_means(clouds[: 2 * BLOCK])
    x, y = -residuals[:BLOCK], residuals[BLOCK:]
    costs = all_pairs._products(x, y)
    ready = costs.transpose(0, 2, 1, 3).reshape(-1, TOKENS, TOKENS).astype(float)
    started = time.perf_counter()
    for _ in range(SAMPLED_BLOCKS):
        costs = all_pairs._products(x, y)
    product = (time.perf_counter() - started) / SAMPLED_BLOCKS
    time.sleep(1)  # the threads of the product stay awake for a while
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        started = time.perf_counter()
        list(pool.map(lambda part: [cheapest_permutation(c) for c in part], np.split(ready, 32)))
        assignments = time.perf_counter() - started
    return {
        "product and bare assignments": (product + assignments) / BLOCK**2,
        "product alone": product / BLOCK**2,
    }


def timed(function: Callable[..., object], *arguments: object) -> tuple[float, np.ndarray]:
    started = time.perf_counter()
    result = np.asarray(function(*arguments))
    return time.perf_counter() - started, result


def one_round(clouds: np.ndarray, pool: Executor, pairs: list[Pair]) -> dict[str, float]:
    """Seconds per pair of everyone, once their values have been compared."""
    everything, distances = timed(lambda: pairwise_wasserstein(clouds, normalized=False))
    runs = {
        "loop over ot.emd2": timed(lambda: [with_pot(clouds[i], clouds[j]) for i, j in pairs]),
        "ot.emd2 in a process pool": timed(in_pool, pool, with_pot, pairs),
        "scipy in a process pool": timed(in_pool, pool, with_scipy, pairs),
    }
    ours = distances[tuple(np.transpose(pairs))]
    for _, theirs in runs.values():
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    return {
        "pairwise_wasserstein": everything / (len(clouds) * (len(clouds) - 1) / 2),
        **bounds(clouds),
        **{name: seconds / len(pairs) for name, (seconds, _) in runs.items()},
    }


def test_all_pairs_against_loops_pools_and_the_bound(clouds: np.ndarray, record) -> None:
    every, rng = np.array(list(combinations(range(CLOUDS), 2))), np.random.default_rng(1)
    with process_pool(clouds) as pool:
        rounds = [
            one_round(clouds, pool, rng.choice(every, SAMPLED_PAIRS, replace=False).tolist())
            for _ in range(ROUNDS)
        ]
    table = pd.DataFrame(rounds)
    ratios = table.div(table["pairwise_wasserstein"], axis=0).median()
    summary = pd.DataFrame(
        {
            "what": ratios.index,
            "microseconds per pair": 1e6 * table.median().to_numpy(),
            "times ours": ratios.to_numpy(),
        }
    )
    facts = {"clouds": CLOUDS, "tokens": TOKENS, "width": WIDTH, "pairs": len(every)}
    record("wasserstein", summary, **facts, rounds=ROUNDS, sampled_pairs=SAMPLED_PAIRS)
    # product and assignments alone may leave less than the factor that is wanted
    possible = ratios["loop over ot.emd2"] / ratios["product and bare assignments"]
    assert ratios["loop over ot.emd2"] >= min(FASTER_THAN_LOOP, 0.8 * possible)
    pools = [ratios[name] for name in ratios.index if "pool" in name]
    assert min(pools) >= FASTER_THAN_POOL
    assert 1 / ratios["product and bare assignments"] <= TIMES_THE_BOUND


def test_memory_is_bounded_by_the_block_and_not_by_the_pairs(clouds: np.ndarray, report) -> None:
    """All cost matrices of 200 clouds together would take a gigabyte in float64."""
    tracemalloc.start()
    pairwise_wasserstein(clouds[:200], normalized=False, block=8)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    report(f"peak memory for 200 clouds, block 8: {peak / 1e6:.0f} MB")
    assert peak < 2 * clouds[:200].nbytes
