"""The schedule of a run: the times of its denoising steps, and how many of them there are."""

import warnings
from typing import cast

from diffusers import SchedulerMixin

from embedding_geometry.diffusion.loading import TextToImageModel
from embedding_geometry.diffusion.samplers import DPM, SCHEDULERS
from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.ground.types import SchedulerName


def fresh_scheduler(model: TextToImageModel, settings: RenderSettings) -> SchedulerMixin:
    """Return a scheduler of one batch's own: stepping changes it.

    It takes over the noise schedule, and the folder's choices as far as they apply to it; a DPM
    folder's may be the stochastic variant or another order, which do not.

    Raises:
        ValueError: more denoising steps than the model was trained with. Samplers begin at a time
            that depends on the number of steps, and on Stable Diffusion 1 it is one too late where
            all 1,000 are asked for.
    """
    settings = settings.resolve(model)
    steps, trained = settings.steps, model.scheduler.config.num_train_timesteps
    if steps not in range(trained + 1):
        raise ValueError(f"steps is {steps}; the model was trained with {trained}")
    config = {**model.scheduler.config, **DPM}
    with warnings.catch_warnings():
        # diffusers gives numpy a tensor, which numpy 2 converts but complains of
        warnings.filterwarnings("ignore", message="__array__ implementation doesn't accept")
        scheduler = SCHEDULERS[cast(SchedulerName, settings.scheduler)].from_config(config)
        scheduler.set_timesteps(steps)
    first = float(scheduler.timesteps.max())
    if first >= trained:
        raise ValueError(
            f"steps is {steps}, for which {settings.scheduler} begins at time {first:g}; the "
            f"model was trained with times up to {trained - 1}, so use fewer steps"
        )
    return scheduler
