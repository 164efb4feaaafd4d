"""What a study computes, and settings that cannot be run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strategies import without_type_checks

from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.study.settings import StudySettings, StudySettingsError

PAIRS = Path("pairs.csv")


def test_the_first_latent_alone_gets_the_extra_couplings() -> None:
    settings = StudySettings(PAIRS, seeds=(3, 1))
    assert settings.couplings_of(3) == ("row", "optimal", "random", "worst")
    assert settings.couplings_of(1) == ("row", "optimal", "random")


def test_strings_ranges_and_sequences_become_what_stands_in_a_cells_identity() -> None:
    """A path in quotes had failed when all was computed, a list when it was joined to a tuple."""
    with without_type_checks():
        given = StudySettings(
            "pairs.csv",
            couplings=["row", "optimal"],
            extra_couplings_first_seed="worst",
            seeds=np.arange(3, 5),
            frames=np.int64(5),
        )
    plain = StudySettings(PAIRS, "alex", ("row", "optimal"), ("worst",), (3, 4), 5)
    assert given == plain
    assert json.dumps(given.couplings_of(3) + given.seeds) == json.dumps(
        ["row", "optimal", "worst", 3, 4]
    )
    assert StudySettings("pairs.csv", seeds=range(2)).seeds == (0, 1)
    given.check()
    with without_type_checks():
        assert LoadSettings(Path("some/folder")) == LoadSettings("some/folder")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pairs": 3}, "pairs is 3; the path of a table is wanted"),
        ({"seeds": 3}, r"seeds is 3; several whole numbers, such as \(0, 1\) or range\(2\), is"),
        ({"seeds": "01"}, "seeds is '01'; several whole numbers"),
        ({"seeds": (0, 1.5)}, r"seeds is \(0, 1.5\); several whole numbers"),
        ({"frames": 11.0}, "frames is 11.0; a whole number is wanted"),
        (
            {"couplings": ("row", len)},
            "couplings is .* those of your own functions stand in `own`",
        ),
        ({"own": len}, "own is .*; a dict of functions, such as"),
        ({"loading": "pocket"}, "loading is 'pocket'; give a LoadSettings"),
        ({"rendering": {"steps": 3}}, "rendering is .*; give a RenderSettings"),
    ],
)
def test_a_value_of_another_kind_is_refused_before_anything_is_loaded(
    wrong: dict[str, Any], message: str
) -> None:
    with without_type_checks(), pytest.raises(StudySettingsError, match=message):
        StudySettings(**{"pairs": PAIRS} | wrong).check()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (StudySettings(PAIRS, frames=2), "frames is 2; a path needs 3 or more"),
        (StudySettings(PAIRS, seeds=()), "seeds is empty"),
        (StudySettings(PAIRS, "alex", nets_beside=("vgg", "alex")), "a net is named twice: alex"),
        (StudySettings(PAIRS, nets_beside="vgg16"), "net is 'vgg16'; use one of alex, vgg"),
        (StudySettings(PAIRS, seeds=(0, 0)), r"seeds \(0, 0\) repeats one"),
        (StudySettings(PAIRS, seeds=(0, -1)), r"seed is -1; use 0, 1, 2"),
        (StudySettings(PAIRS, couplings=()), "couplings is empty"),
        (StudySettings(PAIRS, couplings=("row", "worst")), "named twice: row worst worst"),
        (StudySettings(PAIRS, rendering=RenderSettings(steps=0)), "steps is 0; use 1 or more"),
        (StudySettings(PAIRS, rendering=RenderSettings(batch_size=0)), "batch_size is 0"),
    ],
)
def test_settings_that_cannot_be_run_are_refused(settings: StudySettings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings.check()
