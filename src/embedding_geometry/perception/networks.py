"""The networks of LPIPS v0.1, as torchvision and the package `lpips` have them.

They stand here because to import those two takes longer than to measure a path: with its detection
operators torchvision loads torch's compiler. What LPIPS reads are stacks of convolutions. Weights
have the names that they have in `lpips`, and the results are its own to the bit.
"""

import itertools
from collections import OrderedDict
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

CHANNELS = {  # of the features of each layer
    "alex": (64, 192, 384, 256, 256),
    "vgg": (64, 128, 256, 512, 512),
    "squeeze": (64, 128, 256, 384, 384, 512, 512),
}
Images = Float[Tensor, "t _ _ _"]


class LPIPS(nn.Module):
    """A backbone and its heads, which weigh the channels of each layer."""

    def __init__(self, net: str) -> None:
        """Build the network `alex`, `vgg` or `squeeze`; its weights are yet to be loaded."""
        super().__init__()
        self.scaling_layer = Scaling()
        self.net = Backbone(SLICES[net]())
        self.lins = nn.ModuleList(_head(channels) for channels in CHANNELS[net])
        for number, head in enumerate(self.lins):  # the package knows each by both names
            self.add_module(f"lin{number}", head)


class Scaling(nn.Module):
    """Takes images in [-1, 1] to what the backbones were trained on."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        """Hold mean and deviation of the channels red, green and blue."""
        super().__init__()
        shift, scale = torch.tensor([[-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]])
        self.register_buffer("shift", shift[None, :, None, None])
        self.register_buffer("scale", scale[None, :, None, None])

    def forward(self, images: Images) -> Images:
        """Shift and scale."""
        return (images - self.shift) / self.scale


class Backbone(nn.Module):
    """A stack cut into slices, after each of which its features are read."""

    def __init__(self, slices: Iterable[list[nn.Module]]) -> None:
        """Name every module by its place in the whole stack."""
        super().__init__()
        places = itertools.count()
        for number, modules in enumerate(slices, start=1):
            named = OrderedDict((str(next(places)), module) for module in modules)
            self.add_module(f"slice{number}", nn.Sequential(named))

    def forward(self, images: Images) -> list[Images]:
        """Return the features of every slice."""
        features = []
        for piece in self.children():
            images = piece(images)
            features.append(images)
        return features


def _head(channels: int) -> nn.Module:
    """A weight for each channel, named as in the package, where a dropout comes before it."""
    model = nn.Sequential(nn.Identity(), nn.Conv2d(channels, 1, 1, bias=False))
    return nn.Sequential(OrderedDict(model=model))


class Fire(nn.Module):
    """SqueezeNet's block: fewer channels, then more by two kinds of convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Squeeze to an eighth of the outputs, of which each kind makes half."""
        super().__init__()
        squeezed, half = outputs // 8, outputs // 2
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, half, 1)
        self.expand3x3 = nn.Conv2d(squeezed, half, 3, padding=1)

    def forward(self, images: Images) -> Images:
        """Return both halves."""
        # in place, as there: else features of a single place lie, and are summed, otherwise
        squeezed = self.squeeze(images).relu_()
        return torch.cat([self.expand1x1(squeezed).relu_(), self.expand3x3(squeezed).relu_()], 1)


def _convolution(
    inputs: int, outputs: int, side: int = 3, *, stride: int = 1, padding: int = 1
) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, side, stride, padding), nn.ReLU(inplace=True)]


def _alexnet() -> list[list[nn.Module]]:
    return [
        _convolution(3, 64, 11, stride=4, padding=2),
        [nn.MaxPool2d(3, 2), *_convolution(64, 192, 5, padding=2)],
        [nn.MaxPool2d(3, 2), *_convolution(192, 384)],
        _convolution(384, 256),
        _convolution(256, 256),
    ]


def _vgg16() -> list[list[nn.Module]]:
    slices = [_convolution(3, 64) + _convolution(64, 64)]
    for inputs, outputs, further in [(64, 128, 1), (128, 256, 2), (256, 512, 2), (512, 512, 2)]:
        same = [module for _ in range(further) for module in _convolution(outputs, outputs)]
        slices.append([nn.MaxPool2d(2, 2), *_convolution(inputs, outputs), *same])
    return slices


def _squeezenet() -> list[list[nn.Module]]:
    """Version 1.1."""
    return [
        _convolution(3, 64, stride=2, padding=0),
        [nn.MaxPool2d(3, 2, ceil_mode=True), Fire(64, 128), Fire(128, 128)],
        [nn.MaxPool2d(3, 2, ceil_mode=True), Fire(128, 256), Fire(256, 256)],
        [nn.MaxPool2d(3, 2, ceil_mode=True), Fire(256, 384)],
        [Fire(384, 384)],
        [Fire(384, 512)],
        [Fire(512, 512)],
    ]


SLICES = {"alex": _alexnet, "vgg": _vgg16, "squeeze": _squeezenet}
