"""The command line: `python -m embedding_geometry study | tempo | record | render | ...`.

A subcommand is a dataclass: its fields are the options, `run` is what it does. The modules that
need torch are imported where they are used, those of the package's public names when one of these
is, so that `--help` answers at once.
"""

import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast, get_args

import numpy as np
from tyro.conf import OmitArgPrefixes, Positional, arg

import embedding_geometry as eg
from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.ground.command import run_command
from embedding_geometry.ground.disk import make_folder, write_whole
from embedding_geometry.ground.places import MODELS, RESULTS, STUDIES
from embedding_geometry.ground.types import NET, Frames, NetName, check_seed
from embedding_geometry.perception.outputs import check_outputs
from embedding_geometry.study.engines import EngineSettings
from embedding_geometry.study.planning import Shard
from embedding_geometry.study.prompts import write_prompt_pairs
from embedding_geometry.study.settings import StudySettings

if TYPE_CHECKING:
    from pandas import DataFrame

    from embedding_geometry.diffusion.loading import TextToImageModel
    from embedding_geometry.perception.evaluation import Fidelity, MeasuredPath, StoredReference
    from embedding_geometry.perception.metric import PerceptualMetric
    from embedding_geometry.perception.partners import Partners
    from embedding_geometry.transport.ways import Way

DESCRIPTION = "Interpolate between two prompts along couplings of their token embeddings."
Output = Literal["strips", "gif", "webp", "mp4", "frames"]


@dataclass(frozen=True)
class Study:
    """Run a study, or resume the one in --out, and write its table, steps and manifest.

    Attributes:
        settings: What the study computes.
        out: Results folder. Finished cells in it are kept and never computed again.
        publish: Also copy the results to PUBLISH_study.csv, _steps.parquet, _pairs.csv and
            _manifest.json, with a reference also to _fidelity.csv.
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
        from embedding_geometry.study.recorded import publish_results
        from embedding_geometry.study.run import open_study

        shard = Shard.parse(self.shard)
        if self.publish is not None and self.publish.is_dir():
            raise ValueError(
                f"publish is {self.publish}, a folder; name the beginning of the files, such as "
                f"{self.publish / 'NAME'} for NAME_study.csv"
            )
        with open_study(self.settings, self.out, shard=shard, engine=self.engine) as study:
            print(study.plan(), flush=True)
            if self.dry_run:
                return
            if self.publish is not None:
                make_folder(self.publish.parent)
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
class Tempo:
    """Re-time the paths of a study's first pairs of each grade; record how evenly they change.

    Attributes:
        settings: What the study computes.
        per_grade: Pairs of each grade, the first ones of the table without the stratum rigid.
        rounds: How often the times of a path are improved.
        kept: Folder for finished paths. None of them is ever computed again.
        out: Beginning of the names of the two files, PREFIX.csv and PREFIX_manifest.json.
    """

    settings: OmitArgPrefixes[StudySettings]
    per_grade: int = 8
    rounds: int = 2
    kept: Path = Path("runs/retimed")
    out: Annotated[Path, arg(metavar="PREFIX")] = Path("runs/retiming")

    def run(self) -> None:
        """Measure every pair of the sample and record the table."""
        from embedding_geometry.ground.records import write_record
        from embedding_geometry.study.tempo import retime_study

        make_folder(self.out.parent)
        table, manifest = retime_study(self.settings, self.per_grade, self.rounds, self.kept)
        write_record(self.out, table, manifest)
        print(f"{table['pair_id'].nunique()} pairs -> {self.out}.csv")


@dataclass(frozen=True)
class Record:
    """Make recorded studies of the book again, or resume them, and put them into data/results.

    A study whose judge has not been trained goes without it, and says so.

    Attributes:
        names: Which, as data/studies.toml calls them.
        out: Folder for their results folders. What is finished in these is never computed again.
    """

    names: Positional[tuple[str, ...]]
    out: Path = Path("runs/studies")

    def run(self) -> None:
        """Run one study after the other, once all names are known to be right."""
        from embedding_geometry.study.recorded import named_study, with_judge_there

        if not self.names:
            raise ValueError(f"no study is named; {STUDIES} lists those of the book")
        studies = {name: named_study(name) for name in self.names}
        for name, (command, settings) in studies.items():
            if command == "tempo":
                Tempo(settings, kept=self.out / name, out=RESULTS / name).run()
            else:
                judged = with_judge_there(settings)
                Study(judged, self.out / name, publish=RESULTS / name).run()


@dataclass(frozen=True)
class Render:
    """Render the path between two prompts along the chosen couplings.

    Attributes:
        source: Prompt at the beginning.
        target: Prompt at the end.
        couplings: How the tokens of the two prompts are paired: row, optimal, random or worst. Or
            another way between the prompts: words, whitened, centred, cosine, pooled,
            slerp-matrix, slerp-tokens, slerp-optimal, entropic-0.01, entropic-0.1, entropic-1; or
            25, 50 or 75 per cent of the way from one coupling to another: optimal-random-25,
            random-worst-25, optimal-row-25 and so on. Or a rule that mixes the two texts later:
            measures (in attention, by weight), outer (attention's outputs), scores (predictions),
            late-switch or alternate (steps), latent-slerp, cross-fade (images), and aid-outer or
            aid-inner (with the ends' self-attention).
        write: strips.png (a row of images per coupling), and for each coupling an animation (GIF,
            lossless WebP, MP4) or its frames one by one. Every file holds the settings as JSON.
        frames_as: Format of single frames: png or webp, both lossless.
        out: Folder for the images.
        frames: Images along a path, both ends included.
        seed: Seed of the initial latent and of the random coupling.
        loading: Which model computes, and where.
        rendering: How its images are made.
    """

    source: Positional[str]
    target: Positional[str]
    couplings: tuple[str, ...] = ("row", "optimal")
    write: tuple[Output, ...] = ("strips", "gif")
    frames_as: Literal["png", "webp"] = "png"
    out: Path = Path("runs/render")
    frames: int = 11
    seed: int = 0
    loading: OmitArgPrefixes[LoadSettings] = LoadSettings()
    rendering: OmitArgPrefixes[RenderSettings] = RenderSettings()

    def run(self) -> None:
        """Render every coupling on the same initial latent; write each as soon as it is done."""
        ways = self._check()
        model = self.loading.load()
        settings = self.rendering.resolve(model)
        prompts = {"source": self.source, "target": self.target, "seed": self.seed}
        about = prompts | asdict(settings) | {"model": asdict(model.provenance)}
        frames: dict[str, Frames] = {}
        try:
            for coupling, images in self._render(model, settings, ways):
                frames[coupling] = images
                self._write(coupling, images, {"coupling": coupling} | about)
        finally:  # also what was finished before an interruption
            if frames and "strips" in self.write:
                self._write_strips(frames, {"couplings": list(frames)} | about)
        print(f"{', '.join(self.write)} of {', '.join(frames)} in {self.out}")

    def _check(self) -> "dict[str, Way]":
        """Return the ways by name, once all options are known to be right."""
        if not self.write:
            raise ValueError(f"write is empty; name one or more of {', '.join(get_args(Output))}")
        if self.frames < 2 or not self.couplings:
            raise ValueError(
                f"frames is {self.frames} and couplings is {' '.join(self.couplings) or 'empty'}; "
                "a path has 2 frames or more, and at least one coupling is wanted"
            )
        check_seed(self.seed)
        self.rendering.check()
        return {coupling: eg.find_way(coupling) for coupling in self.couplings}

    def _render(
        self, model: "TextToImageModel", settings: RenderSettings, ways: "dict[str, Way]"
    ) -> Iterator[tuple[str, Frames]]:
        """The name and the frames of each way between the prompts."""
        times = np.linspace(0.0, 1.0, self.frames)
        texts = eg.encode(model, [self.source, self.target])
        latent = eg.initial_latent(model, self.seed, settings)
        make_folder(self.out)
        for coupling, way in ways.items():
            path = way(texts.ends, times, np.random.default_rng(self.seed))
            frames = texts.along(path, times)
            rows = eg.unet_rows(model, frames, settings) / self.frames
            print(f"{coupling}: {rows:.2f} rows of the UNet a frame and step", flush=True)
            yield coupling, eg.render(model, frames, latent, settings, progress=True)

    def _write(self, coupling: str, images: Frames, about: dict[str, object]) -> None:
        for kind in {"gif", "webp", "mp4"}.intersection(self.write):
            eg.write_animation(images, self.out / f"{coupling}.{kind}", about)
        if "frames" in self.write:
            eg.write_frames(images, self.out / coupling, about, f".{self.frames_as}")

    def _write_strips(self, frames: dict[str, Frames], about: dict[str, object]) -> None:
        from embedding_geometry.pages import figures

        figures.set_style()
        picture, description = BytesIO(), {"Description": json.dumps(about)}
        figures.film_strips(frames).savefig(picture, dpi=200, metadata=description)
        write_whole(self.out / "strips.png", picture.getvalue())


@dataclass(frozen=True)
class Ppl:
    """Perceptual path length of images from any method, under every convention in use.

    LPIPS is a squared distance. ppl is the mean of consecutive images, total the sum, scaled_mean
    (n-1)^2 times the mean, root_sum the sum of the roots, directness the root of end_distance
    (first image to last) over root_sum. All but end_distance depend on the number of images n:
    compare paths of equal n. GIF and MP4 add the noise of compression. distinct is the number of
    different pictures, where there are fewer than n.

    Attributes:
        paths: Each a folder with the images of one path (BMP, GIF, JPEG, PNG, TIFF, WebP) in the
            order of the numbers in their names (2 before 10, 0.25 before 0.5), an animation (GIF,
            WebP, PNG, TIFF) or a film (AVI, M4V, MKV, MOV, MP4, WebM).
        net: Network of LPIPS: alex, vgg or squeeze; or a metric of your own,
            module:function.
        compare: Take two folders of paths, and compare those of equal names, suffix aside: the
            first folder against the second.
        fidelity: Folder of pictures that the frames between the ends are to be like, four or more
            and better a hundred, none of them an end. Adds the realism of these frames, 1 and
            more for what could be of the reference (median over a path), and the kernel distance
            (KID) of all of them from the reference, 0 for what could be; both on VGG16 features
            of LPIPS.
        frames: Take as many equally spaced frames of each path: 5 of 17, but not of 16.
        resize: Width and height to which every frame is resized, and every reference picture.
        background: Colour behind what is transparent, such as white; without it that is refused.
        seed: Seed of the bootstrap intervals of the comparison and of realism.
        csv: Write the table of paths there too, with net, revision, versions and time in each row.
        json: Write the same there with file names in their order, every distance, failures, the
            fidelity, and the comparison.
        device: Where to compute (cpu, cuda, cuda:1, mps ...); the best there is if not given.
    """

    paths: Positional[tuple[Path, ...]]
    net: NetName | str = NET
    compare: bool = False
    fidelity: Path | None = None
    frames: int | None = None
    resize: tuple[int, int] | None = None
    background: str | None = None
    seed: int = 0
    csv: Path | None = None
    json: Path | None = None
    device: str | None = None

    def run(self) -> None:
        """Measure what can be measured, print and write it, then name what could not."""
        settings = eg.ReadSettings(self.frames, self.resize, self.background)
        partners = self._check()
        metric = eg.load_metric(self.net, self.device)
        reference = None
        if self.fidelity is not None:  # by the network that published numbers are of
            vgg = eg.load_metric("vgg", self.device)
            reference = eg.read_reference(vgg, self.fidelity, settings, progress=True)
        failed: dict[Path, str] = {}
        paths = partners.paths if partners else self.paths
        measured = eg.measure_paths(
            metric, paths, settings, reference=reference, progress=True, failed=failed
        )
        problems = list(failed.values())
        if measured:
            from embedding_geometry.perception import reports  # pandas, which no frame waits for

            self._print_paths(metric, measured)
            fidelity = self._judge(partners, measured, reference) if reference else None
            comparison = None
            try:
                comparison = self._compare(partners, measured) if partners else None
            except ValueError as error:  # raised below, when what was measured is written
                problems.append(str(error))
            about = reports.provenance(metric, settings, reference)
            if self.csv is not None:
                reports.write_csv(self.csv, about, measured, fidelity=fidelity)
            if self.json is not None:
                reports.write_json(
                    self.json,
                    about,
                    measured,
                    fidelity=fidelity,
                    failed=failed,
                    comparison=comparison,
                )
        if problems:
            count = f"{len(failed)} of {len(paths)} paths could not be measured: "
            raise ValueError((count if measured and failed else "") + "; ".join(problems))

    def _check(self) -> "Partners | None":
        """Return the paths to compare, if any, once all options are known to be right."""
        if not self.paths or (self.compare and len(self.paths) != 2):
            raise ValueError(
                f"{len(self.paths)} paths are named; name one folder of images or one film, or "
                "more, and with --compare two folders of these"
            )
        check_seed(self.seed)
        check_outputs(self.csv, self.json)
        if not self.compare:
            return None
        from embedding_geometry.perception.partners import match_partners

        return match_partners(*self.paths)

    def _print_paths(self, metric: "PerceptualMetric", measured: "list[MeasuredPath]") -> None:
        table = eg.path_table(measured)
        distinct = [path.distinct for path in measured]
        if distinct != table["frames"].tolist():
            table.insert(2, "distinct", distinct)
        print_table(table)
        versions = " ".join(" ".join(item) for item in metric.versions.items())
        net = ", ".join(filter(None, (metric.net, metric.revision, versions)))
        print(f"{'LPIPS' if versions else 'distances'} of consecutive images, net {net}")

    def _judge(
        self,
        partners: "Partners | None",
        measured: "list[MeasuredPath]",
        reference: "StoredReference",
    ) -> "dict[str, Fidelity]":
        """Hold all paths, or those of each folder, against the reference, and print the table."""
        from embedding_geometry.perception.partners import measured_pairs
        from embedding_geometry.perception.tables import fidelity_table

        sets = {"all paths": measured}
        if partners:
            treatment, control = measured_pairs(partners, measured)
            sets = {partners.treatment: treatment, partners.control: control}
        found = {
            name: eg.path_fidelity(paths, reference, self.seed)
            for name, paths in sets.items()
            if paths
        }
        if found:
            pictures = f"{len(reference.known.features)} pictures of {reference.path}"
            print(f"\nfidelity to {pictures}, net {reference.metric.net}:")
            print_table(fidelity_table(found))
        return found

    def _compare(self, partners: "Partners", measured: "list[MeasuredPath]") -> dict[str, object]:
        """Compare the first folder with the second, print the table, and return the record."""
        from embedding_geometry.perception.partners import comparison_record, measured_pairs

        treatment, control = measured_pairs(partners, measured)
        table = eg.compare_paths(treatment, control, np.random.default_rng(self.seed))
        folders = f"{partners.treatment} against {partners.control}"
        print(f"\n{folders}, {len(treatment)} pairs, less is better:")
        print_table(table.drop(columns=["n", "interval", "median_difference", "median_interval"]))
        return comparison_record(partners, self.seed, table)


@dataclass(frozen=True)
class Pairs:
    """Draw prompt pairs from Crisscrossed Captions, as many of each grade of similarity.

    Attributes:
        scores: sts_val.csv or sts_test.csv of Crisscrossed Captions.
        captions: dataset_coco.json of Karpathy's split of COCO, which has the texts.
        per_grade: Pairs of each grade, which is the similarity rounded to 0, 1 ... 5.
        seed: Seed of the draw.
        out: Table to write, which a study takes as its --pairs.
    """

    scores: Path
    captions: Path
    per_grade: int = 50
    seed: int = 0
    out: Path = Path("pairs.csv")

    def run(self) -> None:
        """Join, draw and write, then say how many pairs there are of each grade."""
        check_seed(self.seed)
        read = [file.resolve() for file in (self.scores, self.captions)]
        if self.out.is_dir() or self.out.resolve() in read:
            raise ValueError(
                f"out is {self.out}, a folder or one of the files to read; name another"
            )
        make_folder(self.out.parent)
        joined = eg.read_cxc(self.scores, self.captions)
        pairs = eg.sample_pairs(joined, self.per_grade, np.random.default_rng(self.seed))
        write_prompt_pairs(self.out, pairs)
        counts = Counter(pair.grade for pair in pairs)
        shares = ", ".join(f"{count} of grade {name}" for name, count in counts.items())
        print(f"{len(pairs)} of {len(joined)} pairs in {self.out}: {shares}")


@dataclass(frozen=True)
class Info:
    """Say which model, metric, device and versions are in use, and where they are.

    Attributes:
        loading: Which model computes, and where.
        net: Network of LPIPS: alex, vgg or squeeze; or a metric of your own,
            module:function.
    """

    loading: OmitArgPrefixes[LoadSettings] = LoadSettings()
    net: NetName | str = NET

    def run(self) -> None:
        """Load both and print what they say about themselves."""
        from embedding_geometry.study.cells import environment

        model = self.loading.load()
        metric = eg.load_metric(self.net, self.loading.device)
        source = model.provenance
        facts = {
            "model": f"{source.name}, revision {source.revision}, {source.dtype}",
            "metric": f"{metric.net}, revision {metric.revision}",
            "embedded": MODELS,
            **environment(model),
        }
        versions = cast("dict[str, object]", facts.pop("versions"))
        for name, value in (facts | versions).items():
            print(f"{name:<13} {value}")


@dataclass(frozen=True)
class Export:
    """Write the networks of a model and of a metric as ONNX graphs, checked against torch.

    Beside them stands what else is needed to make the same pictures without Python: the initial
    latents of eight seeds, the tokenizer and the sampler. Needs the extra `book`.

    Attributes:
        folder: Where the files go.
        loading: Which model is written; it has to be in float32 on the CPU.
        net: Network of LPIPS: alex, vgg or squeeze.
    """

    folder: Positional[Path]
    loading: OmitArgPrefixes[LoadSettings] = LoadSettings()
    net: NetName = NET

    def run(self) -> None:
        """Write all files, then say how large they are and how near to torch."""
        if missing := [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]:
            raise ValueError(
                f"export needs {' and '.join(missing)}; `make setup` installs all it needs, as "
                "does pip install -e '.[book]' in a clone"
            )
        from embedding_geometry.pages.laboratory import export

        model = replace(self.loading, device=self.loading.device or "cpu").load()
        metric = eg.load_metric(self.net, "cpu")
        for name, difference in export(model, metric, self.folder).items():
            file = self.folder / f"{name}.onnx"
            size = file.stat().st_size / 1e6
            print(f"{file}: {size:.1f} MB, differs from torch by {difference:.1g} at most")


COMMANDS = Study | Tempo | Record | Render | Ppl | Pairs | Info | Export


def what_stays(command: object) -> str:
    """Say what an interrupted command leaves."""
    if isinstance(command, Study | Record):
        return "finished cells are kept, the same command goes on with them"
    if isinstance(command, Render):
        return f"finished couplings are in {command.out}"
    return "nothing was changed"


def print_table(table: "DataFrame") -> None:
    """Print a table without its index, numbers to six digits, no wider than the terminal."""
    first, *_ = table.columns
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    # as the index, the first column stands before every part of a table in parts
    indexed = table.set_index(first).rename_axis(index=None, columns=first)
    print(indexed.to_string(float_format="{:.6g}".format, line_width=width))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code, as `run_command` does."""
    return run_command(
        COMMANDS,
        lambda command: command.run(),
        arguments,
        program="python -m embedding_geometry",
        description=DESCRIPTION,
        kept=what_stays,
    )


if __name__ == "__main__":
    sys.exit(main())
