"""Small models with random weights, and the inputs they are called with.

The property in question belongs to the wiring of a class, not to its size or its training: every
registry entry is the real class of diffusers in a small configuration. Transformers have two
blocks of each kind: what one does among the tokens of the text, the picture reads in the next.
An entry says only what is its own: `SIZES` holds what the classes share, by diffusers' names.
"""

import inspect
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import diffusers
import torch
from torch import Tensor, nn

N = 6  # tokens of a text
TIME = torch.tensor([500])
MASK = torch.tensor([[1, 1, 1, 1, 0, 0]])  # the last tokens are padding

# What a parameter of each of these names is in every model whose class has it, unless the entry of
# the model says otherwise.
SIZES: dict[str, Any] = {
    name: size
    for size, names in {
        1: "layers_per_block",
        2: "num_layers num_single_layers num_refiner_layers n_layers n_refiner_layers "
        "num_hidden_layers num_attention_heads num_cross_attention_heads num_key_value_heads "
        "num_heads n_heads",
        4: "in_channels out_channels audio_in_channels",
        8: "sample_size sample_height sample_width condition_dim multiple_of norm_num_groups",
        12: "attention_head_dim cross_attention_head_dim",
        16: "time_embed_dim freq_dim",
        24: "hidden_size dim joint_attention_dim cross_attention_dim text_embed_dim text_dim "
        "context_in_dim cap_feat_dim caption_channels caption_projection_dim",
        32: "intermediate_size ffn_dim vocab_size",
        (16, 32): "block_out_channels",
        (4, 4, 4): "axes_dims axes_dims_rope rope_axes_dim",
    }.items()
    for name in names.split()
}


class AbsentError(LookupError):
    """The installed diffusers has no class of this name."""


@dataclass(frozen=True)
class Tiny:
    """A factory of a diffusers class with a small configuration and random weights.

    Every parameter is drawn anew: many of these models start with gates and output layers of
    zeros, behind which any check would pass.
    """

    class_name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __call__(self) -> nn.Module:
        """Build the model.

        Raises:
            AbsentError: the installed diffusers has no such class.
        """
        model_class = getattr(diffusers, self.class_name, None)
        if model_class is None:
            raise AbsentError(f"diffusers {diffusers.__version__} has no {self.class_name}")
        known = inspect.signature(model_class.__init__).parameters
        sizes = {name: size for name, size in SIZES.items() if name in known}
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # diffusers deprecates parts that it still uses
            torch.manual_seed(self.seed)
            model = model_class(**{**sizes, **self.config}).requires_grad_(False)
            redraw(model)
        return model


def redraw(model: nn.Module) -> None:
    """Overwrite every parameter with normal numbers, matrices scaled to keep a vector's size."""
    for parameter in model.parameters():
        fan_in = math.prod(parameter.shape[1:])
        parameter.copy_(torch.randn(parameter.shape) / fan_in**0.5)


def normal(*shape: int) -> Tensor:
    """Standard normal numbers, the same for the same shape."""
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


TOKENS = {"encoder_hidden_states": 1}
MASKED_TOKENS = {**TOKENS, "encoder_attention_mask": 1}
MASKED = {"encoder_attention_mask": MASK}
TEXT = {"timestep": TIME, "encoder_hidden_states": normal(1, N, 24)}
IMAGE = {**TEXT, "hidden_states": normal(1, 4, 8, 8)}
FILM = {**TEXT, "hidden_states": normal(1, 4, 3, 8, 8)}
GRID = torch.cartesian_prod(*map(torch.arange, (1, 3, 3))).double()  # places of a packed picture
