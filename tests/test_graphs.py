"""The exported graphs compute what torch computes, in batches of any size."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tiny_model import write_tiny_family

from embedding_geometry.diffusion.clouds import encode_prompts
from embedding_geometry.diffusion.generation import decode_latents
from embedding_geometry.diffusion.loading import load_model
from embedding_geometry.diffusion.tokens import token_ids
from embedding_geometry.pages.graphs import Graph, graphs, written
from embedding_geometry.perception.metric import perceptual_distances
from embedding_geometry.perception.weights import load_metric

TEXTS = ["a small cat on the beach at night", "", "a red car in the snow"]


@pytest.fixture(scope="module")
def contents(tiny_model, tiny_metric):
    networks = graphs(tiny_model, tiny_metric)
    return {name: written(name, graph)[0] for name, graph in networks.items()}


@pytest.fixture
def run(contents):
    """Return a function that runs a graph."""

    def run(name, **inputs):
        session = onnxruntime.InferenceSession(contents[name])
        return session.run(None, inputs)[0]

    return run


def draw(*shape):
    return np.random.default_rng(5).standard_normal(shape, np.float32)


def test_text_encoder_makes_the_clouds_of_several_texts(run, tiny_model):
    ids = np.stack([token_ids(tiny_model, text) for text in TEXTS]).astype(np.int32)
    clouds = run("text_encoder", ids=ids)
    np.testing.assert_allclose(clouds, encode_prompts(tiny_model, TEXTS), atol=0.01)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("time", [999.0, 0.0])
def test_unet_predicts_as_in_torch(run, tiny_model, count, time):
    latents = draw(count, *tiny_model.latent_shape)
    clouds = draw(count, tiny_model.n_tokens, tiny_model.text_width)
    with torch.no_grad():
        arguments = map(torch.from_numpy, (latents, np.array(time), clouds))
        expected = tiny_model.unet(*arguments).sample.numpy()
    found = run("unet", latents=latents, time=np.array(time, np.float32), clouds=clouds)
    np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())


def test_decoder_rounds_to_the_bytes_of_the_pictures(run, tiny_model):
    latents = draw(3, *tiny_model.latent_shape)
    expected = (decode_latents(tiny_model, torch.from_numpy(latents)) * 255).round()
    found = run("decoder", latents=latents)
    assert found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 2


def test_metric_measures_consecutive_frames(tiny_model, alex):
    content, _ = written("metric", graphs(tiny_model, alex)["metric"])
    frames = np.random.default_rng(5).integers(0, 256, (5, 64, 64, 3), np.uint8)
    frames[3] = frames[2]
    [found] = onnxruntime.InferenceSession(content).run(None, {"frames": frames})
    np.testing.assert_allclose(found, perceptual_distances(alex, frames), rtol=0.01)
    assert found[2] == 0


class Scaled(torch.nn.Module):
    """A network of one weight that half precision holds, or does not."""

    def __init__(self, factor):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.full((100,), factor), requires_grad=False)

    def forward(self, values):
        return values * self.factor


@pytest.mark.parametrize(("factor", "kind"), [(0.5, "float16"), (1 / 3, "float32")])
def test_weights_are_halved_only_where_the_graph_agrees_even_so(factor, kind):
    values = draw(2, 100)
    graph = Graph(Scaled(factor), {"values": values}, values * np.float32(factor), 1e-6)
    content, difference = written("scale", graph)
    [weight] = onnx.load_from_string(content).graph.initializer
    assert onnx.helper.tensor_dtype_to_np_dtype(weight.data_type) == kind
    assert difference <= 1e-6


def test_a_graph_that_does_not_agree_is_refused():
    values = draw(2, 100)
    with pytest.raises(ValueError, match=r"the scale differs from torch by 1\b"):
        written("scale", Graph(Scaled(2.0), {"values": values}, values, 1e-3))


def test_what_cannot_be_exported_is_named(tiny_model, tiny_metric, tmp_path):
    xl = load_model(str(write_tiny_family(tmp_path, "xl")), "cpu")
    with pytest.raises(ValueError, match="pooled vector beside its clouds"):
        graphs(xl, tiny_metric)
    with pytest.raises(ValueError, match="is no LPIPS"):
        graphs(tiny_model, load_metric(lambda frames: np.zeros(len(frames) - 1)))
    double = load_model(tiny_model.provenance.name, "cpu", "float64")
    with pytest.raises(ValueError, match="from device cpu in float32"):
        graphs(replace(tiny_model, unet=double.unet), tiny_metric)
