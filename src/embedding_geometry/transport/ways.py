"""Ways from one token cloud to another, each under its name.

A *way* is a function of the two ends and of times in [0, 1] that returns a path of clouds. Along a
coupling it is the displacement interpolation of `paths`. The study renders a way of any name, so
that another one takes part in every comparison as soon as it stands in this file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np

from embedding_geometry.ground.types import Cloud, CloudPath, CouplingName, Times
from embedding_geometry.transport.couplings import (
    check_cloud_pair,
    cost_matrix,
    couple,
    optimal_coupling,
    wasserstein_distance,
)
from embedding_geometry.transport.curves import entropic_plan, great_circle
from embedding_geometry.transport.other_couplings import (
    EndRows,
    centred_coupling,
    check_end_rows,
    cosine_coupling,
    go_toward,
    whitened_coupling,
    words_coupling,
)
from embedding_geometry.transport.paths import displacement_interpolation

ROUNDING = 1e-6  # clouds this near, as a share of their norm, give the same image


@dataclass(frozen=True)
class Ends:
    """The two prompts that a way joins, as it sees them.

    Attributes:
        x: cloud (n, d) of the source.
        y: cloud (n, d) of the target.
        x_end: row of the source's end token: its words are rows 1 … x_end - 1, padding follows.
        y_end: row of the target's end token.
    """

    x: Cloud
    y: Cloud
    x_end: int
    y_end: int

    def arrives(self, path: CloudPath) -> bool:
        """Whether the path ends at the target: at the same points, in any order, to rounding."""
        gap = wasserstein_distance(path[-1], self.y, normalized=False)
        return gap <= ROUNDING * float(np.linalg.norm(self.y))


Way = Callable[[Ends, Times, np.random.Generator], CloudPath]


def along_coupling(
    name: CouplingName, ends: Ends, times: Times, rng: np.random.Generator
) -> CloudPath:
    """Displacement interpolation along the coupling of that name; only "random" draws from `rng`.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity; times leave [0, 1].
    """
    sigma = couple(name, ends.x, ends.y, rng)
    return displacement_interpolation(ends.x, ends.y, sigma, times)


def between_couplings(
    start: CouplingName,
    end: CouplingName,
    percent: int,
    ends: Ends,
    times: Times,
    rng: np.random.Generator,
) -> CloudPath:
    """Displacement interpolation along a coupling between two others, of a cost between theirs.

    The generator first draws the random coupling, if it is one of the two, so that it is the one
    that the way "random" follows; then the geodesic on which `couplings.go_toward` goes.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity; times leave [0, 1].
    """
    from_sigma, to_sigma = (couple(name, ends.x, ends.y, rng) for name in (start, end))
    sigma = go_toward(from_sigma, to_sigma, percent / 100, rng)
    return displacement_interpolation(ends.x, ends.y, sigma, times)


WAYS: dict[str, Way] = {name: partial(along_coupling, name) for name in get_args(CouplingName)}

# Couplings of graded cost: optimal-random-25 lies a quarter of the way from optimal to random.
SCALES: tuple[tuple[CouplingName, CouplingName], ...] = (
    ("optimal", "random"),
    ("random", "worst"),
    ("optimal", "row"),
)
WAYS |= {
    f"{start}-{end}-{percent}": partial(between_couplings, start, end, percent)
    for start, end in SCALES
    for percent in (25, 50, 75)
}


# --- other ways ----------------------------------------------------------------------------------

EPSILONS = (0.01, 0.1, 1.0)  # shares of the mean cost


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
    x_end, y_end = check_end_rows(end_rows, len(x))
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


def interpolated(
    function: Interpolant, ends: Ends, times: Times, rng: np.random.Generator
) -> CloudPath:
    """The path of one of the `interpolants`; nothing is drawn from `rng`.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity; times leave [0, 1]; or
            what else that function cannot do.
    """
    return function(ends.x, ends.y, (ends.x_end, ends.y_end), times)


WAYS |= {name: partial(interpolated, function) for name, function in INTERPOLANTS.items()}


def find_way(name: str) -> Way:
    """The way of that name.

    Raises:
        ValueError: There is none; the message lists those that there are.
    """
    if name not in WAYS:
        raise ValueError(f"coupling {name!r} is unknown; there are {', '.join(WAYS)}")
    return WAYS[name]
