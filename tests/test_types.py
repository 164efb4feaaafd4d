"""What stands for a value that several modules take."""

import numpy as np
import pandas as pd
import pytest
import torch
from strategies import random_clouds, without_type_checks

from embedding_geometry.ground.types import check_seed, generator, real_array
from embedding_geometry.transport.all_pairs import pairwise_wasserstein
from embedding_geometry.transport.barycenters import mean_of_rows
from embedding_geometry.transport.couplings import cost_matrix, wasserstein_distance
from embedding_geometry.transport.paths import displacement_interpolation, wasserstein_length


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_a_seed_that_every_generator_takes_is_accepted(seed):
    check_seed(seed)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_some_generator_refuses_is_named(seed):
    with pytest.raises(ValueError, match=f"seed is {seed}; use 0, 1, 2 "):
        check_seed(seed)


def test_a_seed_stands_for_its_generator():
    assert generator(3).random() == np.random.default_rng(3).random()
    assert generator(np.int64(3)).random() == np.random.default_rng(3).random()
    rng = np.random.default_rng(0)
    assert generator(rng) is rng


@pytest.mark.parametrize("rng", [None, "0", -1, 0.5])
def test_what_is_no_source_of_random_numbers_is_named(rng):
    with without_type_checks(), pytest.raises(ValueError, match=f"rng is {rng!r}|seed is -1"):
        generator(rng)


# --- arrays -------------------------------------------------------------------------------------

# The values are exact in bfloat16, so that every kind holds the same cloud.
CLOUD = np.arange(12.0).reshape(4, 3) % 5
KINDS = {
    "list": CLOUD.tolist(),
    "tuple": tuple(map(tuple, CLOUD)),
    "integers": CLOUD.astype(int),
    "half": CLOUD.astype(np.float16),
    "backwards": CLOUD[::-1].copy()[::-1],
    "frame": pd.DataFrame(CLOUD),
    "nullable frame": pd.DataFrame(CLOUD).astype("Float64"),
    "objects": CLOUD.astype(object),
    "tensor": torch.tensor(CLOUD),
    "bfloat16 with a gradient": torch.tensor(CLOUD, dtype=torch.bfloat16, requires_grad=True),
    "list of tensors": [torch.tensor(row, requires_grad=True) for row in CLOUD],
}


@pytest.mark.parametrize("kind", KINDS)
def test_single_and_pairwise_functions_take_the_same_kinds_of_arrays(kind):
    x, sigma, times = KINDS[kind], [1, 0, 3, 2], torch.linspace(0, 1, 3)
    other = CLOUD[::-1] + 1
    expected = wasserstein_distance(CLOUD, other, normalized=True)
    assert wasserstein_distance(x, other, normalized=True) == pytest.approx(expected, rel=1e-14)
    pair = [x, KINDS["tensor"] * 1.0]
    np.testing.assert_allclose(pairwise_wasserstein(pair, normalized=True), 0, atol=1e-14)
    np.testing.assert_allclose(mean_of_rows(pair, [0.5, 0.5]), CLOUD)
    path = displacement_interpolation(x, other, sigma, times)
    np.testing.assert_array_equal(path[-1], other[sigma])
    assert wasserstein_length([x, other]) == pytest.approx(2 * expected)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (np.ma.masked_equal(CLOUD, 2), "cannot be read as an array of numbers: it is masked"),
        ([np.ma.masked_equal(row, 2) for row in CLOUD], "masked"),
        (CLOUD + 1j, "holds complex128; real numbers are wanted"),
        (torch.tensor(CLOUD + 1j), "holds complex128"),
        (torch.tensor(CLOUD).to_sparse(), "cannot be read as an array of numbers: "),
        (torch.empty(4, 3, device="meta"), "cannot be read as an array of numbers: "),
        ([[1.0, 2.0], [3.0]], "cannot be read as an array of numbers: .*inhomogeneous"),
        (CLOUD.astype(str), "holds <U32; real numbers are wanted"),
        (pd.DataFrame(CLOUD.astype(str)), "real numbers are wanted"),
        (pd.DataFrame(CLOUD).astype("Float64").replace(2, pd.NA), "holds object"),
        (np.nan, "of shape .* holds NaN or infinity in [12] of its [12] rows, 0 first"),
        ({"a": CLOUD}, "it is masked or a mapping; give the values"),
        (CLOUD * 1e155, r"up to 4e\+155, whose squares overflow in float64"),
        ((CLOUD * 1e19).astype(np.float32), r"up to 4e\+19, whose squares overflow in float32"),
        (torch.tensor(CLOUD * 1e20).bfloat16(), "overflow in float32"),
    ],
)
def test_what_holds_no_real_numbers_is_refused_alike_in_one_line(broken, message):
    def raised(function) -> str:
        with without_type_checks(), pytest.raises(ValueError, match=message) as caught:
            function()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    raised(lambda: real_array(broken, "x"))
    raised(lambda: wasserstein_distance(broken, CLOUD, normalized=True))
    raised(lambda: cost_matrix(CLOUD, broken))
    raised(lambda: pairwise_wasserstein([broken, broken], normalized=True))
    raised(lambda: mean_of_rows([broken, CLOUD], [0.5, 0.5]))


def test_large_numbers_whose_squares_fit_are_measured():
    """Up to the limit single and pairwise distances are those of the scaled-down clouds."""
    x, y = random_clouds(np.random.default_rng(0), 2, 5, 3)
    small = wasserstein_distance(x, y, normalized=False)
    for scale, dtype in ((1e152, np.float64), (1e17, np.float32)):
        pair = (np.stack([x, y]) * scale).astype(dtype)
        single = wasserstein_distance(*pair, normalized=False)
        assert single == pytest.approx(scale * small, rel=1e-6)
        assert pairwise_wasserstein(pair, normalized=False)[0, 1] == pytest.approx(single)
