r"""Transport plans: couplings of clouds whose tokens have weights, or that differ in number.

Where tokens have weights, or the clouds different numbers of them, no permutation will do: a
transport plan :math:`P \in \mathbb{R}^{n \times m}_{\ge 0}` says how much of the weight of each
token of x goes to each of y, and :math:`W_2^2 = \min_P \sum_{ij} P_{ij} C_{ij}`.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from embedding_geometry.ground.types import ArrayLike, Cloud, CloudLike, Costs, real_array
from embedding_geometry.transport.checks import check_points


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

    x, y = check_points(x, y)
    masses = token_masses(weights_x, len(x), "x"), token_masses(weights_y, len(y), "y")
    costs = cdist(x, y, "sqeuclidean")
    scaled = costs / (costs.max() or 1.0)  # POT's tolerances are meant for costs of size 1
    shares = (mass / mass.sum() for mass in masses)
    plan, log = ot.lp.emd(*shares, scaled, numItermax=10_000_000, log=True)
    if log["warning"] is not None:
        raise ValueError(f"no cheapest plan was found: {log['warning']}")
    return plan


def token_masses(weights: ArrayLike | None, n: int, name: str) -> Float[np.ndarray, " n"]:
    """The masses of n tokens, 1 each if no weights are given, or what is wrong with these."""
    masses = np.ones(n) if weights is None else real_array(weights, f"weights_{name}")
    if masses.shape != (n,) or not (masses >= 0).all() or not masses.any():
        raise ValueError(
            f"weights_{name} of shape {masses.shape} should be ({n},), one for each token of "
            f"{name}, none negative and not all 0"
        )
    return masses


def weighted_distance(
    x: Cloud,
    y: Float[np.ndarray, "m d"],
    weights_x: ArrayLike | None,
    weights_y: ArrayLike | None,
    *,
    normalized: bool,
) -> float:
    """`couplings.wasserstein_distance` of clouds that were checked before, by their plan."""
    mass_x, mass_y = token_masses(weights_x, len(x), "x"), token_masses(weights_y, len(y), "y")
    total, other = (1.0, 1.0) if normalized else (mass_x.sum(), mass_y.sum())
    if not math.isclose(total, other, rel_tol=1e-9):
        raise ValueError(
            f"the tokens of x have mass {total:g} in all and those of y {other:g}: give weights "
            "of equal sums, or normalized=True, which divides them by their sums"
        )
    plan = transport_plan(x, y, mass_x, mass_y)
    return math.sqrt(total * (plan * cdist(x, y, "sqeuclidean")).sum())
