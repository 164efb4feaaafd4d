r"""Wasserstein barycenters: the token cloud in the middle of three prompts, or of more.

For clouds :math:`x_1, \dots, x_p` and weights :math:`w_k \ge 0`, :math:`\sum_k w_k = 1`, the
barycenter minimises Fréchet's objective

.. math:: F(z) = \sum_k w_k\, W_2^2(z, x_k)

over clouds z of as many tokens, all of equal weight (Agueh & Carlier 2011, *Barycenters in the
Wasserstein space*). The support is free: tokens may lie anywhere. With two clouds it is the
displacement interpolation along the optimal coupling, at the time that is the second weight.

A barycenter lies, token by token, at the mean of the tokens that it is coupled to,

.. math:: z_i = \sum_k w_k\, x_{k, \sigma_k(i)}, \qquad \sigma_k \text{ optimal from } z
    \text{ to } x_k,

and moving a cloud to that mean lowers F by at least the squared distance moved (Álvarez-Esteban
et al. 2016, *A fixed-point approach to barycenters in Wasserstein space*). There
are finitely many couplings, so the moves end, but where they end depends on where they began: for
three clouds or more the problem is not convex. Here they begin at every cloud of positive weight,
and the lowest end is taken. Like the barycenter itself, these beginnings do not depend on the
order in which a text encoder wrote the tokens.

The opponent is the mean of rows, which takes the order of the tokens for granted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from embedding_geometry.ground.types import (
    ArrayLike,
    Cloud,
    CloudLike,
    Clouds,
    Coupling,
    real_array,
)
from embedding_geometry.transport.couplings import optimal_coupling, wasserstein_distance

Weights = Float[np.ndarray, " p"]

# Moves smaller than this share of the clouds' size are rounding.
STILL = 1e-10
# An end is lower than another only if by more than this share; else the earlier one stays.
LOWER = 1e-9


class NotConvergedError(RuntimeError):
    """The cloud still moved when the iterations were spent."""


@dataclass(frozen=True)
class Barycenter:
    """A barycenter, and how it was found.

    Attributes:
        cloud: its tokens (n, d).
        objective: Fréchet's objective of it, in the units of arXiv:2511.12757: squared distances,
            summed over tokens without 1/n.
        start: index of the cloud from which it was reached.
        moves: how far the whole cloud moved in each iteration; the last one is rounding.
    """

    cloud: Cloud
    objective: float
    start: int
    moves: tuple[float, ...]


@dataclass(frozen=True)
class WeightGrid:
    """Points of a triangle or a square in rows from the top, with the corners' weights there.

    Attributes:
        weights: (points, p), each row of the array a point, its weights adding up to 1.
        rows: number of points in each row of the grid.
        lines: its straight lines of neighbours, each an index array of two points or more; every
            pair of neighbours is consecutive in exactly one of them.
    """

    weights: Float[np.ndarray, "points p"]
    rows: tuple[int, ...]
    lines: tuple[Int[np.ndarray, " _"], ...]


def wasserstein_barycenter(
    clouds: ArrayLike, weights: ArrayLike, *, iterations: int = 100
) -> Barycenter:
    """Find the weighted barycenter of clouds by POT's fixed-point iteration with exact couplings.

    A weight of 1 gives that cloud itself, exactly. For two clouds the result is a global minimum,
    as is any result where the lowest end is one; for more clouds this cannot be guaranteed.

    Args:
        clouds: two or more clouds (n, d) of one shape.
        weights: (p,), nonnegative, adding up to 1.
        iterations: allowed from each start; a handful is the rule.

    Raises:
        ValueError: Fewer than two clouds, clouds of different sizes, NaN or infinity, weights that
            do not fit, fewer than one iteration.
        NotConvergedError: The iterations do not suffice.
    """
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}; at least one is wanted")
    stack, weights = _check(clouds, weights)
    starts = np.argsort(-weights, kind="stable")[: np.count_nonzero(weights)].tolist()
    ends = [_descend(stack, weights, start, iterations) for start in starts]
    best = ends[0]
    for end in ends[1:]:
        if end.objective < (1 - LOWER) * best.objective:
            best = end
    return best


def mean_of_rows(clouds: ArrayLike, weights: ArrayLike) -> Cloud:
    """Average the embedding matrices: row i is the weighted mean of all rows i.

    Raises:
        ValueError: as `wasserstein_barycenter`.
    """
    stack, weights = _check(clouds, weights)
    return np.einsum("p,pnd->nd", weights, stack)


def frechet_objective(cloud: CloudLike, clouds: ArrayLike, weights: ArrayLike) -> float:
    """Weighted sum of the squared Wasserstein distances from a cloud to the given ones.

    In the units of arXiv:2511.12757, without 1/n: n times that of the probability measures.

    Raises:
        ValueError: as `wasserstein_barycenter`, or the cloud is of another size than the clouds.
    """
    return _objective(cloud, *_check(clouds, weights))


def triangle_grid(steps: int) -> WeightGrid:
    """Weights of three corners in multiples of 1/steps: the first on top, the others below.

    Raises:
        ValueError: Fewer than one step.
    """
    cells = [(row, column) for row in range(steps + 1) for column in range(row + 1)]
    parts = [(steps - row, row - column, column) for row, column in cells]
    return _grid(steps, parts, [[row, column, row - column] for row, column in cells])


def square_grid(steps: int) -> WeightGrid:
    """Weights of four corners, bilinear in a square: the first two on top, the others below.

    Raises:
        ValueError: Fewer than one step.
    """
    cells = [(row, column) for row in range(steps + 1) for column in range(steps + 1)]
    parts = [np.kron((steps - row, row), (steps - column, column)) for row, column in cells]
    return _grid(steps, parts, [[row, column] for row, column in cells])


def _grid(steps: int, parts: Sequence[ArrayLike], lines_through: list[list[int]]) -> WeightGrid:
    """The grid with these proportions of the corners, its points in the order of the rows.

    Every point names the lines through it, one of each direction: its row, its column, ….
    """
    if steps < 1:
        raise ValueError(f"a grid of weights has at least one step along a side; got {steps}")
    numbers = np.array(lines_through).T
    lines = [np.flatnonzero(line == which) for line in numbers for which in np.unique(line)]
    weights = np.array(parts) / np.sum(parts[0])
    rows = tuple(np.bincount(numbers[0]).tolist())
    return WeightGrid(weights, rows, tuple(line for line in lines if len(line) > 1))


def _descend(clouds: Clouds, weights: Weights, start: int, iterations: int) -> Barycenter:
    """Move one of the clouds to the mean of its partners until it stays.

    POT ends at rounding of its plans. One more step along permutations is exact, and if among
    equally cheap couplings it finds others that lead further down, the descent goes on.
    """
    import ot.lp  # loads torch where it is installed, which the mathematics does not need

    active = weights > 0
    here, clouds, weights = clouds[start], clouds[active], weights[active]
    centre = clouds.mean(axis=(0, 1))  # far from 0, POT's squared distances would lose digits
    centred, cloud = clouds - centre, here - centre
    still = STILL * float(np.linalg.norm(centred))
    uniform = np.full(len(here), 1 / len(here))
    moves: list[float] = []
    while len(moves) < iterations:
        moved, log = ot.lp.free_support_barycenter(
            list(centred),
            [uniform] * len(clouds),
            cloud,
            b=uniform,
            weights=weights,
            numItermax=iterations - len(moves),
            stopThr=still**2,
            log=True,
        )
        sigmas = [optimal_coupling(moved, other) for other in centred]
        cloud = _mean_of_partners(centred, sigmas, weights)
        moves += np.sqrt(
            [*log["displacement_square_norms"], np.sum((cloud - moved) ** 2)]
        ).tolist()
        if moves[-1] <= still:
            found = _mean_of_partners(clouds, sigmas, weights)
            return Barycenter(found, _objective(found, clouds, weights), start, tuple(moves))
    raise NotConvergedError(
        f"the barycenter of {len(clouds)} clouds of shape {here.shape} still moved by "
        f"{moves[-1]:.3g} after {iterations} iterations: allow more"
    )


def _mean_of_partners(clouds: Clouds, sigmas: Sequence[Coupling], weights: Weights) -> Cloud:
    partners = [cloud[sigma] for cloud, sigma in zip(clouds, sigmas, strict=True)]
    return np.einsum("p,pnd->nd", weights, np.stack(partners))


def _objective(cloud: CloudLike, clouds: Clouds, weights: Weights) -> float:
    distances = [wasserstein_distance(cloud, other, normalized=False) for other in clouds]
    return float(weights @ np.square(distances))


def _check(clouds: Any, weights: ArrayLike) -> tuple[Clouds, Weights]:
    """Return the clouds as one array and the weights, both in float64, or say what is wrong."""
    arrays = [real_array(cloud, f"cloud {index}") for index, cloud in enumerate(clouds)]
    weights = real_array(weights, "weights")
    shapes = [array.shape for array in arrays]
    if len(shapes) < 2:
        raise ValueError(f"a barycenter lies between two clouds or more; got {len(shapes)}")
    if len(shapes[0]) != 2 or 0 in shapes[0] or set(shapes) != {shapes[0]}:
        raise ValueError(
            f"the clouds of a barycenter have one shape (n tokens, d dims); got {shapes}: encode "
            "all prompts with one model, to the same number of tokens"
        )
    if weights.shape != (len(arrays),):
        raise ValueError(f"{len(arrays)} clouds need as many weights; got shape {weights.shape}")
    if not (weights >= 0).all() or not abs(weights.sum() - 1) <= 1e-9:
        raise ValueError(
            f"weights are nonnegative and add up to 1; got {weights.tolist()}, which add up to "
            f"{weights.sum():g}: divide nonnegative numbers by their sum"
        )
    return np.stack(arrays), weights
