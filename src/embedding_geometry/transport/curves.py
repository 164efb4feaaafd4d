r"""Other ways from one cloud to another than the displacement along the coupling in row order.

Each is one function ``(x, y, end_rows, times) -> path`` of two clouds :math:`x, y` (n, d), the
rows of their end tokens and times in [0, 1]. All start at x. They differ in what they choose:

- the *curve* of a token: straight, or a great circle (`matrix_slerp`, `token_slerp`,
  `optimal_slerp`);
- the *coupling* under which it is straight: cheapest in another geometry (`whitened`, `centred`,
  `cosine`) or among fewer permutations (`words`);
- the *goal*: the mean of where an entropic plan sends the token (`entropic`), or x moved as a
  whole along one direction (`pooled`). These two do not arrive at y.
"""

import numpy as np
from jaxtyping import Float

from embedding_geometry.ground.types import Cloud, CloudPath, Costs, Times
from embedding_geometry.transport.paths import check_times

ITERATIONS = 20_000  # of Sinkhorn's algorithm, before it is given up
MARGINAL = 1e-3  # error of a plan's marginals at which it stops, as a share of a token's mass
ALIGNED = 1e-8  # sine of the angle below which two directions span no plane


def great_circle(x: Cloud, y: Cloud, times: Times) -> CloudPath:
    r"""Spherical linear interpolation of every row of x to the same row of y.

    Shoemake 1985, *Animating rotation with quaternion curves*, section 3.3: between unit vectors
    u and v at the angle :math:`\theta`,

    .. math:: \frac{\sin (1 - t) \theta}{\sin \theta}\, u + \frac{\sin t \theta}{\sin \theta}\, v
              = \cos(t \theta)\, u + \sin(t \theta)\, w,

    with w the unit vector of v's part across u; the right-hand side is what is computed. Rows are
    no unit vectors: the direction turns at constant speed and the norm goes linearly from that of
    x to that of y.

    Where no great circle is defined: parallel rows keep their direction. Opposite rows turn
    through the coordinate axis that is most nearly across them, the first of several. A zero row
    has no direction and takes the other's, which makes the way straight.

    Args:
        x: rows (n, d).
        y: rows (n, d).
        times: times (t,) in [0, 1].

    Raises:
        ValueError: Times leave [0, 1].
    """
    t = check_times(times)[:, None, None]
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


def entropic_plan(costs: Costs, share: float) -> Float[np.ndarray, "n n"]:
    r"""Transport plan between uniform weights with an entropic term, by Sinkhorn's algorithm.

    Minimises :math:`\langle C, P \rangle - \varepsilon H(P)` over plans with marginals 1/n
    (Cuturi 2013, *Sinkhorn Distances*; Peyré & Cuturi 2020, section 4.4 for the logarithmic
    domain in which it is computed), with :math:`\varepsilon` the share times the mean cost.

    Args:
        costs: cost matrix (n, n).
        share: the share, greater than 0. Its size has the same meaning for every pair of clouds
            and in every unit of the embedding.

    Returns:
        The plan (n, n), which sums to 1. Where all costs are 0, the uniform plan.

    Raises:
        ValueError: The costs are not square or not finite, the share is not a positive number, or
            so small that the algorithm overflows or has not met the marginals after `ITERATIONS`
            steps.
    """
    import ot  # takes a second, which only this function needs

    if costs.shape != (len(costs), len(costs)) or not np.isfinite(costs).all():
        raise ValueError(f"costs {costs.shape} should be a square matrix of finite numbers")
    n, mean = len(costs), float(costs.mean())
    if not 0 < share < np.inf:
        raise ValueError(
            f"the entropic share is a number greater than 0; got {share}: take the optimal "
            "coupling for the transport without entropy"
        )
    if mean == 0:
        return np.full((n, n), 1 / n**2)
    with np.errstate(all="ignore"):  # what overflows is found below
        plan = ot.sinkhorn(
            np.full(n, 1 / n),
            np.full(n, 1 / n),
            costs / mean,
            share,
            method="sinkhorn_log",
            numItermax=ITERATIONS,
            stopThr=MARGINAL / n,
            warn=False,
        )
    error = max(float(np.linalg.norm(n * plan.sum(axis=axis) - 1)) for axis in (0, 1))
    if not error <= MARGINAL * 1.01:  # NaN is not; the stop was tested on a sum rounded otherwise
        raise ValueError(
            f"Sinkhorn's algorithm did not converge in {ITERATIONS} steps at an entropic share of "
            f"{share:g} of the mean cost {mean:.3g}: the share is too small for these clouds; "
            "take a greater one, or the optimal coupling, which is its limit"
        )
    return plan


def _axes_across(u: Cloud) -> Cloud:
    """For each unit vector, the part across it of the coordinate axis most nearly across it."""
    nearest = np.abs(u).argmin(axis=1)[:, None]
    across = -np.take_along_axis(u, nearest, axis=1) * u
    np.put_along_axis(across, nearest, np.take_along_axis(across, nearest, axis=1) + 1, axis=1)
    return across
