r"""How long a path of frames is to the eye, from the perceptual distances of its steps.

LPIPS (see `metric`) is a *squared* distance. Where a smooth path is cut into n - 1 steps each
distance shrinks like $1/(n-1)^2$, so a mean of them says nothing without n. `PathLength` therefore
carries, beside the mean that the poster calls PPL, two quantities that converge as a *smooth* path
is cut finer: ``scaled_mean`` and ``root_sum``. Where the picture jumps, the first grows like
n - 1 and the second creeps up, and the Gini coefficient rises. No measure of the steps is free of
n, so paths are compared at equal n. The PPL of StyleGAN (Karras et al.,
CVPR 2019: $d / \epsilon^2$ at $\epsilon = 10^{-4}$, with VGG) shares the name only.

A path may also show fewer pictures than it has frames: `distinct_frames` counts them.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from embedding_geometry.ground.types import ArrayLike, Frames, host_array

LONGEST_PATTERN = 12  # steps, enough to make 25 frames a second of 12
HELD_SHARE = 0.1  # of the least real step, which repeated pictures stay below when compressed


@dataclass(frozen=True)
class PathLength:
    r"""How long a path of n frames is to the eye, and how evenly it is walked.

    Attributes:
        frames: n.
        mean: the poster's PPL, the mean distance of consecutive frames; compare at equal n only.
        total: the sum of the distances.
        scaled_mean: $(n-1)^2$ times the mean, StyleGAN's convention on the grid of frames.
        root_sum: $\sum \sqrt{d}$, a length.
        gini: Gini coefficient of the steps, 0 for even steps, towards 1 for a single jump.
        maximum_step: the largest distance.
        variance: mean squared deviation of the n - 1 distances from their mean.
    """

    frames: int
    mean: float
    total: float
    scaled_mean: float
    root_sum: float
    gini: float
    maximum_step: float
    variance: float


def perceptual_path_length(distances: Float[np.ndarray, " steps"] | ArrayLike) -> PathLength:
    """Summarise the consecutive distances of a path; a path that stands still has length 0.

    Raises:
        ValueError: no distance, or one that is negative or not finite.

    Examples:
        >>> length = eg.perceptual_path_length(np.array([0.25, 0.75]))
        >>> length.frames, length.mean, length.total, length.maximum_step
        (3, 0.5, 1.0, 0.75)
    """
    steps = _checked(distances)
    return PathLength(
        frames=steps.size + 1,
        mean=float(steps.mean()),
        total=float(steps.sum()),
        scaled_mean=float(steps.size**2 * steps.mean()),
        root_sum=float(np.sqrt(steps).sum()),
        gini=_gini(steps),
        maximum_step=float(steps.max()),
        variance=float(steps.var()),
    )


def directness(distances: Float[np.ndarray, " steps"] | ArrayLike, end_distance: float) -> float:
    r"""Return how straight a path goes from its first frame to its last.

    With d for LPIPS, it is $\sqrt{d(F_1, F_n)} / \sum_k \sqrt{d(F_k, F_{k+1})}$, the distance of
    the ends over the length of the way. With the roots, which are distances, it lies between 0
    (back where it started) and 1 (straight, or standing still); with d itself, which is squared,
    an even straight path would have n - 1. Two frames always make 1.

    Raises:
        ValueError: no distance, or one that is negative or not finite.
    """
    way, straight = (np.sqrt(_checked(d)).sum() for d in (distances, np.array([end_distance])))
    return 1.0 if way == 0 else float(straight / way)


def repeated_steps(distances: Float[np.ndarray, " steps"]) -> int:
    """Count the steps of a path that repeat a picture in a regular pattern; 0 if there is none.

    A film that was brought to another frame rate shows its pictures two or three times, or every
    fifth one twice. A pattern of up to 12 steps is looked for, which recurs at least three times
    and in which the steps at some places are all less than a tenth of those at the other places.
    """
    steps = _checked(distances)
    for period in range(2, min(LONGEST_PATTERN, steps.size // 3) + 1):
        places = sorted((steps[k::period] for k in range(period)), key=np.max)
        for held in range(1, period):
            lowest = min(float(place.min()) for place in places[held:])
            if places[held - 1].max() < HELD_SHARE * lowest:
                return sum(place.size for place in places[:held])
    return 0


def distinct_frames(frames: Frames | ArrayLike, tolerance: int = 0) -> int:
    """Count the different pictures among frames (t, h, w, 3) of bytes, equal in every byte or not.

    Bytes that differ by no more than the tolerance count as equal: with 1, pictures that a network
    made twice, in batches of other sizes, are one.

    Raises:
        ValueError: frames of another kind.
    """
    frames = host_array(frames, "frames")
    if frames.dtype != np.uint8 or frames.ndim != 4:
        raise ValueError(
            f"frames are {frames.dtype} of shape {frames.shape}; uint8 of shape "
            "(frames, height, width, 3) is wanted"
        )
    different: list[np.ndarray] = []
    for frame in frames.astype(int):
        if all(np.abs(frame - other).max(initial=0) > tolerance for other in different):
            different.append(frame)
    return len(different)


def fingerprints(frames: Frames) -> set[bytes]:
    """The SHA-256 of every different picture, by which pictures that are gone are known again."""
    return {hashlib.sha256(frame.tobytes()).digest() for frame in frames}


def _checked(distances: ArrayLike) -> Float[np.ndarray, " steps"]:
    steps = host_array(distances, "distances").astype(np.float64)
    if steps.size == 0 or not np.isfinite(steps).all() or steps.min() < 0:
        raise ValueError(f"at least one distance, finite and >= 0, is wanted, not {steps}")
    return steps


def _gini(steps: Float[np.ndarray, " steps"]) -> float:
    """Return the mean absolute difference of two steps over twice their mean."""
    if steps.max() == 0:
        return 0.0
    gaps = np.abs(steps[:, None] - steps[None, :])
    return float(gaps.mean() / (2 * steps.mean()))
