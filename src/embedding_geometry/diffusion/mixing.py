r"""Attention that mixes texts: what takes the place of one softmax over one text's tokens.

The rules are in `transport.rules`, their formulas here, as functions of the queries, keys and
values of a layer, (r, h, n, d) for r rows of the UNet and h heads. The keys and values of several
texts stand one after the other along n. `mixed_attention` lets the layers of a UNet compute such
a function, and all else as before.

Weights of measures are added to the logits in the precision of the model, whose softmax then is
as exact as that of one text. (A mask of diffusers' UNet could carry them, too, as
:math:`(1 - m) \cdot (-10^4)`; in half precision it has no digits for that.)
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from diffusers.models.attention_processor import Attention
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention as attention

from embedding_geometry.diffusion.loading import TextToImageModel
from embedding_geometry.transport.rules import Kind

Queries = Float[Tensor, "r h q d"]
Heads = Float[Tensor, "r h n d"]
Shared = Float[Tensor, "k h n d"]  # of k = r rows, or k = 1 for all
Mix = Callable[[Tensor, Tensor, Tensor], Tensor]  # from queries, keys and values to the answer
Processor = Callable[..., Tensor]  # of diffusers


def log_densities(
    weights: Float[np.ndarray, "... b"], sizes: list[int]
) -> Float[np.ndarray, "... n"]:
    """log(w_b / n_b) for each of the n_b tokens of every text b; of weight 0, minus infinity.

    Less the largest, as softmax does not see it: then only small weights are rounded, and what
    rounding does to one is small beside the others.
    """
    with np.errstate(divide="ignore"):
        logs = np.log(weights) - np.log(sizes)
    return np.repeat(logs - logs.max(axis=-1, keepdims=True), sizes, axis=-1)


def attend(query: Queries, key: Shared, value: Shared) -> Queries:
    """Attention of each row to a text of its own, or of all rows to one text.

    To one text all queries go one after the other: its keys and values are not copied for each.
    """
    if len(key) == len(query):
        return attention(query, key, value)
    queries = query.transpose(1, 2).flatten(0, 1).transpose(0, 1)
    answers = attention(queries[None], key, value)[0]
    return answers.transpose(0, 1).unflatten(0, (len(query), -1)).transpose(1, 2)


def read_measure(query: Queries, key: Shared, value: Shared, log_density: Tensor) -> Queries:
    """Attention to weighted tokens: their log densities (r, n) are added to the logits."""
    key, value = (each.expand(len(query), -1, -1, -1) for each in (key, value))
    return attention(query, key, value, attn_mask=log_density[:, None, None])


def average_outputs(
    query: Queries, key: Shared, value: Shared, weights: Tensor, sizes: list[int]
) -> Queries:
    """Averages, of weights (r, b), of the attention to each text, of n_b tokens, by itself."""
    texts = zip(key.split(sizes, dim=2), value.split(sizes, dim=2), strict=True)
    average = torch.zeros((), dtype=query.dtype, device=query.device)
    for weight, text in zip(weights.T[..., None, None, None], texts, strict=True):
        average = torch.addcmul(average, weight, attend(query, *text))
    return average


def share_out(query: Queries, key: Shared, value: Shared, apart: int, mix: Mix) -> Queries:
    """The first half of the rows reads the first tokens, that many, and the other mixes the rest.

    All rows mix where no token stands apart. Keys and values are those of half the rows, which the
    halves share, or of one row.
    """
    if not apart:
        return mix(query, key, value)
    without, mixed = query.chunk(2)
    read = attend(without, key[:, :, :apart], value[:, :, :apart])
    return _rows(read, mix(mixed, key[:, :, apart:], value[:, :, apart:]))


def fuse(query: Queries, key: Heads, value: Heads, weights: Tensor, kind: Kind) -> Queries:
    """AID in the last t rows, of weights (t, 2), beside the two ends in the rows before them.

    The ends, and what stands before these, read as they do without.
    """
    first, inner = len(query) - len(weights), kind == "inner"
    rest, ends, frames = slice(first), slice(first - 2, first), slice(first, None)
    shape = (1 if inner else 2, len(weights), -1, -1, -1)

    def beside(states: Tensor) -> Tensor:
        """The frames' own and then the ends': inner their mixture, outer first A's, then B's."""
        of_ends = states[ends, None]
        if inner:
            of_ends = torch.einsum("te,ehnd->thnd", weights, states[ends])[None]
        own = states[frames].expand(shape)
        return torch.cat([own, of_ends.expand(shape)], dim=3).flatten(0, 1)

    asked = query[frames].expand(shape).flatten(0, 1)
    answers = attention(asked, beside(key), beside(value))
    if not inner:
        of_a, of_b = answers.chunk(2)
        answers = torch.lerp(of_a, of_b, weights[:, 1, None, None, None])
    return _rows(attention(query[rest], key[rest], value[rest]), answers)


def _rows(*answers: Tensor) -> Tensor:
    """One after the other, in memory query by query as attention leaves them: no copy later."""
    return torch.cat([each.transpose(1, 2) for each in answers]).transpose(1, 2)


class _Mixing:
    """What computes a layer of attention: a mix if the UNet is given one, else what did before."""

    def __init__(self, plain: Processor) -> None:
        self.plain = plain

    def __call__(
        self,
        layer: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        mix: Mix | None = None,
        everywhere: bool = False,
    ) -> Tensor:
        """Answer as diffusers asks, with its names; of a mix it gives one more, or two."""
        image, text = hidden_states, encoder_hidden_states
        if mix is None or (text is None and not everywhere):
            return self.plain(layer, image, text, attention_mask, temb)
        read = image if text is None else text
        heads = (
            projected.unflatten(-1, (layer.heads, -1)).transpose(1, 2)
            for projected in (layer.to_q(image), layer.to_k(read), layer.to_v(read))
        )
        project, dropout = layer.to_out
        return dropout(project(mix(*heads).transpose(1, 2).flatten(2)))


@contextmanager
def mixed_attention(model: TextToImageModel) -> Iterator[None]:
    """Inside the context the UNet takes ``cross_attention_kwargs={"mix": mix}``.

    Its layers then answer ``mix(query, key, value)`` to a text, and with ``"everywhere": True``
    also where the image asks itself. Without a mix all is as it was.
    """
    layers = [layer for layer in model.unet.modules() if isinstance(layer, Attention)]
    for layer in layers:
        layer.set_processor(_Mixing(layer.processor))
    try:
        yield
    finally:
        for layer in layers:
            layer.set_processor(layer.processor.plain)
