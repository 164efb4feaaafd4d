"""What all figures share: how a coupling looks, colours, widths, axes to draw on.

One colour and one marker stand for one coupling throughout, the colours from Okabe and Ito's
palette for the colour-blind. Every figure brings its own light background, which the book turns
on a dark page.
"""

from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

INK = "#262626"
FAINT = "#D6D6D6"
KIND_COLOURS = {"BOS": "#E69F00", "word": "#009E73", "EOS": "#56B4E9", "padding": "#B8B8B8"}
PADDING = "<pad>"

WIDTH = 4.8  # inches: so narrow that the labels can still be read on a phone
STRIP_WIDTH = 6.4  # inches, of a film strip, which takes the whole width of the text

STYLE = {
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9.5,
    "figure.constrained_layout.use": True,
    "figure.dpi": 180,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": "#E6E6E6",
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "savefig.facecolor": "white",
    "text.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
}


class Look(NamedTuple):
    """How a coupling is drawn: its colour, its marker, and the same marker in text."""

    colour: str = INK
    marker: str = "."
    glyph: str = ""


LOOKS = {
    "row": Look("#D55E00", "o", "●"),
    "optimal": Look("#0072B2", "s", "■"),
    "random": Look("#7A7A7A", "^", "▲"),
    "worst": Look("#AA4499", "D", "◆"),
}
# Of models side by side, the first one the page's own; more than these begin again.
MODEL_LOOKS = (Look("#4A3AA7", "o"), Look("#946300", "s"), Look("#00805C", "^"))
BLUE = LOOKS["optimal"].colour  # also where there is nothing to tell apart


def look(name: str) -> Look:
    """How a coupling is drawn; one that is not in `LOOKS`, in ink and with small dots."""
    return LOOKS.get(name, Look())


def tint(colour: str, share: float) -> tuple[float, ...]:
    """The colour as it looks on white with `share` of its strength."""
    return tuple(1 - share * (1 - part) for part in to_rgb(colour))


def set_style() -> None:
    """Use the paper's look for every figure that follows."""
    plt.style.use(STYLE)


def new_axes(height: float) -> Axes:
    """Axes as wide as the text and `height` inches high."""
    return plt.subplots(figsize=(WIDTH, height))[1]


def panels(
    count: int, columns: int, height: float, *, shared: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure as wide as the text, and its panels in rows of `columns`.

    Args:
        count: the number of panels.
        columns: how many stand side by side.
        height: of a row, in inches.
        shared: whether all panels have one scale.
    """
    rows = -(-count // columns)
    figure = plt.figure(figsize=(WIDTH, height * rows))
    axes = figure.subplots(rows, columns, sharex=shared, sharey=shared, squeeze=False)
    for ax in axes.flat[count:]:
        ax.remove()
    return figure, list(axes.flat[:count])


def legend_above(ax: Axes) -> None:
    """The legend in one line above the axes, where it covers no data."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, handlelength=1.6)


def few_log_ticks(axis: Axis) -> None:
    """Few plain numbers along a logarithmic axis, however much or little it spans."""
    low, high = axis.get_view_interval()
    wide = LogLocator() if high / low > 100 else LogLocator(subs=(1, 2, 5))
    axis.set_major_locator(wide if high / low > 5 else MaxNLocator(6, steps=[1, 2, 5, 10]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def notice(text: str) -> Figure:
    """A line of text in the place of a picture that there is not."""
    figure = plt.figure(figsize=(WIDTH, 0.5))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure
