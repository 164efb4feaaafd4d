"""What there is to do before it is done: the share of a process, and what it will take.

The unit of work is a prompt pair (see `tasks`). So a pair belongs to one shard, and goes to one
worker, as a whole.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from embedding_geometry.study.cluster import Engine
from embedding_geometry.study.prompts import PromptPair
from embedding_geometry.study.settings import StudySettingsError
from embedding_geometry.study.tasks import Task

CELL_ON_DISK = 4096  # bytes: a cell is smaller than the block that a file system gives its file


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count` of a study: every `count`-th pair, beginning with pair `index`.

    The parts of a study are disjoint, together they are all of it, and which pair is in which
    part depends on the table of pairs alone.

    Attributes:
        index: Which part, from 1 to `count`.
        count: How many parts there are.

    Raises:
        StudySettingsError: There is no such part.
    """

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 1 <= self.index <= self.count:
            raise StudySettingsError(
                f"there is no shard {self}; the shards of {self.count} are numbered from 1, "
                "such as 1/4, 2/4, 3/4, 4/4"
            )

    def __str__(self) -> str:
        """Return it as `parse` reads it."""
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `i/n`.

        Raises:
            StudySettingsError: The text is not of this form, or there is no such part.
        """
        if not re.fullmatch(r"[0-9]+/[0-9]+", text):
            raise StudySettingsError(
                f"shard {text!r} is not of the form i/n, such as 1/4 for the first of four"
            )
        index, count = text.split("/")
        return cls(int(index), int(count))

    def share(self, pairs: Sequence[PromptPair]) -> Sequence[PromptPair]:
        """Return the pairs of this part, in their order."""
        return pairs[self.index - 1 :: self.count]


WHOLE = Shard()


@dataclass(frozen=True)
class StudyPlan:
    """What a process of a study will do and what it will take.

    Attributes:
        cells: Cells in its share of the study.
        finished: How many of them are there already.
        images: Images to render.
        passes: Images to send through the backbone of the perceptual metric, each once.
        workers: How many workers share the load.
        seconds: Estimated time; None where it was not measured.
    """

    cells: int
    finished: int
    images: int
    passes: int
    workers: int = 1
    seconds: float | None = None

    @property
    def pending(self) -> int:
        """Cells to compute."""
        return self.cells - self.finished

    def __str__(self) -> str:
        """Return a line for each figure."""
        lines = {
            "cells": f"{self.cells}, {self.finished} finished, {self.pending} pending",
            "images": f"{self.images}",
            "LPIPS passes": f"{self.passes}",
            "disk": f"{self.pending * CELL_ON_DISK / 1e6:.1f} MB",
        }
        if self.seconds is not None:
            workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
            lines["time"] = f"about {duration_text(self.seconds)} on {workers}"
        return "\n".join(f"{name:<14}{text}" for name, text in lines.items())


def plan_jobs(
    jobs: Iterable[tuple[Sequence[Task], Sequence[Task]]],
    frames: int,
    pictures: int,
    engine: Engine,
) -> StudyPlan:
    """Count what is left to do and measure how long it will take.

    Args:
        jobs: the tasks of each pair, and the unfinished of them.
        frames: images of a path.
        pictures: images of a reference, which are rendered if anything is.
        engine: measures the time of an image.
    """
    cells, pending, images, pairs = 0, 0, 0, 0
    example: list[Task] = []
    for tasks, missing in jobs:
        cells += len(tasks)
        pending += len(missing)
        pairs += bool(missing)
        latents = {task.seed for task in missing}
        images += images_to_render([task for task in tasks if task.seed in latents], frames)
        example = example or [task for task in missing if task.seed == missing[0].seed]
    images += pictures if pending else 0
    plan = StudyPlan(cells, cells - pending, images, pending * frames, engine.workers)
    if not example:
        return plan
    seconds = engine.ask(lambda worker: worker.seconds_per_image(example))
    return replace(plan, seconds=seconds * images / min(plan.workers, pairs))


def images_to_render(tasks: Iterable[Task], frames: int) -> int:
    """Images of these tasks' paths, the two ends once for each pair and initial latent.

    A way that does not end at the target takes one more, which this leaves out.
    """
    keys = [task.key for task in tasks]
    latents = {(pair_id, seed) for pair_id, seed, _ in keys}
    return 2 * len(latents) + (frames - 2) * len(keys)


def duration_text(seconds: float) -> str:
    """Write a duration for reading, in the two units that matter: `2 d 3 h`, `45 s`."""
    units = {"d": 86400, "h": 3600, "min": 60, "s": 1}
    rest = round(seconds)
    parts: list[str] = []
    for unit, size in units.items():
        count, rest = divmod(rest, size)
        if parts or count or unit == "s":
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
