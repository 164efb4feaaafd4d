"""The sampler: which one a model was made with, and which one makes the frames.

A frame is to be a function of the latent and the text, so no sampler is used that draws noise.
A model's own is taken where it is DDIM, DPM-Solver++ or Euler's method, else DDIM, and it is said.

DDIM keeps the ``set_alpha_to_one`` of the model's sampler, as in diffusers. Stable Diffusion says
false, as its original code did: the last step stops at the noise of the first time, of standard
deviation 0.029, instead of at none.
"""

import inspect
import warnings
from pathlib import Path

import diffusers
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, SchedulerMixin

from embedding_geometry.diffusion.folders import INDEX, SCHEDULER, read_json
from embedding_geometry.ground.types import SchedulerName

SCHEDULERS: dict[SchedulerName, type[SchedulerMixin]] = {
    "ddim": DDIMScheduler,
    "dpm": DPMSolverMultistepScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
}
DPM = {"algorithm_type": "dpmsolver++", "solver_order": 2}  # of several, others draw noise
DRAWING = {"LCMScheduler", "TCDScheduler"}  # of few steps, each of which draws noise
FEW_STEPS = {"steps": 4, "guidance_scale": 1.0}


def load_scheduler(folder: Path) -> SchedulerMixin:
    """Return a folder's own sampler, of the class that diffusers would take."""
    config = read_json(folder / SCHEDULER)
    _, name = read_json(folder / INDEX).get("scheduler", (None, config.get("_class_name")))
    return getattr(diffusers, name).from_config(config)


def as_ddim(scheduler: SchedulerMixin) -> DDIMScheduler:
    """Return DDIM on a sampler's noise schedule, from which any other can be made.

    DDIM's own default would clip the sample to [-1, 1], which holds for pixels, not for latents.
    """
    config, own = dict(scheduler.config), inspect.signature(type(scheduler)).parameters
    # a pipeline corrects values in place and leaves them listed as defaults, which are not taken
    config["_use_default_values"] = [
        name for name in config.get("_use_default_values", ()) if config[name] == own[name].default
    ]
    return DDIMScheduler.from_config({"clip_sample": False} | config)


def default_sampler(scheduler: SchedulerMixin, where: str) -> tuple[SchedulerName, dict]:
    """Return the sampler to use, and the steps and the guidance that the model's own implies.

    Models distilled to few steps (SD-Turbo, SDXL-Turbo, SDXL-Lightning) are published with Euler's
    method on trailing times. It is said where few steps or another sampler are taken.

    Raises:
        ValueError: the model's own draws noise at each of few steps; no other does its work.
    """
    own, config = type(scheduler).__name__, scheduler.config
    if own in DRAWING:
        raise ValueError(
            f"{where} names {own}, which draws noise at every step: no image would be a function "
            "of its latent and text. Where another suits the model, load it as pipe, then: "
            "pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config, "
            "timestep_spacing='trailing'); wrap_pipeline(pipe) or pipe.save_pretrained(FOLDER)"
        )
    names = {each.__name__: name for name, each in SCHEDULERS.items()}
    few = own.startswith("Euler") and config.timestep_spacing == "trailing"
    few = few and config.prediction_type == "epsilon"
    name: SchedulerName = "euler" if few else names.get(own, "ddim")
    said = [f"{FEW_STEPS['steps']} steps without guidance"] if few else []
    if own not in names or (name == "dpm" and not DPM.items() <= config.items()):
        said.append(f"{name} on its noise schedule")
    if said:
        warnings.warn(
            f"{where} names {own}: unless steps, guidance_scale and scheduler say otherwise, "
            f"images are made with {' and '.join(said)}",
            stacklevel=4,
        )
    return name, FEW_STEPS if few else {}
