"""Keys and values of a text, projected once instead of at every denoising step.

A cross-attention layer projects the token cloud linearly to keys and values (see `attention`).
Neither the time nor the image enters, so that a run of T steps would compute the same two products
T times in each layer. They are remembered for as long as the UNet is given the same tensor.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from embedding_geometry.diffusion.attention import cross_attention_layers
from embedding_geometry.diffusion.loading import TextToImageModel


@contextmanager
def projected_once(model: TextToImageModel) -> Iterator[None]:
    """Inside the context each layer of the UNet remembers keys and values of its last text.

    The text is recognised as a tensor object, not by its values: give the same object at every
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
    """A projection that returns its last output again when it is given the same tensor again."""

    def __init__(self, projection: nn.Module) -> None:
        super().__init__()
        self.projection = projection
        self._last: tuple[Tensor, Tensor] | None = None

    def forward(self, text: Tensor) -> Tensor:
        last = self._last  # read and replaced in one go: two threads may share the UNet
        if last is None or last[0] is not text:
            last = self._last = (text, self.projection(text))
        return last[1]
