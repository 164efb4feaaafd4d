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
from embedding_geometry.transport.couplings import couple, go_toward, wasserstein_distance
from embedding_geometry.transport.curves import INTERPOLANTS, Interpolant
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

# -------------------------------------------------------------------------------------------------


def find_way(name: str) -> Way:
    """The way of that name.

    Raises:
        ValueError: There is none; the message lists those that there are.
    """
    if name not in WAYS:
        raise ValueError(f"coupling {name!r} is unknown; there are {', '.join(WAYS)}")
    return WAYS[name]
