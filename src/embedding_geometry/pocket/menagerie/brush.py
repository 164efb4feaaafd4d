"""Drawing on a batch of images at once, from signed distances, without a jump anywhere.

Every shape is a function of a pixel's place that is positive inside and measures the distance to
the outline; how much of a pixel it covers follows, so that nothing jumps when a shape moves.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Values = dict[str, Tensor]


class Brush:
    """Paints on a batch of images, in coordinates of its own.

    `u` (n, 1, p) runs to the right and `v` (n, p, 1) down, `pixel` (n, 1, 1) is the width of a
    pixel in their units; numbers of a scene are (n, 1, 1), colours (n, 3, 1, 1).
    """

    def __init__(self, image: Tensor, u: Tensor, v: Tensor, pixel: Tensor):
        """A brush for `image` (n, 3, p, p), which it changes in place."""
        self.image, self.u, self.v, self.pixel = image, u, v, pixel

    def at(self, x: Tensor | float, y: Tensor | float, unit: Tensor | float = 1.0) -> Brush:
        """The brush whose origin is at (x, y), and whose unit is `unit` of this one's."""
        return Brush(self.image, (self.u - x) / unit, (self.v - y) / unit, self.pixel / unit)

    def mirrored(self) -> Brush:
        """The brush that paints everything on both sides."""
        return Brush(self.image, self.u.abs(), self.v, self.pixel)

    def turned(self, angle: Tensor | float) -> Brush:
        """The brush whose upward direction leans to the right by `angle` radians."""
        angle = torch.as_tensor(angle)
        sin, cos = angle.sin(), angle.cos()
        u, v = self.u * cos + self.v * sin, self.v * cos - self.u * sin
        return Brush(self.image, u, v, self.pixel)

    def tapered(self, share: Tensor | float, length: Tensor | float) -> Brush:
        """The brush whose shapes narrow upwards, by `share` at `length` above the origin."""
        width = (1 + share * self.v / length).clamp(0.12, 3)
        return Brush(self.image, self.u / width, self.v, self.pixel)

    def ellipse(self, a: Tensor | float, b: Tensor | float) -> Tensor:
        """Distance to the outline of the ellipse of half axes a, b, to first order, (n, p, p)."""
        a, b = torch.as_tensor(a).clamp(min=1e-3), torch.as_tensor(b).clamp(min=1e-3)
        p, q = (self.u / a) ** 2, (self.v / b) ** 2
        return (1 - p - q) * 0.5 * (p / a**2 + q / b**2 + 1e-9).rsqrt()

    def cover(self, distance: Tensor, thickness: Tensor | float = 1.0) -> Tensor:
        """Share of each pixel inside; what is thinner than a pixel is fainter, not wider."""
        thin = (torch.as_tensor(thickness) / self.pixel).clamp(0, 1)
        return (distance / self.pixel + 0.5).clamp(0, 1) * thin

    def paint(self, cover: Tensor, color: Tensor) -> None:
        """Lay a colour over the image, as densely as `cover` (n, p, p) says."""
        self.image.lerp_(color.expand_as(self.image), cover.unsqueeze(1).expand_as(self.image))

    def disc(
        self, color: Tensor, a: Tensor | float, b: Tensor | float, alpha: Tensor | float = 1.0
    ) -> None:
        """Paint an ellipse."""
        thin = 2 * torch.minimum(torch.as_tensor(a), torch.as_tensor(b))
        self.paint(self.cover(self.ellipse(a, b), thin) * alpha, color)

    def haze(self, a: float, b: float) -> Tensor:
        """A bell curve of radii a, b, 1 at its top, (n, p, p)."""
        return (-((self.u / a) ** 2)).exp() * (-((self.v / b) ** 2)).exp()

    def glow(self, color: Tensor, a: float, b: float, alpha: Tensor | float) -> None:
        """Paint a spot without an outline."""
        self.paint(self.haze(a, b) * alpha, color)

    def box(self, left: float, right: float, top: Tensor | float, bottom: float) -> Tensor:
        """Share of each pixel inside an upright box."""
        across = self.cover(torch.minimum(self.u - left, right - self.u))
        return across * self.cover(torch.minimum(self.v - top, bottom - self.v))


def where(
    present: Tensor, brush: Brush, values: Values, draw: Callable[[Brush, Values], None]
) -> None:
    """Draw on those images alone in which something is present at all."""
    rows = (present.flatten() > 0).nonzero()[:, 0]
    if len(rows):
        part = Brush(brush.image[rows], brush.u[rows], brush.v[rows], brush.pixel[rows])
        draw(part, {name: value[rows] for name, value in values.items()})
        brush.image[rows] = part.image


def rgb(*levels: int) -> Tensor:
    """A colour, from levels of red, green and blue up to 255, as a brush takes it."""
    return torch.tensor(levels).view(1, 3, 1, 1) / 255


def numbers(values: np.ndarray | Tensor | list[float]) -> Tensor:
    """Numbers (n,) or colours (n, 3) as a brush takes them."""
    return torch.as_tensor(values, dtype=torch.float32)[..., None, None]
