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

Public functions take arrays of any usual kind (`ArrayLike`) and a source of random numbers or its
seed (`Random`). `real_array` and `generator` are where these become one kind.
"""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int, UInt8

ArrayLike = npt.ArrayLike | Sequence[Any]  # what numpy, pandas and torch hold numbers in
Cloud = Float[np.ndarray, "n d"]
CloudLike = Cloud | ArrayLike
Clouds = Float[np.ndarray, "p n d"]
Costs = Float[np.ndarray, "n m"]
Coupling = Int[np.ndarray, " n"]
Times = Float[np.ndarray, " t"]
CloudPath = Float[np.ndarray, "t n d"]
Frames = UInt8[np.ndarray, "t h w 3"]

COUPLINGS = ("row", "optimal", "random")  # of every comparison
NetName = Literal["alex", "vgg", "squeeze"]  # of a perceptual metric
NET: NetName = "alex"  # where none is named, as in the package lpips
SchedulerName = Literal["ddim", "dpm", "euler"]

Random = np.random.Generator | int | np.integer  # a source of random numbers, or the seed of one
SEEDS = range(2**63)  # what both numpy's and torch's generators take


def check_seed(seed: int) -> None:
    """Raise a ValueError for a seed that is negative or too large for a generator."""
    if seed not in SEEDS:
        raise ValueError(f"seed is {seed}; use 0, 1, 2 ... {SEEDS[-1]}")


def generator(rng: Random) -> np.random.Generator:
    """The generator itself, or a new one with this seed; a ValueError for anything else."""
    if isinstance(rng, np.random.Generator):
        return rng
    if not isinstance(rng, int | np.integer):
        raise ValueError(f"rng is {rng!r}; give np.random.default_rng(0), or a seed such as 0")
    check_seed(int(rng))
    return np.random.default_rng(rng)


def real_array(
    values: Any, name: str, *, single: bool = False, finite: bool = True
) -> Float[np.ndarray, "..."]:
    """Numbers of any usual kind as an array of float64.

    Args:
        values: numpy's array, a list, pandas' table, or torch's tensor on any device, with a
            gradient or in half precision; or a list of these.
        name: what it is to the user, for the error.
        single: float32, and what torch has of less, comes as float32.
        finite: NaN and infinity are refused, too.

    Raises:
        ValueError: masked, complex or no numbers, rows of different lengths, NaN or infinity, or
            values so large that the sum of their squared differences overflows.
    """
    array = host_array(values, name)
    where = f"{name} of shape {array.shape} holds"
    objects = array.dtype == object and all(isinstance(each, Real) for each in array.flat)
    if array.dtype.kind not in "biuf" and not objects:
        raise ValueError(f"{where} {array.dtype}; real numbers are wanted, as of .astype(float)")
    kept = np.float32 if array.dtype == np.float32 else np.float64
    largest = float(max(array.max(initial=0), -array.min(initial=0)))
    if math.sqrt(np.finfo(kept).max / (4 * max(1, array.size))) < largest < math.inf:
        raise ValueError(
            f"{where} numbers up to {largest:.3g}, whose squares overflow in {np.dtype(kept)}: "
            "divide all by a common number"
        )
    # torch reads no array backwards
    array = array.astype(kept if single else np.float64, order="C", copy=False)
    if finite and not np.isfinite(array).all():
        rows = np.isfinite(np.atleast_1d(array))
        bad = np.flatnonzero(~rows.reshape(len(rows), -1).all(axis=1))
        raise ValueError(
            f"{where} NaN or infinity in {len(bad)} of its {len(rows)} rows, {bad[0]} first: "
            "leave out what was not measured, compute in float32 what overflows in half precision"
        )
    return array


def host_array(values: Any, name: str) -> np.ndarray:
    """Values of any kind where numpy can read them; a ValueError that names them if it cannot."""
    try:
        return np.asarray(_on_host(values))
    except (TypeError, ValueError, RuntimeError) as error:  # torch has all three
        reason = str(error).splitlines()[0]
        raise ValueError(f"{name} cannot be read as an array of numbers: {reason}") from error


def _on_host(values: Any) -> Any:
    """The values where numpy can read them: tensors brought here, also those of a list."""
    if isinstance(values, np.ma.MaskedArray | Mapping):
        raise TypeError("it is masked or a mapping; give the values that are there")
    if isinstance(values, list | tuple):
        return [_on_host(each) for each in values]
    if not hasattr(values, "detach"):
        return values
    # numpy has no bfloat16
    small = values.is_floating_point() and values.element_size() < 4
    return (values.float() if small else values).numpy(force=True)
