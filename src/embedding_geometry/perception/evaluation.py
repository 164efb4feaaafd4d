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
equal n (see `path_length` and `partners`).
"""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from embedding_geometry.ground.devices import lacks_memory
from embedding_geometry.ground.disk import naming
from embedding_geometry.perception.frames import (
    AS_STORED,
    ReadSettings,
    StoredPath,
    shown_name,
)
from embedding_geometry.perception.metric import PathLengthMeter, PerceptualMetric
from embedding_geometry.perception.path_length import PathLength, directness, repeated_steps


class RepeatedFramesWarning(UserWarning):
    """A path shows its pictures several times, as a film of a changed frame rate does."""


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
