"""Keys and values are computed once for a text, and no prediction changes by it."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from embedding_geometry.diffusion import generation
from embedding_geometry.diffusion.attention import cross_attention_layers
from embedding_geometry.diffusion.clouds import encode_prompts
from embedding_geometry.diffusion.generation import initial_latent, sample_latents
from embedding_geometry.diffusion.keys_and_values import projected_once
from embedding_geometry.diffusion.settings import RenderSettings

TEXTS = ["a small cat on the beach at night", "a red car in the snow next to a big dog"]


@pytest.fixture(scope="module")
def texts(tiny_model):
    return [torch.from_numpy(cloud[None]) for cloud in encode_prompts(tiny_model, TEXTS)]


@torch.no_grad()
def predictions(model, order):
    """What the UNet says of one latent at falling times, reading the texts in this order."""
    latent = initial_latent(model, 0)
    return torch.cat([model.unet(latent, 900 - 100 * k, t).sample for k, t in enumerate(order)])


@pytest.mark.parametrize("order", [(0, 0, 0), (0, 1, 0, 1), (0, 0, 1, 1, 0)])
def test_predictions_are_the_same_to_the_bit(tiny_model, texts, order):
    expected = predictions(tiny_model, [texts[k] for k in order])
    with projected_once(tiny_model):
        found = predictions(tiny_model, [texts[k] for k in order])
    assert torch.equal(found, expected)
    assert not torch.equal(expected[0], expected[1])


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_frames_are_the_same_to_the_bit_as_without(tiny_model, texts, monkeypatch, scale):
    """Also in batches, with guidance, and for clouds that do not fit the negative prompt's."""
    path = np.concatenate([text.numpy() for text in texts for _ in range(3)])
    path *= np.linspace(0.5, 1, len(path), dtype=np.float32)[:, None, None]
    latent, settings = initial_latent(tiny_model, 0), RenderSettings(3, scale, batch_size=4)
    for clouds in (path, np.repeat(path, 2, axis=1)):
        found = sample_latents(tiny_model, clouds, latent, settings)
        with monkeypatch.context() as patch:
            patch.setattr(generation, "projected_once", lambda model: nullcontext())
            expected = sample_latents(tiny_model, clouds, latent, settings)
        assert torch.equal(found, expected)


def test_each_layer_projects_a_text_once_in_all_steps(tiny_model, texts):
    layers = cross_attention_layers(tiny_model).values()
    counts = dict.fromkeys(layers, 0)

    def count(layer):
        def hook(*_):
            counts[layer] += 1

        return hook

    hooks = [layer.to_v.register_forward_hook(count(layer)) for layer in layers]
    clouds = np.concatenate([text.numpy() for text in texts])
    settings = RenderSettings(steps=5, guidance_scale=3.0, batch_size=1)
    sample_latents(tiny_model, clouds, initial_latent(tiny_model, 0), settings)
    for hook in hooks:
        hook.remove()
    assert set(counts.values()) == {len(TEXTS)}  # batches of one: both texts, once each


def test_the_unet_is_left_as_it_was_also_after_an_error(tiny_model, texts):
    before = dict(tiny_model.unet.named_modules())
    with pytest.raises(RuntimeError, match="shape"), projected_once(tiny_model):
        predictions(tiny_model, [texts[0][..., 1:]])
    assert dict(tiny_model.unet.named_modules()) == before
