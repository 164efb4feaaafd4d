"""The evaluator: how long and how even a path of frames is, whatever method made it.

A path is a folder of images, an animation or a film (see `frames`). Each is measured under every
convention in use, because papers differ in theirs:

============== =================================== ======================================
column         from the distances d_k (squared)    who reports it
============== =================================== ======================================
ppl            mean of d                           the poster, AID
total          sum of d                            DiffMorpher
scaled_mean    (n - 1)^2 times the mean of d       StyleGAN, on the grid of frames
root_sum       sum of the roots of d               a length
gini           Gini coefficient of d               AID, as 1 - gini
maximum_step   largest d                           AID
variance       variance of d                       how uneven the steps are, squared
end_distance   d of the first and the last frame
directness     root of end_distance over root_sum  1 for a straight way; see `directness`
============== =================================== ======================================

Every one of them but ``end_distance`` depends on the number of frames n, so paths are compared at
equal n (see `path_length`).
"""

import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from embedding_geometry.ground.devices import lacks_memory
from embedding_geometry.ground.disk import make_folder, naming, write_whole
from embedding_geometry.ground.machine import library_versions
from embedding_geometry.perception.frames import (
    AS_STORED,
    NAMED,
    ReadSettings,
    StoredPath,
    is_path,
    shown_name,
)
from embedding_geometry.perception.metric import PathLengthMeter, PerceptualMetric
from embedding_geometry.perception.path_length import PathLength, directness, repeated_steps
from embedding_geometry.statistics.paired import holm, paired_comparison

LESS_IS_BETTER = ("ppl", "total", "scaled_mean", "root_sum", "gini", "maximum_step", "variance")
LIBRARIES = ("lpips", "torch", "torchvision", "pillow", "av")
CSV_BEGINS = b"path,frames,ppl,"  # what an earlier table or report is known by
JSON_BEGINS = b'{\n "provenance": {'


class MissingPartnersWarning(UserWarning):
    """Paths of one folder that have no namesake in the other are left out of the comparison."""


class UnlikePartnersWarning(UserWarning):
    """Partners of two formats or sizes, which enter their distances."""


class RepeatedFramesWarning(UserWarning):
    """A path shows its pictures several times, as a film of a changed frame rate does."""


class LeftOutMeasureWarning(UserWarning):
    """A measure that cannot be compared between the two folders."""


@dataclass(frozen=True)
class MeasuredPath:
    """One path of frames as measured.

    Attributes:
        path: The folder or file.
        files: Names of the files that hold the frames, in the order of the path.
        distances: LPIPS of consecutive frames, a squared distance.
        length: Summary of the distances.
        end_distance: LPIPS of the first frame and the last.
        directness: Distance of the ends over the length of the way, both with roots.
        size: Width and height of the frames as measured, "512x512".
    """

    path: Path
    files: list[str]
    distances: list[float]
    length: PathLength
    end_distance: float
    directness: float
    size: str


@dataclass(frozen=True)
class Partners:
    """The paths of two folders, matched by name without suffix.

    `names` are in both, the files of these names in the same order; the others are in one only.
    """

    treatment: str
    control: str
    names: list[str]
    treatment_files: list[str]
    control_files: list[str]
    only_treatment: list[str]
    only_control: list[str]

    @property
    def paths(self) -> list[Path]:
        """All partners in the first folder, then all in the second."""
        return [
            *(Path(self.treatment, name) for name in self.treatment_files),
            *(Path(self.control, name) for name in self.control_files),
        ]


def measure_path(
    metric: PerceptualMetric,
    path: str | Path,
    settings: ReadSettings = AS_STORED,
    *,
    progress: bool = False,
) -> MeasuredPath:
    """Measure a folder of images, an animation or a film; a batch of frames is in memory.

    Raises:
        FileNotFoundError: Neither a folder nor a file.
        ValueError: Frames that cannot be read or measured, see `read_frames`, or that do not fit
            into memory one by one.
    """
    stored, meter, size = StoredPath(path, settings), PathLengthMeter(metric), ""
    name, hidden = shown_name(stored.path), None if progress else True  # None: not to a file
    bar = tqdm(desc=name, total=stored.count, unit="frame", leave=False, disable=hidden)
    with bar, _enough_memory(name):
        for frames in stored.batches():
            size = f"{frames.shape[2]}x{frames.shape[1]}"
            with naming(name, ValueError):
                meter.update(frames)
            bar.update(len(frames))
    if repeated := repeated_steps(meter.distances):
        warnings.warn(
            f"{name}: {repeated} of {len(meter.distances)} steps repeat the picture before in a "
            "regular pattern, as in a film of a changed frame rate, and make every measure but "
            "end_distance another one; give each picture once",
            RepeatedFramesWarning,
            stacklevel=2,
        )
    return MeasuredPath(
        path=stored.path,
        files=[shown_name(file.name) for file in stored.files],
        distances=meter.distances.tolist(),
        length=meter.compute(),
        end_distance=meter.end_distance,
        directness=directness(meter.distances, meter.end_distance),
        size=size,
    )


def measure_paths(
    metric: PerceptualMetric,
    paths: Sequence[str | Path],
    settings: ReadSettings = AS_STORED,
    *,
    progress: bool = False,
    failed: dict[Path, str] | None = None,
) -> list[MeasuredPath]:
    """Measure several paths.

    With a dictionary `failed`, those that cannot be measured are entered there, each with the
    reason, and the others are returned; without one, the first of them raises what `measure_path`
    does.
    """
    measured = []
    for path in tqdm(paths, unit="path", disable=None if progress else True):
        try:
            measured.append(measure_path(metric, path, settings, progress=progress))
        except (ValueError, OSError) as error:
            if failed is None:
                raise
            failed[Path(path)] = str(error)
    return measured


@contextlib.contextmanager
def _enough_memory(name: str) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        raise ValueError(
            f"{name}: not enough memory for its frames one by one; measure smaller ones "
            "(--resize) or on another device (--device)"
        ) from error


def path_table(paths: Sequence[MeasuredPath]) -> pd.DataFrame:
    """Return one row per path: `path, frames` and the columns of this module's table."""
    rows = [
        {"path": shown_name(measured.path)}
        | asdict(measured.length)
        | {"end_distance": measured.end_distance, "directness": measured.directness}
        for measured in paths
    ]
    return pd.DataFrame(rows).rename(columns={"mean": "ppl"})


def match_partners(first: str | Path, second: str | Path) -> Partners:
    """Match the paths of two folders, which are sub-folders, animations and films, by their names.

    The suffix of a file is no part of its name. Those without a partner are counted and named in a
    `MissingPartnersWarning`.

    Raises:
        FileNotFoundError: One of the two is not a folder.
        ValueError: Fewer than two names are in both, or one is twice in a folder.
    """
    here, there = _paths_by_name(Path(first)), _paths_by_name(Path(second))
    if not here and not there:
        raise ValueError(
            f"neither {first} nor {second} holds folders of images, animations or films, which "
            "are compared by their names; to measure two folders of images leave out --compare"
        )
    names = sorted(here.keys() & there.keys())
    partners = Partners(
        treatment=str(first),
        control=str(second),
        names=names,
        treatment_files=[here[name].name for name in names],
        control_files=[there[name].name for name in names],
        only_treatment=sorted(here[name].name for name in here.keys() - there.keys()),
        only_control=sorted(there[name].name for name in there.keys() - here.keys()),
    )
    lonely = _lonely(partners)
    if len(names) < 2:
        raise ValueError(
            f"{len(names)} names are in both {first} and {second}, and a paired "
            f"comparison needs two or more; {lonely or 'none is alone'}. Give the two paths of "
            "a pair the same name"
        )
    if lonely:
        warnings.warn(
            f"left out, without a partner: {lonely}", MissingPartnersWarning, stacklevel=2
        )
    return partners


def compare_paths(
    treatment: Sequence[MeasuredPath], control: Sequence[MeasuredPath], rng: np.random.Generator
) -> pd.DataFrame:
    """Compare two methods over the same pairs of prompts, measure by measure.

    Directness is not among the measures: where the ends agree it is the inverse of `root_sum`.
    A measure is left out, with a `LeftOutMeasureWarning`, if there is no relative improvement
    over the control; partners of two formats or sizes are named in an `UnlikePartnersWarning`.
    There is a path of each method for each pair, in the same order; `rng` is the source of the
    bootstrap resamples.

    Returns:
        One row per measure: `measure`, the two medians, the fields of
        `statistics.PairedComparison`, positive where the treatment is lower, and `holm`, the
        p-value corrected for the number of measures: choose one measure beforehand, or use this.

    Raises:
        ValueError: Unequal numbers of paths, fewer than two, two partners of unequal numbers of
            frames, or no measure that can be compared.
    """
    if len(treatment) != len(control) or len(treatment) < 2:
        raise ValueError(
            f"{len(treatment)} and {len(control)} paths are to be compared; give two or more "
            "pairs of paths"
        )
    _check_alike(treatment, control)
    a, b = path_table(treatment), path_table(control)
    rows = {}
    for measure in LESS_IS_BETTER:
        try:
            found = paired_comparison(a[measure].to_numpy(), b[measure].to_numpy(), rng)
        except ValueError as error:
            warnings.warn(f"not compared: {measure}: {error}", LeftOutMeasureWarning, stacklevel=2)
            continue
        medians = {"median_treatment": a[measure].median(), "median_control": b[measure].median()}
        rows[measure] = {"measure": measure} | medians | asdict(found)
    if not rows:
        raise ValueError(f"the {len(a)} pairs of paths can be compared in no measure")
    corrected = holm({measure: row["p_value"] for measure, row in rows.items()})
    return pd.DataFrame(list(rows.values())).assign(holm=list(corrected.values()))


def provenance(metric: PerceptualMetric, settings: ReadSettings) -> dict[str, str]:
    """Return what the numbers depend on besides the frames, and when they were computed."""
    return {
        "net": metric.net,
        "revision": metric.revision,
        "device": metric.device,
        "resized": "x".join(map(str, settings.resize or ("no",))),
        "background": settings.background or "none",
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        **library_versions(*LIBRARIES),
    }


def write_csv(
    path: Path,
    metric: PerceptualMetric,
    paths: Sequence[MeasuredPath],
    settings: ReadSettings = AS_STORED,
) -> None:
    """Write the table of the paths; every row repeats the provenance, so that tables add up."""
    sizes = [measured.size for measured in paths]
    table = path_table(paths).assign(size=sizes, **provenance(metric, settings))
    write_whole(path, table.to_csv(index=False, lineterminator="\n").encode())


def write_json(
    path: Path,
    metric: PerceptualMetric,
    paths: Sequence[MeasuredPath],
    settings: ReadSettings = AS_STORED,
    *,
    failed: Mapping[Path, str] | None = None,
    comparison: dict[str, object] | None = None,
) -> None:
    """Write provenance, every path with its files and distances, failures, and the comparison."""
    rows = path_table(paths).to_dict("records")
    report: dict[str, object] = {
        "provenance": provenance(metric, settings),
        "paths": [
            {**row, "size": m.size, "files": m.files, "distances": m.distances}
            for row, m in zip(rows, paths, strict=True)
        ],
        "failed": {shown_name(path): reason for path, reason in (failed or {}).items()},
    }
    if comparison is not None:
        report["comparison"] = comparison
    write_whole(path, (json.dumps(report, indent=1) + "\n").encode())


def measured_pairs(
    partners: Partners, paths: Sequence[MeasuredPath]
) -> tuple[list[MeasuredPath], list[MeasuredPath]]:
    """Return the partners of which both were measured, those of each folder in the same order."""
    found = {measured.path: measured for measured in paths}
    half = len(partners.names)
    pairs = zip(partners.paths[:half], partners.paths[half:], strict=True)
    both = [(found[a], found[b]) for a, b in pairs if a in found and b in found]
    return [a for a, _ in both], [b for _, b in both]


def comparison_record(partners: Partners, seed: int, table: pd.DataFrame) -> dict[str, object]:
    """Return a comparison as JSON values: what was compared, from which seed, and the table."""
    return asdict(partners) | {"seed": seed, "measures": table.to_dict("records")}


def check_outputs(csv: Path | None, json: Path | None) -> None:
    """See that the two files can be written, and replace nothing but earlier ones of their kind.

    Raises:
        ValueError: One is a folder, a link or a pipe, or holds something else, or both are one.
        ResultsFolderError: The folder cannot be written.
    """
    if csv is not None and json is not None and csv.resolve() == json.resolve():
        raise ValueError(f"{csv} is named for both the CSV and the JSON; name two files")
    for file, beginning in ((csv, CSV_BEGINS), (json, JSON_BEGINS)):
        if file is None:
            continue
        if file.is_dir():
            raise ValueError(f"{file} is a folder; name the file to write")
        if file.is_symlink() or (file.exists() and not file.is_file()):
            raise ValueError(f"{file} is a link or a pipe, which is not written to; name a file")
        if file.exists() and not beginning.startswith(_begins(file, len(beginning))):
            raise ValueError(
                f"{file} is there and is no earlier output of this kind; name another file"
            )
        make_folder(file.parent)


def _begins(file: Path, length: int) -> bytes:
    with file.open("rb") as content:
        return content.read(length)


def _paths_by_name(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder.absolute()} is not a folder of paths to compare")
    found: dict[str, Path] = {}
    for entry in filter(is_path, sorted(folder.iterdir())):
        name = entry.name if entry.is_dir() else entry.stem
        if name in found:
            raise ValueError(
                f"{entry.name} and {found[name].name} of {folder} have one name; keep one of them"
            )
        found[name] = entry
    return found


def _lonely(partners: Partners) -> str:
    """Count and name the paths that are in one folder only."""
    alone = {partners.treatment: partners.only_treatment, partners.control: partners.only_control}
    return "; ".join(
        f"{len(names)} only in {folder}: {', '.join(names[:NAMED])}"
        + (" ..." if len(names) > NAMED else "")
        for folder, names in alone.items()
        if names
    )


def _check_alike(treatment: Sequence[MeasuredPath], control: Sequence[MeasuredPath]) -> None:
    """Refuse partners of unequal numbers of frames, in which no measure can be compared.

    Other unlikeness only makes the distances larger or smaller, and is warned of.
    """
    pairs = list(zip(treatment, control, strict=True))
    unequal = [pair for pair in pairs if pair[0].length.frames != pair[1].length.frames]
    unlike = [
        (a, b)
        for a, b in pairs
        if (a.path.suffix.lower(), a.size) != (b.path.suffix.lower(), b.size)
    ]
    if unequal:
        (a, n), (b, m) = ((shown_name(each.path), each.length.frames) for each in unequal[0])
        grid = np.gcd.reduce([each.length.frames - 1 for pair in pairs for each in pair]) + 1
        raise ValueError(
            f"{len(unequal)} of {len(pairs)} pairs have unequal numbers of frames, such as {a} "
            f"({n}) and {b} ({m}), and every measure depends on that number; give both as many"
            + (f", or take {grid} of each (--frames {grid})" if grid > 2 else "")
        )
    if unlike:
        a, b = (f"{shown_name(each.path)} ({each.size})" for each in unlike[0])
        warnings.warn(
            f"{len(unlike)} pairs differ in format or size, such as {a} and {b}, which changes "
            "their distances; write one format, and resize (--resize)",
            UnlikePartnersWarning,
            stacklevel=3,
        )
