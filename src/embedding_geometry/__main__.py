"""The command line: `python -m embedding_geometry study | render | ppl | info`.

A subcommand is a dataclass: its fields are the options, `run` is what it does. The modules that
need torch are imported where they are used, so that `--help` answers at once.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional, subcommand

from embedding_geometry.results import StudySettings
from embedding_geometry.types import CouplingName, Frames

BAD_INPUT = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it

Output = Literal["strips", "gif", "frames"]


@dataclass(frozen=True)
class Study:
    """Run a study, or resume the one in --out, and write its table, steps and manifest.

    Attributes:
        settings: What the study computes.
        out: Results folder. Finished cells in it are kept and never computed again.
        publish: Also copy the results to PUBLISH_study.csv, _steps.parquet and _manifest.json.
    """

    settings: OmitArgPrefixes[StudySettings]
    out: Path = Path("runs/study")
    publish: Path | None = None

    def run(self) -> None:
        """Run or resume, then say where the results are."""
        from embedding_geometry.study import publish_results, run_study

        table = run_study(self.settings, self.out)
        print(f"{len(table)} cells in {self.out}; median PPL of {self.settings.frames} frames:")
        print(table.groupby("coupling", sort=False)["ppl"].median().to_string())
        if self.publish is not None:
            for copy in publish_results(self.out, self.publish):
                print(copy)


@dataclass(frozen=True)
class Render:
    """Render the path between two prompts along the chosen couplings.

    Attributes:
        source: Prompt at the beginning.
        target: Prompt at the end.
        couplings: How the tokens of the two prompts are paired.
        write: strips.png (a row of images per coupling), a GIF per coupling, or its frames.
        out: Folder for the images.
        model: Text-to-image model: "pocket", a diffusers folder, or a hub id.
        frames: Images along a path, both ends included.
        seed: Seed of the initial latent and of the random coupling.
        steps: Denoising steps; the model's own default if not given.
        guidance_scale: Classifier-free guidance scale; the model's own default if not given.
        negative_prompt: Text of the unconditional half of the guidance.
        batch_size: Images denoised at once, at most.
        device: Where to compute (cpu, cuda, cuda:1, mps ...); the best there is if not given.
        dtype: Precision (float32, float16, bfloat16, float64); the device's default if not given.
    """

    source: Positional[str]
    target: Positional[str]
    couplings: tuple[CouplingName, ...] = ("row", "optimal")
    write: tuple[Output, ...] = ("strips", "gif")
    out: Path = Path("runs/render")
    model: str = "pocket"
    frames: int = 11
    seed: int = 0
    steps: int | None = None
    guidance_scale: float | None = None
    negative_prompt: str = ""
    batch_size: int = 16
    device: str | None = None
    dtype: str | None = None
