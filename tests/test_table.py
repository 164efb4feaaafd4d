"""Cells add up to a table of planted numbers, to its steps, and to where they came from."""

from dataclasses import replace

import numpy as np

from embedding_geometry.study.prompts import PromptPair
from embedding_geometry.study.results import Cell
from embedding_geometry.study.table import Findings
from embedding_geometry.study.tasks import Task

PAIR = PromptPair("a", "a cat", "a dog", 2.4, "free")
HERE, THERE = {"cpu": "one"}, {"cpu": "another"}


def cell(distances, minute, environment):
    return Cell(
        identity={},
        distances=distances,
        wasserstein_length=5.0,
        w2=4.0,
        started=f"2026-01-01T12:{minute:02}:00+00:00",
        ended=f"2026-01-01T12:{minute:02}:01.500000+00:00",
        environment=environment,
    )


def planted():
    findings = Findings()
    findings.add(Task(PAIR, 0, "row", {}), cell([0.04, 0.0], 2, HERE))
    findings.add(Task(PAIR, 0, "optimal", {}), cell([0.01, 0.01], 1, THERE))
    findings.add(Task(PAIR, 1, "row", {}), cell([0.0, 0.09], 3, HERE))
    return findings


def test_one_row_per_cell_in_the_order_of_adding():
    table = planted().table()
    assert table["coupling"].tolist() == ["row", "optimal", "row"]
    assert table["seed"].tolist() == [0, 0, 1]
    assert (table["pair_id"] == "a").all()
    assert (table["similarity"] == 2.4).all()
    np.testing.assert_allclose(table["ppl"], [0.02, 0.01, 0.045])
    np.testing.assert_allclose(table["total"], [0.04, 0.02, 0.09])
    np.testing.assert_allclose(table["scaled_mean"], 4 * table["ppl"])
    np.testing.assert_allclose(table["root_sum"], [0.2, 0.2, 0.3])
    np.testing.assert_allclose(table["gini"], [0.5, 0.0, 0.5])
    np.testing.assert_allclose(table["maximum_step"], [0.04, 0.01, 0.09])
    assert (table[["frames", "wasserstein_length", "w2"]] == [3, 5.0, 4.0]).all(axis=None)


def test_a_net_beside_has_columns_of_its_name():
    findings = Findings()
    both = replace(cell([0.04, 0.0], 2, HERE), beside={"vgg": [0.01, 0.03]})
    findings.add(Task(PAIR, 0, "row", {}), both)
    [row] = findings.table().to_dict("records")
    assert (row["ppl"], row["ppl_vgg"]) == (0.02, 0.02)
    assert (row["maximum_step"], row["maximum_step_vgg"]) == (0.04, 0.03)
    assert findings.steps()["distance_vgg"].tolist() == [0.01, 0.03]


def test_one_row_per_step_of_every_cell():
    steps = planted().steps()
    assert steps["step"].tolist() == [0, 1] * 3
    assert steps["distance"].tolist() == [0.04, 0.0, 0.01, 0.01, 0.0, 0.09]
    assert steps["coupling"].tolist() == ["row"] * 2 + ["optimal"] * 2 + ["row"] * 2


def test_the_origin_spans_all_cells_and_names_each_machine_once():
    assert planted().origin() == {
        "cells": 3,
        "started": "2026-01-01T12:01:00+00:00",
        "ended": "2026-01-01T12:03:01.500000+00:00",
        "seconds": 4.5,
        "environments": [HERE, THERE],
    }
