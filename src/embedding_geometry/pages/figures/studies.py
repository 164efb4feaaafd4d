"""The paper's figures: functions of tables and arrays that return matplotlib Axes or Figures.

Nothing here computes a result or loads a model. One colour and one marker stand for one coupling
throughout (colours from Okabe and Ito's colour-blind safe palette), and every figure brings its
own light background, so that it reads the same on a light and on a dark page.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from embedding_geometry.pages.figures.style import (
    FAINT,
    INK,
    MARKERS,
    PALETTE,
    WIDTH,
    _axes,
    _few_log_places,
    _few_log_ticks,
    _legend_above,
)

# --- couplings and distances --------------------------------------------------------------------


def curves(
    x: Sequence[int] | Float[np.ndarray, " points"],
    y_by_coupling: Mapping[str, Float[np.ndarray, " points"]],
    xlabel: str,
    ylabel: str,
    ax: Axes | None = None,
    bands: Mapping[str, Float[np.ndarray, "2 points"]] | None = None,
) -> Axes:
    """A line for each coupling, over an axis that starts at zero.

    Args:
        x: the horizontal places.
        y_by_coupling: for each coupling's name its values, none of them negative.
        xlabel: what `x` is.
        ylabel: what the values are.
        ax: where to draw.
        bands: for each coupling's name the lower and upper ends of intervals of its values.
    """
    ax = _axes(ax, 3.0)
    for name, values in y_by_coupling.items():
        ax.plot(x, values, f"{MARKERS[name]}-", ms=4, color=PALETTE[name], label=name)
        if bands:
            ax.fill_between(x, *bands[name], color=PALETTE[name], alpha=0.2, lw=0)
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, None))
    _legend_above(ax)
    return ax


# --- the study ----------------------------------------------------------------------------------


def ppl_distributions(pairs: pd.DataFrame, couplings: Sequence[str]) -> Figure:
    """For each grade the PPL of every pair under each coupling: thin lines join one pair's values.

    Boxes hold the middle half, whiskers the middle 90 %. Each grade has its own logarithmic scale.

    Args:
        pairs: one row per pair with `grade` and, for each coupling, a column of its name.
        couplings: the columns to draw, in order.
    """
    grades = sorted(pairs["grade"].unique(), reverse=True)
    columns = min(2, len(grades))
    rows = -(-len(grades) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, 1.9 * rows), squeeze=False)
    for ax in axes.flat[len(grades) :]:
        ax.axis("off")
    for ax, grade in zip(axes.flat, grades, strict=False):
        values = pairs.loc[pairs["grade"] == grade, list(couplings)].to_numpy()
        # Hundreds of smoothed lines would double the size of the picture.
        ax.plot(values.T, color=FAINT, lw=0.5, antialiased=False)
        boxes = ax.boxplot(
            values,
            positions=range(len(couplings)),
            widths=0.5,
            whis=(5, 95),
            showfliers=False,
            patch_artist=True,
            medianprops={"color": INK, "lw": 1.8},
        )
        ax.set_xticks(range(len(couplings)), couplings)
        for box, label, name in zip(boxes["boxes"], ax.get_xticklabels(), couplings, strict=True):
            box.set(facecolor=(PALETTE[name], 0.5), edgecolor=PALETTE[name])
            label.set(color=PALETTE[name], fontweight="bold")
        ax.set_title(f"grade {grade:g}, n = {len(values)}")
        _few_log_ticks(ax)
    for ax in axes[:, 0]:
        ax.set_ylabel("PPL")
    return figure


def boxes(
    values_by_group: Mapping[str, Float[np.ndarray, " values"]],
    xlabel: str,
    ax: Axes | None = None,
) -> Axes:
    """One box for each group of values, the first group on top, with their numbers.

    Boxes hold the middle half, whiskers the middle 90 %; the other values are dots.
    """
    ax = _axes(ax, 0.36 * len(values_by_group) + 0.6)
    groups = list(values_by_group.items())[::-1]
    ax.boxplot(
        [values for _, values in groups],
        orientation="horizontal",
        tick_labels=[f"{name}, n = {len(values)}" for name, values in groups],
        widths=0.6,
        whis=(5, 95),
        patch_artist=True,
        boxprops={"facecolor": (PALETTE["optimal"], 0.5), "edgecolor": PALETTE["optimal"]},
        medianprops={"color": INK, "lw": 1.8},
        flierprops={"marker": ".", "ms": 4, "mec": "none", "mfc": INK, "alpha": 0.4},
    )
    if min(values.min() for _, values in groups) >= 0:
        ax.set_xlim(left=0)
    ax.axvline(0, color=INK, lw=1)
    ax.set_xlabel(xlabel)
    ax.grid(False, axis="y")
    return ax


def forest(effects: pd.DataFrame, xlabel: str, ax: Axes | None = None) -> Axes:
    """Estimates with their intervals, one line each, zero marked.

    Args:
        effects: index = what is estimated, columns `estimate`, `low`, `high`, and `n` where the
            number of pairs is to be shown.
        xlabel: what the numbers are, with their unit.
        ax: where to draw.
    """
    ax = _axes(ax, 0.32 * len(effects) + 0.6)
    labels = [f"{what}, n = {n}" for what, n in effects["n"].items()] if "n" in effects else None
    rows = np.arange(len(effects))[::-1]
    ax.axvline(0, color=INK, lw=1)
    ax.hlines(rows, effects["low"], effects["high"], color=PALETTE["optimal"], lw=2.5)
    ax.plot(effects["estimate"], rows, "s", color=PALETTE["optimal"], ms=6, mec="white")
    ax.set_yticks(rows, labels or effects.index)
    ax.set(xlabel=xlabel, ylim=(-0.6, len(effects) - 0.4))
    ax.grid(False, axis="y")
    return ax


def forests(effects: Mapping[str, pd.DataFrame]) -> Figure:
    """Estimates with their intervals in panels one below the other, on one scale.

    Args:
        effects: for what the numbers are, with their unit, a table as `forest` takes it.
    """
    sizes = [len(table) + 2 for table in effects.values()]
    figure, axes = plt.subplots(
        len(effects),
        1,
        figsize=(WIDTH, 0.27 * sum(sizes)),
        height_ratios=sizes,
        sharex=True,
        squeeze=False,
    )
    for ax, (xlabel, table) in zip(axes.flat, effects.items(), strict=True):
        forest(table, xlabel, ax)
        ax.tick_params(labelbottom=True)
    return figure


def improvement_by_similarity(pairs: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The relative improvement of every pair against its grade, with the median of each grade.

    Args:
        pairs: one row per pair with `grade` and `improvement` (a share: 0.1 is 10 % lower PPL).
        ax: where to draw. Improvements beyond ±100 % are drawn at the edge.
    """
    ax = _axes(ax, 3.4)
    shown = 100 * pairs["improvement"].clip(-1, 1)
    jitter = np.random.default_rng(0).uniform(-0.2, 0.2, len(pairs))
    ax.axhline(0, color=INK, lw=1)
    ax.scatter(pairs["grade"] + jitter, shown, s=12, color=PALETTE["optimal"], alpha=0.35, lw=0)
    grades = pairs.groupby("grade")["improvement"]
    medians = 100 * grades.median()
    ax.plot(
        medians.index, medians, "D-", color=INK, mfc="white", ms=6, label="median of the grade"
    )
    ax.set_xticks(medians.index, [f"{grade}\nn = {n}" for grade, n in grades.size().items()])
    ax.set(
        xlabel="grade of similarity (5: the same scene in other words)",
        ylabel="improvement over row order, %",
        ylim=(-105, 105),
    )
    _legend_above(ax)
    return ax


# --- tempo --------------------------------------------------------------------------------------


def before_and_after(
    values: Mapping[str, tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]],
    ylabel: str,
    ax: Axes | None = None,
) -> Axes:
    """Two boxes for each coupling, before and after, a thin line for each pair between them.

    Boxes hold the middle half, whiskers the middle 90 %.
    """
    ax = _axes(ax, 2.5)
    for number, (name, sides) in enumerate(values.items()):
        places = [3 * number, 3 * number + 1]
        ax.plot(places, np.array(sides), color=FAINT, lw=0.6, zorder=1)
        found = ax.boxplot(
            list(sides),
            positions=places,
            widths=0.55,
            whis=(5, 95),
            showfliers=False,
            patch_artist=True,
            medianprops={"color": INK, "lw": 1.8},
        )
        for box, strength in zip(found["boxes"], (0.15, 0.6), strict=True):
            box.set(facecolor=(PALETTE[name], strength), edgecolor=PALETTE[name])
    labels = [f"{name}\n{side}" for name in values for side in ("before", "after")]
    ax.set_xticks([3 * (k // 2) + k % 2 for k in range(len(labels))], labels, fontsize=8)
    ax.set(ylabel=ylabel)
    return ax


def lengths_along_scale(lengths: pd.DataFrame, grades: pd.Series, ax: Axes | None = None) -> Axes:
    """Relative length of the path of clouds along couplings of graded cost, on a log scale.

    A thin line is one pair; a thick one with its number is the median of a grade.

    Args:
        lengths: one row per pair, one column per coupling, in the order of the scale.
        grades: the grade of each pair, with the same index.
        ax: where to draw.
    """
    ax = _axes(ax, 3.6)
    places = np.arange(lengths.shape[1])
    ax.plot(places, lengths.to_numpy().T, color=FAINT, lw=0.6, antialiased=False)
    for grade, part in lengths.groupby(grades):
        colour = plt.get_cmap("viridis_r")(0.35 + 0.65 * grade / 5)  # without the pale end
        ax.plot(places, part.median(), color=colour, lw=2, label=f"{grade}")
    ax.set_xticks(places, lengths.columns, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_ylabel("length over Wasserstein distance")
    _few_log_ticks(ax)
    ax.legend(title="median of grade", loc="upper left", ncols=2)
    return ax


def dose_response(cells: pd.DataFrame, slope: float) -> Figure:
    """Response against dose for every pair, a panel for each grade, most similar first.

    Args:
        cells: columns `grade`, `pair_id`, `coupling`, `length` (of the path of clouds, as a
            multiple of the distance of its ends) and `response` (as a multiple of the pair's own
            level); couplings without a colour of their own are drawn as small dots.
        slope: of the dashed line for comparison, in logarithms.
    """
    grades = sorted(cells["grade"].unique(), reverse=True)
    rows = -(-len(grades) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(WIDTH, 1.95 * rows), squeeze=False)
    for ax in axes.flat[len(grades) :]:
        ax.remove()
    for ax, grade in zip(axes.flat, grades, strict=False):
        part = cells[cells["grade"] == grade].sort_values("length")
        for _, pair in part.groupby("pair_id"):
            ax.plot(pair["length"], pair["response"], color="#A8A8A8", lw=0.6, antialiased=False)
        for coupling, points in part.groupby("coupling"):
            colour, marker = PALETTE.get(coupling, INK), MARKERS.get(coupling, ".")
            size = 14 if coupling in PALETTE else 8
            ax.scatter(
                points["length"],
                points["response"],
                s=size,
                c=colour,
                marker=marker,
                lw=0,
                zorder=3,
            )
        longest = np.array([1.0, part["length"].max()])
        low, high = part["response"].min(), part["response"].max()
        ax.plot(longest, longest**slope, "--", color=INK, lw=1)
        ax.set(xscale="log", ylim=(0.8 * low, 1.25 * high))
        ax.set_title(f"grade {grade}, n = {part['pair_id'].nunique()}")
        _few_log_ticks(ax)
        _few_log_places(ax)
    figure.supxlabel("length over Wasserstein distance", size=9)
    figure.supylabel("PPL over the pair's own level", size=9)
    handles = [
        Line2D([], [], color=c, marker=MARKERS[n], ls="", ms=5, label=n)
        for n, c in PALETTE.items()
        if n in set(cells["coupling"])
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
    return figure


# --- what it costs ------------------------------------------------------------------------------


def cost_curves(points: pd.DataFrame, lines: pd.DataFrame) -> Figure:
    """Time against size, a panel for each axis of growth, with its straight line from zero on.

    Args:
        points: columns `what`, `axis`, `size` and `seconds`.
        lines: index = the axes in the order of the panels, columns `slope` and `intercept`.
    """
    rows = -(-len(lines) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(WIDTH, 2.1 * rows), squeeze=False)
    for ax in axes.flat[len(lines) :]:
        ax.remove()
    for ax, (axis, line) in zip(axes.flat, lines.iterrows(), strict=False):
        panel = points[points["axis"] == axis]
        ends = np.array([0, panel["size"].max()])
        ax.plot(ends, line["intercept"] + line["slope"] * ends, color=PALETTE["random"], lw=1.5)
        ax.plot(panel["size"], panel["seconds"], "o", ms=5, color=PALETTE["optimal"])
        ax.set(xlabel=axis, ylabel="seconds", title=panel["what"].iloc[0])
        ax.set(xlim=(0, None), ylim=(0, None))
        ax.locator_params(nbins=4)
    return figure
