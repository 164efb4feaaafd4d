"""What a study computes, checked before anything is loaded."""

from dataclasses import dataclass
from pathlib import Path

from embedding_geometry.ground.types import COUPLINGS, SEEDS, NetName, SchedulerName


class StudySettingsError(ValueError):
    """Settings that cannot be run, or that differ from those of the study in the same folder."""


@dataclass(frozen=True)
class StudySettings:
    """What a study computes.

    Attributes:
        pairs: Table of prompt pairs (CSV: pair_id, source, target, similarity[, stratum]).
        model: pocket, a diffusers folder, or a hub id; EMBEDDING_GEOMETRY_MODEL if not given.
        net: Backbone of the perceptual metric: pocket, alex, vgg or squeeze.
        couplings: Computed on every initial latent: row, optimal, random or worst; or another way
            between the prompts, by its name in `ways.WAYS`.
        extra_couplings_first_seed: Couplings computed on the first initial latent only.
        seeds: One initial latent each, the same for all couplings and pairs.
        frames: Images along a path, both ends included.
        steps: Denoising steps; the model's own default if not given.
        guidance_scale: Classifier-free guidance scale; the model's own default if not given.
        negative_prompt: Text of the unconditional half of the guidance.
        batch_size: Images denoised at once, at most.
        scheduler: Sampler: ddim, dpm (DPM-Solver++) or euler, all deterministic.
        height: Height of the images in pixels, a multiple of 8; the model's own if not given.
        width: Width of the images in pixels, likewise.
        device: Where to compute (cpu, cuda, cuda:1, mps ...); the best there is if not given.
        dtype: Precision (float32, float16, bfloat16, float64); float32 if not given.
        revision: Branch, tag or commit of a hub id.
    """

    pairs: Path
    model: str | None = None
    net: NetName = "pocket"
    couplings: tuple[str, ...] = COUPLINGS
    extra_couplings_first_seed: tuple[str, ...] = ("worst",)
    seeds: tuple[int, ...] = (0, 1)
    frames: int = 11
    steps: int | None = None
    guidance_scale: float | None = None
    negative_prompt: str = ""
    batch_size: int = 16
    scheduler: SchedulerName = "ddim"
    height: int | None = None
    width: int | None = None
    device: str | None = None
    dtype: str | None = None
    revision: str | None = None

    def check(self) -> None:
        """Raise a StudySettingsError for values that cannot be run, saying what would do."""
        named = self.couplings + self.extra_couplings_first_seed
        _require(bool(self.couplings), "couplings is empty; name at least one")
        _require(len(set(named)) == len(named), f"a coupling is named twice: {' '.join(named)}")
        _require(bool(self.seeds), "seeds is empty; give at least one")
        for seed in self.seeds:
            _require(seed in SEEDS, f"seed is {seed}; use 0, 1, 2 ... {SEEDS[-1]}")
        _require(len(set(self.seeds)) == len(self.seeds), f"seeds {self.seeds} repeats one")
        _require(
            self.frames >= 3,
            f"frames is {self.frames}; a path needs 3 or more, "
            "because its two ends are the same images for every coupling",
        )
        _require(self.steps is None or self.steps >= 1, f"steps is {self.steps}; use 1 or more")
        _require(self.batch_size >= 1, f"batch_size is {self.batch_size}; use 1 or more")

    def couplings_of(self, seed: int) -> tuple[str, ...]:
        """Couplings computed on the initial latent of this seed."""
        first = seed == self.seeds[0]
        return self.couplings + (self.extra_couplings_first_seed if first else ())


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise StudySettingsError(message)
