"""As many steps as the model was trained for, and a scheduler of each run's own."""

import pytest

from embedding_geometry.diffusion.schedules import fresh_scheduler
from embedding_geometry.diffusion.settings import RenderSettings


def test_more_steps_than_trained_are_refused(tiny_model):
    with pytest.raises(ValueError, match="1000"):
        fresh_scheduler(tiny_model, RenderSettings(1001, 1.0))


def test_stepping_leaves_the_models_own_scheduler_as_it_was(tiny_model):
    settings = RenderSettings(3).resolve(tiny_model)
    first, second = (fresh_scheduler(tiny_model, settings) for _ in range(2))
    assert first is not second
    assert first is not tiny_model.scheduler
    assert len(first.timesteps) == 3
