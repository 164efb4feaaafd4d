"""The networks of a model as ONNX graphs, for ONNX Runtime in any language.

There are four: ``text_encoder`` (token ids to clouds), ``unet`` (latents, a time and clouds to
predictions), ``decoder`` (denoised latents to bytes) and ``metric`` (bytes of consecutive frames
to their LPIPS distances). Each is run once in ONNX Runtime and compared with what the package's
own function makes of the same numbers.

Weights lie in half precision where a graph agrees with torch even so, and are cast to float32 as
it is loaded: whatever is computed is computed in float32.
"""

import io
import warnings
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
import torch
from jaxtyping import Float, Int, UInt8
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from embedding_geometry.diffusion.clouds import encode_prompts
from embedding_geometry.diffusion.generation import decode_latents
from embedding_geometry.diffusion.loading import TextToImageModel
from embedding_geometry.diffusion.tokens import token_ids
from embedding_geometry.perception.metric import (
    PerceptualMetric,
    consecutive_distances,
    lpips_features,
    perceptual_distances,
)
from embedding_geometry.perception.networks import LPIPS

OPSET = 17
SHORT = 64  # numbers; shorter weights are not worth a node that casts them
EXAMPLE = "a cat on the beach"


class TokenClouds(nn.Module):
    """Token ids to clouds, as `encode_prompts` makes them."""

    def __init__(self, model: TextToImageModel) -> None:
        """Read with the model's text encoder."""
        super().__init__()
        self.encoder = model.text_encoder

    def forward(self, ids: Int[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        """Return the last hidden states."""
        return self.encoder(ids.long()).last_hidden_state


class Prediction(nn.Module):
    """What the UNet predicts for latents at one time under clouds."""

    def __init__(self, model: TextToImageModel) -> None:
        """Predict with the model's UNet."""
        super().__init__()
        self.unet = model.unet

    def forward(
        self, latents: Float[Tensor, "b c h w"], time: Float[Tensor, ""], clouds: Tensor
    ) -> Float[Tensor, "b c h w"]:
        """Return the noise or the velocity."""
        return self.unet(latents, time, clouds).sample


class Pictures(nn.Module):
    """Denoised latents to bytes, as `render` rounds them."""

    def __init__(self, model: TextToImageModel) -> None:
        """Decode with the model's autoencoder."""
        super().__init__()
        self.vae = model.vae

    def forward(self, latents: Float[Tensor, "b c h w"]) -> UInt8[Tensor, "b height width 3"]:
        """Return the pictures."""
        pixels = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        pictures = (pixels / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
        return (pictures * 255).round().to(torch.uint8)


class Distances(nn.Module):
    """Bytes of consecutive frames to their LPIPS distances."""

    def __init__(self, network: LPIPS) -> None:
        """Measure with this network."""
        super().__init__()
        self.network = network

    def forward(self, frames: UInt8[Tensor, "t h w 3"]) -> Float[Tensor, " steps"]:
        """Return the distance of each frame to the next."""
        return consecutive_distances(self.network, lpips_features(self.network, frames))


@dataclass(frozen=True)
class Graph:
    """A network that is to be written, and how it is known to be right.

    Attributes:
        network: what is written.
        inputs: by their names, an example to trace it with and to check it on; all but a single
            number have an axis of batches first.
        expected: what the package's own function makes of the example.
        tolerance: the largest difference from that, as a share of its largest value.
    """

    network: nn.Module
    inputs: dict[str, np.ndarray]
    expected: np.ndarray
    tolerance: float


def graphs(model: TextToImageModel, metric: PerceptualMetric) -> dict[str, Graph]:
    """The networks by their names, each with an example drawn from a fixed seed.

    Raises:
        ValueError: the model reads more than clouds or is not in float32 on the CPU, or the metric
            is no LPIPS.
    """
    if (model.device.type, model.dtype) != ("cpu", torch.float32):
        raise ValueError(
            f"{model.provenance.name} is on {model.device} in {model.provenance.dtype}; it is "
            "exported from device cpu in float32"
        )
    if model.text_encoder_2 is not None:
        raise ValueError(
            f"{model.provenance.name} reads a pooled vector beside its clouds; only a model that "
            "reads clouds alone, such as pocket or a Stable Diffusion 1 or 2, can be exported"
        )
    if not isinstance(metric.network, LPIPS):
        raise ValueError(f"the metric {metric.net} is no LPIPS; use alex, vgg or squeeze")
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((2, *model.latent_shape), np.float32)
    clouds = rng.standard_normal((2, model.n_tokens, model.text_width), np.float32)
    time = np.array(model.scheduler.config.num_train_timesteps // 2, np.float32)
    frames = rng.integers(0, 256, (3, *model.image_size, 3), np.uint8)
    prediction = Prediction(model)
    with torch.no_grad():
        predicted = prediction(*map(torch.from_numpy, (latents, time, clouds))).numpy()
    pictures = (decode_latents(model, torch.from_numpy(latents)) * 255).round()
    ids = token_ids(model, EXAMPLE)[None].astype(np.int32)
    inputs = {"latents": latents, "time": time, "clouds": clouds}
    return {
        "text_encoder": Graph(
            TokenClouds(model), {"ids": ids}, encode_prompts(model, [EXAMPLE]), 1e-5
        ),
        "unet": Graph(prediction, inputs, predicted, 1e-5),
        "decoder": Graph(Pictures(model), {"latents": latents}, pictures, 2 / 255),
        "metric": Graph(
            Distances(metric.network),
            {"frames": frames},
            perceptual_distances(metric, frames),
            1e-3,
        ),
    }


def written(name: str, graph: Graph) -> tuple[bytes, float]:
    """Return the content of a graph's file, in half precision if it may be, and its difference.

    Raises:
        ValueError: the graph does not agree with torch in either precision.
    """
    single = _traced(graph)
    for proto in (_halved(single), single):
        content = proto.SerializeToString()
        if (difference := _difference(content, graph)) <= graph.tolerance:
            return content, difference
    raise ValueError(
        f"in ONNX Runtime the {name} differs from torch by {difference:.2g} of its largest value; "
        f"at most {graph.tolerance:.2g} is wanted: take another version of torch or of onnxruntime"
    )


def _traced(graph: Graph) -> onnx.ModelProto:
    """Trace a network on its example; the axes of batches are left open."""
    file = io.BytesIO()
    open_axes = {name: {0: "batch"} for name, value in graph.inputs.items() if value.ndim}
    with warnings.catch_warnings():
        # The exporter that is to replace this one takes ten times as long, and more packages.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.network.eval(),
            tuple(map(torch.from_numpy, graph.inputs.values())),
            file,  # type: ignore[arg-type] # this exporter writes into one, too
            input_names=list(graph.inputs),
            output_names=["output"],
            dynamic_axes=open_axes | {"output": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )
    return onnx.load_from_string(file.getvalue())


def _halved(single: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph whose long weights lie in half precision, and are cast as it is loaded."""
    proto = onnx.ModelProto()
    proto.CopyFrom(single)
    casts = []
    for weight in proto.graph.initializer:
        if weight.data_type == TensorProto.FLOAT and np.prod(weight.dims) > SHORT:
            name, half = weight.name, numpy_helper.to_array(weight).astype(np.float16)
            weight.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
            casts.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return proto


def _difference(content: bytes, graph: Graph) -> float:
    """Largest difference of a graph's output from the expected, as a share of its largest."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    [output] = session.run(None, graph.inputs)
    return float(np.abs(output - graph.expected).max() / np.abs(graph.expected).max())
