"""Rivals, drawn: smoothness against fidelity, and how much pictures change where clouds move.

Ways that mix the two texts at the same place have one colour, as in the order of the computation:
clouds along couplings as everywhere in the book, great circles, attention, predictions, denoising
steps, and what is mixed when all is denoised.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from embedding_geometry.pages.figures.studies import quartile_panels
from embedding_geometry.pages.figures.style import FAINT, INK, Look, few_log_ticks, look, panels

CURVES, ATTENTION, PREDICTION, STEPS, DENOISED = "#56B4E9", "#009E73", "#E69F00", "#AA4499", INK
RIVALS = {
    "slerp-matrix": Look(CURVES, "v"),
    "slerp-tokens": Look(CURVES, "<"),
    "slerp-optimal": Look(CURVES, ">"),
    "outer": Look(ATTENTION, "P"),
    "measures": Look(ATTENTION, "X"),
    "aid-outer": Look(ATTENTION, "D"),
    "aid-inner": Look(ATTENTION, "p"),
    "scores": Look(PREDICTION, "*"),
    "late-switch": Look(STEPS, "d"),
    "alternate": Look(STEPS, "2"),
    "latent-slerp": Look(DENOISED, "1"),
    "cross-fade": Look(DENOISED, "x"),
}
LEGEND_ROW = 0.19  # inches
SIZES = {"*": 10, "P": 8, "X": 8}  # points, of markers that would look small
LINES = "12x"  # markers without a face
DEPTH = 3  # margins of the shaded part
COLUMNS = 3  # of the legend: so many names stand side by side on a phone


def smoothness_and_fidelity(
    planes: Mapping[str, pd.DataFrame], margin: float, fronts: Mapping[str, Sequence[str]]
) -> Figure:
    """A point with intervals for each way: further left is smoother, further up more faithful.

    Above the shaded part a loss of fidelity is within the margin. It is `DEPTH` margins deep: what
    is less faithful still stands on its floor, without an interval, for else the ways that are no
    loss would lie in a heap. A Pareto front is a line of steps.

    Args:
        planes: for each panel its title and the points, as `statistics.rivals.plane` makes them,
            relative to row order.
        margin: the share of realism that may be lost.
        fronts: for a panel's title the ways of its front, from left to right.
    """
    ways = list(dict.fromkeys(way for points in planes.values() for way in points.index))
    columns = min(2, len(planes))
    rows, floor = -(-len(planes) // columns), 1 - DEPTH * margin
    height = 2.8 if rows == 1 else 1.6
    above = LEGEND_ROW * -(-len(ways) // COLUMNS) + 0.1
    figure, axes = panels(len(planes), columns, height + above / rows, shared=True)
    for ax, (title, points) in zip(axes, planes.items(), strict=True):
        _draw_points(ax, points, floor)
        ax.set_title(title)
        front = points.loc[[*fronts.get(title, ())]]
        heights = front["realism"].clip(lower=floor)
        ax.step(front["ppl"], heights, where="post", color=INK, lw=0.8, zorder=1)
    for ax in axes:
        ax.set_xscale("log")
        few_log_ticks(ax.xaxis)
        low, high = ax.get_ylim()
        ax.axhspan(low, 1 - margin, color=FAINT, alpha=0.5, lw=0, zorder=0)
        ax.set_ylim(max(low, floor), high)
    figure.supxlabel("PPL over row order's", size=9)
    figure.supylabel("realism over row order's", size=9)
    figure.legend(
        handles=[Line2D([], [], label=way, **_drawn(way)) for way in ways],
        loc="outside upper left",
        ncols=COLUMNS,
        handletextpad=0.2,
        columnspacing=1.0,
    )
    return figure


def rival_look(way: str) -> Look:
    """How a way is drawn: as a coupling, as a rival, or as one that has no look of its own."""
    return RIVALS.get(way, look(way))


def _draw_points(ax: Axes, points: pd.DataFrame, floor: float) -> None:
    """Points with their intervals, and lines through the one that all are held against."""
    ax.axvline(1, color=INK, lw=0.8, zorder=1)
    ax.axhline(1, color=INK, lw=0.8, zorder=1)
    for way, point in points.iterrows():
        x, y = point["ppl"], point["realism"]
        reach_x, reach_y = (
            np.abs([[point[f"{name}_low"] - at], [point[f"{name}_high"] - at]])
            for name, at in (("ppl", x), ("realism", y))
        )
        inside = bool(y >= floor)
        bar = ax.errorbar(
            x, max(y, floor), reach_y * inside, reach_x, elinewidth=1, **_drawn(str(way))
        )
        bar.lines[0].set_clip_on(inside)


def _drawn(way: str) -> dict[str, Any]:
    """Colour, marker and edge of a way; markers of lines alone have their own edge."""
    colour, marker, _ = rival_look(way)
    edge = {"mec": colour, "mew": 1.6} if marker in LINES else {"mec": "white", "mew": 0.5}
    return {"color": colour, "marker": marker, "ms": SIZES.get(marker, 6), "ls": "", **edge}


def constants(table: pd.DataFrame, couplings: Sequence[str]) -> Figure:
    """The local Lipschitz constant along a path, a panel for each grade, most similar first.

    A line is the median over paths, a band holds the middle half.

    Args:
        table: as `statistics.lipschitz.constants_by_time` makes it.
        couplings: which of them, in order.
    """
    figure, axes = quartile_panels(table, {name: look(name) for name in couplings})
    for ax in axes.values():  # once all lines are there: the scale is one for all
        ax.set_yscale("log")
        few_log_ticks(ax.yaxis)
    figure.supylabel(r"$\sqrt{\mathrm{LPIPS}}$ a unit of Wasserstein length", size=9)
    return figure
