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

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from embedding_geometry.ground.disk import write_whole
from embedding_geometry.ground.machine import library_versions
from embedding_geometry.perception.frames import (
    ANIMATIONS,
    FILMS,
    frame_batches,
    frame_files,
    is_named,
)
from embedding_geometry.perception.metric import PathLengthMeter, PerceptualMetric
from embedding_geometry.perception.path_length import PathLength, directness
from embedding_geometry.statistics.paired import holm, paired_comparison

LESS_IS_BETTER = ("ppl", "total", "scaled_mean", "root_sum", "gini", "maximum_step", "variance")
LIBRARIES = ("lpips", "torch", "torchvision", "pillow", "av")
NAMED = 10  # as many missing partners are named in a warning; the JSON file has them all


class MissingPartnersWarning(UserWarning):
    """Paths of one folder that have no namesake in the other are left out of the comparison."""


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
    """

    path: Path
    files: list[str]
    distances: list[float]
    length: PathLength
    end_distance: float
    directness: float


@dataclass(frozen=True)
class Partners:
    """The paths of two folders, matched by name: `names` in both, the others in one only."""

    treatment: str
    control: str
    names: list[str]
    only_treatment: list[str]
    only_control: list[str]

    @property
    def paths(self) -> list[Path]:
        """All partners in the first folder, then all in the second."""
        return [Path(each, name) for each in (self.treatment, self.control) for name in self.names]


def measure_path(metric: PerceptualMetric, path: str | Path) -> MeasuredPath:
    """Measure a folder of images, an animation or a film; a batch of frames is in memory.

    Raises:
        FileNotFoundError: Neither a folder nor a file.
        ValueError: Frames that cannot be read or measured; see `read_frames`.
    """
    meter = PathLengthMeter(metric)
    for frames in frame_batches(path):
        try:
            meter.update(frames)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return MeasuredPath(
        path=Path(path),
        files=[file.name for file in frame_files(path)],
        distances=meter.distances.tolist(),
        length=meter.compute(),
        end_distance=meter.end_distance,
        directness=directness(meter.distances, meter.end_distance),
    )


def measure_paths(
    metric: PerceptualMetric, paths: Sequence[str | Path], *, progress: bool = False
) -> list[MeasuredPath]:
    """Measure several paths; one that is missing or of another kind is named before the first.

    Raises what `measure_path` does.
    """
    for path in paths:
        frame_files(path)
    bar = tqdm(paths, unit="path", disable=None if progress else True)  # None: not to a file
    return [measure_path(metric, path) for path in bar]


def path_table(paths: Sequence[MeasuredPath]) -> pd.DataFrame:
    """Return one row per path: `path, frames` and the columns of this module's table."""
    rows = [
        {"path": str(measured.path)}
        | asdict(measured.length)
        | {"end_distance": measured.end_distance, "directness": measured.directness}
        for measured in paths
    ]
    return pd.DataFrame(rows).rename(columns={"mean": "ppl"})


def match_partners(first: str | Path, second: str | Path) -> Partners:
    """Match the paths of two folders, which are sub-folders, animations and films, by their names.

    Those without a partner are counted and named in a `MissingPartnersWarning`.

    Raises:
        FileNotFoundError: One of the two is not a folder.
        ValueError: Fewer than two names are in both.
    """
    first, second = Path(first), Path(second)
    here, there = _names_of_paths(first), _names_of_paths(second)
    names = (sorted(part) for part in (here & there, here - there, there - here))
    partners = Partners(str(first), str(second), *names)
    if not here and not there:
        raise ValueError(
            f"neither {first} nor {second} holds folders of images, animations or films, which "
            "are compared by their names; to measure two folders of images leave out --compare"
        )
    lonely = _lonely(partners)
    if len(partners.names) < 2:
        raise ValueError(
            f"{len(partners.names)} names are in both {first} and {second}, and a paired "
            f"comparison needs two or more; {lonely or 'none is alone'}. Give the two paths of "
            "a pair the same name, suffix included"
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
    over the control. There is a path of each method for each pair, in the same order; `rng` is
    the source of the bootstrap resamples.

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
    a, b = path_table(treatment), path_table(control)
    _check_frames_agree(a, b)
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


def provenance(metric: PerceptualMetric) -> dict[str, str]:
    """Return what the numbers depend on besides the frames, and when they were computed."""
    return {
        "net": metric.net,
        "revision": metric.revision,
        "device": metric.device,
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        **library_versions(*LIBRARIES),
    }


def write_csv(path: Path, metric: PerceptualMetric, paths: Sequence[MeasuredPath]) -> None:
    """Write the table of the paths; every row repeats the provenance, so that tables add up."""
    table = path_table(paths).assign(**provenance(metric))
    write_whole(path, table.to_csv(index=False, lineterminator="\n").encode())


def write_json(
    path: Path,
    metric: PerceptualMetric,
    paths: Sequence[MeasuredPath],
    comparison: dict[str, object] | None = None,
) -> None:
    """Write provenance, every path with its files and distances, and the comparison if any."""
    rows = path_table(paths).to_dict("records")
    report: dict[str, object] = {
        "provenance": provenance(metric),
        "paths": [
            {**row, "files": measured.files, "distances": measured.distances}
            for row, measured in zip(rows, paths, strict=True)
        ],
    }
    if comparison is not None:
        report["comparison"] = comparison
    write_whole(path, (json.dumps(report, indent=1) + "\n").encode())


def comparison_record(partners: Partners, seed: int, table: pd.DataFrame) -> dict[str, object]:
    """Return a comparison as JSON values: what was compared, from which seed, and the table."""
    return asdict(partners) | {"seed": seed, "measures": table.to_dict("records")}


def _names_of_paths(folder: Path) -> set[str]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder.absolute()} is not a folder of paths to compare")
    return {
        entry.name
        for entry in folder.iterdir()
        if is_named(entry, ANIMATIONS | FILMS)
        or (entry.is_dir() and not entry.name.startswith("."))
    }


def _lonely(partners: Partners) -> str:
    """Count and name the paths that are in one folder only."""
    alone = {partners.treatment: partners.only_treatment, partners.control: partners.only_control}
    return "; ".join(
        f"{len(names)} only in {folder}: {', '.join(names[:NAMED])}"
        + (" ..." if len(names) > NAMED else "")
        for folder, names in alone.items()
        if names
    )


def _check_frames_agree(a: pd.DataFrame, b: pd.DataFrame) -> None:
    """Refuse partners of unequal numbers of frames, in which no measure can be compared."""
    unequal = np.flatnonzero(a["frames"] != b["frames"])
    if not unequal.size:
        return
    first, second = (table.iloc[unequal[0]] for table in (a, b))
    raise ValueError(
        f"{unequal.size} of {len(a)} pairs have unequal numbers of frames, such as "
        f"{first['path']} ({first['frames']}) and {second['path']} ({second['frames']}), and "
        "every measure depends on that number; give both methods as many frames"
    )
