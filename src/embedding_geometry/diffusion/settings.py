"""Which model makes the frames, and how: options of the command line, of a study and of `render`.

None leaves an option to the model, or to the machine. They are read before torch is imported.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, get_args

from embedding_geometry.ground.types import SchedulerName

if TYPE_CHECKING:
    from embedding_geometry.diffusion.loading import TextToImageModel


@dataclass(frozen=True)
class LoadSettings:
    """Which model computes, and where.

    Attributes:
        model: an embedded model, a diffusers folder, or a hub id; if not given,
            EMBEDDING_GEOMETRY_MODEL, else menagerie.
        device: Where to compute (cpu, cuda, cuda:1, mps ...); the best there is if not given.
        dtype: Precision (float32, float16, bfloat16, float64); float32 if not given.
        revision: Branch, tag or commit of a hub id.
        truncate: Cut a text that is too long for the model, instead of refusing it.
    """

    model: str | None = None
    device: str | None = None
    dtype: str | None = None
    revision: str | None = None
    truncate: bool = False

    def __post_init__(self) -> None:
        """Take a folder as a path too; what is recorded is its name."""
        if self.model is not None:
            object.__setattr__(self, "model", os.fspath(self.model))

    def load(self) -> "TextToImageModel":
        """Load the model; raises what `load_model` does."""
        from embedding_geometry.diffusion.loading import load_model
        from embedding_geometry.ground.places import configured_model

        name = configured_model(self.model)
        model = load_model(name, self.device, self.dtype, self.revision)
        return replace(model, truncate=self.truncate)


@dataclass(frozen=True)
class RenderSettings:
    """How frames are made.

    Attributes:
        steps: Denoising steps; the model's own default if not given.
        guidance_scale: Classifier-free guidance scale; the model's own default if not given. From
            0 to 1 there is no guidance, as in diffusers: the text's own prediction alone, in half
            the time. It is then recorded as 1.
        negative_prompt: Text of the unconditional half of the guidance. Where the model was
            trained with zeros for the empty prompt, as SDXL's base model was, empty means zeros.
        batch_size: Images denoised at once, at most; changes them by rounding only.
        scheduler: Sampler: ddim, dpm (DPM-Solver++) or euler, all deterministic; the model's own
            if not given. dpm and euler step in float32 whatever the model computes in.
        height: Height of the images in pixels, a multiple of 8; the model's own if not given.
        width: Width of the images in pixels, likewise.
    """

    steps: int | None = None
    guidance_scale: float | None = None
    negative_prompt: str = ""
    batch_size: int = 16
    scheduler: SchedulerName | None = None
    height: int | None = None
    width: int | None = None

    @classmethod
    def recorded(cls, settings: Mapping[str, Any]) -> "RenderSettings":
        """Take those of a recorded study from its manifest's settings.

        A study recorded before an option existed leaves it out.
        """
        names = {field.name for field in fields(cls)}
        return cls(**{name: settings[name] for name in names & settings.keys()})

    def check(self) -> None:
        """Raise a ValueError for a value that no model can render with, saying what would do."""
        for name in ("steps", "batch_size"):
            if (count := getattr(self, name)) is not None and count < 1:
                raise ValueError(f"{name} is {count}; use 1 or more")
        scale = self.guidance_scale
        if scale is not None and not 0 <= scale < math.inf:
            raise ValueError(f"guidance_scale is {scale}; use a finite number from 0, no guidance")
        if self.scheduler is not None and self.scheduler not in get_args(SchedulerName):
            known = ", ".join(get_args(SchedulerName))
            raise ValueError(f"scheduler is {self.scheduler!r}; use one of {known}")
        for name in ("height", "width"):
            if (side := getattr(self, name)) is not None and (side < 8 or side % 8):
                raise ValueError(f"{name} is {side}; use a multiple of 8 pixels")

    def resolve(self, model: "TextToImageModel") -> "RenderSettings":
        """Return the settings, checked, with the model's own values where they leave it to it.

        Raises:
            ValueError: as `check`.
        """
        self.check()
        height, width = model.image_size
        own: dict[str, Any] = {
            "steps": model.default_steps,
            "guidance_scale": model.default_guidance_scale,
            "scheduler": model.default_scheduler,
            "height": height,
            "width": width,
        }
        given = {name: getattr(self, name) for name in own if getattr(self, name) is not None}
        settled = own | given
        # one value for what makes the same images, so that a study's cells are found again
        return replace(self, **settled | {"guidance_scale": max(settled["guidance_scale"], 1.0)})
