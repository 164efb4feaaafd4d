r"""Wasserstein distances of all pairs of clouds, in a compiled loop.

One matrix product gives the costs of many pairs at once (`pairwise_wasserstein`); a compiled loop
finds the cheapest permutation of each pair, and what it costs. Two things cost the library calls
more than the arithmetic does: scipy's solver looks at one column after the other, and numpy copies
a cloud before it can subtract. Here the inner loops go over whole rows without a branch, so that
the processor does several numbers at a time.

Compiled by numba at its first call, which takes a second; imported only where it is used, so that
the mathematics starts without a compiler.
"""

import inspect
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numba import njit
from threadpoolctl import threadpool_limits

from embedding_geometry.ground.types import (
    ArrayLike,
    Cloud,
    Clouds,
    Costs,
    Coupling,
    real_array,
)
from embedding_geometry.transport.couplings import wasserstein_distance

# A float32 product decides a pair only while its squared distance is at least this share of the
# squared norms about the means: a permutation chosen wrongly by rounding costs up to 1e-8 of the
# norms more.
CLOSE = 0.02


def pairwise_wasserstein(
    clouds: ArrayLike, *, normalized: bool, block: int = 16
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
    clouds = real_array(clouds, "the stack of clouds", single=True)
    if clouds.ndim != 3 or 0 in clouds.shape:
        raise ValueError(
            f"clouds have shape (p prompts, n tokens, d dims), each at least 1; got "
            f"{clouds.shape}: stack clouds of equal n and d along a new first axis"
        )
    if block < 1:
        raise ValueError(f"block is a number of clouds, at least 1; got {block}")
    p, n, _ = clouds.shape
    residuals, norms = _about_own_means(clouds)
    squares = np.zeros((p, p))

    def fill(rows: slice, columns: slice) -> None:
        costs = np.tensordot(-residuals[rows], residuals[columns], axes=(2, 2))
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


def _about_own_means(clouds: Clouds) -> tuple[Float[np.ndarray, "p n d"], Float[np.ndarray, " p"]]:
    """Each cloud less its mean token, in float32 at a scale where squares fit; squared norms."""
    scale = float(np.ptp(clouds)) or 1.0
    residuals, norms = np.empty(clouds.shape, np.float32), np.empty(len(clouds))
    for index, cloud in enumerate(clouds):
        exact = (cloud - cloud.mean(axis=0, dtype=np.float64)) / scale
        residuals[index] = exact
        norms[index] = np.vdot(exact, exact) * scale**2
    return residuals, norms


# --- the compiled loop --------------------------------------------------------------------------


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """Machine code that lets go of the interpreter's lock and may sum in any order.

    No number here is NaN, the callers see to that; infinity is used. `unwrap` because the tests
    wrap every function to check its shapes, and a wrapper cannot be compiled.
    """
    fastmath = {"reassoc", "contract", "nnan", "nsz"}
    return njit(nogil=True, fastmath=fastmath)(inspect.unwrap(function))


@_compile
def _extend(
    costs: Float[np.ndarray, " n"],
    potential: Float[np.ndarray, " n"],
    length: float,
    row: int,
    shortest: Float[np.ndarray, " n"],
    before: Int[np.ndarray, " n"],
) -> None:
    """Shorten the paths to the columns that are nearer by way of this row.

    Args:
        costs: of this row.
        potential: of the columns; infinite where the shortest path is known already.
        length: of the path to this row, less the row's potential.
        row: its number.
        shortest: length of the shortest path found so far to each column; changed.
        before: last row on that path; changed.
    """
    for j in range(len(costs)):
        here = costs[j] + potential[j] + length
        shorter = here < shortest[j]
        shortest[j] = here if shorter else shortest[j]
        before[j] = row if shorter else before[j]


@_compile
def _nearest(shortest: Float[np.ndarray, " n"], holder: Int[np.ndarray, " n"]) -> int:
    """Column with the shortest path; of several an unassigned one, which ends the search.

    Two passes without a branch are faster than one with.
    """
    least = np.inf
    for length in shortest:
        least = min(least, length)
    n = len(shortest)
    place = 2 * n
    for j in range(n):
        rank = j if holder[j] < 0 else n + j
        place = min(place, rank if shortest[j] == least else 2 * n)
    return place % n


@_compile
def cheapest_permutation(costs: Costs) -> Coupling:
    r"""Exact linear assignment by shortest augmenting paths.

    The method of Jonker & Volgenant (1987) without their start, as in Crouse (2016, *On
    implementing 2D rectangular assignment algorithms*), which scipy follows too: one row after the
    other is assigned along a shortest path of reduced costs :math:`C_{ij} + v_j - u_i \ge 0`,
    after which the potentials :math:`v` of the columns passed are raised. The potential
    :math:`u_i` of an assigned row need not be kept: its own pair has reduced cost 0.

    Args:
        costs: square matrix (n, n) in float64; finite, which is not checked.

    Returns:
        Column (n,) of each row. Of several cheapest permutations it is some one, always the same.
    """
    n = len(costs)
    sigma, holder = np.empty(n, np.int64), np.full(n, -1)
    potential, shortest = np.zeros(n), np.empty(n)
    before, passed = np.empty(n, np.int64), np.empty(n, np.int64)
    potential_of_passed, length_to_passed = np.empty(n), np.empty(n)
    for start in range(n):
        shortest[:] = np.inf
        row, length, count = start, 0.0, 0
        while True:
            _extend(costs[row], potential, length, row, shortest, before)
            j = _nearest(shortest, holder)
            end = shortest[j]
            if holder[j] < 0:
                break
            passed[count], length_to_passed[count] = j, end
            potential_of_passed[count] = potential[j]
            count += 1
            row = holder[j]
            length = end - (costs[row, j] + potential[j])
            shortest[j] = potential[j] = np.inf
        for k in range(count):
            potential[passed[k]] = potential_of_passed[k] + (end - length_to_passed[k])
        row = -1
        while row != start:
            row = before[j]
            holder[j] = row
            sigma[row], j = j, sigma[row]
    return sigma


@_compile
def paired_square(x: Cloud, y: Float[np.ndarray, "m d"], sigma: Coupling) -> float:
    r"""Sum of :math:`\lVert x_i - y_{\sigma(i)} \rVert^2`, every difference in float64.

    Args:
        x: cloud (n, d), in float32 or float64.
        y: cloud (m, d) of the same precision.
        sigma: token of y (n,) that each token of x is paired with; not checked.
    """
    total = 0.0
    for i in range(x.shape[0]):
        partner = y[sigma[i]]
        for k in range(x.shape[1]):
            difference = np.float64(x[i, k]) - np.float64(partner[k])
            total += difference * difference
    return total


@_compile
def cheapest_squares(
    costs: Float[np.ndarray, "n b n"],
    x: Float[np.ndarray, "n d"],
    ys: Float[np.ndarray, "b n d"],
    known: int,
) -> Float[np.ndarray, " b"]:
    """`paired_square` of a cloud and each of b others under their cheapest permutations.

    Args:
        costs: what pairing token i of x with token j of the k-th other costs, at [i, k, j].
        x: cloud (n, d).
        ys: the others (b, n, d).
        known: the first so many are left at 0.
    """
    squares = np.zeros(len(ys))
    for k in range(known, len(ys)):
        sigma = cheapest_permutation(costs[:, k].astype(np.float64))
        squares[k] = paired_square(x, ys[k], sigma)
    return squares
