"""Keys and values of a text, projected once instead of at every denoising step.

A cross-attention layer projects the token cloud linearly to keys and values (see `attention`).
Neither the time nor the image enters, so that a run of T steps would compute the same two products
T times in each layer. They are remembered for as long as a batch of frames is denoised.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from embedding_geometry.diffusion.attention import cross_attention_layers
from embedding_geometry.diffusion.loading import TextToImageModel


@contextmanager
def projected_once(model: TextToImageModel) -> Iterator[None]:
    """Inside the context each layer of the UNet remembers keys and values of all its texts.

    A text is recognised as a tensor object, not by its values: give the same object at every
    step and write nothing into it. Predictions are the same to the bit.
    """
    layers = cross_attention_layers(model).values()
    for layer in layers:
        layer.to_k, layer.to_v = _Remembering(layer.to_k), _Remembering(layer.to_v)
    try:
        yield
    finally:
        for layer in layers:
            layer.to_k, layer.to_v = layer.to_k.projection, layer.to_v.projection


class _Remembering(nn.Module):
    """A projection that returns an output again when it is given the same tensor again."""

    def __init__(self, projection: nn.Module) -> None:
        super().__init__()
        self.projection = projection
        self._known: dict[int, tuple[Tensor, Tensor]] = {}

    def forward(self, text: Tensor) -> Tensor:
        if id(text) not in self._known:  # the text is kept, too: no other has its number
            self._known[id(text)] = (text, self.projection(text))
        return self._known[id(text)][1]
