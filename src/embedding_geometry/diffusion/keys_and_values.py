"""Keys and values of a text, projected once instead of at every denoising step.

A cross-attention layer projects the token cloud linearly to keys and values (see `attention`).
Neither the time nor the image enters, so that a run of T steps would compute the same two products
T times in each layer. They are remembered for as long as the UNet is given the same tensor.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn


@contextmanager
def projected_once(unet: UNet2DConditionModel) -> Iterator[None]:
    """Inside the context each layer remembers the keys and values of the text it read last.

    The text is recognised as a tensor object, not by its values: give the same object at every
    step and write nothing into it. Predictions are the same to the bit.
    """
    layers = [
        layer
        for layer in unet.modules()
        if isinstance(layer, Attention) and layer.is_cross_attention
    ]
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
