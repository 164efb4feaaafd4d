"""What a study computes, and settings that cannot be run."""

from pathlib import Path

import pytest

from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.study.settings import StudySettings

PAIRS = Path("pairs.csv")


def test_the_first_latent_alone_gets_the_extra_couplings() -> None:
    settings = StudySettings(PAIRS, seeds=(3, 1))
    assert settings.couplings_of(3) == ("row", "optimal", "random", "worst")
    assert settings.couplings_of(1) == ("row", "optimal", "random")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (StudySettings(PAIRS, frames=2), "frames is 2; a path needs 3 or more"),
        (StudySettings(PAIRS, seeds=()), "seeds is empty"),
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
