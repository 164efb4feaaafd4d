"""Axis legend and array aliases: what the letters in every signature stand for.

====== =======================================================================
letter axis
====== =======================================================================
n      tokens of a prompt (77 for Stable Diffusion), the points of a cloud
m      tokens of a second cloud, where it may have another number of them
d      dimensions of a token's embedding
p      prompts, or clouds in a collection
t      times on a path, or the frames rendered there
h, w   height and width of an image in pixels
====== =======================================================================

A *cloud* ``x`` holds one token embedding per row and stands for the uniform measure on its rows. A
*coupling* ``sigma`` is a permutation of ``0 … n-1``: ``x[i]`` is paired with ``y[sigma[i]]``.
Annotations are read by jaxtyping; the tests check them at run time, users do not pay for it.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int, UInt8

Cloud = Float[np.ndarray, "n d"]
Clouds = Float[np.ndarray, "p n d"]
Costs = Float[np.ndarray, "n m"]
Coupling = Int[np.ndarray, " n"]
Times = Float[np.ndarray, " t"]
CloudPath = Float[np.ndarray, "t n d"]
Frames = UInt8[np.ndarray, "t h w 3"]

COUPLINGS = ("row", "optimal", "random")  # of every comparison
NetName = Literal["pocket", "alex", "vgg", "squeeze"]  # of a perceptual metric
SchedulerName = Literal["ddim", "dpm", "euler"]

SEEDS = range(2**63)  # what both numpy's and torch's generators take


def check_seed(seed: int) -> None:
    """Raise a ValueError for a seed that is negative or too large for a generator."""
    if seed not in SEEDS:
        raise ValueError(f"seed is {seed}; use 0, 1, 2 ... {SEEDS[-1]}")
