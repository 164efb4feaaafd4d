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

Where a folder of reference pictures is given, the inner frames of every path are held against it
(see `fidelity`): a column ``realism`` is the median over a path's inner frames, and the kernel
distance is one number for all paths.
"""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from embedding_geometry.ground.devices import lacks_memory
from embedding_geometry.ground.disk import naming
from embedding_geometry.ground.types import Frames, Random
from embedding_geometry.perception.fidelity import (
    NEIGHBOURS,
    Features,
    Reference,
    kernel_distance,
    picture_features,
    realism,
)
from embedding_geometry.perception.frames import (
    AS_STORED,
    ReadSettings,
    StoredPath,
    displayed_pictures,
    folder_images,
    shown_name,
    size_text,
)
from embedding_geometry.perception.metric import PathLengthMeter, PerceptualMetric
from embedding_geometry.perception.path_length import PathLength, directness
from embedding_geometry.perception.repeats import fingerprints, repeated_steps
from embedding_geometry.statistics.estimates import Interval, median_interval


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
        distinct: How many different pictures the frames are.
        inner: Features of the frames between the ends; None without a reference.
        realism: Realism of each of these; None without a reference.
    """

    path: Path
    files: list[str]
    distances: list[float]
    length: PathLength
    end_distance: float
    directness: float
    size: str
    distinct: int
    inner: Features | None = None
    realism: list[float] | None = None


@dataclass(frozen=True)
class StoredReference:
    """A folder of pictures that inner frames are to be like, as read by a network.

    Attributes:
        path: The folder.
        metric: The network that reads its pictures, and the frames.
        size: Width and height of the pictures as read, which are those of the frames.
        known: What is to be known of the pictures.
    """

    path: Path
    metric: PerceptualMetric
    size: str
    known: Reference

    def features_of(self, frames: Frames) -> Features:
        """Features of frames (t, h, w, 3); a ValueError if they have another size."""
        if size_text(frames) != self.size:
            raise ValueError(
                f"its frames have {size_text(frames)} pixels and the pictures of the reference "
                f"{self.path} have {self.size}; resize both (--resize)"
            )
        return picture_features(self.metric, frames)


@dataclass(frozen=True)
class Fidelity:
    """How like a reference the inner frames of several paths are.

    Attributes:
        paths: The folders and files.
        realism: Median over the paths of the median realism of their inner frames.
        realism_interval: Bootstrap interval of `realism` over the paths; None for a single path.
        kid: Kernel distance of all inner frames, from pairs of different paths.
        kid_interval: Its interval over paths and reference pictures. Both are None for fewer than
            three paths.
    """

    paths: list[str]
    realism: float
    realism_interval: Interval | None
    kid: float | None
    kid_interval: Interval | None


def read_reference(
    metric: PerceptualMetric,
    folder: str | Path,
    settings: ReadSettings = AS_STORED,
    *,
    progress: bool = False,
) -> StoredReference:
    """Read a folder of reference pictures, one at a time, in whatever order; see `measure_path`.

    Args:
        metric: The network that reads them; published numbers are those of ``load_metric("vgg")``.
        folder: Images as of a path, at least four and better a hundred.
        settings: How they are read; `frames` is for paths alone.
        progress: Whether to show a bar.

    Raises:
        FileNotFoundError: Not a folder.
        ValueError: Too few images, images of different sizes, or what `displayed_pictures`
            and `Reference.of` refuse.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder.absolute()} is not a folder of reference pictures")
    remedy = (
        f"a reference has {NEIGHBOURS + 1} pictures or more, better a hundred, and in one folder"
    )
    files, features, size = folder_images(folder, NEIGHBOURS + 1, remedy), [], ""
    hidden, seen = None if progress else True, displayed_pictures(files, settings)
    bar = tqdm(seen, shown_name(folder), len(files), leave=False, unit="picture", disable=hidden)
    for file, _, picture in bar:
        frames = picture[None]
        size = size or size_text(frames)
        if size_text(frames) != size:
            raise ValueError(
                f"{file} has {size_text(frames)} pixels and others of the reference have {size}; "
                "resize all (--resize)"
            )
        with naming(str(file), ValueError), _enough_memory(str(file)):
            features.append(picture_features(metric, frames))
    known = Reference.of(np.concatenate(features), shown_name(folder))
    return StoredReference(folder, metric, size, known)


def measure_path(
    metric: PerceptualMetric,
    path: str | Path,
    settings: ReadSettings = AS_STORED,
    *,
    reference: StoredReference | None = None,
    progress: bool = False,
) -> MeasuredPath:
    """Measure a folder of images, an animation or a film; a batch of frames is in memory.

    With a reference, what is between the first frame and the last is held against it.

    Raises:
        FileNotFoundError: Neither a folder nor a file.
        ValueError: Frames that cannot be read or measured, see `read_frames`, or that do not fit
            into memory one by one; with a reference also frames of another size than its
            pictures, or none between the ends.
    """
    stored, meter, size = StoredPath(path, settings), PathLengthMeter(metric), ""
    seen: set[bytes] = set()
    features: list[Features] = []
    name, hidden = shown_name(stored.path), None if progress else True  # None: not to a file
    bar = tqdm(desc=name, total=stored.count, unit="frame", leave=False, disable=hidden)
    with bar, _enough_memory(name):
        for frames in stored.batches():
            size = size_text(frames)
            with naming(name, ValueError):
                meter.update(frames)
                if reference is not None:
                    features.append(reference.features_of(frames))
            seen |= fingerprints(frames)
            bar.update(len(frames))
    _report_repeated(name, meter.distances)
    inner, realisms = None, None
    if reference is not None:
        inner = np.concatenate(features)[1:-1]
        if not len(inner):
            raise ValueError(
                f"{name} has no frame between its ends, which fidelity (--fidelity) is about; "
                "give three frames or more"
            )
        realisms = realism(inner, reference.known).tolist()
    return MeasuredPath(
        path=stored.path,
        files=[shown_name(file.name) for file in stored.files],
        distances=meter.distances.tolist(),
        length=meter.compute(),
        end_distance=meter.end_distance,
        directness=directness(meter.distances, meter.end_distance),
        size=size,
        distinct=len(seen),
        inner=inner,
        realism=realisms,
    )


def _report_repeated(name: str, distances: Float[np.ndarray, " steps"]) -> None:
    if repeated := repeated_steps(distances):
        warnings.warn(
            f"{name}: {repeated} of {len(distances)} steps repeat the picture before in a "
            "regular pattern, as in a film of a changed frame rate, and make every measure but "
            "end_distance another one; give each picture once",
            RepeatedFramesWarning,
            stacklevel=3,
        )


def measure_paths(
    metric: PerceptualMetric,
    paths: Sequence[str | Path],
    settings: ReadSettings = AS_STORED,
    *,
    reference: StoredReference | None = None,
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
            measured.append(
                measure_path(metric, path, settings, reference=reference, progress=progress)
            )
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


def path_fidelity(
    paths: Sequence[MeasuredPath], reference: StoredReference, rng: Random
) -> Fidelity:
    """Say how like the reference the inner frames of all these paths together are.

    Args:
        paths: At least one, all measured with this reference.
        reference: As given to `measure_paths`.
        rng: Source of the bootstrap resamples of realism, or its seed.

    Raises:
        ValueError: No path, or one that was measured without a reference.
    """
    inner = [measured.inner for measured in paths if measured.inner is not None]
    if not inner or len(inner) < len(paths):
        raise ValueError(
            f"{len(inner)} of {len(paths)} paths were measured with a reference; fidelity is "
            "that of one path or more, all measured with it (measure_paths(..., reference=...))"
        )
    realisms = (measured.realism for measured in paths if measured.realism is not None)
    medians = np.array([np.median(each) for each in realisms])
    groups = np.repeat(np.arange(len(inner)), [len(features) for features in inner])
    kid = (
        kernel_distance(np.concatenate(inner), reference.known, groups) if len(inner) > 2 else None
    )
    return Fidelity(
        paths=[shown_name(measured.path) for measured in paths],
        realism=float(np.median(medians)),
        realism_interval=median_interval(medians, rng) if len(inner) > 1 else None,
        kid=kid.value if kid else None,
        kid_interval=kid.interval if kid else None,
    )
