"""Pictures in rows: film strips, galleries, and what happens from frame to frame."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from embedding_geometry.pages.figures.style import STRIP_WIDTH, WIDTH, look, new_axes, panels

Images = UInt8[np.ndarray, "images h w 3"]
Steps = Float[np.ndarray, " steps"]
GAP = 2  # pixels between two frames


def _stack(parts: Sequence[tuple[float, float]], ticks: float) -> tuple[Figure, list[Axes]]:
    """A figure as wide as a film strip, and axes in it, one below the other.

    Args:
        parts: for each its height and the room above it, in inches.
        ticks: the room below the last one, in inches.
    """
    top = total = sum(map(sum, parts)) + ticks
    figure = plt.figure(figsize=(STRIP_WIDTH, total), layout="none")
    axes = []
    for height, above in parts:
        top -= above + height
        axes.append(figure.add_axes((0.003, top / total, 0.994, height / total)))
    return figure, axes


def _strip_height(frames: Images) -> float:
    """How high the strip of these frames is in inches, so that they keep their shape."""
    count, height, width, _ = frames.shape
    return 0.994 * STRIP_WIDTH * height / (count * (width + GAP) - GAP)


def _show_strip(ax: Axes, frames: Images, name: str, more: str = "") -> Text:
    """The frames side by side, frame `i` centred over the number `i`; returns their title."""
    padded = np.pad(frames, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=255)
    strip = np.concatenate(padded, axis=1)[:, :-GAP]
    extent = (-0.5, len(frames) - 0.5, 0, 1)
    ax.imshow(strip, extent=extent, aspect="auto", interpolation="lanczos")
    ax.set(xticks=[], yticks=[])
    colour, _, glyph = look(name)
    ax.spines[:].set_visible(False)
    ax.grid(False)
    title = f"{glyph} {name}{more}".strip()
    return ax.set_title(title, color=colour, fontweight="bold", loc="left", pad=3)


def film_strips(
    frames_by_coupling: Mapping[str, Images],
    distances_by_coupling: Mapping[str, Steps] | None = None,
) -> Figure:
    """One strip of frames per coupling, and below them the perceptual distance of each step.

    Frames keep their shape, and the distance of a step is drawn between the two frames compared.

    Args:
        frames_by_coupling: for each coupling's name its frames, all of the same number and size.
        distances_by_coupling: for each coupling's name one distance fewer than frames; left out,
            the strips stand alone.
    """
    parts = [(_strip_height(frames), 0.24) for frames in frames_by_coupling.values()]
    curve = [(0.95, 0.24)] if distances_by_coupling else []
    figure, axes = _stack(parts + curve, ticks=0.25)
    for ax, (name, frames) in zip(axes, frames_by_coupling.items(), strict=False):
        _show_strip(ax, frames, name)
    if distances_by_coupling:
        step_distances(distances_by_coupling, axes[-1])
    else:
        axes[-1].set_xticks([0, len(frames) - 1], ["$t = 0$", "$t = 1$"])
    return figure


def step_distances(distances_by_coupling: Mapping[str, Steps], ax: Axes | None = None) -> Axes:
    """The perceptual distance of each step, drawn between the two frames that it compares.

    The numbers of the vertical axis stand inside it, so that it can be as wide as the strips.
    """
    ax = ax or new_axes(1.6)
    for name, distances in distances_by_coupling.items():
        colour, marker, _ = look(name)
        ax.plot(np.arange(len(distances)) + 0.5, distances, f"{marker}-", ms=4, color=colour)
    count = max(map(len, distances_by_coupling.values()))
    highest = float(max(distances.max() for distances in distances_by_coupling.values()))
    ax.set(xlim=(-0.5, count + 0.5), ylim=(0, 1.25 * highest or 1))
    ax.set_title("perceptual distance of each step", fontsize=8.5, loc="left", pad=3)
    ax.set_xticks([0, count / 2, count], ["$t = 0$", "$t = 1/2$", "$t = 1$"])
    ax.spines["left"].set_visible(False)
    ticks = [tick for tick in MaxNLocator(3).tick_values(0, highest) if 0 < tick <= highest]
    ax.set_yticks(ticks, [""] * len(ticks))
    ax.tick_params(axis="y", length=0)
    for tick in ticks:
        ax.text(-0.45, tick, f"{tick:g}", fontsize=8, va="bottom")
    return ax


def gallery(images: Images, titles: Sequence[str], columns: int = 4) -> Figure:
    """A contact sheet: pictures in rows of `columns`, under their titles.

    Titles may be fewer than pictures, such as those of the first row, which head the columns.
    """
    rows, titled = -(-len(images) // columns), -(-len(titles) // columns)
    height, width = images.shape[1:3]
    cell = WIDTH / columns - 0.1  # inches, without the gap to the next picture
    row = cell * height / width + 0.06 + 0.2 * titled / rows
    figure, axes = panels(len(images), columns, row)
    for ax, image in zip(axes, images, strict=True):
        ax.imshow(image, interpolation="lanczos")
        ax.axis("off")
    for ax, title in zip(axes, titles, strict=False):
        ax.set_title(title, fontsize=8.5, pad=3)
    return figure


def retimed_strips(
    frames: tuple[Images, Images],
    times: Float[np.ndarray, " t"],
    distances: tuple[Steps, Steps],
    name: str,
) -> Figure:
    """A path at equally spaced times, and below it in equal steps, with the steps of both.

    A line joins each frame of the lower strip with its time in the upper one.

    Args:
        frames: those at equally spaced times, and the re-timed ones, as many.
        times: of the re-timed frames.
        distances: of consecutive frames, before and after.
        name: of the coupling.
    """
    height = _strip_height(frames[0])
    parts = [(height, 0.22), (0.46, 0.0), (height, 0.0), (1.0, 0.26)]
    figure, (upper, between, lower, curve) = _stack(parts, ticks=0.28)
    _show_strip(upper, frames[0], name, ", equal times")
    title = _show_strip(lower, frames[1], name, ", equal steps")
    title.set_path_effects([withStroke(linewidth=4, foreground="white")])  # over the lines
    places = np.arange(len(times))
    between.plot([times * (len(times) - 1), places], [1, 0], color=look(name).colour, lw=0.9)
    between.set(xlim=(-0.5, len(times) - 0.5), ylim=(0, 1))
    between.axis("off")
    _two_step_curves(curve, distances, name)
    return figure


def _two_step_curves(ax: Axes, distances: tuple[Steps, Steps], name: str) -> None:
    """The distance of each step at equal times (dotted, hollow) and in equal steps."""
    step_distances({name: distances[0]}, ax)
    ax.lines[0].set(linestyle=":", markerfacecolor="white", label="equal times")
    colour, marker, _ = look(name)
    steps = np.arange(len(distances[1])) + 0.5
    ax.plot(steps, distances[1], f"{marker}-", ms=4, color=colour, label="equal steps")
    ax.set_ylim(0, 1.25 * float(max(each.max() for each in distances)) or 1)
    ax.set_xticks(steps, ["step 1", *map(str, range(2, len(steps) + 1))])
    ax.legend(loc="lower right", bbox_to_anchor=(1, 0.97), ncols=2, borderaxespad=0)
