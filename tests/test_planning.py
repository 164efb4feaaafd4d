"""Shards are a partition, counts are those of a plain enumeration, and a plan reads well."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_geometry.study.planning import (
    CELL_ON_DISK,
    WHOLE,
    Shard,
    StudyPlan,
    duration_text,
    images_to_render,
)
from embedding_geometry.study.prompts import PromptPair
from embedding_geometry.study.results import Cell, cell_path, open_results, save_cell
from embedding_geometry.study.settings import StudySettings, StudySettingsError
from embedding_geometry.study.tasks import plan_tasks

SETTINGS = StudySettings(Path("pairs.csv"), frames=5, seeds=(0, 1))
PAIRS = [PromptPair(name, f"a {name}", "a dog", 2.0) for name in "abcdefg"]
CONDITIONS = {"model": "tiny", "frames": 5}


# --- shards -------------------------------------------------------------------------------------


@given(st.integers(0, 60), st.integers(1, 70))
def test_the_shards_share_out_all_pairs_evenly_in_their_order(pairs: int, count: int) -> None:
    table = [PromptPair(str(i), "x", "y", 0.0) for i in range(pairs)]
    shares = [Shard(index, count).share(table) for index in range(1, count + 1)]
    everything = [int(pair.pair_id) for share in shares for pair in share]
    assert sorted(everything) == list(range(pairs))
    for share in shares:
        assert list(share) == sorted(share, key=lambda pair: int(pair.pair_id))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_the_second_of_three_begins_with_the_second_pair() -> None:
    assert [pair.pair_id for pair in Shard.parse("2/3").share(PAIRS)] == ["b", "e"]
    assert list(WHOLE.share(PAIRS)) == PAIRS


@pytest.mark.parametrize("text", ["1/1", "3/7", "12/12"])
def test_a_shard_is_read_as_it_is_written(text: str) -> None:
    assert str(Shard.parse(text)) == text


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/0", "0/0"])
def test_a_shard_that_does_not_exist_is_named(text: str) -> None:
    with pytest.raises(StudySettingsError, match=f"there is no shard {text}; .* numbered from 1"):
        Shard.parse(text)


@pytest.mark.parametrize("text", ["a/b", "", "1", "1/", "/2", "-1/2", "1/2/3", "1.0/2", " 1/2"])
def test_a_shard_of_another_form_is_quoted_with_the_form_wanted(text: str) -> None:
    with pytest.raises(StudySettingsError, match=f"{text!r} is not of the form i/n"):
        Shard.parse(text)


# --- costs --------------------------------------------------------------------------------------


@given(st.sets(st.sampled_from(range(49))))
def test_images_are_the_inner_ones_of_every_path_and_the_ends_of_every_latent(which) -> None:
    """Against a plain enumeration of the images by name."""
    every = plan_tasks(SETTINGS, PAIRS, CONDITIONS)
    tasks = [every[index] for index in sorted(which)]
    images = set()
    for task in tasks:
        images |= {(*task.key, frame) for frame in range(1, 4)}
        images |= {(task.pair.pair_id, task.seed, end) for end in ("first", "last")}
    assert images_to_render(tasks, 5) == len(images)


def test_a_cell_fits_into_the_block_that_the_plan_counts(tmp_path: Path) -> None:
    """Long prompts, seventeen frames, every distance with all its digits."""
    open_results(tmp_path, CONDITIONS)
    pair = PromptPair("a-long-name", "word " * 60, "other " * 60, 2.0)
    task = plan_tasks(SETTINGS, [pair], CONDITIONS | {f"setting {k}": "x" * 20 for k in range(15)})
    versions = {f"library {k}": "2.15.0" for k in range(7)}
    now = "2026-01-01T12:00:00.123456+00:00"
    save_cell(tmp_path, Cell(task[0].identity, [1 / 3] * 16, 1 / 3, 1 / 3, now, now, versions))
    assert cell_path(tmp_path, task[0].identity).stat().st_size <= CELL_ON_DISK


# --- the plan as text ---------------------------------------------------------------------------


def test_a_plan_names_its_figures() -> None:
    plan = StudyPlan(84, 21, 630, 693, workers=8, seconds=7290.0)
    assert str(plan).splitlines() == [
        "cells         84, 21 finished, 63 pending",
        "images        630",
        "LPIPS passes  693",
        "disk          0.3 MB",
        "time          about 2 h 1 min on 8 workers",
    ]
    assert "time" not in str(StudyPlan(7, 7, 0, 0))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.6, "1 min 0 s"),
        (3599.0, "59 min 59 s"),
        (3600.0, "1 h 0 min"),
        (100_000.0, "1 d 3 h"),
    ],
)
def test_a_duration_is_written_in_two_units(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
