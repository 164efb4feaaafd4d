"""The theorem: attention reads the text as a measure. And that the check can fail."""

from itertools import permutations

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from torch import nn

from embedding_geometry.diffusion.attention import (
    cross_attention,
    cross_attention_layers,
    layer_response,
    order_sensitivity,
    shuffling_changes,
    unet_response,
)
from embedding_geometry.diffusion.clouds import Texts, encode, encode_prompts
from embedding_geometry.diffusion.generation import initial_latent
from embedding_geometry.diffusion.loading import load_model
from embedding_geometry.diffusion.tokens import token_ids

EXACT = 1e-13  # what float64 leaves of "the same"
CLEAR = 5e-3  # what another text changes at least


@pytest.fixture(scope="module")
def exact_model(tiny_folder):
    return load_model(str(tiny_folder), device="cpu", dtype="float64")


@pytest.fixture(scope="module")
def clouds(exact_model):
    return encode_prompts(exact_model, ["a small cat on the beach", "two birds over the sea"])


def assert_measure(found):
    assert max(found.swap, found.cycle, found.random, found.doubling) <= EXACT
    assert found.other_text >= CLEAR


def test_cross_attention_is_torchs():
    rng = np.random.default_rng(0)
    query, key, value = rng.normal(size=(5, 8)), rng.normal(size=(7, 8)), rng.normal(size=(7, 3))
    expected = torch.nn.functional.scaled_dot_product_attention(
        *map(torch.from_numpy, (query, key, value))
    )
    np.testing.assert_allclose(cross_attention(query, key, value), expected, rtol=1e-12)


def test_cross_attention_does_not_overflow():
    key = np.array([[1e4], [-1e4]])
    found = cross_attention(np.array([[1e4]], np.float32), key, np.array([[2.0], [5.0]]))
    np.testing.assert_array_equal(found, [[2.0]])


def test_a_uniform_query_averages_the_values():
    value = np.array([[1.0], [2.0], [6.0]])
    found = cross_attention(np.zeros((1, 4)), np.ones((3, 4)), value)
    np.testing.assert_allclose(found, [[3.0]], rtol=1e-15)


def test_cross_attention_under_every_permutation():
    rng = np.random.default_rng(1)
    query, key, value = rng.normal(size=(3, 4)), rng.normal(size=(5, 4)), rng.normal(size=(5, 2))
    expected = cross_attention(query, key, value)
    for order in map(list, permutations(range(5))):
        found = cross_attention(query, key[order], value[order])
        np.testing.assert_allclose(found, expected, rtol=EXACT, atol=EXACT)
    wrong = cross_attention(query, key[[1, 0, 2, 3, 4]], value)
    assert np.abs(wrong - expected).max() > CLEAR


def test_every_layer_reads_a_measure(exact_model, clouds):
    layers = cross_attention_layers(exact_model)
    assert len(layers) == 7  # two levels down and two up of 1 and 2 blocks, and the middle
    for name in layers:
        response = layer_response(exact_model, name, np.random.default_rng(2))
        assert_measure(order_sensitivity(response, *clouds, np.random.default_rng(3)))


def test_the_unet_reads_a_measure(exact_model, clouds):
    response = unet_response(exact_model, initial_latent(exact_model, 0), 600, Texts(clouds[:1]))
    assert response(clouds[0]).shape == (4, 8, 8)
    assert_measure(order_sensitivity(response, *clouds, np.random.default_rng(3)))


def test_in_float32_to_rounding(tiny_model):
    texts = encode(tiny_model, ["a small cat", "two birds over the sea"])
    cloud, other = texts.clouds
    response = unet_response(tiny_model, initial_latent(tiny_model, 0), 600, texts[:1])
    found = order_sensitivity(response, cloud, other, np.random.default_rng(3))
    assert max(found.swap, found.cycle, found.random, found.doubling) < 1e-5
    assert found.random > 0
    assert found.other_text > CLEAR


def test_another_kernel_changes_the_unet_by_rounding(tiny_model):
    text = encode(tiny_model, ["a small cat"])
    [cloud] = text.clouds
    response = unet_response(tiny_model, initial_latent(tiny_model, 0), 600, text)
    fused = response(cloud)
    tiny_model.unet.set_attn_processor(AttnProcessor())
    try:
        eager = response(cloud)
    finally:
        tiny_model.unet.set_attn_processor(AttnProcessor2_0())
    assert 0 < np.abs(eager - fused).max() / np.abs(fused).max() < 1e-5


def test_clip_itself_reads_a_sequence(exact_model):
    """Tokens permuted before the encoder: its output is another set of points."""
    words, other = (
        token_ids(exact_model, text)[:, None].astype(float)
        for text in ("a small cat on the beach", "two birds over the sea")
    )

    def mean_point(tokens):
        ids = torch.from_numpy(tokens[:77, 0]).long()  # no places for a doubled text
        return exact_model.text_encoder(ids[None]).last_hidden_state[0].mean(dim=0).numpy()

    found = order_sensitivity(mean_point, words, other, np.random.default_rng(2))
    assert min(found.swap, found.cycle, found.random) > CLEAR


def test_a_sequence_a_multiset_and_a_measure_are_told_apart():
    rng = np.random.default_rng(0)
    cloud, other = rng.normal(size=(2, 6, 3))

    def kind(response):
        found = order_sensitivity(response, cloud, other, np.random.default_rng(1))
        orders = max(found.swap, found.cycle, found.random)
        return orders > CLEAR, found.doubling > CLEAR, found.other_text > CLEAR

    assert kind(lambda x: np.arange(len(x)) @ x) == (True, True, True)
    assert kind(lambda x: x.sum(axis=0)) == (False, True, True)
    assert kind(lambda x: x.mean(axis=0)) == (False, False, True)
    assert kind(lambda x: np.ones(3)) == (False, False, False)


class Summary(nn.Module):
    """A module as people have them, with dropout; a recurrent one reads a sequence."""

    def __init__(self, recurrent: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.recurrent = nn.GRU(3, 4, batch_first=True) if recurrent else None
        self.head, self.dropout = nn.Linear(3, 4), nn.Dropout(0.5)

    def forward(self, tokens):
        if self.recurrent is not None:
            return self.recurrent(tokens)[1][0]
        return self.dropout(self.head(tokens)).mean(dim=1)


@pytest.mark.parametrize("recurrent", [True, False])
def test_a_torch_module_of_ones_own_is_measured_and_left_as_it_was(recurrent):
    module = Summary(recurrent).bfloat16()
    cloud, other = torch.randn(2, 6, 3, requires_grad=True)
    found = order_sensitivity(module, cloud, other, 1)
    permuting = max(found.swap, found.cycle, found.random)
    assert permuting > CLEAR if recurrent else max(permuting, found.doubling) < 1e-12
    assert module.training
    assert {weight.dtype for weight in module.parameters()} == {torch.bfloat16}


def test_attention_reads_arrays_of_any_kind():
    query, key, value = np.random.default_rng(0).normal(size=(3, 5, 4))
    tensors = [torch.from_numpy(each).requires_grad_() for each in (query, key, value)]
    np.testing.assert_array_equal(cross_attention(*tensors), cross_attention(query, key, value))
    with pytest.raises(ValueError, match="key of shape .* holds complex128"):
        cross_attention(query, key + 1j, value)


def test_changes_are_relative_and_their_values_planted():
    """The response reads the first token; each change puts a known token there."""
    cloud = np.array([[2.0], [3.0], [8.0]])
    found = order_sensitivity(
        lambda x: x[0], cloud, np.array([[7.0]]), np.random.default_rng(0), permutations=30
    )
    assert (found.swap, found.cycle, found.random) == (0.5, 3.0, 3.0)
    assert (found.doubling, found.other_text) == (0.0, 2.5)


def test_shuffling_and_another_text_are_told_apart_for_every_prompt():
    """The response reads the first token: a shuffled prompt shows another of its own."""
    clouds = np.array([[[1.0], [2.0]], [[4.0], [4.0]], [[8.0], [2.0]]])
    by_order, by_text = shuffling_changes(lambda x: x[:, 0], clouds, np.random.default_rng(2))
    order = np.random.default_rng(2).permuted(np.tile([0, 1], (3, 1)), axis=1)
    moved = order[:, 0] == 1
    assert moved[[0, 2]].any()
    np.testing.assert_allclose(by_order, np.where(moved, [1.0, 0.0, 0.75], 0.0))
    np.testing.assert_allclose(by_text, [7.0, 0.75, 0.5])
    by_order, _ = shuffling_changes(lambda x: x.sum(axis=1), clouds, np.random.default_rng(2))
    assert by_order.tolist() == [0, 0, 0]


def test_what_cannot_be_measured_is_refused(exact_model):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="1 tokens has no order"):
        order_sensitivity(lambda x: x, np.ones((1, 2)), np.ones((1, 2)), rng)
    with pytest.raises(ValueError, match="zero everywhere"):
        order_sensitivity(np.zeros_like, np.ones((2, 2)), np.ones((2, 2)), rng)
    with pytest.raises(ValueError, match=r"no cross-attention layer 'x'; there are .*attn2"):
        layer_response(exact_model, "x", rng)
    with pytest.raises(ValueError, match="1 prompts; another text takes at least two"):
        shuffling_changes(lambda x: x, np.ones((1, 2, 2)), rng)
    with pytest.raises(ValueError, match="zero everywhere"):
        shuffling_changes(np.zeros_like, np.ones((2, 2, 2)), rng)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad):
    rng = np.random.default_rng(0)
    sound, broken = np.ones((2, 3)), np.full((2, 3), bad)
    with pytest.raises(ValueError, match=r"the cloud of shape \(2, 3\) holds NaN"):
        order_sensitivity(lambda x: x, broken, sound, rng)
    with pytest.raises(ValueError, match="the cloud of the other text"):
        order_sensitivity(lambda x: x, sound, broken, rng)
    with pytest.raises(ValueError, match="the response of shape"):
        order_sensitivity(lambda x: x * bad, sound, sound, rng)
    unusual = iter([1.0, 1.0, 1.0, 1.0, bad, 1.0, 1.0, 1.0, 1.0])  # in one of four permutations
    found = order_sensitivity(lambda x: x.mean(axis=0) * next(unusual), sound, 2 * sound, rng)
    assert not np.isfinite(found.random)
    assert found.other_text == 1
    with pytest.raises(ValueError, match="the clouds of shape"):
        shuffling_changes(lambda x: x, np.stack([sound, broken]), rng)
    for place, name in enumerate(["query", "key", "value"]):
        arrays = [sound, sound, sound]
        arrays[place] = broken
        with pytest.raises(ValueError, match=f"{name} of shape"):
            cross_attention(*arrays)
