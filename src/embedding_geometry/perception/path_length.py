r"""How long a path of frames is to the eye, from the perceptual distances of its steps.

LPIPS (see `metric`) is a *squared* distance. Where a smooth path is cut into n - 1 steps each
distance shrinks like $1/(n-1)^2$, so a mean of them says nothing without n. `PathLength` therefore
carries, beside the mean that the poster calls PPL, two quantities that converge as a *smooth* path
is cut finer: ``scaled_mean`` and ``root_sum``. Where the picture jumps, the first grows like
n - 1 and the second creeps up, and the Gini coefficient rises. No measure of the steps is free of
n, so paths are compared at equal n. The PPL of StyleGAN (Karras et al.,
CVPR 2019: $d / \epsilon^2$ at $\epsilon = 10^{-4}$, with VGG) shares the name only.

A path may also show fewer pictures than it has frames: see `repeats`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from embedding_geometry.ground.types import ArrayLike, host_array


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
    steps = check_distances(distances)
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
    way, straight = (
        np.sqrt(check_distances(d)).sum() for d in (distances, np.array([end_distance]))
    )
    return 1.0 if way == 0 else float(straight / way)


def check_distances(distances: ArrayLike) -> Float[np.ndarray, " steps"]:
    """Return the distances in float64, or say why they are none of a path."""
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
