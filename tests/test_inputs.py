"""What the UNet is given: embeddings of any kind, and those that no model reads."""

import numpy as np
import pytest
import torch
from strategies import without_type_checks

from embedding_geometry.diffusion.clouds import Texts, encode_prompts
from embedding_geometry.diffusion.generation import initial_latent, render
from embedding_geometry.diffusion.settings import RenderSettings

CAT = "a small cat on the beach at night"
CAR = "a red car in the snow"


@pytest.fixture(scope="module")
def clouds(tiny_model):
    return encode_prompts(tiny_model, [CAT, CAR])


@pytest.fixture(scope="module")
def latent(tiny_model):
    return initial_latent(tiny_model, 3)


@pytest.fixture(scope="module")
def settings():
    return RenderSettings(2, 3.0)


def test_a_cloud_that_is_not_finite_is_named(tiny_model, clouds, latent, settings):
    for bad in (np.nan, np.inf):
        broken = clouds.copy()
        broken[1, 5, 2] = bad
        with pytest.raises(ValueError, match=r"clouds \[1\] of 2 hold NaN or infinity"):
            render(tiny_model, broken, latent, settings)


@pytest.mark.parametrize("shape", [(0, 77, 32), (2, 77, 31), (2, 0, 32)])
def test_clouds_of_another_shape_are_refused(tiny_model, latent, settings, shape):
    with pytest.raises(ValueError, match=r"clouds have shape .*\(frames, tokens, 32\)"):
        render(tiny_model, np.zeros(shape, np.float32), latent, settings)


def test_embeddings_of_any_kind_are_rendered_as_arrays_are(tiny_model, clouds, latent, settings):
    """Those of torch were called NaN, and an array read backwards was refused."""
    expected = render(tiny_model, clouds, latent, settings)
    tensor = torch.tensor(clouds, requires_grad=True)
    with without_type_checks():
        for kind in (tensor, clouds.tolist(), clouds[::-1].copy()[::-1]):
            np.testing.assert_array_equal(render(tiny_model, kind, latent, settings), expected)
        half = Texts(tensor.bfloat16())
    assert half.clouds.dtype == np.float32
