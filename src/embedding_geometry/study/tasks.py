"""The cells of a study before they are computed: what each is, and which are still to do.

The unit of work is a prompt pair: its cells share the token clouds and, on each initial latent,
the two ends of the path.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from embedding_geometry.study.prompts import PromptPair
from embedding_geometry.study.results import load_cell, load_seen
from embedding_geometry.study.settings import StudySettings


@dataclass(frozen=True)
class Task:
    """A cell of the study, computed or not.

    Attributes:
        pair: The two prompts.
        seed: Seed of the initial latent.
        coupling: How the tokens of the two prompts are paired, or another way between them.
        identity: Everything that determines the cell's numbers, as JSON values.
    """

    pair: PromptPair
    seed: int
    coupling: str
    identity: dict[str, object]

    @property
    def key(self) -> tuple[str, int, str]:
        """What tells the task apart within its study."""
        return (self.pair.pair_id, self.seed, self.coupling)


def plan_tasks(
    settings: StudySettings, pairs: Iterable[PromptPair], conditions: Mapping[str, object]
) -> list[Task]:
    """All cells of these pairs: pair by pair, seed by seed, coupling by coupling."""
    tasks = []
    for pair in pairs:
        texts = {"pair_id": pair.pair_id, "source": pair.source, "target": pair.target}
        for seed in settings.seeds:
            for coupling in settings.couplings_of(seed):
                identity = {**conditions, **texts, "seed": seed, "coupling": coupling}
                tasks.append(Task(pair, seed, coupling, identity))
    return tasks


def unfinished(folder: Path, tasks: Iterable[Task], judge: str | None = None) -> list[Task]:
    """The tasks whose cells are missing or damaged, whoever was to compute them.

    With the version of a judge, which may be empty, also those of which nothing was kept of the
    pictures as it sees them.
    """
    return [
        task
        for task in tasks
        if load_cell(folder, task.identity) is None
        or (judge is not None and load_seen(folder, task.identity, judge) is None)
    ]
