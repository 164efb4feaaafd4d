"""What it costs that threads wait for one another: alone on the machine, and beside other work.

Each run is a process of its own, for OpenMP reads its settings once. It renders the frames of one
path while nothing else runs, and again beside loops that never rest; where that takes too long it
is stopped. The settings take turns, and each has the median of its rounds.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import pandas as pd
from opponents import PAIR

LOOPS, LIMIT, ROUNDS, FRAMES = 3, 20.0, 3, 17
SETTINGS = {  # of OpenMP; the first is what it does unless told otherwise
    "300,000 spins": {"GOMP_SPINCOUNT": "300000"},
    "10,000 spins": {"GOMP_SPINCOUNT": "10000"},
    "1,000 spins": {"GOMP_SPINCOUNT": "1000"},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
NAMES = {"OMP_NUM_THREADS"}.union(*SETTINGS.values())
DEARER_ALONE = 1.5  # the most that bounding the spins may cost where nothing else runs
RENDERER = f"""
import sys, time
import numpy as np
import embedding_geometry as eg

model = eg.load_model("pocket", device="cpu")
x, y = eg.encode_prompts(model, {[PAIR.source, PAIR.target]!r})
latent, settings = eg.initial_latent(model, seed=0), eg.default_settings(model)
path = eg.displacement_interpolation(x, y, eg.row_coupling(x, y), np.linspace(0, 1, {FRAMES}))
eg.render(model, path[:2], latent, settings)  # the first pass through the networks is slower
for line in sys.stdin:
    started = time.perf_counter()
    eg.render(model, path, latent, settings)
    print(time.perf_counter() - started, flush=True)
"""


@contextmanager
def beside(loops: int) -> Iterator[None]:
    """Have the processor do other work meanwhile."""
    command = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(command) for _ in range(loops)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def renderings(setting: dict[str, str]) -> tuple[float, float]:
    """Seconds that the frames take alone and beside the loops, at most the limit."""
    kept = {name: value for name, value in os.environ.items() if name not in NAMES}
    process = subprocess.Popen(
        [sys.executable, "-c", RENDERER],
        env=kept | setting,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    process.stdin.write("alone\n")
    alone = float(process.stdout.readline())
    with beside(LOOPS):
        try:
            busy = float(process.communicate("beside\n", timeout=LIMIT)[0])
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            busy = LIMIT
    return alone, busy


def test_threads_wait_without_a_collapse(record) -> None:
    load = os.getloadavg()[0]
    rounds = [{name: renderings(each) for name, each in SETTINGS.items()} for _ in range(ROUNDS)]
    table = pd.DataFrame(
        {
            "threads": name,
            "alone": median(times[name][0] for times in rounds),
            "beside": median(times[name][1] for times in rounds),
            "stopped": sum(times[name][1] == LIMIT for times in rounds),
        }
        for name in SETTINGS
    )
    facts = {"loops": LOOPS, "limit": LIMIT, "frames": FRAMES, "rounds": ROUNDS, "load": load}
    record("busy", table, **facts)
    seconds = table.set_index("threads")
    default, ours = seconds.loc["300,000 spins"], seconds.loc["1,000 spins"]
    assert ours["alone"] < DEARER_ALONE * default["alone"]
    assert ours["beside"] < default["beside"]
    assert ours["stopped"] == 0
