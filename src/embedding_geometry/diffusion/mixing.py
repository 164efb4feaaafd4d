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
from functools import partial

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


def read_measure(query: Queries, key: Heads, value: Heads, log_density: Tensor) -> Queries:
    """Attention to weighted tokens: their log densities (r, n) are added to the logits."""
    return attention(query, key, value, attn_mask=log_density[:, None, None])


def average_outputs(
    query: Queries, key: Heads, value: Heads, weights: Tensor, sizes: list[int]
) -> Queries:
    """Averages, of weights (r, b), of the attention to each text, of n_b tokens, by itself."""
    texts = zip(key.split(sizes, dim=2), value.split(sizes, dim=2), strict=True)
    return sum(
        weight[:, None, None, None] * attention(query, *text)
        for weight, text in zip(weights.T, texts, strict=True)
    )


def share_out(query: Queries, key: Tensor, value: Tensor, apart: int, mix: Mix) -> Queries:
    """The first half of the rows reads the first tokens, that many, and the other mixes the rest.

    All rows mix where no token stands apart. Keys and values are those of a row of either half, or
    of one for all.
    """

    def answer(read: Mix, queries: Tensor, tokens: slice) -> Tensor:
        states = (each[:, :, tokens].expand(len(queries), -1, -1, -1) for each in (key, value))
        return read(queries, *states)

    half = len(query) // 2 if apart else 0
    mixed = answer(mix, query[half:], slice(apart, None))
    return torch.cat([answer(attention, query[:half], slice(apart)), mixed]) if apart else mixed


def fuse(query: Queries, key: Heads, value: Heads, weights: Tensor, kind: Kind) -> Queries:
    """AID in the last t rows, of weights (t, 2), beside the two ends in the rows before them.

    The ends, and what stands before these, read as they do without.
    """
    ends = slice(len(query) - len(weights) - 2, len(query) - len(weights))

    def ask(beside: Callable[[Tensor], Tensor]) -> Tensor:
        """The frames' answers of their own keys and values, and beside these some of the ends'."""
        keys, values = (torch.cat([x[ends.stop :], beside(x[ends])], dim=2) for x in (key, value))
        return attention(query[ends.stop :], keys, values)

    def of_end(end: int, states: Tensor) -> Tensor:
        return states[[end]].expand(len(weights), -1, -1, -1)

    if kind == "inner":
        frames = ask(partial(torch.einsum, "te,ehnd->thnd", weights))
    else:
        answers = (ask(partial(of_end, end)) for end in (0, 1))
        frames = sum(w[:, None, None, None] * a for w, a in zip(weights.T, answers, strict=True))
    rest = slice(ends.stop)
    return torch.cat([attention(query[rest], key[rest], value[rest]), frames])


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
