"""The one loop that numpy cannot do without copying a cloud: the cost of paired tokens.

Compiled by numba at its first call, which takes a second; imported only where it is used, so that
the mathematics starts without a compiler.
"""

import inspect

import numpy as np
from jaxtyping import Float
from numba import njit

from embedding_geometry.types import Cloud, Coupling


def _paired_square(x: Cloud, y: Float[np.ndarray, "m d"], sigma: Coupling) -> float:
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


# Sums may be taken in another order, which lets the processor do eight at a time. `unwrap` because
# the tests wrap every function to check its shapes, and a wrapper cannot be compiled.
paired_square = njit(nogil=True, fastmath={"reassoc", "contract"})(inspect.unwrap(_paired_square))
