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
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations_with_replacement

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from embedding_geometry.ground.types import Cloud, Clouds, Costs, Coupling, CouplingName

# A float32 product decides a pair only while its squared distance is at least this share of the
# squared norms about the means: a permutation chosen wrongly by rounding costs up to 1e-8 of the
# norms more.
CLOSE = 0.02


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
    the bit.

    Args:
        x: cloud (n, d).
        y: cloud (m, d) in the same space.

    Returns:
        The costs (n, m), in squared units of the embedding.

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
    """
    return linear_sum_assignment(cost_matrix(*check_cloud_pair(x, y)))[1]


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


def couple(name: CouplingName, x: Cloud, y: Cloud, rng: np.random.Generator) -> Coupling:
    """Coupling of the given name; only "random" draws from `rng`.

    Raises:
        ValueError: The name is unknown, the clouds differ in shape, or hold NaN or infinity.
    """
    if name == "random":
        return random_coupling(x, y, rng)
    functions = {"row": row_coupling, "optimal": optimal_coupling, "worst": worst_coupling}
    if name not in functions:
        raise ValueError(f"unknown coupling {name!r}: choose row, optimal, random or worst")
    return functions[name](x, y)


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
    sigma = check_coupling(start, len(start)).copy()
    left = round(fraction * cayley_distance(start, end))
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


def optimum_is_unique(x: Cloud, y: Cloud, *, tolerance: float = 1e-12) -> bool:
    """Whether every permutation but one costs more than the optimum.

    Another optimal permutation leaves out at least one of the chosen pairs. So each chosen pair is
    forbidden in turn and the assignment solved again: n exact solutions, 20 ms at n = 77.

    Args:
        x: cloud (n, d).
        y: cloud (n, d).
        tolerance: costs nearer than this share of n times the largest cost count as equal.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity.
    """
    costs = cost_matrix(*check_cloud_pair(x, y))
    rows, sigma = linear_sum_assignment(costs)
    slack = tolerance * len(costs) * costs.max()
    level = costs[rows, sigma].sum() + slack
    return all(_cost_without(costs, i, j) > level for i, j in enumerate(sigma.tolist()))


def coupling_cost(x: Cloud, y: Cloud, sigma: Coupling) -> float:
    """Root of the summed squared distances of the paired tokens.

    In the units of arXiv:2511.12757, without 1/n under the root.
    For the optimal coupling this is the Wasserstein distance; for any other it is larger or equal.

    Raises:
        ValueError: The clouds differ in shape or hold NaN or infinity, or sigma is no permutation.
    """
    x, y = check_cloud_pair(x, y)
    return float(np.linalg.norm(x - y[check_coupling(sigma, len(x))]))


def wasserstein_distance(x: Cloud, y: Cloud, *, normalized: bool) -> float:
    """Exact 2-Wasserstein distance of two clouds with tokens of equal weight.

    Args:
        x: cloud (n, d).
        y: cloud (n, d).
        normalized: False is the distance as the poster and arXiv:2511.12757 write it, every token
            of mass 1 and no 1/n under the root. True is the distance of the probability measures,
            every token of mass 1/n (Villani 2009, Definition 6.1): smaller by sqrt(n), 8.775 for
            n = 77.

    Returns:
        The distance, in units of the embedding; exactly 0 for clouds that are permutations of
        each other.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity.
    """
    distance = coupling_cost(x, y, optimal_coupling(x, y))
    return distance / math.sqrt(len(x)) if normalized else distance


def pairwise_wasserstein(
    clouds: Clouds, *, normalized: bool, block: int = 16
) -> Float[np.ndarray, "p p"]:
    r"""Wasserstein distances of all pairs of clouds.

    In :math:`\lVert x_i \rVert^2 + \lVert y_j \rVert^2 - 2 \langle x_i, y_j \rangle` the norms
    add the same to every permutation, so an assignment needs the products alone, and one matrix
    product gives them for block × block pairs. It runs in float32 and decides the permutation; the
    distances of the tokens that it pairs are then summed in float64. Nor does a permutation notice
    if each cloud is moved to have its mean at the origin, which keeps float32 precise and saves
    most of the solver's time: it starts with potentials of zero, and these are then nearly right.

    Pairs so close that float32 could choose another permutation (see `CLOSE`) are solved one by
    one from float64 differences, so that identical clouds are at distance exactly 0.

    Args:
        clouds: p clouds (p, n, d).
        normalized: as in `wasserstein_distance`.
        block: number of clouds multiplied with as many others at once. Besides a float32 copy of
            the clouds each core takes 4 (block · n)² + 4 block · n · d bytes: 10 MB for 16 clouds
            of 77×768.

    Returns:
        Symmetric distances (p, p) with a zero diagonal, each equal to `wasserstein_distance`: to
        1e-12 where float32 chose the same permutation, to 1e-6 if ever it did not.

    Raises:
        ValueError: The array is not (p, n, d), is empty, holds NaN or infinity, or block < 1.
    """
    from embedding_geometry.transport.all_pairs import (
        cheapest_squares,  # the compiler takes half a second
    )

    _check_clouds(clouds, block)
    if clouds.dtype != np.float32:
        clouds = clouds.astype(np.float64)  # half precision cannot be compiled
    p, n, _ = clouds.shape
    residuals, norms = _about_own_means(clouds)
    squares = np.zeros((p, p))

    def fill(rows: slice, columns: slice) -> None:
        costs = _products(-residuals[rows], residuals[columns])
        for i, x in enumerate(clouds[rows]):
            known = i + 1 if rows == columns else 0  # by symmetry
            found = cheapest_squares(costs[i], x, clouds[columns], known)
            squares[rows.start + i, columns] = found

    blocks = [slice(start, start + block) for start in range(0, p, block)]
    # A thread for each core, and none beside: those of a product would stay awake for a while
    # after it and take the cores from the solver.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, *zip(*combinations_with_replacement(blocks, 2), strict=True)))
    distances = np.sqrt(squares)
    for i, j in np.argwhere(np.triu(squares <= CLOSE * (norms[:, None] + norms), 1)):
        distances[i, j] = wasserstein_distance(clouds[i], clouds[j], normalized=False)
    return (distances + distances.T) / (math.sqrt(n) if normalized else 1)


def _about_own_means(
    clouds: Clouds,
) -> tuple[Float[np.ndarray, "p n d"], Float[np.ndarray, " p"]]:
    """Each cloud less its mean token, in float32 at a scale where squares fit; squared norms."""
    scale = float(np.ptp(clouds)) or 1.0
    residuals, norms = np.empty(clouds.shape, np.float32), np.empty(len(clouds))
    for index, cloud in enumerate(clouds):
        exact = (cloud - cloud.mean(axis=0, dtype=np.float64)) / scale
        residuals[index] = exact
        norms[index] = np.vdot(exact, exact) * scale**2
    return residuals, norms


def _products(
    x: Float[np.ndarray, "a n d"], y: Float[np.ndarray, "b n d"]
) -> Float[np.ndarray, "a n b n"]:
    """<x_i, y_j> for all tokens of all clouds, from one matrix product."""
    (a, n, d), b = x.shape, len(y)
    return (x.reshape(-1, d) @ y.reshape(-1, d).T).reshape(a, n, b, n)


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


def _check_clouds(clouds: np.ndarray, block: int) -> None:
    """Raise a ValueError that says what is wrong with a stack of clouds, if anything is."""
    if clouds.ndim != 3 or 0 in clouds.shape:
        raise ValueError(
            f"clouds have shape (p prompts, n tokens, d dims), each at least 1; got "
            f"{clouds.shape}: stack clouds of equal n and d along a new first axis"
        )
    broken = [index for index, cloud in enumerate(clouds) if not np.isfinite(cloud).all()]
    if broken:
        raise ValueError(
            f"clouds of shape {clouds.shape} hold NaN or infinity, at {broken[:5]} first: encode "
            "these prompts again, in float32 if they overflowed in half precision"
        )
    if block < 1:
        raise ValueError(f"block is a number of clouds, at least 1; got {block}")
