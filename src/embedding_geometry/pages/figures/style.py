"""Colours, widths and axes that all figures share."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

PALETTE = {"row": "#D55E00", "optimal": "#0072B2", "random": "#7A7A7A", "worst": "#AA4499"}


MARKERS = {"row": "o", "optimal": "s", "random": "^", "worst": "D"}


GLYPHS = {"row": "●", "optimal": "■", "random": "▲", "worst": "◆"}  # the same markers, in text


INK = "#262626"


FAINT = "#D6D6D6"


KIND_COLOURS = {"BOS": "#E69F00", "word": "#009E73", "EOS": "#56B4E9", "padding": "#B8B8B8"}


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


PADDING = "<pad>"


def set_style() -> None:
    """Use the paper's look for every figure that follows."""
    plt.style.use(STYLE)


def _axes(ax: Axes | None, height: float) -> Axes:
    """The given axes, or new ones as wide as the text and `height` inches high."""
    return ax if ax is not None else plt.subplots(figsize=(WIDTH, height))[1]


def _legend_above(ax: Axes) -> None:
    """The legend in one line above the axes, where it covers no data."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, handlelength=1.6)


def notice(text: str) -> Figure:
    """A line of text in the place of a picture that there is not."""
    figure = plt.figure(figsize=(WIDTH, 0.5))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def _few_log_ticks(ax: Axes) -> None:
    """A logarithmic vertical axis with few plain numbers, however much or little it spans."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    narrow = MaxNLocator(4) if high / low < 5 else LogLocator(subs=(1, 2, 5))
    ax.yaxis.set_major_locator(LogLocator() if high / low > 100 else narrow)
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter("{x:g}")


def _few_log_places(ax: Axes) -> None:
    """Few plain numbers along a logarithmic horizontal axis, however short."""
    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(
        LogLocator(subs=(1, 2, 5)) if high / low > 4 else MaxNLocator(4, steps=[1, 2, 5, 10])
    )
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:g}")
