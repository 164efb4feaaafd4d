"""Pictures over the weights of three or four prompts: a contact sheet, and a pointer in it.

The sheet is a picture like any other, with one panel for each way to mix the prompts. The pointer
follows it on the page, takes its pictures out of the sheet, and adds no picture of its own: where
scripts do not run (in print, on GitHub) there is the sheet, and below it the list of prompts.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import ascii_uppercase

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embedding_geometry.pages.figures.strips import Images
from embedding_geometry.pages.figures.style import INK, LOOKS, WIDTH
from embedding_geometry.transport.barycenters import WeightGrid

COLOURS = {"barycenter": LOOKS["optimal"].colour, "mean of rows": LOOKS["row"].colour}
# The measures of a sheet, in cells: a picture is one cell less the gap.
GAP, MARGIN, TITLE = 0.04, 0.35, 0.45
FOLDER = Path(__file__).parent


def sheet(pictures: Mapping[str, Images], grid: WeightGrid) -> Figure:
    """One panel below the other, each with its pictures where their weights are in the grid.

    Args:
        pictures: for each way to mix the prompts its pictures, in the order of the grid's points.
        grid: the weights of the pictures.

    Raises:
        ValueError: A panel has another number of pictures than the grid has points.
    """
    counts = {name: len(images) for name, images in pictures.items()}
    if set(counts.values()) != {len(grid.weights)}:
        raise ValueError(f"the grid has {len(grid.weights)} points; got pictures {counts}")
    width, height = _size(grid, len(pictures))
    figure = plt.figure(figsize=(WIDTH, WIDTH * height / width), layout="none")
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    ax.axis("off")
    for panel, (name, images) in enumerate(pictures.items()):
        corners = _corners(grid, panel)
        y, colour = panel * height / len(pictures) + TITLE / 2, COLOURS.get(name, INK)
        ax.text(MARGIN, y, name, color=colour, fontweight="bold", va="center")
        for (left, top), image in zip(corners, images, strict=True):
            extent = (left, left + 1 - GAP, top + 1 - GAP, top)
            ax.imshow(image, extent=extent, interpolation="lanczos", aspect="auto")
        _name_corners(ax, grid, corners)
    ax.set(xlim=(0, width), ylim=(height, 0))
    return figure


def _size(grid: WeightGrid, panels: int) -> tuple[float, float]:
    """Width and height of a sheet in cells."""
    return max(grid.rows) + 2 * MARGIN, panels * (TITLE + len(grid.rows))


def _corners(grid: WeightGrid, panel: int) -> Float[np.ndarray, "points 2"]:
    """Where the pictures of a panel begin, left and top, in cells; the rows are centred."""
    top = panel * (TITLE + len(grid.rows)) + TITLE
    return np.array(
        [
            (MARGIN + (max(grid.rows) - count) / 2 + column + GAP / 2, top + row)
            for row, count in enumerate(grid.rows)
            for column in range(count)
        ]
    )


def _name_corners(ax: Axes, grid: WeightGrid, corners: Float[np.ndarray, "points 2"]) -> None:
    """Write the letter of a prompt beside the picture that is of this prompt alone."""
    middle = corners[:, 0].mean()
    for letter, point in zip(ascii_uppercase, grid.weights.argmax(axis=0), strict=False):
        left, top = corners[point]
        x, side = (left + 1, "left") if left > middle else (left - GAP, "right")
        ax.text(x, top + 0.5, letter, ha=side, va="center", fontweight="bold", color=INK)


@dataclass(frozen=True, repr=False)
class Pointer:
    """A pointer in a triangle or a square of prompts, which shows the pictures of a sheet there.

    It belongs below the sheet that `sheet` made of the same grid, with the panels of `COLOURS` in
    their order, and finds it by that.

    Attributes:
        grid: the weights of the sheet's pictures.
        prompts: the sentences at the corners, in the order of the weights.
    """

    grid: WeightGrid
    prompts: Sequence[str]

    def __post_init__(self) -> None:
        """Check that every corner has its prompt."""
        if len(self.prompts) != self.grid.weights.shape[1]:
            raise ValueError(
                f"a grid with {self.grid.weights.shape[1]} corners needs as many prompts; got "
                f"{len(self.prompts)}"
            )

    def __repr__(self) -> str:
        """Name the pointer where it cannot be shown."""
        return f"<pointer among {len(self.prompts)} prompts>"

    def _layout(self) -> str:
        """What the script needs to know, as JSON; places are shares of the sheet."""
        size = np.array(_size(self.grid, len(COLOURS)))
        return json.dumps(
            {
                "rows": self.grid.rows,
                "weights": self.grid.weights.round(4).tolist(),
                "aspect": round(size[0] / size[1], 4),
                "picture": ((1 - GAP) / size).round(5).tolist(),
                "panels": {
                    name: (_corners(self.grid, panel) / size).round(5).tolist()
                    for panel, name in enumerate(COLOURS)
                },
            },
            separators=(",", ":"),
        )

    def _repr_html_(self) -> str:
        lines = "".join(
            f"<li><b>{letter}</b> <span>{escape(prompt)}</span></li>"
            for letter, prompt in zip(ascii_uppercase, self.prompts, strict=False)
        )
        style, script = ((FOLDER / f"pointer.{kind}").read_text() for kind in ("css", "js"))
        return (
            f'<div class="pointer" data-layout="{escape(self._layout())}"><style>{style}</style>\n'
            f'<ul class="prompts">{lines}</ul></div>\n<script>{script}</script>'
        )
