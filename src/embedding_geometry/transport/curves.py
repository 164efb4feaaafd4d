r"""Curves that the tokens of a cloud follow to their goals: straight lines and great circles.

A curve is a function ``(x, goal, times) -> path``: row i of the cloud x (n, d) is at its own place
at time 0 and at row i of the goal (n, d) at time 1. Which token of a second cloud that is, a
coupling says. Both are finite; times (t,) that leave [0, 1] are a ValueError.
"""

import numpy as np

from embedding_geometry.ground.types import ArrayLike, Cloud, CloudPath, Times, real_array

ALIGNED = 1e-8  # sine of the angle below which two directions span no plane


def straight(x: Cloud, goal: Cloud, times: ArrayLike) -> CloudPath:
    """Straight line of every row, at constant speed: ``(1 - t) x + t goal``."""
    t = check_times(times)[:, None, None]
    return (1 - t) * x + t * goal


def great_circle(x: Cloud, goal: Cloud, times: ArrayLike) -> CloudPath:
    r"""Spherical linear interpolation of every row to its goal.

    Shoemake 1985, *Animating rotation with quaternion curves*, section 3.3: between unit vectors
    u and v at the angle :math:`\theta`,

    .. math:: \frac{\sin (1 - t) \theta}{\sin \theta}\, u + \frac{\sin t \theta}{\sin \theta}\, v
              = \cos(t \theta)\, u + \sin(t \theta)\, w,

    with w the unit vector of v's part across u; the right-hand side is what is computed. Rows are
    no unit vectors: the direction turns at constant speed and the norm goes linearly from that of
    x to that of the goal.

    Where no great circle is defined: parallel rows keep their direction. Opposite rows turn
    through the coordinate axis that is most nearly across them, the first of several. A zero row
    has no direction and takes the other's, which makes the way straight.
    """
    t = check_times(times)[:, None, None]
    x, y = np.asarray(x, np.float64), np.asarray(goal, np.float64)
    norms_x, norms_y = (np.linalg.norm(each, axis=1, keepdims=True) for each in (x, y))
    u, v = directions(x), directions(y)
    u, v = np.where(norms_x > 0, u, v), np.where(norms_y > 0, v, u)
    along = (u * v).sum(axis=1, keepdims=True)
    across = v - along * u
    angle = np.arctan2(np.linalg.norm(across, axis=1, keepdims=True), along)
    opposite = (np.sin(angle) < ALIGNED) & (along < 0)
    w = directions(np.where(opposite, _axes_across(u), across))
    return ((1 - t) * norms_x + t * norms_y) * (np.cos(t * angle) * u + np.sin(t * angle) * w)


def directions(x: Cloud) -> Cloud:
    """Every row divided by its norm; a zero row stays zero."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, norms, out=np.zeros(x.shape), where=norms > 0)


def check_times(times: ArrayLike) -> Times:
    """Return the times in float64, or say why they are not times on a path."""
    times = real_array(times, "times", finite=False)  # NaN lies nowhere between 0 and 1
    if times.ndim != 1 or len(times) == 0:
        raise ValueError(
            f"times have shape (t,) with at least one time; got {times.shape}: "
            "np.linspace(0, 1, 11) makes eleven"
        )
    if not ((times >= 0) & (times <= 1)).all():
        raise ValueError(
            "times lie between 0 (the source) and 1 (the target); "
            f"got {times.min()} to {times.max()}"
        )
    return times


def _axes_across(u: Cloud) -> Cloud:
    """For each unit vector, the part across it of the coordinate axis most nearly across it."""
    nearest = np.abs(u).argmin(axis=1)[:, None]
    across = -np.take_along_axis(u, nearest, axis=1) * u
    np.put_along_axis(across, nearest, np.take_along_axis(across, nearest, axis=1) + 1, axis=1)
    return across
