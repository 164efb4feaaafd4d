r"""Couplings of two token clouds, and the Wasserstein distance between them.

Two clouds :math:`x, y \in \mathbb{R}^{n \times d}` with tokens of equal weight are uniform
discrete measures. A coupling is a permutation :math:`\sigma` that pairs token :math:`x_i` with
:math:`y_{\sigma(i)}`; its cost, under the squared Euclidean cost matrix :math:`C_{ij} = \lVert
x_i - y_j \rVert^2`, is :math:`\sum_i C_{i\sigma(i)}`. By Birkhoff's theorem the cheapest
transport plan between two such measures can be taken to be a permutation (Peyré & Cuturi 2020,
*Computational Optimal Transport*, Proposition 2.1), so that an exact linear assignment solves the
transport problem, and

.. math:: W_2(x, y) = \Bigl( \min_\sigma \sum_i \lVert x_i - y_{\sigma(i)} \rVert^2 \Bigr)^{1/2}

is the Wasserstein distance in the units of "Which Way from B to A" (arXiv:2511.12757). For the
probability measures with weights :math:`1/n` the usual distance (Villani 2009, *Optimal
Transport: Old and New*, Definition 6.1) is smaller by :math:`\sqrt n`; functions that return a
distance ask which of the two is meant.

Where tokens have weights, or the clouds different numbers of them, no permutation will do: a
transport plan :math:`P \in \mathbb{R}^{n \times m}_{\ge 0}` says how much of the weight of each
token of x goes to each of y, and :math:`W_2^2 = \min_P \sum_{ij} P_{ij} C_{ij}`.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from embedding_geometry.ground.types import (
    ArrayLike,
    Cloud,
    CloudLike,
    Costs,
    Coupling,
    Random,
    generator,
    host_array,
    real_array,
)

EQUAL = 1e-12  # costs nearer than this share of n times the largest cost count as equal


def check_cloud_pair(x: ArrayLike, y: ArrayLike) -> tuple[Cloud, Cloud]:
    """Return both clouds in float64, or say what keeps them from being coupled token by token.

    Raises:
        ValueError: The arrays are not (n, d), are empty, hold NaN or infinity, differ in n or d,
            or are none that `real_array` reads.
    """
    x, y = _check_points(x, y)
    if len(x) != len(y):
        raise ValueError(
            f"a coupling pairs every token with one token, but x has shape {x.shape} and y "
            f"{y.shape}: encode both prompts with one model, to the same number of tokens"
        )
    return x, y


def check_coupling(sigma: ArrayLike, n: int) -> Coupling:
    """Return `sigma`, or say why it is no permutation of ``0 … n-1``.

    Raises:
        ValueError: `sigma` is not one-dimensional of length n, not of integers, or repeats a
            token.
    """
    sigma = host_array(sigma, "a coupling")
    if sigma.shape != (n,) or not np.issubdtype(sigma.dtype, np.integer):
        raise ValueError(
            f"a coupling of clouds with {n} tokens is an integer array of shape ({n},); "
            f"got shape {sigma.shape} and dtype {sigma.dtype}"
        )
    if not np.array_equal(np.sort(sigma), np.arange(n)):
        raise ValueError(
            f"a coupling takes each of 0 … {n - 1} exactly once; got {len(np.unique(sigma))} "
            f"distinct values from {sigma.min()} to {sigma.max()}: take the result of a coupling "
            "function"
        )
    return sigma


def cost_matrix(x: CloudLike, y: CloudLike) -> Costs:
    """Squared Euclidean distance of every token of x to every token of y, in float64.

    Computed from differences, so equal tokens cost exactly 0 and duplicate rows cost the same to
    the bit. In squared units of the embedding.

    Raises:
        ValueError: The arrays are no clouds of one space, or hold NaN or infinity.
    """
    return cdist(*_check_points(x, y), "sqeuclidean")


def row_coupling(x: CloudLike, y: CloudLike) -> Coupling:
    """Pair row i with row i: the identity, the order in which the text encoder wrote the tokens.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity.
    """
    return np.arange(len(check_cloud_pair(x, y)[0]))


def optimal_coupling(x: CloudLike, y: CloudLike) -> Coupling:
    """Cheapest permutation, exactly (Peyré & Cuturi 2020, section 2.2).

    Where several permutations are equally cheap, as with duplicate rows (padding), any of them
    gives the same distance. One is chosen by scipy's solver, which takes no random decision:
    equal inputs give the equal permutation every time, and a constant cost matrix gives the
    identity. `optimum_is_unique` tells whether there was a choice.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity.

    Examples:
        >>> x, y = np.array([[0.0], [1.0], [2.0]]), np.array([[2.1], [0.1], [1.1]])
        >>> eg.optimal_coupling(x, y)
        array([1, 2, 0])
    """
    return cheapest(*check_cloud_pair(x, y))


def cheapest(x: Cloud, y: Cloud) -> Coupling:
    """`optimal_coupling` of clouds that were checked before."""
    return linear_sum_assignment(cdist(x, y, "sqeuclidean"))[1]


def worst_coupling(x: CloudLike, y: CloudLike) -> Coupling:
    """Most expensive permutation, exactly: how badly a pairing of the same tokens can do.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity.
    """
    return linear_sum_assignment(cost_matrix(*check_cloud_pair(x, y)), maximize=True)[1]


def random_coupling(x: CloudLike, y: CloudLike, rng: Random) -> Coupling:
    """Permutation drawn uniformly by `rng`, a generator or a seed.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity.
    """
    return generator(rng).permutation(len(check_cloud_pair(x, y)[0]))


def optimum_is_unique(x: CloudLike, y: CloudLike) -> bool:
    """Whether every permutation but one costs more than the optimum, by more than rounding.

    Another optimal permutation leaves out at least one of the chosen pairs. So each chosen pair is
    forbidden in turn and the assignment solved again: n exact solutions, 20 ms at n = 77.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity.
    """
    costs = cost_matrix(*check_cloud_pair(x, y))
    rows, sigma = linear_sum_assignment(costs)
    level = costs[rows, sigma].sum() + EQUAL * len(costs) * costs.max()
    return all(_cost_without(costs, i, j) > level for i, j in enumerate(sigma.tolist()))


def coupling_cost(x: CloudLike, y: CloudLike, sigma: ArrayLike) -> float:
    """Root of the summed squared distances of the paired tokens.

    In the units of arXiv:2511.12757, without 1/n under the root.
    For the optimal coupling this is the Wasserstein distance; for any other it is larger or equal.

    Raises:
        ValueError: The clouds differ in shape or hold NaN or infinity, or sigma is no permutation.

    Examples:
        Two tokens that each move by a step in both directions:

        >>> x, y = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 1.0]])
        >>> eg.coupling_cost(x, y, eg.row_coupling(x, y))
        2.0
    """
    x, y = check_cloud_pair(x, y)
    return float(np.linalg.norm(x - y[check_coupling(sigma, len(x))]))


def wasserstein_distance(
    x: CloudLike,
    y: CloudLike,
    weights_x: ArrayLike | None = None,
    weights_y: ArrayLike | None = None,
    *,
    normalized: bool,
) -> float:
    """Exact 2-Wasserstein distance of two clouds, of tokens of equal weight if none are given.

    In units of the embedding; exactly 0 for clouds that are permutations of each other. Where it
    is not `normalized` it is the distance as the poster and arXiv:2511.12757 write it, every token
    of mass 1 and no 1/n under the root; where it is, that of the probability measures, every token
    of mass 1/n (Villani 2009, Definition 6.1): smaller by sqrt(n), 8.775 for n = 77.

    Args:
        x: cloud (n, d).
        y: cloud (m, d). Only with weights, or `normalized`, may it have another number of tokens.
        weights_x: mass (n,) of each token of x; all 1 if not given.
        weights_y: mass (m,) of each token of y; all 1 if not given.
        normalized: divide the masses by their sum.

    Raises:
        ValueError: The clouds are none of one space or hold NaN or infinity, weights are negative
            or do not fit, or x and y have different masses in all and are not `normalized`.

    Examples:
        >>> x, y = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 1.0]])
        >>> eg.wasserstein_distance(x, y, normalized=True)
        1.0
        >>> print(f"{eg.wasserstein_distance(x, y, normalized=False):.4f}")
        1.4142
    """
    x, y = _check_points(x, y)
    if weights_x is None and weights_y is None and (len(x) == len(y) or not normalized):
        x, y = check_cloud_pair(x, y)
        distance = float(np.linalg.norm(x - y[cheapest(x, y)]))
        return distance / math.sqrt(len(x)) if normalized else distance
    mass_x, mass_y = _masses(weights_x, len(x), "x"), _masses(weights_y, len(y), "y")
    total, other = (1.0, 1.0) if normalized else (mass_x.sum(), mass_y.sum())
    if not math.isclose(total, other, rel_tol=1e-9):
        raise ValueError(
            f"the tokens of x have mass {total:g} in all and those of y {other:g}: give weights "
            "of equal sums, or normalized=True, which divides them by their sums"
        )
    plan = transport_plan(x, y, mass_x, mass_y)
    return math.sqrt(total * (plan * cost_matrix(x, y)).sum())


def transport_plan(
    x: CloudLike,
    y: CloudLike,
    weights_x: ArrayLike | None = None,
    weights_y: ArrayLike | None = None,
) -> Costs:
    """Cheapest transport plan between two weighted clouds, exactly, by POT's network simplex.

    Where both have n tokens and no weights are given, a plan is `optimal_coupling` as a matrix.

    Args:
        x: cloud (n, d).
        y: cloud (m, d).
        weights_x: mass (n,) of each token of x, equal if not given; divided by their sum.
        weights_y: mass (m,) of each token of y, likewise.

    Returns:
        The plan (n, m): its rows add up to the weights of x, its columns to those of y, and all
        of it to 1.

    Raises:
        ValueError: as `wasserstein_distance` of normalized masses.
    """
    import ot.lp  # takes a second, and loads torch where it is installed

    x, y = _check_points(x, y)
    masses = _masses(weights_x, len(x), "x"), _masses(weights_y, len(y), "y")
    costs = cdist(x, y, "sqeuclidean")
    scaled = costs / (costs.max() or 1.0)  # POT's tolerances are meant for costs of size 1
    shares = (mass / mass.sum() for mass in masses)
    plan, log = ot.lp.emd(*shares, scaled, numItermax=10_000_000, log=True)
    if log["warning"] is not None:
        raise ValueError(f"no cheapest plan was found: {log['warning']}")
    return plan


def _cost_without(costs: Costs, i: int, j: int) -> float:
    """Cost of the cheapest permutation that does not pair token i with token j."""
    others = costs.copy()
    others[i, j] = np.inf
    return float(others[linear_sum_assignment(others)].sum()) if len(costs) > 1 else np.inf


def _masses(weights: ArrayLike | None, n: int, name: str) -> Float[np.ndarray, " n"]:
    """The masses of n tokens, 1 each if no weights are given, or what is wrong with these."""
    masses = np.ones(n) if weights is None else real_array(weights, f"weights_{name}")
    if masses.shape != (n,) or not (masses >= 0).all() or not masses.any():
        raise ValueError(
            f"weights_{name} of shape {masses.shape} should be ({n},), one for each token of "
            f"{name}, none negative and not all 0"
        )
    return masses


def _check_points(x: CloudLike, y: CloudLike) -> tuple[Cloud, Float[np.ndarray, "m d"]]:
    """Both arrays in float64, once they are known to be clouds in one space."""
    x, y = real_array(x, "cloud x"), real_array(y, "cloud y")
    if x.ndim != 2 or y.ndim != 2 or 0 in x.shape + y.shape:
        raise ValueError(
            f"a cloud has shape (n tokens, d dims), both at least 1, but x has shape {x.shape} "
            f"and y {y.shape}: pass one cloud each, not a batch and not a single token"
        )
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"x has shape {x.shape} and y {y.shape}: tokens of {x.shape[1]} and {y.shape[1]} dims "
            "do not lie in one space; encode both prompts with the same text encoder"
        )
    return x, y
