"""What a study computes, checked before anything is loaded."""

from dataclasses import dataclass
from pathlib import Path

from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.ground.types import COUPLINGS, NetName, check_seed


class StudySettingsError(ValueError):
    """Settings that cannot be run, or that differ from those of the study in the same folder."""


@dataclass(frozen=True)
class StudySettings:
    """What a study computes.

    Attributes:
        pairs: Table of prompt pairs (CSV: pair_id, source, target, similarity[, stratum]).
        net: Backbone of the perceptual metric: pocket, alex, vgg or squeeze.
        couplings: Computed on every initial latent: row, optimal, random or worst; or another way
            between the prompts, of those that `render --help` names.
        extra_couplings_first_seed: Couplings computed on the first initial latent only.
        seeds: One initial latent each, the same for all couplings and pairs.
        frames: Images along a path, both ends included.
        loading: Which model computes, and where.
        rendering: How its images are made.
    """

    pairs: Path
    net: NetName = "pocket"
    couplings: tuple[str, ...] = COUPLINGS
    extra_couplings_first_seed: tuple[str, ...] = ("worst",)
    seeds: tuple[int, ...] = (0, 1)
    frames: int = 11
    loading: LoadSettings = LoadSettings()
    rendering: RenderSettings = RenderSettings()

    def check(self) -> None:
        """Raise a ValueError for values that cannot be run, saying what would do."""
        named = self.couplings + self.extra_couplings_first_seed
        _require(bool(self.couplings), "couplings is empty; name at least one")
        _require(len(set(named)) == len(named), f"a coupling is named twice: {' '.join(named)}")
        _require(bool(self.seeds), "seeds is empty; give at least one")
        for seed in self.seeds:
            check_seed(seed)
        _require(len(set(self.seeds)) == len(self.seeds), f"seeds {self.seeds} repeats one")
        _require(
            self.frames >= 3,
            f"frames is {self.frames}; a path needs 3 or more, "
            "because its two ends are the same images for every coupling",
        )
        self.rendering.check()

    def couplings_of(self, seed: int) -> tuple[str, ...]:
        """Couplings computed on the initial latent of this seed."""
        first = seed == self.seeds[0]
        return self.couplings + (self.extra_couplings_first_seed if first else ())


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise StudySettingsError(message)
