"""The compiled loop computes what its definition says."""

import numpy as np
import pytest

from embedding_geometry.compiled import paired_square


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sum_over_the_paired_tokens(dtype) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 77, 768)).astype(dtype)
    sigma = rng.permutation(77)
    expected = np.square(x.astype(float) - y[sigma].astype(float)).sum()
    assert paired_square(x, y, sigma) == pytest.approx(expected, rel=1e-13)
    assert paired_square(x, x, np.arange(77)) == 0


def test_differences_are_taken_in_double_precision() -> None:
    """The square of the difference of 1 and its neighbour is exact."""
    x = np.full((1, 1), 1.0, np.float32)
    y = np.nextafter(x, np.float32(2))
    assert paired_square(x, y, np.zeros(1, int)) == float(np.float32(2**-23)) ** 2


def test_a_nan_stays_one() -> None:
    x = np.zeros((2, 3))
    x[1, 2] = np.nan
    assert np.isnan(paired_square(x, np.zeros((2, 3)), np.arange(2)))
