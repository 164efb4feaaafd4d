"""Attention over several texts, in half precision too: log weights of its own, no mask."""

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention as attention

from embedding_geometry.diffusion.mixing import average_outputs, log_densities, read_measure

WEIGHTS = np.array([[0.3, 0.7], [0.999, 0.001], [1.0, 0.0]])


@pytest.fixture
def heads():
    """Queries of 3 rows, 2 heads and 32 places, keys and values of two texts of 77 tokens."""
    generator = torch.Generator().manual_seed(0)
    shapes = (3, 2, 32, 16), (3, 2, 154, 16), (3, 2, 154, 16)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def error(found, expected):
    return float((found.double() - expected).norm() / expected.norm())


def test_log_densities_spread_a_weight_over_the_tokens_of_its_text():
    """As shares of the largest density."""
    found = np.exp(log_densities(np.array([[0.25, 0.75], [1.0, 0.0]]), [2, 3]))
    np.testing.assert_allclose(found, [[0.5, 0.5, 1, 1, 1], [1, 1, 0, 0, 0]])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_weighted_tokens_are_read_as_exactly_as_unweighted_ones(heads, dtype):
    density = torch.from_numpy(log_densities(WEIGHTS, [77, 77]))
    expected = read_measure(*heads, density), attention(*heads)
    small = [each.to(dtype) for each in heads]
    errors = [
        error(read_measure(*small, density.to(dtype)), expected[0]),
        error(attention(*small), expected[1]),
    ]
    assert errors[0] < 1.2 * errors[1]


def test_the_mask_of_diffusers_would_not_do_in_half_precision(heads):
    """(1 - m) (-10^4) with m = 1 + log w / 10^4, rounded as the UNet would round it."""
    density = torch.from_numpy(log_densities(WEIGHTS[:1], [77, 77])).expand(3, -1)
    expected = read_measure(*heads, density)
    mask = (1 + density / 1e4).half()
    small = [each.half() for each in heads]
    errors = [
        error(read_measure(*small, (1 - mask) * -1e4), expected),
        error(read_measure(*small, density.half()), expected),
    ]
    assert errors[0] > 20 * errors[1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_outputs_are_averaged_as_exactly_as_one_is_computed(heads, dtype):
    weights, sizes = torch.from_numpy(WEIGHTS), [77, 77]
    expected = average_outputs(*heads, weights, sizes), attention(*heads)
    small = [each.to(dtype) for each in heads]
    errors = [
        error(average_outputs(*small, weights.to(dtype), sizes), expected[0]),
        error(attention(*small), expected[1]),
    ]
    assert errors[0] < 1.5 * errors[1]
