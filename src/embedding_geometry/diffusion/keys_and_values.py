"""Keys and values of a text, projected once instead of at every denoising step.

A cross-attention layer projects the token cloud linearly to keys and values (see `attention`).
Neither the time nor the image enters, so that a run of T steps would compute the same two products
T times in each layer. They are remembered for as long as a batch of frames is denoised.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

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
        # what stands in the layer itself is found before its modules, which stay as they are; a
        # text is kept with what was made of it, so that no other has its identity
        vars(layer).update(to_k=cache(layer.to_k), to_v=cache(layer.to_v))
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["to_k"], vars(layer)["to_v"]
