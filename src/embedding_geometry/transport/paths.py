r"""Paths between two token clouds, and their length in Wasserstein space.

The displacement interpolation along a coupling :math:`\sigma` moves every token straight, and at
constant speed, to the token it is paired with (McCann 1997; Peyré & Cuturi 2020, *Computational
Optimal Transport*, section 7.1; arXiv:2511.12757, "Which Way from B to A"):

.. math:: z_t = (1 - t)\, x + t\, y_\sigma, \quad (y_\sigma)_i = y_{\sigma(i)}, \quad t \in [0, 1].

Along the optimal coupling this is a geodesic of the Wasserstein space (Villani 2009, *Optimal
Transport: Old and New*, chapter 7): :math:`W_2(z_s, z_t) = |t - s|\, W_2(x, y)`. The row coupling
gives the interpolation of the two embedding *matrices*. It too ends at the cloud y, by a way that
is never shorter.
"""

from embedding_geometry.ground.types import ArrayLike, CloudLike, CloudPath, real_array
from embedding_geometry.transport.checks import check_cloud_pair, check_coupling
from embedding_geometry.transport.couplings import wasserstein_distance
from embedding_geometry.transport.curves import straight


def displacement_interpolation(
    x: CloudLike, y: CloudLike, sigma: ArrayLike, times: ArrayLike
) -> CloudPath:
    """Clouds ``(1 - t) x + t y[sigma]`` at times t in [0, 1], in any order: x[i] to y[sigma[i]].

    Returns:
        The path (t, n, d) in float64; at times 0 and 1 exactly x and y[sigma].

    Raises:
        ValueError: The clouds differ in shape or hold NaN or infinity, sigma is no permutation, or
            times are not one-dimensional within [0, 1].

    Examples:
        >>> x, y = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 1.0]])
        >>> eg.displacement_interpolation(x, y, np.array([1, 0]), np.array([0.5]))
        array([[[0. , 0.5],
                [1. , 0.5]]])
    """
    x, y = check_cloud_pair(x, y)
    sigma = check_coupling(sigma, len(x))
    return straight(x, y[sigma], times)


def wasserstein_length(path: ArrayLike) -> float:
    r"""Length :math:`\sum_k W_2(z_k, z_{k+1})` of a path given at some of its times.

    At least `wasserstein_distance(path[0], path[-1])`, and equal to it on a geodesic. With two
    clouds there is one term, which does not know how the tokens travelled: it is W2 for *every*
    coupling. Compare couplings on three clouds or more; the length can only grow with the number
    of times.

    In the units of arXiv:2511.12757, in which W2 has no 1/n under the root.

    Raises:
        ValueError: The array is not (t, n, d), has fewer than two clouds, or holds NaN or
            infinity.
    """
    path = real_array(path, "the path")
    if path.ndim != 3 or len(path) < 2:
        raise ValueError(
            f"a path has shape (t, n, d) with at least two clouds; got {path.shape}: "
            "interpolate at two times or more"
        )
    return sum(
        wasserstein_distance(here, there, normalized=False)
        for here, there in zip(path[:-1], path[1:], strict=True)
    )
