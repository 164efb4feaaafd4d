"""Kill a study at random moments, fifty times, and see that nothing is lost or done twice.

Run by hand, in about a minute on two cores:

    python tests/stress/kill_study.py                 # 50 kills
    python tests/stress/kill_study.py --kills 3       # try it
    python tests/stress/kill_study.py --record data/results/stress_kills.json

A study of the tiny random model runs in a process of its own and is sent SIGKILL at a moment drawn
from the time that it takes to load and to compute its share of the cells; the same command goes on
with it. Where it gets to its end first, the next study begins in a new folder, until the kills are
used up. After every kill each cell that was there before must be the very file that it was (inode
and time of change), so that no cell is lost and none is written twice. At the end of every study
the tables must be, byte for byte, those of a study that nobody disturbed.

Processes are forked from one that has imported everything, which makes a start cheap.
"""

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import tyro

sys.path.insert(0, str(Path(__file__).parents[1]))  # for tiny_model, as under pytest

from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.ground.disk import ABANDONED_AFTER_SECONDS
from embedding_geometry.study.settings import StudySettings

SHARE = 0.25  # of the time of all cells: a kill comes at the latest so long after the first one
KILLS_OF_A_STUDY = 17
PATIENCE = 3600.0  # seconds
Files = dict[str, tuple[int, int]]


@dataclass
class Tally:
    """What was seen.

    Attributes:
        kills: Studies killed.
        loading: How many of them before they had written a cell of their own.
        studies: Studies that came to their end, the undisturbed one not counted.
        cells: Cells written in them.
        lost: Finished cells that were gone after a kill.
        repeated: Finished cells that were written again.
        temporary: Temporary files that a kill left behind.
    """

    kills: int = 0
    loading: int = 0
    studies: int = 0
    cells: int = 0
    lost: int = 0
    repeated: int = 0
    temporary: int = 0
    moments: list[float] = field(default_factory=list)

    def facts(self) -> dict[str, object]:
        """Return what was seen, with the first and the last moment in place of all of them."""
        moments = {"earliest": round(min(self.moments), 2), "latest": round(max(self.moments), 2)}
        counts = asdict(self)
        del counts["moments"]
        return counts | moments

    def __str__(self) -> str:
        """Return the figure and what it is made of."""
        return (
            f"{self.kills} kills ({self.loading} while loading, {self.kills - self.loading} while "
            f"computing) at {min(self.moments):.2f} to {max(self.moments):.2f} s in "
            f"{self.cells} cells of {self.studies} studies: {self.lost} cells lost, "
            f"{self.repeated} written twice, {self.temporary} temporary files left behind and "
            "removed later; all tables equal those of an undisturbed study byte for byte"
        )


def run_alone(settings: StudySettings, folder: Path) -> None:
    """Run the study in this process, on one thread."""
    import torch

    from embedding_geometry.study.run import run_study

    torch.set_num_threads(1)
    run_study(settings, folder, progress=False)


def make_model(folder: Path) -> None:
    """Write the tiny model."""
    from tiny_model import write_tiny_model

    write_tiny_model(folder)


def write_pairs(path: Path, pairs: int) -> None:
    """Write a table of prompt pairs."""
    lines = [f"{k},a small cat number {k},two birds over the sea,2" for k in range(pairs)]
    path.write_text("\n".join(["pair_id,source,target,similarity", *lines]))


def cell_files(folder: Path) -> Files:
    """Every finished cell's inode and time of change."""
    files = {}
    for path in (folder / "cells").glob("*.json"):
        status = path.stat()
        files[path.name] = (status.st_ino, status.st_mtime_ns)
    return files


def tables(folder: Path) -> list[bytes]:
    """What the study made of its cells."""
    return [(folder / name).read_bytes() for name in ("study.csv", "steps.parquet")]


def time_undisturbed(
    start: Callable[[Path], ForkServerProcess], folder: Path
) -> tuple[float, float]:
    """Run a study to its end; return the seconds to its first cell and from there to its end."""
    began = time.monotonic()
    process = start(folder)
    while not cell_files(folder) and process.is_alive():
        time.sleep(0.001)
    loaded = time.monotonic()
    process.join(PATIENCE)
    assert process.exitcode == 0, f"the undisturbed study ended with {process.exitcode}"
    return loaded - began, time.monotonic() - loaded


def kill_at(process: ForkServerProcess, moment: float) -> bool:
    """Kill the process so many seconds from now; False if it came to its end before."""
    process.join(moment)
    process.kill()
    process.join()
    assert process.exitcode in (0, -9), f"the study ended with {process.exitcode}"
    return process.exitcode == -9


def compare(tally: Tally, before: Files, after: Files) -> None:
    """Count the cells that were there and are not, or are no longer the same file."""
    tally.lost += len(before.keys() - after.keys())
    tally.repeated += sum(after[name] != before[name] for name in before.keys() & after.keys())


def disturb(
    start: Callable[[Path], ForkServerProcess],
    folder: Path,
    kills: int,
    draw: Callable[[], float],
    tally: Tally,
) -> None:
    """Kill the study in the folder up to `kills` times, then let it come to its end."""
    before: Files = {}
    for _ in range(kills):
        moment = draw()
        killed = kill_at(start(folder), moment)
        after = cell_files(folder)
        compare(tally, before, after)
        tally.kills += killed
        tally.loading += killed and after == before
        tally.moments += [moment] * killed
        before = after
        if not killed:
            break
    left = list(folder.rglob(".*.tmp"))
    tally.temporary += len(left)
    long_ago = time.time() - 2 * ABANDONED_AFTER_SECONDS
    for path in left:
        os.utime(path, (long_ago, long_ago))
    last = start(folder)
    last.join(PATIENCE)
    assert last.exitcode == 0, f"the study ended with {last.exitcode}"
    compare(tally, before, cell_files(folder))
    assert not list(folder.rglob(".*.tmp")), f"{folder} keeps temporary files of dead writers"
    tally.studies += 1
    tally.cells += len(cell_files(folder))


def stress(kills: int = 50, seed: int = 0, pairs: int = 12, record: Path | None = None) -> None:
    """Kill studies at random moments and print what became of their cells.

    Args:
        kills: How often.
        seed: Seed of the moments.
        pairs: Prompt pairs of a study; each has seven cells.
        record: JSON file to write the figure to.
    """
    rng = np.random.default_rng(seed)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["embedding_geometry.study.run", "tiny_model"])
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        maker = context.Process(target=make_model, args=(here / "model",))
        maker.start()
        maker.join()
        write_pairs(here / "pairs.csv", pairs)
        settings = StudySettings(
            here / "pairs.csv",
            frames=4,
            loading=LoadSettings(str(here / "model"), "cpu"),
            rendering=RenderSettings(2, 3.0),
        )

        def start(folder: Path) -> ForkServerProcess:
            process = context.Process(target=run_alone, args=(settings, folder))
            process.start()
            return process

        loading, computing = time_undisturbed(start, here / "undisturbed")
        longest = loading + SHARE * computing
        print(
            f"undisturbed: {loading:.2f} s to the first cell, then {computing:.2f} s", flush=True
        )
        tally = Tally()
        while tally.kills < kills:
            folder = here / f"study {tally.studies}"
            rest = min(kills - tally.kills, KILLS_OF_A_STUDY)
            disturb(start, folder, rest, lambda: rng.uniform(0, longest), tally)
            assert tables(folder) == tables(here / "undisturbed"), "the tables differ"
            print(f"{tally.kills} kills, {tally.lost} lost, {tally.repeated} repeated", flush=True)
    print(tally)
    if record is not None:
        from records import write_facts

        write_facts(record, {"pairs": pairs, "seed": seed} | tally.facts())
    if tally.lost or tally.repeated:
        sys.exit(1)


if __name__ == "__main__":
    tyro.cli(stress)
