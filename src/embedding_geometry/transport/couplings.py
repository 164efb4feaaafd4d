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

Where tokens have weights, or the clouds different numbers of them, no permutation will do; see
`plans`.
"""

import math

import numpy as np
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
)
from embedding_geometry.transport.checks import check_cloud_pair, check_coupling, check_points
from embedding_geometry.transport.plans import weighted_distance

EQUAL = 1e-12  # costs nearer than this share of n times the largest cost count as equal


def cost_matrix(x: CloudLike, y: CloudLike) -> Costs:
    """Squared Euclidean distance of every token of x to every token of y, in float64.

    Computed from differences, so equal tokens cost exactly 0 and duplicate rows cost the same to
    the bit. In squared units of the embedding.

    Raises:
        ValueError: The arrays are no clouds of one space, or hold NaN or infinity.
    """
    return cdist(*check_points(x, y), "sqeuclidean")


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
    for i, j in enumerate(sigma.tolist()):
        others = costs.copy()
        others[i, j] = np.inf
        if len(costs) > 1 and others[linear_sum_assignment(others)].sum() <= level:
            return False
    return True


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
    x, y = check_points(x, y)
    if weights_x is None and weights_y is None and (len(x) == len(y) or not normalized):
        x, y = check_cloud_pair(x, y)
        distance = float(np.linalg.norm(x - y[cheapest(x, y)]))
        return distance / math.sqrt(len(x)) if normalized else distance
    return weighted_distance(x, y, weights_x, weights_y, normalized=normalized)
