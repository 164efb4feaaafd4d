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

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_triangular

from embedding_geometry.ground.types import Cloud, CloudPath, Costs, Coupling, Times
from embedding_geometry.transport.couplings import check_cloud_pair, cost_matrix, optimal_coupling
from embedding_geometry.transport.paths import check_times, displacement_interpolation

SHRINKAGE = 0.1  # share of the sphere in the covariance that `whitened_coupling` makes one
EPSILONS = (0.01, 0.1, 1.0)  # shares of the mean cost
ITERATIONS = 20_000  # of Sinkhorn's algorithm, before it is given up
MARGINAL = 1e-3  # error of a plan's marginals at which it stops, as a share of a token's mass
ALIGNED = 1e-8  # sine of the angle below which two directions span no plane

EndRows = tuple[int, int]  # rows of the end tokens of x and y: words before them, padding after
Interpolant = Callable[[Cloud, Cloud, EndRows, Times], CloudPath]


def matrix_slerp(x: Cloud, y: Cloud, end_rows: EndRows, times: Times) -> CloudPath:
    """Great circle of the two embedding matrices, each taken as one vector of n · d numbers.

    See `great_circle`. Row i ends at row i.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity; times leave [0, 1].
    """
    x, y = check_cloud_pair(x, y)
    path = great_circle(x.reshape(1, -1), y.reshape(1, -1), times)
    return path.reshape(-1, *x.shape)


def token_slerp(x: Cloud, y: Cloud, end_rows: EndRows, times: Times) -> CloudPath:
    """Great circle of every token to the token in the same row; see `great_circle`.

    Raises:
        ValueError: As `matrix_slerp`.
    """
    return great_circle(*check_cloud_pair(x, y), times)


def optimal_slerp(x: Cloud, y: Cloud, end_rows: EndRows, times: Times) -> CloudPath:
    """Great circle of every token to the one the optimal coupling pairs it with.

    Raises:
        ValueError: As `matrix_slerp`.
    """
    x, y = check_cloud_pair(x, y)
    return great_circle(x, y[optimal_coupling(x, y)], times)


def entropic(share: float, x: Cloud, y: Cloud, end_rows: EndRows, times: Times) -> CloudPath:
    r"""Straight lines to the barycentric projection of an entropic transport plan.

    .. math:: z_t = (1 - t)\, x + t\, T(x), \quad
              T(x)_i = \frac{\sum_j P_{ij}\, y_j}{\sum_j P_{ij}}

    with the plan P of `entropic_plan` (Peyré & Cuturi 2020, *Computational Optimal Transport*,
    Remark 4.11 and section 4). A mean of tokens lies inside their hull, so T(x) is a contracted
    cloud: the path does not arrive at y, unless the regularisation is so small that P is a
    permutation. For a large one every token ends at the mean of y.

    Args:
        share: regularisation, as a share of the mean cost.
        x: cloud (n, d).
        y: cloud (n, d).
        end_rows: not used.
        times: times (t,) in [0, 1].

    Raises:
        ValueError: As `entropic_plan`; times leave [0, 1].
    """
    x, y = check_cloud_pair(x, y)
    plan = entropic_plan(cost_matrix(x, y), share)
    projection = plan / plan.sum(axis=1, keepdims=True) @ y
    return displacement_interpolation(x, projection, np.arange(len(x)), times)


def words(x: Cloud, y: Cloud, end_rows: EndRows, times: Times) -> CloudPath:
    """Straight lines along `words_coupling`.

    Raises:
        ValueError: As `words_coupling`; times leave [0, 1].
    """
    return displacement_interpolation(x, y, words_coupling(x, y, end_rows), times)


def whitened(x: Cloud, y: Cloud, end_rows: EndRows, times: Times) -> CloudPath:
    """Straight lines, in the embedding as it is, along `whitened_coupling`.

    Raises:
        ValueError: As `matrix_slerp`.
    """
    return displacement_interpolation(x, y, whitened_coupling(x, y), times)


def centred(x: Cloud, y: Cloud, end_rows: EndRows, times: Times) -> CloudPath:
    """Straight lines, in the embedding as it is, along `centred_coupling`.

    Raises:
        ValueError: As `matrix_slerp`.
    """
    return displacement_interpolation(x, y, centred_coupling(x, y), times)


def cosine(x: Cloud, y: Cloud, end_rows: EndRows, times: Times) -> CloudPath:
    """Straight lines along `cosine_coupling`.

    Raises:
        ValueError: As `matrix_slerp`.
    """
    return displacement_interpolation(x, y, cosine_coupling(x, y), times)


def pooled(x: Cloud, y: Cloud, end_rows: EndRows, times: Times) -> CloudPath:
    r"""Every token along the difference of the two end tokens: :math:`z_t = x + t (y_e - x_e)`.

    CLIP pools a text into its end token (Radford et al. 2021, *Learning Transferable Visual Models
    From Natural Language Supervision*, section 2.4). The cloud moves as a whole, keeps its shape,
    and does not arrive at y.

    Raises:
        ValueError: As `matrix_slerp`, or there is no such row.
    """
    x, y = check_cloud_pair(x, y)
    x_end, y_end = _check_end_rows(end_rows, len(x))
    goal = x + (y[y_end] - x[x_end])
    return displacement_interpolation(x, goal, np.arange(len(x)), times)


INTERPOLANTS: dict[str, Interpolant] = {
    "slerp-matrix": matrix_slerp,
    "slerp-tokens": token_slerp,
    "slerp-optimal": optimal_slerp,
    **{f"entropic-{share:g}": partial(entropic, share) for share in EPSILONS},
    "words": words,
    "whitened": whitened,
    "centred": centred,
    "cosine": cosine,
    "pooled": pooled,
}


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


def words_coupling(x: Cloud, y: Cloud, end_rows: EndRows) -> Coupling:
    """Cheapest permutation among those that keep the start token and all padding in their rows.

    With m the later of the two end rows, rows 1 … m hold every word and both end tokens, and rows
    m + 1 … n - 1 hold padding in both prompts: these keep their rows, as does row 0. If one prompt
    has fewer words, the padding that stands beside the other's words takes part in the
    transport, since a permutation has to send those words somewhere.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity, or there is no such row.
    """
    x, y = check_cloud_pair(x, y)
    last = max(_check_end_rows(end_rows, len(x)))
    inner = slice(1, last + 1)
    sigma = np.arange(len(x))
    sigma[inner] = 1 + optimal_coupling(x[inner], y[inner])
    return sigma


def whitened_coupling(x: Cloud, y: Cloud) -> Coupling:
    r"""Cheapest permutation under the Mahalanobis distance of the two clouds' tokens.

    In its 2n tokens the embedding varies far more along some directions than along others. The map
    :math:`L^{-1}` with :math:`L L^\top = (1 - \lambda) S + \lambda \frac{\mathrm{tr} S}{d} I`
    makes them equal: S is the covariance of the tokens of x and y together about their common
    mean, which has no influence on differences, and :math:`\lambda` is `SHRINKAGE`, without which
    S has no inverse where 2n ≤ d (Ledoit & Wolf 2004, *A well-conditioned estimator for
    large-dimensional covariance matrices*, with a fixed weight). If all tokens are the same, the
    row order.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity.
    """
    x, y = check_cloud_pair(x, y)
    covariance = np.atleast_2d(np.cov(np.concatenate([x, y]), rowvar=False))
    variance = np.trace(covariance) / len(covariance)
    if variance == 0:
        return np.arange(len(x))
    sphere = variance * np.eye(len(covariance))
    factor = np.linalg.cholesky((1 - SHRINKAGE) * covariance + SHRINKAGE * sphere)
    return optimal_coupling(*(solve_triangular(factor, each.T, lower=True).T for each in (x, y)))


def centred_coupling(x: Cloud, y: Cloud) -> Coupling:
    r"""Cheapest permutation once each cloud is moved to have its mean at the origin.

    It is the optimal one. With :math:`\bar x, \bar y` the means and :math:`D = \bar x - \bar y`,

    .. math:: \sum_i \lVert (x_i - \bar x) - (y_{\sigma(i)} - \bar y) \rVert^2
              = \sum_i \lVert x_i - y_{\sigma(i)} \rVert^2 - n \lVert D \rVert^2

    because :math:`\sum_i (x_i - y_{\sigma(i)}) = n D` for *every* permutation: centring takes the
    same number off all costs (Peyré & Cuturi 2020, Remark 2.19). The way is in the study as a
    control that has to agree with `optimal`.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity.
    """
    x, y = check_cloud_pair(x, y)
    return optimal_coupling(x - x.mean(axis=0), y - y.mean(axis=0))


def cosine_coupling(x: Cloud, y: Cloud) -> Coupling:
    r"""Permutation with the largest sum of cosines of paired tokens; norms are left out.

    For unit vectors :math:`\lVert u - v \rVert^2 = 2 - 2 \cos(u, v)`, so it is the optimal
    coupling of the directions. A zero token has cosine 0 with every other.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity.
    """
    x, y = check_cloud_pair(x, y)
    return optimal_coupling(directions(x), directions(y))


def _axes_across(u: Cloud) -> Cloud:
    """For each unit vector, the part across it of the coordinate axis most nearly across it."""
    nearest = np.abs(u).argmin(axis=1)[:, None]
    across = -np.take_along_axis(u, nearest, axis=1) * u
    np.put_along_axis(across, nearest, np.take_along_axis(across, nearest, axis=1) + 1, axis=1)
    return across


def _check_end_rows(end_rows: EndRows, n: int) -> EndRows:
    """Return the rows of the end tokens, or say why they are none."""
    if not all(0 < row < n for row in end_rows):
        raise ValueError(
            f"the end tokens are said to be in rows {end_rows[0]} and {end_rows[1]}, but a prompt "
            f"of {n} tokens has its end token in one of the rows 1 … {n - 1}: take `end_row`"
        )
    return end_rows
