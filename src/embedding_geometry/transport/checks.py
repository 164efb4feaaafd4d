"""What is taken for clouds and for a coupling of them, and what is said of anything else."""

import numpy as np
from jaxtyping import Float

from embedding_geometry.ground.types import (
    ArrayLike,
    Cloud,
    CloudLike,
    Coupling,
    host_array,
    real_array,
)


def check_cloud_pair(x: ArrayLike, y: ArrayLike) -> tuple[Cloud, Cloud]:
    """Return both clouds in float64, or say what keeps them from being coupled token by token.

    Raises:
        ValueError: The arrays are not (n, d), are empty, hold NaN or infinity, differ in n or d,
            or are none that `real_array` reads.
    """
    x, y = check_points(x, y)
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


def check_points(x: CloudLike, y: CloudLike) -> tuple[Cloud, Float[np.ndarray, "m d"]]:
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
