"""What the cells of a study add up to: its table, its steps, and where they came from."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from embedding_geometry.ground.disk import digest
from embedding_geometry.perception.path_length import perceptual_path_length
from embedding_geometry.study.prompts import PromptPair
from embedding_geometry.study.results import Cell, Seen
from embedding_geometry.study.tasks import Task

COLUMNS = ("ppl", "total", "scaled_mean", "root_sum", "gini", "maximum_step")
"""What the table has of a path's length, of which the PPL is the mean."""


def about(pair: PromptPair, coupling: str, seed: int) -> dict[str, object]:
    """Which path a row is of; a pair's similarity may be corrected when its paths are finished."""
    return {
        "pair_id": pair.pair_id,
        "similarity": pair.similarity,
        "stratum": pair.stratum,
        "coupling": coupling,
        "seed": seed,
    }


class Findings:
    """What the cells of a study add up to; a cell is let go once it has been added."""

    def __init__(self) -> None:
        """Begin with no cell."""
        self.seen: list[Seen] = []
        self._rows: list[dict[str, object]] = []
        self._distances: list[dict[str, np.ndarray]] = []
        self._environments: dict[str, dict[str, object]] = {}
        self._times: list[tuple[str, str, float]] = []

    def add(self, task: Task, cell: Cell, seen: Seen | None = None) -> None:
        """Add a finished cell, and what was kept of its pictures if anything was."""
        distances = {"": cell.distances} | {f"_{net}": d for net, d in cell.beside.items()}
        arrays = {net: np.array(steps) for net, steps in distances.items()}
        lengths = {net: perceptual_path_length(steps) for net, steps in arrays.items()}
        self._rows.append(
            {
                **about(task.pair, task.coupling, task.seed),
                "frames": len(cell.distances) + 1,
                **{
                    f"{column}{net}": getattr(length, "mean" if column == "ppl" else column)
                    for net, length in lengths.items()
                    for column in COLUMNS
                },
                "wasserstein_length": cell.wasserstein_length,
                "w2": cell.w2,
            }
        )
        self._distances.append(arrays)
        self._environments.setdefault(digest(cell.environment), cell.environment)
        self.seen += [seen] if seen else []
        self._times.append((cell.started, cell.ended, cell.seconds))

    def table(self) -> pd.DataFrame:
        """The tidy table: one row per cell, in the order in which they were added."""
        return pd.DataFrame(self._rows)

    def steps(self) -> pd.DataFrame:
        """One row per step of every cell; step k leads from frame k to frame k + 1."""
        counts = [len(arrays[""]) for arrays in self._distances]
        cells = self.table()[["pair_id", "coupling", "seed"]]
        table = cells.loc[cells.index.repeat(counts)].reset_index(drop=True)
        table["step"] = np.concatenate([np.arange(count) for count in counts])
        for net in self._distances[0]:
            table[f"distance{net}"] = np.concatenate([arrays[net] for arrays in self._distances])
        return table

    def origin(self) -> dict[str, object]:
        """When and where the cells were computed, resumed or not, on one machine or on many."""
        started, ended, seconds = zip(*self._times, strict=True)
        return {
            "cells": len(self._rows),
            "started": min(started),
            "ended": max(ended),
            "seconds": round(sum(seconds), 1),
            "environments": list(self._environments.values()),
        }


def report_equal_images(table: pd.DataFrame, pairs: Sequence[PromptPair]) -> None:
    """Warn of pairs of different prompts whose images are all the same on every path."""
    moves = table.groupby("pair_id")["ppl"].any()
    still = [pair for pair in pairs if not moves.get(pair.pair_id, True)]
    if found := [pair.pair_id for pair in still if pair.source != pair.target]:
        warnings.warn(
            f"the PPL is 0 in every cell of {len(found)} pairs of different prompts "
            f"({', '.join(found[:5])}{', ...' if len(found) > 5 else ''}): the images do not "
            "depend on the prompt; look at some with `render`",
            stacklevel=3,
        )
