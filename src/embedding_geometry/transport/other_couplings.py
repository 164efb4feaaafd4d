"""Couplings beside the usual four: of another geometry, between two others, or blurred.

Couplings of clouds that differ in shape, or hold NaN or infinity, are a ValueError.
"""

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_triangular
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from embedding_geometry.ground.types import Cloud, Costs, Coupling
from embedding_geometry.transport.checks import check_cloud_pair, check_coupling
from embedding_geometry.transport.couplings import cheapest
from embedding_geometry.transport.curves import directions

SHRINKAGE = 0.1  # share of the sphere in the covariance that `whitened_coupling` makes one
ITERATIONS = 20_000  # of Sinkhorn's algorithm, before it is given up
MARGINAL = 1e-3  # error of a plan's marginals at which it stops, as a share of a token's mass


def words_coupling(x: Cloud, y: Cloud, end_rows: tuple[int, int]) -> Coupling:
    """Cheapest permutation among those that keep the start token and all padding in their rows.

    With m the later of the end tokens' rows in x and y, rows 1 … m hold every word and both end
    tokens, and rows m + 1 … n - 1 hold padding in both prompts: these keep their rows, as does row
    0. If one prompt has fewer words, the padding that stands beside the other's words takes part
    in the transport, since a permutation has to send those words somewhere.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity, or there is no such row.
    """
    x, y = check_cloud_pair(x, y)
    last = max(check_end_rows(end_rows, len(x)))
    inner = slice(1, last + 1)
    sigma = np.arange(len(x))
    sigma[inner] = 1 + cheapest(x[inner], y[inner])
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
    """
    x, y = check_cloud_pair(x, y)
    covariance = np.atleast_2d(np.cov(np.concatenate([x, y]), rowvar=False))
    variance = np.trace(covariance) / len(covariance)
    if variance == 0:
        return np.arange(len(x))
    sphere = variance * np.eye(len(covariance))
    factor = np.linalg.cholesky((1 - SHRINKAGE) * covariance + SHRINKAGE * sphere)
    return cheapest(*(solve_triangular(factor, each.T, lower=True).T for each in (x, y)))


def centred_coupling(x: Cloud, y: Cloud) -> Coupling:
    r"""Cheapest permutation once each cloud is moved to have its mean at the origin.

    It is the optimal one. With :math:`\bar x, \bar y` the means and :math:`D = \bar x - \bar y`,

    .. math:: \sum_i \lVert (x_i - \bar x) - (y_{\sigma(i)} - \bar y) \rVert^2
              = \sum_i \lVert x_i - y_{\sigma(i)} \rVert^2 - n \lVert D \rVert^2

    because :math:`\sum_i (x_i - y_{\sigma(i)}) = n D` for *every* permutation: centring takes the
    same number off all costs (Peyré & Cuturi 2020, Remark 2.19). The way is in the study as a
    control that has to agree with `optimal`.
    """
    x, y = check_cloud_pair(x, y)
    return cheapest(x - x.mean(axis=0), y - y.mean(axis=0))


def cosine_coupling(x: Cloud, y: Cloud) -> Coupling:
    r"""Permutation with the largest sum of cosines of paired tokens; norms are left out.

    For unit vectors :math:`\lVert u - v \rVert^2 = 2 - 2 \cos(u, v)`, so it is the optimal
    coupling of the directions. A zero token has cosine 0 with every other.
    """
    x, y = check_cloud_pair(x, y)
    return cheapest(directions(x), directions(y))


def check_end_rows(end_rows: tuple[int, int], n: int) -> tuple[int, int]:
    """Return the rows of the end tokens, or say why they are none."""
    if not all(0 < row < n for row in end_rows):
        raise ValueError(
            f"the end tokens are said to be in rows {end_rows[0]} and {end_rows[1]}, but a prompt "
            f"of {n} tokens has its end token in one of the rows 1 … {n - 1}: take `end_row`"
        )
    return end_rows


def go_toward(
    start: Coupling, end: Coupling, fraction: float, rng: np.random.Generator
) -> Coupling:
    """Permutation that lies a fraction of the way from one coupling to another.

    The way is a geodesic of the symmetric group: a shortest chain of transpositions, as many as
    `cayley_distance` says (Cayley 1849; Diaconis 1988, *Group Representations in Probability and
    Statistics*, chapter 6). Of the many there are, `rng` draws one that puts the tokens right
    along one cycle after the other. So, but for one token in an unfinished cycle, every token
    has the partner of `start` or that of `end`, and the cost goes on average almost straight from
    one to the other. Equal generators give points of one geodesic at every fraction.

    Args:
        start: permutation (n,) at fraction 0.
        end: permutation (n,) at fraction 1.
        fraction: share of the transpositions to carry out, rounded to a whole number of them.
        rng: draws the order in which tokens get the partner of `end`.

    Raises:
        ValueError: An argument is no permutation, their lengths differ, or the fraction leaves
            [0, 1].
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"a fraction of the way lies in [0, 1], but is {fraction}")
    left = round(fraction * cayley_distance(start, end))
    sigma = np.array(start)
    holder = np.argsort(sigma)  # token of x that holds each token of y
    for i in rng.permutation(len(sigma)):
        while left and sigma[i] != end[i]:
            j = holder[end[i]]
            sigma[[i, j]] = sigma[[j, i]]
            holder[sigma[[i, j]]] = i, j
            i, left = j, left - 1
    return sigma


def cayley_distance(a: Coupling, b: Coupling) -> int:
    """Least number of transpositions that lead from one permutation to another.

    It is n less the number of cycles of the permutation that takes a to b, those of a single
    token included (Diaconis 1988, chapter 6).

    Raises:
        ValueError: An argument is no permutation, or their lengths differ.
    """
    a, b = check_coupling(a, len(a)), check_coupling(b, len(a))
    n = len(a)
    steps = coo_array((np.ones(n), (a, b)), shape=(n, n))
    return n - connected_components(steps, directed=False)[0]


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
