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
"""

import math

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from embedding_geometry.ground.types import Cloud, Costs, Coupling

EQUAL = 1e-12  # costs nearer than this share of n times the largest cost count as equal


def check_cloud_pair(x: np.ndarray, y: np.ndarray) -> tuple[Cloud, Cloud]:
    """Return both clouds in float64, or say what keeps them from being coupled token by token.

    Raises:
        ValueError: The arrays are not (n, d), are empty, hold NaN or infinity, or differ in n or
            d.
    """
    x, y = _check_points(x, y)
    if len(x) != len(y):
        raise ValueError(
            f"a coupling pairs every token with one token, but x has shape {x.shape} and y "
            f"{y.shape}: encode both prompts with one model, to the same number of tokens"
        )
    return x, y


def check_coupling(sigma: np.ndarray, n: int) -> Coupling:
    """Return `sigma`, or say why it is no permutation of ``0 … n-1``.

    Raises:
        ValueError: `sigma` is not one-dimensional of length n, not of integers, or repeats a
            token.
    """
    sigma = np.asarray(sigma)
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


def cost_matrix(x: Cloud, y: Float[np.ndarray, "m d"]) -> Costs:
    """Squared Euclidean distance of every token of x to every token of y, in float64.

    Computed from differences, so equal tokens cost exactly 0 and duplicate rows cost the same to
    the bit. In squared units of the embedding.

    Raises:
        ValueError: The arrays are no clouds of one space, or hold NaN or infinity.
    """
    return cdist(*_check_points(x, y), "sqeuclidean")


def row_coupling(x: Cloud, y: Cloud) -> Coupling:
    """Pair row i with row i: the identity, the order in which the text encoder wrote the tokens.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity.
    """
    return np.arange(len(check_cloud_pair(x, y)[0]))


def optimal_coupling(x: Cloud, y: Cloud) -> Coupling:
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


def worst_coupling(x: Cloud, y: Cloud) -> Coupling:
    """Most expensive permutation, exactly: how badly a pairing of the same tokens can do.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity.
    """
    return linear_sum_assignment(cost_matrix(*check_cloud_pair(x, y)), maximize=True)[1]


def random_coupling(x: Cloud, y: Cloud, rng: np.random.Generator) -> Coupling:
    """Permutation drawn uniformly by `rng`.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity.
    """
    return rng.permutation(len(check_cloud_pair(x, y)[0]))


def optimum_is_unique(x: Cloud, y: Cloud) -> bool:
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


def coupling_cost(x: Cloud, y: Cloud, sigma: Coupling) -> float:
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


def wasserstein_distance(x: Cloud, y: Cloud, *, normalized: bool) -> float:
    """Exact 2-Wasserstein distance of two clouds with tokens of equal weight.

    In units of the embedding; exactly 0 for clouds that are permutations of each other. Where it
    is not `normalized` it is the distance as the poster and arXiv:2511.12757 write it, every token
    of mass 1 and no 1/n under the root; where it is, that of the probability measures, every token
    of mass 1/n (Villani 2009, Definition 6.1): smaller by sqrt(n), 8.775 for n = 77.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity.

    Examples:
        >>> x, y = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 1.0]])
        >>> eg.wasserstein_distance(x, y, normalized=True)
        1.0
        >>> print(f"{eg.wasserstein_distance(x, y, normalized=False):.4f}")
        1.4142
    """
    x, y = check_cloud_pair(x, y)
    distance = float(np.linalg.norm(x - y[cheapest(x, y)]))
    return distance / math.sqrt(len(x)) if normalized else distance


def _cost_without(costs: Costs, i: int, j: int) -> float:
    """Cost of the cheapest permutation that does not pair token i with token j."""
    others = costs.copy()
    others[i, j] = np.inf
    return float(others[linear_sum_assignment(others)].sum()) if len(costs) > 1 else np.inf


def _check_points(x: np.ndarray, y: np.ndarray) -> tuple[Cloud, Float[np.ndarray, "m d"]]:
    """Both arrays in float64, once they are known to be clouds in one space."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
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
    for name, cloud in (("x", x), ("y", y)):
        if not np.isfinite(cloud).all():
            raise ValueError(
                f"cloud {name} of shape {cloud.shape} holds NaN or infinity in "
                f"{(~np.isfinite(cloud)).any(axis=1).sum()} of its tokens: encode the prompt "
                "again, in float32 if it overflowed in half precision"
            )
    return x, y
