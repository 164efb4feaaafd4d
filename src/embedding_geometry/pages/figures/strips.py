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

from embedding_geometry.pages.figures.style import (
    GLYPHS,
    INK,
    MARKERS,
    PALETTE,
    STRIP_WIDTH,
    WIDTH,
    _axes,
)

Images = UInt8[np.ndarray, "images h w 3"]


def _strip(frames: Images, gap: int = 2) -> UInt8[np.ndarray, "h strip 3"]:
    """The frames side by side on white, as one picture."""
    padded = np.pad(frames, ((0, 0), (0, 0), (0, gap), (0, 0)), constant_values=255)
    return np.concatenate(padded, axis=1)[:, :-gap]


def _show_strip(ax: Axes, strip: UInt8[np.ndarray, "h strip 3"], count: int, name: str) -> None:
    """Draw one strip of `count` frames so that frame `i` is centred over the number `i`."""
    ax.imshow(strip, extent=(-0.5, count - 0.5, 0, 1), aspect="auto", interpolation="lanczos")
    ax.set(xticks=[], yticks=[])
    _strip_title(ax, name)
    ax.spines[:].set_visible(False)
    ax.grid(False)


def _strip_title(ax: Axes, name: str, more: str = "") -> Text:
    """The name of a strip above its left end, with its coupling's marker and colour."""
    return ax.set_title(
        f"{GLYPHS.get(name, '')} {name}{more}".strip(),
        color=PALETTE.get(name, INK),
        fontweight="bold",
        loc="left",
        pad=3,
    )


def film_strips(
    frames_by_coupling: Mapping[str, Images],
    distances_by_coupling: Mapping[str, Float[np.ndarray, " steps"]] | None = None,
) -> Figure:
    """One strip of frames per coupling, and below them the perceptual distance of each step.

    Frames keep their shape, and the distance of a step is drawn between the two frames compared.

    Args:
        frames_by_coupling: for each coupling's name its frames, all of the same number and size.
        distances_by_coupling: for each coupling's name one distance fewer than frames; left out,
            the strips stand alone.
    """
    strips = {name: _strip(frames) for name, frames in frames_by_coupling.items()}
    count = len(next(iter(frames_by_coupling.values())))
    height, width = next(iter(strips.values())).shape[:2]
    strip_width, title, ticks = STRIP_WIDTH - 0.04, 0.24, 0.25  # inches
    strip_height = strip_width * height / width
    curve = 0.95 if distances_by_coupling else 0.0
    total = len(strips) * (title + strip_height) + (title + curve if curve else 0) + ticks
    figure = plt.figure(figsize=(STRIP_WIDTH, total), layout="none")
    left, share, top = 0.02 / STRIP_WIDTH, strip_width / STRIP_WIDTH, total
    for name, strip in strips.items():
        top -= title + strip_height
        ax = figure.add_axes((left, top / total, share, strip_height / total))
        _show_strip(ax, strip, count, name)
    if distances_by_coupling:
        below = figure.add_axes((left, ticks / total, share, curve / total))
        step_distances(distances_by_coupling, below)
    else:
        ax.set_xticks([0, count - 1], ["$t = 0$", "$t = 1$"])
    return figure


def step_distances(
    distances_by_coupling: Mapping[str, Float[np.ndarray, " steps"]], ax: Axes | None = None
) -> Axes:
    """The perceptual distance of each step, drawn between the two frames that it compares.

    The numbers of the vertical axis stand inside it, so that it can be as wide as the strips.
    """
    ax = _axes(ax, 1.6)
    for name, distances in distances_by_coupling.items():
        steps = np.arange(len(distances)) + 0.5
        ax.plot(steps, distances, f"{MARKERS[name]}-", ms=4, color=PALETTE[name])
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
    size = (WIDTH, rows * (cell * height / width + 0.06) + 0.2 * titled)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, image in zip(axes.flat, images, strict=False):
        ax.imshow(image, interpolation="lanczos")
    for ax, title in zip(axes.flat, titles, strict=False):
        ax.set_title(title, fontsize=8.5, pad=3)
    return figure


def retimed_strips(
    frames: tuple[Images, Images],
    times: Float[np.ndarray, " t"],
    distances: tuple[Float[np.ndarray, " steps"], Float[np.ndarray, " steps"]],
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
    count = len(times)
    strips = [_strip(each) for each in frames]
    height = STRIP_WIDTH * strips[0].shape[0] / strips[0].shape[1]
    parts = [0.22, height, 0.46, height, 0.26, 1.0, 0.28]  # title, strip, lines, strip, curve
    figure = plt.figure(figsize=(STRIP_WIDTH, sum(parts)), layout="none")

    def below(part: int) -> Axes:
        bottom = sum(parts[part + 1 :]) / sum(parts)
        return figure.add_axes((0.003, bottom, 0.994, parts[part] / sum(parts)))

    upper, between, lower, curve = below(1), below(2), below(3), below(5)
    _show_strip(upper, strips[0], count, name)
    _strip_title(upper, name, ", equal times")
    _show_strip(lower, strips[1], count, name)
    title = _strip_title(lower, name, ", equal steps")
    title.set_path_effects([withStroke(linewidth=4, foreground="white")])  # over the lines
    between.plot([times * (count - 1), np.arange(count)], [1, 0], color=PALETTE[name], lw=0.9)
    between.set(xlim=(-0.5, count - 0.5), ylim=(0, 1))
    between.axis("off")
    _two_step_curves(curve, distances, name)
    return figure


def _two_step_curves(
    ax: Axes,
    distances: tuple[Float[np.ndarray, " steps"], Float[np.ndarray, " steps"]],
    name: str,
) -> None:
    """The distance of each step at equal times (dotted, hollow) and in equal steps."""
    highest = float(max(each.max() for each in distances))
    step_distances({name: distances[0]}, ax)
    ax.lines[0].set(linestyle=":", markerfacecolor="white", label="equal times")
    steps = np.arange(len(distances[1])) + 0.5
    marked = f"{MARKERS[name]}-"
    ax.plot(steps, distances[1], marked, ms=4, color=PALETTE[name], label="equal steps")
    ax.set_ylim(0, 1.25 * highest or 1)
    ax.set_xticks(steps, [f"step {k + 1}" if k == 0 else str(k + 1) for k in range(len(steps))])
    ax.legend(loc="lower right", bbox_to_anchor=(1, 0.97), ncols=2, borderaxespad=0)
