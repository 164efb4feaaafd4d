r"""What the UNet can know of the order of the tokens: nothing.

In a cross-attention block the image asks (queries Q) and the text answers (keys K and values V,
one *row* per token):

$$A(Q, K, V) = \operatorname{softmax}(Q K^\top / \sqrt{d})\, V, \qquad
  A_q = \frac{\sum_i e^{\langle q, k_i \rangle / \sqrt d} v_i}
             {\sum_i e^{\langle q, k_i \rangle / \sqrt d}}.$$

Both sums run over the tokens, so the order of the rows does not matter, and neither does their
number when each is repeated equally often: A is a function of the *measure*
$\frac1n \sum_i \delta_{(k_i, v_i)}$. The text reaches the UNet through such blocks only, each with
K and V linear in the token cloud, so the same holds for the UNet and for the final image.

A swap of two neighbours and the cyclic shift generate every permutation. A function that is the
same after both, whatever the cloud, is therefore the same after all n! of them.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from diffusers.models.attention_processor import Attention
from jaxtyping import Float
from torch import Tensor, nn

from embedding_geometry.diffusion.clouds import Texts
from embedding_geometry.diffusion.inputs import as_tensor, beside_clouds, check_texts
from embedding_geometry.diffusion.loading import TextToImageModel
from embedding_geometry.ground.types import (
    ArrayLike,
    CloudLike,
    CloudPath,
    Random,
    generator,
    host_array,
    real_array,
)
from embedding_geometry.transport.couplings import wasserstein_distance

Response = Callable[[np.ndarray], np.ndarray]
QUERIES = 64  # places of the image that ask a single layer


@dataclass(frozen=True)
class OrderSensitivity:
    """Largest change of a response over its largest value, for changes of the token cloud.

    Attributes:
        swap: the first two tokens exchanged.
        cycle: every token one place further.
        random: the largest over random permutations.
        doubling: every token twice, the same measure of twice the points.
        other_text: the cloud of another text, without which a constant response would pass.
    """

    swap: float
    cycle: float
    random: float
    doubling: float
    other_text: float


def cross_attention(
    query: ArrayLike, key: ArrayLike, value: ArrayLike
) -> Float[np.ndarray, "q v"]:
    """Return softmax(Q K^T / sqrt(d)) V in float64 (Vaswani et al., 2017, eq. 1).

    Of queries (q, d), keys (n, d) and values (n, v).

    Raises:
        ValueError: queries and keys of different widths, another number of values than of keys,
            NaN or infinity in one of them.
    """
    query, key, value = map(real_array, (query, key, value), ("query", "key", "value"))
    if query.shape[1] != key.shape[1] or len(key) != len(value):
        raise ValueError(
            f"queries {query.shape}, keys {key.shape} and values {value.shape} do not fit: "
            "(q, d), (n, d) and (n, v) are wanted"
        )
    logits = query @ key.T / np.sqrt(query.shape[1])
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))  # the largest is 1: no overflow
    return weights @ value / weights.sum(axis=1, keepdims=True)


def attention_bound(
    query: ArrayLike, key_weights: ArrayLike, value_weights: ArrayLike, radius: float
) -> Float[np.ndarray, " q"]:
    r"""Return how much cross-attention can change at most where its text moves by a unit of W2.

    For a query q, tokens x within a ball of this radius, keys K x and values V x, attention
    :math:`A_q(\mu)` is a function of the measure :math:`\mu` on the tokens, and

    .. math:: \lVert A_q(\mu) - A_q(\nu) \rVert \le \lVert V \rVert\, (1 + 2 R a)\, e^{R a}\,
              W_2(\mu, \nu), \qquad a = \lVert K^\top q \rVert / \sqrt{d},

    with W2 between measures of mass 1 (the poster's is :math:`\sqrt n` times that). Along a
    coupling, tokens that move by :math:`v_i` change it by
    :math:`\sum_i p_i [V v_i + (V x_i - A_q) \langle K^\top q, v_i \rangle / \sqrt d]`, where the
    softmax p has :math:`n p_i \le e^{2 R a}`, so that
    :math:`\sum_i p_i \lVert v_i \rVert \le e^{R a} (\frac1n \sum_i \lVert v_i \rVert^2)^{1/2}`,
    and :math:`\lVert V x_i - A_q \rVert \le 2 R \lVert V \rVert`.

    It is the bound of Castin, Ablin and Peyré (ICML 2024, *How Smooth Is Attention?*,
    arXiv:2312.14820) for attention that a text pays to another: there the tokens ask, too, and for
    measures in a ball the constant grows exponentially with :math:`R^2`, in any number of tokens;
    for a given number n it is also at most of the order of :math:`\sqrt n`. Both say that a
    shorter way of the cloud allows less change, not that there is less.

    Args:
        query: queries (q, d).
        key_weights: K, (d, c), of tokens with c dimensions.
        value_weights: V, (v, c).
        radius: R >= 0 of a ball around 0 that holds all tokens on the way.

    Returns:
        The bound for each query; infinity where it is too large for a number.

    Raises:
        ValueError: matrices that do not fit, NaN or infinity, or a negative radius.
    """
    query, key_weights, value_weights = map(
        real_array, (query, key_weights, value_weights), ("query", "key_weights", "value_weights")
    )
    fits = (
        query.shape[1:] == key_weights.shape[:1]
        and key_weights.shape[1:] == (value_weights.shape[1:])
    )
    if not fits or not radius >= 0:
        raise ValueError(
            f"queries {query.shape}, keys of {key_weights.shape}, values of {value_weights.shape} "
            f"and radius {radius} do not fit: (q, d), (d, c), (v, c) and R >= 0 are wanted"
        )
    slope = radius * np.linalg.norm(query @ key_weights, axis=1) / np.sqrt(query.shape[1])
    with np.errstate(over="ignore"):
        return np.linalg.norm(value_weights, 2) * (1 + 2 * slope) * np.exp(slope)


def order_sensitivity(
    response: Response | nn.Module,
    cloud: CloudLike,
    other: CloudLike,
    rng: Random,
    *,
    permutations: int = 4,
) -> OrderSensitivity:
    """Measure how much a response to a token cloud depends on the order of the tokens.

    Args:
        response: an attention block, the UNet or the whole image, as a function of the cloud; or
            a torch module of one's own, from tokens (1, n, d) to a tensor, which is left as it is:
            a copy of it is measured, in float64 and evaluating. To
            see what the attention kernel alone changes, give the UNet another one beforehand:
            ``model.unet.set_attn_processor(AttnProcessor())`` of diffusers is the plain softmax.
        cloud: the text's token cloud, at least two tokens.
        other: the token cloud of another text.
        rng: draws the random permutations, or its seed.
        permutations: how many of them.

    Returns:
        The changes. One for which the response is NaN, as where it takes no other number of
        tokens, is NaN.

    Raises:
        ValueError: fewer than two tokens or one permutation, NaN or infinity in a cloud or in the
            response to `cloud`, a response to it that is zero everywhere, or one whose shape
            depends on the number of tokens.
    """
    cloud = real_array(cloud, "the cloud", single=True)
    other = real_array(other, "the cloud of the other text", single=True)
    rng, n = generator(rng), len(cloud)
    if isinstance(response, nn.Module):
        response = module_response(response)
    if n < 2:
        raise ValueError(f"a cloud of {n} tokens has no order; at least two are wanted")
    if permutations < 1:
        raise ValueError(f"permutations is {permutations}; at least one is wanted")
    reference = response(cloud)
    scale = _largest(reference, axis=None)

    def change(changed: np.ndarray) -> float:
        found = response(changed)
        if found.ndim and found.shape != reference.shape:
            raise ValueError(
                f"the response to {n} tokens is {reference.shape} and to {len(changed)} "
                f"{found.shape}: it must not have an axis of the tokens"
            )
        return float(np.abs(found - reference).max() / scale)

    swapped = cloud[[1, 0, *range(2, n)]]
    return OrderSensitivity(
        swap=change(swapped),
        cycle=change(np.roll(cloud, 1, axis=0)),
        random=float(np.max([change(rng.permutation(cloud)) for _ in range(permutations)])),
        doubling=change(np.repeat(cloud, 2, axis=0)),
        other_text=change(other),
    )


def shuffling_changes(
    response: Response, clouds: Float[np.ndarray, "p n d"], rng: Random
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """Measure what shuffling the tokens of each prompt changes, and what another prompt does.

    Args:
        response: the images of several clouds (p, n, d), as an array with p entries.
        clouds: the token clouds of p >= 2 prompts.
        rng: draws one permutation for each prompt.

    Returns:
        For each prompt the largest change over the largest value of its response: with its tokens
        shuffled, and with the cloud of the prompt before it in its place.

    Raises:
        ValueError: fewer than two prompts, NaN or infinity in a cloud or in a response to one, or
            a response that is zero everywhere.
    """
    if len(clouds) < 2:
        raise ValueError(f"{len(clouds)} prompts; another text takes at least two")
    clouds = real_array(clouds, "the clouds", single=True)
    order = np.tile(np.arange(clouds.shape[1]), (len(clouds), 1))
    shuffled = generator(rng).permuted(order, axis=1)
    original = response(clouds)
    permuted = response(np.take_along_axis(clouds, shuffled[:, :, None], axis=1))
    inside = tuple(range(1, original.ndim))
    scale = _largest(original, axis=inside)
    by_order = np.abs(permuted - original).max(axis=inside) / scale
    by_text = np.abs(np.roll(original, 1, axis=0) - original).max(axis=inside) / scale
    return by_order, by_text


def _largest(response: np.ndarray, axis: tuple[int, ...] | None) -> np.ndarray:
    """The largest absolute value, by which changes are divided."""
    scale = np.asarray(np.abs(real_array(response, "the response")).max(axis=axis))
    if not scale.all():
        raise ValueError("the response is zero everywhere, so no relative change can be measured")
    return scale


def cross_attention_layers(model: TextToImageModel) -> dict[str, Attention]:
    """Return the UNet's cross-attention layers by name, in the order of the network."""
    return {
        name: layer
        for name, layer in model.unet.named_modules()
        if isinstance(layer, Attention) and layer.is_cross_attention
    }


def layer_response(model: TextToImageModel, layer_name: str, rng: np.random.Generator) -> Response:
    """Return one cross-attention layer's output as a function of the token cloud.

    Its input from the image is standard normal, as what arrives there has just been normalised.

    Raises:
        ValueError: no such layer.
    """
    layers = cross_attention_layers(model)
    if layer_name not in layers:
        raise ValueError(f"no cross-attention layer {layer_name!r}; there are {', '.join(layers)}")
    layer = layers[layer_name]
    image = as_tensor(model, rng.standard_normal((1, QUERIES, layer.query_dim)))
    return _response(model, lambda cloud: layer(image, encoder_hidden_states=cloud))


@dataclass(frozen=True)
class Stretch:
    """How much attention's answers change along a path of clouds, a unit of W2.

    Attributes:
        seen: the most of all queries, heads and steps.
        bound: what `attention_bound` allows, the median over queries and heads.
    """

    seen: float
    bound: float


def attention_stretch(
    model: TextToImageModel, path: CloudPath, rng: np.random.Generator
) -> dict[str, Stretch]:
    """Return how much each cross-attention layer's answers change along a path (t, n, d).

    W2 is that of measures of mass 1. The image that asks is standard normal, as in
    `layer_response`.

    Raises:
        ValueError: a step in which no cloud moves.
    """
    radius = float(np.linalg.norm(path, axis=2).max())
    steps = np.array([wasserstein_distance(*ends, normalized=True) for ends in pairwise(path)])
    if not steps.all():
        raise ValueError(f"{(steps == 0).sum()} of {len(steps)} steps of the path move no cloud")
    found = {}
    for name, layer in cross_attention_layers(model).items():
        image = rng.standard_normal((QUERIES, layer.query_dim))
        seen, bound = [], []
        heads = (
            np.split(linear.weight.detach().cpu().double().numpy(), layer.heads)
            for linear in (layer.to_q, layer.to_k, layer.to_v)
        )
        for query, key, value in zip(*heads, strict=True):
            asked = image @ query.T
            answers = [cross_attention(asked, z @ key.T, z @ value.T) for z in path]
            changes = np.linalg.norm(np.diff(answers, axis=0), axis=2)
            seen.append((changes / steps[:, None]).max())
            bound.append(attention_bound(asked, key, value, radius))
        found[name] = Stretch(float(max(seen)), float(np.median(bound)))
    return found


def unet_response(
    model: TextToImageModel, latent: Float[Tensor, "1 c h w"], timestep: int, text: Texts
) -> Response:
    """Return the UNet's prediction for a latent at a time as a function of the token cloud.

    Of the text only SDXL's pooled vector is used. It has no tokens and so no order: it is held
    fixed beside the cloud.

    Raises:
        ValueError: not one text, or one that the model cannot read.
    """
    check_texts(model, text)
    if len(text) != 1:
        raise ValueError(f"one text's pooled vector stands beside the cloud, not {len(text)}")
    beside = beside_clouds(model, text.pooled, latent)
    return _response(
        model, lambda cloud: model.unet(latent, timestep, cloud, added_cond_kwargs=beside).sample
    )


def module_response(module: nn.Module) -> Response:
    """Return a module's output for tokens (1, n, d) as a function of the cloud (n, d).

    Of a copy in float64 on the CPU, evaluating: the module keeps its precision, device and mode.
    """
    own = copy.deepcopy(module).cpu().double().eval()

    @torch.no_grad()
    def response(cloud: np.ndarray) -> np.ndarray:
        return host_array(own(torch.from_numpy(cloud[None]).double()), "the module's output")

    return response


def _response(model: TextToImageModel, network: Callable[[Tensor], Tensor]) -> Response:
    """Wrap a network of a (1, n, d) tensor into a function of an (n, d) array."""

    @torch.no_grad()
    def response(cloud: np.ndarray) -> np.ndarray:
        return network(as_tensor(model, cloud[None]))[0].cpu().double().numpy()

    return response
