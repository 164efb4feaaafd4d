"""Tasks stand in order, each is told from every other, and what is missing is unfinished."""

from itertools import product
from pathlib import Path

import pytest

from embedding_geometry.study.prompts import PromptPair
from embedding_geometry.study.results import (
    Cell,
    DamagedCellWarning,
    cell_path,
    open_results,
    save_cell,
)
from embedding_geometry.study.settings import StudySettings
from embedding_geometry.study.tasks import plan_tasks, unfinished

SETTINGS = StudySettings(Path("pairs.csv"), frames=5, seeds=(0, 1))
PAIRS = [PromptPair(name, f"a {name}", "a dog", 2.0) for name in "abcdefg"]
CONDITIONS = {"model": "tiny", "frames": 5}


def test_tasks_stand_in_the_order_of_pairs_seeds_and_couplings() -> None:
    keys = [task.key for task in plan_tasks(SETTINGS, PAIRS[:2], CONDITIONS)]
    couplings = {0: ("row", "optimal", "random", "worst"), 1: ("row", "optimal", "random")}
    assert keys == [(p, s, c) for p, s in product("ab", (0, 1)) for c in couplings[s]]


def test_a_tasks_identity_tells_it_from_every_other() -> None:
    tasks = plan_tasks(SETTINGS, PAIRS, CONDITIONS)
    names = {cell_path(Path(), task.identity).name for task in tasks}
    assert len(names) == len(tasks) == 7 * 7
    assert tasks[0].identity["model"] == "tiny"
    assert tasks[0].identity["source"] == "a a"


def test_missing_and_damaged_cells_are_unfinished(tmp_path: Path) -> None:
    open_results(tmp_path, CONDITIONS)
    tasks = plan_tasks(SETTINGS, PAIRS[:1], CONDITIONS)
    now = "2026-01-01T12:00:00+00:00"
    for task in tasks[:3]:
        save_cell(tmp_path, Cell(task.identity, [0.1] * 4, 1.0, 1.0, now, now, {}))
    assert unfinished(tmp_path, tasks) == tasks[3:]
    cell_path(tmp_path, tasks[1].identity).write_text("{")
    with pytest.warns(DamagedCellWarning):
        assert unfinished(tmp_path, tasks) == [tasks[1], *tasks[3:]]
