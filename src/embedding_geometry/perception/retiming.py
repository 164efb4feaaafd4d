r"""Re-timing a path of pictures: the same way, walked in equal perceptual steps.

Equally spaced times are not equally spaced pictures: a path may stand still for half of its time
and change within one step. Re-timing keeps the path and its ends and moves the times between, so
that consecutive frames are equally far apart, as DiffMorpher (Zhang et al., CVPR 2024, "uniform
sampling") and IMPUS (Yang et al., ICLR 2024) do.

LPIPS is a *squared* distance and does not add up along a path; its root obeys the triangle
inequality. So the length walked until frame k is estimated by

.. math:: s_k = \sum_{i < k} \sqrt{\delta_i},

with :math:`\delta_i` the LPIPS of frames i and i + 1, and the time at which a given length has
been walked by monotone, piecewise linear interpolation of the points :math:`(s_k, t_k)`. Frames at
the new times make the estimate better where the path is fast, and the next round starts from all
frames known so far; none is rendered twice.

Two limits. Like that of a coastline, the length found grows with the fineness of the ruler:
pieces cut more finely count for a little more, so that the steps become nearly equal and not
quite. And where the picture jumps, one step remains as large as the jump, whatever the times.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from embedding_geometry.ground.types import Frames, Times

Distances = Float[np.ndarray, " t-1"]


@dataclass(frozen=True)
class Timing:
    """A path at chosen times.

    Attributes:
        times: increasing times (t,); the first and the last are the ends of the path.
        distances: perceptual distances (t - 1,) of consecutive frames, LPIPS or another square.
        extra: number of frames that were rendered to find the times, beyond the first t.
    """

    times: Times
    distances: Distances
    extra: int


class KnownFrames:
    """The frames of one path by their times, each rendered when it is first asked for."""

    def __init__(self, frames_at: Callable[[Times], Frames]) -> None:
        """Begin with no frame; `frames_at` renders the frames at given times."""
        self._frames_at = frames_at
        self._frames: dict[float, np.ndarray] = {}

    def __call__(self, times: Times) -> Frames:
        """Return the frames at the times, and render those that are new in one call."""
        missing = [time for time in times.tolist() if time not in self._frames]
        if missing:
            frames = self._frames_at(np.array(missing))
            self._frames.update(zip(missing, frames, strict=True))
        return np.stack([self._frames[time] for time in times.tolist()])


def equal_step_times(
    times: Times, distances: Distances, count: int
) -> Float[np.ndarray, " count"]:
    """Times that divide a path into steps of equal perceptual length.

    Args:
        times: times (t,) at which the path is known, increasing, at least three.
        distances: squared perceptual distances (t - 1,) of consecutive frames, such as LPIPS.
        count: number of times wanted, at least three.

    Returns:
        Times (count,) with the same ends. On a path that stands still all timings are equally
        good, and they are equally spaced.

    Raises:
        ValueError: Fewer than three frames are known or wanted, times that do not increase,
            another number of distances, or one that is negative, NaN or infinite.
    """
    times, distances = _check_known(times, distances)
    _check_count(count)
    walked = np.concatenate([[0.0], np.cumsum(np.sqrt(distances))])
    if walked[-1] == 0:
        return np.linspace(times[0], times[-1], count)
    # a rest is a tie in `walked`; lengths before and after it are found on its own sides
    new = np.interp(np.linspace(0.0, walked[-1], count), walked, times)
    new[[0, -1]] = times[[0, -1]]
    return new


def retime(distances_at: Callable[[Times], Distances], count: int, rounds: int) -> list[Timing]:
    """Find times between 0 and 1 at which the frames of a path are equally far apart.

    Args:
        distances_at: gives the squared perceptual distances of consecutive frames at any
            increasing times, for instance those of `KnownFrames`.
        count: number of frames of the path, at least three, its ends included.
        rounds: how often the times are improved. Each round renders at most count - 2 frames.

    Returns:
        The timing before the first round, which is equally spaced, and after each round. There
        are fewer rounds where two times can no longer be told apart, as at a jump.

    Raises:
        ValueError: Fewer than three frames or no round are wanted, or `distances_at` returns
            another number of distances, negative ones, NaN or infinity.
    """
    _check_count(count)
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}; 1 or more are wanted, 2 are mostly enough")
    known = times = np.linspace(0.0, 1.0, count)
    timings = [Timing(times, _check_known(times, distances_at(times))[1], extra=0)]
    for _ in range(rounds):
        times = equal_step_times(known, distances_at(known), count)
        if (np.diff(times) <= 0).any():
            break
        known = np.union1d(known, times)
        distances = _check_known(times, distances_at(times))[1]
        timings.append(Timing(times, distances, extra=len(known) - count))
    return timings


def _check_count(count: int) -> None:
    if count < 3:
        raise ValueError(
            f"{count} frames are wanted; a path has 3 or more, for its two ends do not move"
        )


def _check_known(times: np.ndarray, distances: np.ndarray) -> tuple[Times, Distances]:
    """Both in float64, once they are known to describe a path."""
    times, distances = np.asarray(times, np.float64), np.asarray(distances, np.float64)
    if times.ndim != 1 or len(times) < 3 or distances.shape != (len(times) - 1,):
        raise ValueError(
            f"a path is known at 3 times or more, with one distance fewer; got times of shape "
            f"{times.shape} and distances of shape {distances.shape}"
        )
    if not (np.diff(times) > 0).all():
        raise ValueError(
            f"times increase along a path; got {times.tolist()}: sort them, once each"
        )
    if not (np.isfinite(distances) & (distances >= 0)).all():
        raise ValueError(
            f"perceptual distances are finite and at least 0; got {distances.tolist()}: look for "
            "NaN in the frames, and give distances, not their logarithms or differences"
        )
    return times, distances
