"""The record of what makes pictures move, read as its page shows it, with planted numbers."""

import numpy as np
import pandas as pd
import pytest

from embedding_geometry.ground.records import RecordError
from embedding_geometry.pages.motion import (
    UNLIKE,
    evenness_medians,
    evenness_table,
    motion_medians,
    motion_table,
)

JUDGED = {
    "recognised": {
        "pocket": {"judge_objects": 1.0, "objects": 0.9, "two_objects": 0.2, "place": 0.8},
        "continuous": {"judge_species": 1.0, "species": 0.5, "ground": 0.25},
    }
}


def planted() -> pd.DataFrame:
    """Three pairs of grades 0 to 4 for each cause, and of grade 5 one that must not count."""
    return pd.DataFrame(
        {
            "cause": ["pocket"] * 4 + ["continuous"] * 4,
            "grade": [0.0, 2.0, 4.0, 5.0] * 2,
            "ppl": [0.1, 0.2, 0.4, 9.0, 0.0, 0.1, 0.1, 9.0],
            "gini": [0.7, 0.8, 0.6, 0.0, 0.3, 0.4, 0.2, 0.0],
            "largest_step": [0.5, 0.4, 0.6, 0.1, np.nan, 0.2, 0.3, 0.1],
            "noise_floor": [1e-3, 1e-3, 1e-3, 9.0, 0.0, 1e-4, 3e-4, 9.0],
        }
    )


def test_a_cause_has_the_medians_of_its_unlike_pairs_and_what_a_judge_names() -> None:
    medians = motion_medians(planted(), JUDGED)
    assert list(medians.index) == ["pocket", "continuous"]
    assert list(medians["pairs"]) == [3, 3]
    assert medians["gini"].tolist() == [0.7, 0.3]
    # where nothing changed there is no largest step and no share of noise
    assert medians["largest_step"].tolist() == pytest.approx([0.5, 0.25])
    assert medians["noise"].tolist() == pytest.approx([1e-3 / 0.2, 2e-3])
    assert medians[["what", "where"]].to_numpy().tolist() == [[0.9, 0.8], [0.5, 0.25]]


def test_the_table_has_the_most_even_way_first_and_rounds() -> None:
    table = motion_table(motion_medians(planted(), JUDGED))
    assert list(table.index) == ["continuous", "pocket"]
    assert table.loc["pocket"].tolist() == [
        *(3, "0.70", "50\u202f%", "0.500\u202f%", "90\u202f%", "80\u202f%")
    ]


def test_a_cause_that_was_not_judged_is_named() -> None:
    one = {"recognised": {"pocket": JUDGED["recognised"]["pocket"]}}
    with pytest.raises(RecordError, match=r"of continuous the manifest .*pocket causes` makes"):
        motion_medians(planted(), one)


def test_steps_are_even_in_the_median_pair_of_each_grade_and_of_those_below_the_highest() -> None:
    paths = pd.DataFrame(
        {
            "grade": [5, 5, 3, 3, 0],
            "largest_step": [0.1, 0.3, 0.4, 0.6, 0.9],
            "gini": [0.0, 0.2, 0.3, 0.5, 0.8],
        }
    )
    medians = evenness_medians(paths)
    assert medians.index.tolist() == ["grade 5", "grade 3", "grade 0", UNLIKE]
    assert medians["largest_step"].tolist() == pytest.approx([0.2, 0.5, 0.9, 0.6])
    assert medians["gini"].tolist() == pytest.approx([0.1, 0.4, 0.8, 0.5])
    table = evenness_table({"pocket": medians, "other": medians.drop("grade 3")})
    assert table.index.tolist() == ["grade 5", "grade 3", "grade 0", UNLIKE]
    assert table["pocket: largest step"].tolist() == [f"{n}\u202f%" for n in (20, 50, 90, 60)]
    assert table["other: Gini"].tolist() == ["0.10", "–", "0.80", "0.50"]
