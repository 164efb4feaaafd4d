"""Studies, drawn: path lengths and their improvement, doses and slopes, tempo, and what it costs.

Nothing here computes a result. Medians and boxes are drawn from the values given, intervals as
they are given.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle

import lazy_loader
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from embedding_geometry.pages.figures.style import (
    BLUE,
    FAINT,
    INK,
    LOOKS,
    MODEL_LOOKS,
    WIDTH,
    Look,
    few_log_ticks,
    legend_above,
    look,
    new_axes,
    panels,
    tint,
)

sns = lazy_loader.load("seaborn")  # takes two seconds, and half of the pages draw without it
Values = Float[np.ndarray, " values"]

# --- values by coupling and group ---------------------------------------------------------------


def curves(
    x: Sequence[int] | Float[np.ndarray, " points"],
    y_by_coupling: Mapping[str, Float[np.ndarray, " points"]],
    xlabel: str,
    ylabel: str,
) -> Axes:
    """A line for each coupling, over an axis that starts at zero.

    Args:
        x: the horizontal places.
        y_by_coupling: for each coupling's name its values, none of them negative.
        xlabel: what `x` is.
        ylabel: what the values are.
    """
    ax = new_axes(3.0)
    for name, values in y_by_coupling.items():
        colour, marker, _ = look(name)
        ax.plot(x, values, f"{marker}-", ms=4, color=colour, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, None))
    legend_above(ax)
    return ax


def quartile_panels(
    table: pd.DataFrame, looks: Mapping[str, Look]
) -> tuple[Figure, dict[int, Axes]]:
    """Lines over the time from 0 to 1, a panel for each grade, most similar first, on one scale.

    A line is a median, a band holds the middle half. The panels are returned by their grades.

    Args:
        table: index in three levels, grade, what a line is about, and time; columns `low`,
            `median` and `high`.
        looks: how each line is drawn, in order; a grade that lacks one has the others.
    """
    grades = sorted(table.index.unique(0), reverse=True)
    figure, axes = panels(len(grades), 2, 1.7, shared=True)
    by_grade = dict(zip(grades, axes, strict=True))
    shown: dict[str, Line2D] = {}
    for grade, ax in by_grade.items():
        of_grade = table.loc[grade]
        for name in [each for each in looks if each in of_grade.index.unique(0)]:
            line, (colour, marker, _) = of_grade.loc[name].sort_index(), looks[name]
            ax.fill_between(line.index, line["low"], line["high"], color=colour, alpha=0.15, lw=0)
            [shown[name]] = ax.plot(line["median"], f"{marker}-", color=colour, ms=3.5)
        ax.set(title=f"grade {grade}", xlim=(0, 1))
        ax.set_xticks([0, 0.5, 1], ["0", "½", "1"])
    figure.supxlabel("time", size=9)
    figure.legend(shown.values(), shown, loc="outside upper left", ncols=len(shown))
    return figure, by_grade


def step_profiles(profiles: Mapping[str, pd.DataFrame]) -> Figure:
    """The share of each step in the PPL, a panel for each grade and a line for each model.

    Args:
        profiles: for each model's name what `statistics.steps.step_profile` makes of its study.
    """
    table = pd.concat(profiles, names=["model"]).swaplevel("model", "grade")
    looks = dict(zip(profiles, cycle(MODEL_LOOKS), strict=False))
    quartiles = ["low", "median", "high"]
    figure, axes = quartile_panels(table[quartiles].mul(100), looks)
    counts = [profile["n"].groupby("grade").first() for profile in profiles.values()]
    for grade, ax in axes.items():
        numbers = " and ".join(str(count[grade]) for count in counts if grade in count)
        ax.set(title=f"grade {grade}, n = {numbers}", ylim=(0, None))
    figure.supylabel("share of the PPL, %", size=9)
    return figure


def _draw_boxes(
    ax: Axes,
    values: Mapping[str, Values],
    colours: Sequence[tuple[float, ...]],
    *,
    lying: bool = False,
) -> None:
    """Boxes of the middle half with the median as a line, whiskers of the middle 90 %.

    The other values are dots where the boxes lie; standing boxes have lines behind them instead.
    """
    sns.boxplot(
        dict(values),
        palette=dict(zip(values, colours, strict=True)),
        saturation=1,
        linecolor=INK,
        width=0.55,
        whis=(5, 95),
        medianprops={"linewidth": 1.8},
        showfliers=lying,
        flierprops={"marker": ".", "ms": 4, "mec": "none", "mfc": INK, "alpha": 0.4},
        legend=False,
        orient="y" if lying else "x",
        # seaborn 0.13 would say `vert`, of which matplotlib 3.11 warns
        vert=None,
        orientation="horizontal" if lying else "vertical",
        ax=ax,
    )


def boxes(values_by_group: Mapping[str, Values], xlabel: str) -> Axes:
    """One box for each group of values, the first group on top, with their numbers.

    Boxes hold the middle half, whiskers the middle 90 %; the other values are dots.
    """
    ax = new_axes(0.36 * len(values_by_group) + 0.6)
    counted = {f"{name}, n = {len(v)}": v for name, v in values_by_group.items()}
    _draw_boxes(ax, counted, [tint(BLUE, 0.5)] * len(counted), lying=True)
    if min(values.min() for values in counted.values()) >= 0:
        ax.set_xlim(left=0)
    ax.axvline(0, color=INK, lw=1)
    ax.set_xlabel(xlabel)
    return ax


def ppl_distributions(pairs: pd.DataFrame, couplings: Sequence[str]) -> Figure:
    """For each grade the PPL of every pair under each coupling: thin lines join one pair's values.

    Boxes hold the middle half, whiskers the middle 90 %. Each grade has its own logarithmic scale.

    Args:
        pairs: one row per pair with `grade` and, for each coupling, a column of its name.
        couplings: the columns to draw, in order.
    """
    grades = sorted(pairs["grade"].unique(), reverse=True)
    figure, axes = panels(len(grades), min(2, len(grades)), 1.9)
    for ax, grade in zip(axes, grades, strict=True):
        values = pairs.loc[pairs["grade"] == grade, list(couplings)].to_numpy().T
        # Hundreds of smoothed lines would double the size of the picture.
        ax.plot(values, color=FAINT, lw=0.5, antialiased=False)
        by_coupling = dict(zip(couplings, values, strict=True))
        _draw_boxes(ax, by_coupling, [tint(look(name).colour, 0.5) for name in couplings])
        for label, name in zip(ax.get_xticklabels(), couplings, strict=True):
            label.set(color=look(name).colour, fontweight="bold")
        ax.set(title=f"grade {grade:g}, n = {values.shape[1]}", yscale="log")
        few_log_ticks(ax.yaxis)
    for ax in axes[::2]:
        ax.set_ylabel("PPL")
    return figure


def before_and_after(values: Mapping[str, tuple[Values, Values]], ylabel: str) -> Axes:
    """Two boxes for each coupling, before and after, a thin line for each pair between them.

    Boxes hold the middle half, whiskers the middle 90 %.
    """
    ax, colours = new_axes(2.5), []
    sides: dict[str, Values] = {}
    for name, (before, after) in values.items():
        place = len(sides)
        ax.plot([place, place + 1], [before, after], color=FAINT, lw=0.6)
        sides |= {f"{name}\nbefore": before, f"{name}\nafter": after}
        colours += [tint(look(name).colour, share) for share in (0.15, 0.6)]
    _draw_boxes(ax, sides, colours)
    ax.set_ylabel(ylabel)
    return ax


# --- effects with their intervals ---------------------------------------------------------------


def forest(effects: Mapping[str, pd.DataFrame]) -> Figure:
    """Estimates with their intervals, one line each, zero marked; panels have one scale.

    Args:
        effects: for each panel what its numbers are, with their unit, and a table: index = what
            is estimated, columns `estimate`, `low`, `high`, and `n` where it is to be shown.
    """
    heights = [0.29 * len(table) + 0.55 for table in effects.values()]
    figure = plt.figure(figsize=(WIDTH, sum(heights)))
    axes = figure.subplots(len(effects), sharex=True, squeeze=False, height_ratios=heights)
    for ax, (xlabel, table) in zip(axes.flat, effects.items(), strict=True):
        counts = table.get("n", pd.Series()).map(", n = {}".format)
        rows = np.arange(len(table))[::-1]
        ax.axvline(0, color=INK, lw=1)
        ax.hlines(rows, table["low"], table["high"], color=BLUE, lw=2.5)
        ax.plot(table["estimate"], rows, "s", color=BLUE, ms=6, mec="white")
        ax.set_yticks(rows, [f"{what}{counts.get(what, '')}" for what in table.index])
        ax.set(xlabel=xlabel, ylim=(-0.6, len(table) - 0.4))
        ax.tick_params(labelbottom=True)
        ax.grid(False, axis="y")
    return figure


def improvement_by_similarity(pairs: pd.DataFrame) -> Axes:
    """The relative improvement of every pair against its grade, with the median of each grade.

    Args:
        pairs: one row per pair with `grade` and `improvement` (a share: 0.1 is 10 % lower PPL).
            Improvements beyond ±100 % are drawn at the edge.
    """
    ax = new_axes(3.4)
    shown = 100 * pairs["improvement"].clip(-1, 1)
    # by a generator of its own: the jitter of seaborn's strip plot differs from run to run
    jitter = np.random.default_rng(0).uniform(-0.2, 0.2, len(pairs))
    ax.axhline(0, color=INK, lw=1)
    ax.scatter(pairs["grade"] + jitter, shown, s=12, color=BLUE, alpha=0.35, lw=0)
    grades = shown.groupby(pairs["grade"])
    ax.plot(grades.median(), "D-", color=INK, mfc="white", ms=6, label="median of the grade")
    sizes = grades.size()
    ax.set_xticks(sizes.index, [f"{grade}\nn = {n}" for grade, n in sizes.items()])
    ax.set(
        xlabel="grade of similarity (5: the same scene in other words)",
        ylabel="improvement over row order, %",
        ylim=(-105, 105),
    )
    legend_above(ax)
    return ax


# --- doses and responses ------------------------------------------------------------------------


def lengths_along_scale(lengths: pd.DataFrame, grades: pd.Series) -> Axes:
    """Relative length of the path of clouds along couplings of graded cost, on a log scale.

    A thin line is one pair; a thick one with its number is the median of a grade.

    Args:
        lengths: one row per pair, one column per coupling, in the order of the scale.
        grades: the grade of each pair, with the same index.
    """
    ax = new_axes(3.6)
    places = np.arange(lengths.shape[1])
    ax.plot(places, lengths.to_numpy().T, color=FAINT, lw=0.6, antialiased=False)
    for grade, part in lengths.groupby(grades):
        colour = plt.get_cmap("viridis_r")(0.35 + 0.65 * grade / 5)  # without the pale end
        ax.plot(places, part.median(), color=colour, lw=2, label=f"{grade}")
    ax.set_xticks(places, lengths.columns, rotation=40, ha="right", rotation_mode="anchor")
    ax.set(ylabel="length over Wasserstein distance", yscale="log")
    few_log_ticks(ax.yaxis)
    ax.legend(title="median of grade", loc="upper left", ncols=2)
    return ax


def dose_response(cells: pd.DataFrame, slope: float) -> Figure:
    """Response against dose for every pair, a panel for each grade, most similar first.

    Args:
        cells: columns `grade`, `pair_id`, `coupling`, `length` (of the path of clouds, as a
            multiple of the distance of its ends) and `response` (as a multiple of the pair's own
            level); couplings without a look of their own are drawn as small dots.
        slope: of the dashed line for comparison, in logarithms.
    """
    grades = sorted(cells["grade"].unique(), reverse=True)
    named = {name: each for name, each in LOOKS.items() if name in set(cells["coupling"])}
    figure, axes = panels(len(grades), 2, 1.95)
    for ax, grade in zip(axes, grades, strict=True):
        part = cells[cells["grade"] == grade].sort_values("length")
        for _, pair in part.groupby("pair_id"):
            ax.plot(pair["length"], pair["response"], ".-", color="#A8A8A8", lw=0.6, ms=3.7,
                    mfc=INK, mec="none", antialiased=False)  # fmt: skip
        for name, (colour, marker, _) in named.items():
            points = part.loc[part["coupling"] == name, ["length", "response"]].to_numpy().T
            ax.plot(*points, marker, ms=3.7, color=colour, mec="none", label=name)
        longest = np.array([1.0, part["length"].max()])
        ax.plot(longest, longest**slope, "--", color=INK, lw=1)
        low, high = part["response"].min(), part["response"].max()
        ax.set(xscale="log", yscale="log", ylim=(0.8 * low, 1.25 * high))
        ax.set_title(f"grade {grade}, n = {part['pair_id'].nunique()}")
        few_log_ticks(ax.xaxis)
        few_log_ticks(ax.yaxis)
    figure.supxlabel("length over Wasserstein distance", size=9)
    figure.supylabel("PPL over the pair's own level", size=9)
    shown = axes[0].get_legend_handles_labels()
    figure.legend(*shown, loc="outside upper left", ncols=len(named), markerscale=1.4)
    return figure


# --- what it costs ------------------------------------------------------------------------------


def cost_curves(points: pd.DataFrame, lines: pd.DataFrame) -> Figure:
    """Time against size, a panel for each axis of growth, with its straight line from zero on.

    Args:
        points: columns `what`, `axis`, `size` and `seconds`.
        lines: index = the axes in the order of the panels, columns `slope` and `intercept`.
    """
    figure, axes = panels(len(lines), 2, 2.1)
    for ax, (axis, line) in zip(axes, lines.iterrows(), strict=True):
        panel = points[points["axis"] == axis]
        ends = np.array([0, panel["size"].max()])
        ax.plot(ends, line["intercept"] + line["slope"] * ends, color="#7A7A7A", lw=1.5)
        ax.plot(panel["size"], panel["seconds"], "o", ms=5, color=BLUE)
        ax.set(xlabel=axis, ylabel="seconds", title=panel["what"].iloc[0])
        ax.set(xlim=(0, None), ylim=(0, None))
        ax.locator_params(nbins=4)
    return figure
