"""Small models with random weights, and the inputs they are called with.

The property in question belongs to the wiring of a class, not to its size or its training: every
registry entry is the real class of diffusers in a small configuration. Transformers have two
blocks of each kind: what one does among the tokens of the text, the picture reads in the next.
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from torch import Tensor, nn

N = 6  # tokens of a text
TIME = torch.tensor([500])
MASK = torch.tensor([[1, 1, 1, 1, 0, 0]])  # the last tokens are padding


class AbsentError(LookupError):
    """The installed diffusers has no class of this name."""


@dataclass(frozen=True)
class Tiny:
    """A factory of a diffusers class with a small configuration and random weights.

    Every parameter is drawn anew: many of these models start with gates and output layers of
    zeros, behind which any check would pass.
    """

    class_name: str
    config: Mapping[str, Any]
    seed: int = 0

    def __call__(self) -> nn.Module:
        """Build the model.

        Raises:
            AbsentError: the installed diffusers has no such class.
        """
        model_class = getattr(diffusers, self.class_name, None)
        if model_class is None:
            raise AbsentError(f"diffusers {diffusers.__version__} has no {self.class_name}")
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # diffusers deprecates parts that it still uses
            torch.manual_seed(self.seed)
            model = model_class(**self.config).requires_grad_(False)
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
