"""The command line: `python -m embedding_geometry study | render | ppl | info`.

A subcommand is a dataclass: its fields are the options, `run` is what it does. The modules that
need torch are imported where they are used, so that `--help` answers at once.
"""

import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal, TextIO, cast

import tyro
from tyro.conf import (
    DisallowNone,
    OmitArgPrefixes,
    Positional,
    PositionalMetavarFromFieldName,
    subcommand,
)

from embedding_geometry.engines import EngineSettings
from embedding_geometry.results import Net, StudySettings
from embedding_geometry.types import CouplingName, Frames, SchedulerName

BAD_INPUT = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it

DESCRIPTION = "Interpolate between two prompts along couplings of their token embeddings."
Output = Literal["strips", "gif", "frames"]


@dataclass(frozen=True)
class Study:
    """Run a study, or resume the one in --out, and write its table, steps and manifest.

    Attributes:
        settings: What the study computes.
        out: Results folder. Finished cells in it are kept and never computed again.
        publish: Also copy the results to PUBLISH_study.csv, _steps.parquet and _manifest.json.
        dry_run: Say what there is to do and how long it will take, write nothing, and stop.
        shard: Part i/n of the study, for the i-th of n processes that share the results folder.
        engine: Where to compute.
    """

    settings: OmitArgPrefixes[StudySettings]
    out: Path = Path("runs/study")
    publish: Path | None = None
    dry_run: bool = False
    shard: str = "1/1"
    engine: OmitArgPrefixes[EngineSettings] = EngineSettings()

    def run(self) -> None:
        """Say what there is to do, run or resume it, then say where the results are."""
        from embedding_geometry.planning import Shard
        from embedding_geometry.study import open_study, publish_results

        shard = Shard.parse(self.shard)
        with open_study(self.settings, self.out, shard=shard, engine=self.engine) as study:
            print(study.plan(), flush=True)
            if self.dry_run:
                return
            study.compute()
            table = study.collect()
        if len(table) < study.cells:
            print(
                f"shard {shard} is finished; {study.cells - len(table)} of the study's "
                f"{study.cells} cells are missing in {self.out}, and whichever process computes "
                "the last of them writes the table"
            )
            return
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
        model: pocket, a diffusers folder, or a hub id; EMBEDDING_GEOMETRY_MODEL if not given.
        frames: Images along a path, both ends included.
        seed: Seed of the initial latent and of the random coupling.
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

    source: Positional[str]
    target: Positional[str]
    couplings: tuple[CouplingName, ...] = ("row", "optimal")
    write: tuple[Output, ...] = ("strips", "gif")
    out: Path = Path("runs/render")
    model: str | None = None
    frames: int = 11
    seed: int = 0
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

    def run(self) -> None:
        """Render every coupling on the same initial latent and write what was asked for."""
        frames = self._render()
        self.out.mkdir(parents=True, exist_ok=True)
        if "strips" in self.write:
            from embedding_geometry.figures import film_strips, set_style

            set_style()
            film_strips(frames).savefig(self.out / "strips.png", dpi=200)
        for coupling, images in frames.items():
            if "gif" in self.write:
                write_gif(images, self.out / f"{coupling}.gif")
            if "frames" in self.write:
                write_frames(images, self.out / coupling)
        print(f"{', '.join(self.write)} of {', '.join(frames)} in {self.out}")

    def _render(self) -> dict[str, Frames]:
        import numpy as np

        from embedding_geometry.clouds import encode_pooled, encode_prompts, interpolate_pooled
        from embedding_geometry.couplings import couple
        from embedding_geometry.generation import initial_latent, render
        from embedding_geometry.models import configured_model, load_model
        from embedding_geometry.paths import displacement_interpolation
        from embedding_geometry.study import rendering_settings

        if self.frames < 2 or not self.couplings:
            raise ValueError(
                f"frames is {self.frames} and couplings is {' '.join(self.couplings) or 'empty'}; "
                "a path has 2 frames or more, and at least one coupling is wanted"
            )
        times = np.linspace(0.0, 1.0, self.frames)
        name = self.model or configured_model()
        model = load_model(name, self.device, self.dtype, self.revision)
        settings = rendering_settings(
            model,
            self.steps,
            self.guidance_scale,
            self.negative_prompt,
            self.batch_size,
            self.scheduler,
            (self.height, self.width),
        )
        x, y = encode_prompts(model, [self.source, self.target])
        pooled = interpolate_pooled(encode_pooled(model, [self.source, self.target]), times)
        latent = initial_latent(model, self.seed, settings)
        frames: dict[str, Frames] = {}
        for coupling in self.couplings:
            sigma = couple(coupling, x, y, np.random.default_rng(self.seed))
            path = displacement_interpolation(x, y, sigma, times)
            frames[coupling] = render(model, path, latent, settings, pooled, progress=True)
        return frames


@dataclass(frozen=True)
class Ppl:
    """Perceptual path length of folders of images, each read in natural order (2 before 10).

    Attributes:
        folders: Folders, each with the images of one path.
        net: Backbone of the perceptual metric: pocket, alex, vgg or squeeze.
        device: Where to compute (cpu, cuda, cuda:1, mps ...); the best there is if not given.
    """

    folders: Positional[tuple[Path, ...]]
    net: Net = "pocket"
    device: str | None = None

    def run(self) -> None:
        """Measure every folder and print one line for each."""
        import pandas as pd

        from embedding_geometry.perception import (
            load_metric,
            perceptual_distances,
            perceptual_path_length,
            read_frames,
        )

        if not self.folders:
            raise ValueError("no folder of images is named; name one or more")
        images = {str(folder): read_frames(folder) for folder in self.folders}
        metric = load_metric(self.net, self.device)
        rows = [
            {"folder": folder}
            | asdict(perceptual_path_length(perceptual_distances(metric, frames)))
            for folder, frames in images.items()
        ]
        table = pd.DataFrame(rows).rename(columns={"mean": "ppl"})
        print(table.to_string(index=False, float_format="{:.6g}".format))
        versions = " ".join(" ".join(item) for item in metric.versions.items())
        print(f"ppl: mean LPIPS of consecutive images, net {metric.net}, {versions}")


@dataclass(frozen=True)
class Info:
    """Say which model, metric, device and versions are in use, and where they are.

    Attributes:
        model: pocket, a diffusers folder, or a hub id; EMBEDDING_GEOMETRY_MODEL if not given.
        net: Backbone of the perceptual metric: pocket, alex, vgg or squeeze.
        device: Where to compute (cpu, cuda, cuda:1, mps ...); the best there is if not given.
        revision: Branch, tag or commit of a hub id.
    """

    model: str | None = None
    net: Net = "pocket"
    device: str | None = None
    revision: str | None = None

    def run(self) -> None:
        """Load both and print what they say about themselves."""
        from embedding_geometry.models import POCKET_FOLDER, configured_model, load_model
        from embedding_geometry.perception import load_metric
        from embedding_geometry.study import environment

        name = self.model or configured_model()
        model = load_model(name, self.device, revision=self.revision)
        metric = load_metric(self.net, self.device)
        source = model.provenance
        facts = {
            "model": f"{source.name}, revision {source.revision}, {source.dtype}",
            "metric": f"{metric.net}, revision {metric.revision}",
            "pocket": POCKET_FOLDER,
            **environment(model),
        }
        versions = cast("dict[str, object]", facts.pop("versions"))
        for name, value in (facts | versions).items():
            print(f"{name:<13} {value}")


COMMANDS = (
    Annotated[Study, subcommand("study")]
    | Annotated[Render, subcommand("render")]
    | Annotated[Ppl, subcommand("ppl")]
    | Annotated[Info, subcommand("info")]
)


def write_gif(frames: Frames, path: Path) -> None:
    """Write an endless animation that plays the frames at ten a second."""
    from PIL import Image

    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=others, duration=100, loop=0)


def write_frames(frames: Frames, folder: Path) -> None:
    """Write `frame_000.png`, `frame_001.png` ... and remove those of an earlier, longer path."""
    from PIL import Image

    folder.mkdir(exist_ok=True)
    for earlier in folder.glob("frame_[0-9][0-9][0-9].png"):
        earlier.unlink()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame_{index:03}.png")


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning as one line without the place in the code that it came from."""
    print(f"warning: {message}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return 0, or 2 after one line about bad input on standard error."""
    command = tyro.cli(
        COMMANDS,
        prog="python -m embedding_geometry",
        description=DESCRIPTION,
        args=arguments,
        config=(DisallowNone, PositionalMetavarFromFieldName),
    )
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            command.run()
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(
            "interrupted; finished cells of a study are kept, the same command goes on with them",
            file=sys.stderr,
        )
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
