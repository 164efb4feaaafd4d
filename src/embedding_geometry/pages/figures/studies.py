"""The paper's figures: functions of tables and arrays that return matplotlib Axes or Figures.

Nothing here computes a result or loads a model. One colour and one marker stand for one coupling
throughout (colours from Okabe and Ito's colour-blind safe palette), and every figure brings its
own light background, so that it reads the same on a light and on a dark page.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
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
Images = UInt8[np.ndarray, "images h w 3"]


def set_style() -> None:
    """Use the paper's look for every figure that follows."""
    plt.style.use(STYLE)


def _axes(ax: Axes | None, height: float) -> Axes:
    """The given axes, or new ones as wide as the text and `height` inches high."""
    return ax if ax is not None else plt.subplots(figsize=(WIDTH, height))[1]


def _legend_above(ax: Axes) -> None:
    """The legend in one line above the axes, where it covers no data."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, handlelength=1.6)


# --- images -------------------------------------------------------------------------------------


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


# --- the pipeline -------------------------------------------------------------------------------


def _box(ax: Axes, centre: tuple[float, float], text: str, colour: str) -> None:
    """A rounded box with its text."""
    (x, y), width, height = centre, 2.5, 0.95
    ax.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.12",
            facecolor=colour,
            edgecolor=INK,
        )
    )
    ax.text(x, y, text, ha="center", va="center", fontsize=9.5, linespacing=1.35)


def pipeline_diagram(
    cloud_shape: tuple[int, int],
    latent_shape: tuple[int, int, int],
    image_size: tuple[int, int],
    steps: int,
) -> Figure:
    """The parts of Stable Diffusion, with the sizes of what passes between them.

    Blue marks the one input that this paper varies; grey marks what it holds fixed.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 4.3))
    ax.set(xlim=(0, 6.4), ylim=(0, 5.6))
    ax.axis("off")
    left, right, fixed, varied = 1.4, 5.0, "#EFEFEF", "#CFE6F5"
    (n, d), latent, (h, w) = cloud_shape, "×".join(map(str, latent_shape)), image_size
    boxes = {
        "prompt": (left, 5.05, "prompt\n(a sentence)", varied),
        "clip": (left, 3.75, "tokenizer and\nCLIP text encoder", fixed),
        "cloud": (left, 2.45, f"token cloud $x$\n{n} rows × {d}", varied),
        "noise": (right, 5.05, f"initial latent $L_T$\n{latent}, one seed", fixed),
        "unet": (right, 3.5, f"UNet\n{steps} steps, $L_T \\to L_0$", fixed),
        "decoder": (right, 2.05, "VAE decoder", fixed),
        "image": (right, 0.6, f"image\n{h} × {w} pixels", varied),
    }
    for x, y, text, colour in boxes.values():
        _box(ax, (x, y), text, colour)
    arrow = {"arrowstyle": "-|>", "color": INK, "lw": 1.4, "shrinkA": 0, "shrinkB": 0}
    for start, end in [
        ("prompt", "clip"),
        ("clip", "cloud"),
        ("noise", "unet"),
        ("unet", "decoder"),
        ("decoder", "image"),
    ]:
        (x, top), bottom = boxes[start][:2], boxes[end][1]
        ax.annotate("", (x, bottom + 0.475), (x, top - 0.475), arrowprops=arrow)
    ax.annotate("", (right - 1.25, 3.3), (left + 1.25, 2.45), arrowprops=arrow)
    ax.text((left + right) / 2 + 0.1, 2.65, "cross-\nattention", fontsize=9, ha="center", va="top")
    return figure


def token_heatmap(
    cloud: Float[np.ndarray, "n d"], labels: Sequence[str], padding: int = 8
) -> Axes:
    """The matrix that CLIP makes of a prompt: a row per token, a column per dimension.

    Of the padding only the first rows are drawn, as many as `padding` says.
    """
    words = sum(label != PADDING for label in labels)
    shown = cloud[: words + padding]
    ax = _axes(None, 0.16 * len(shown) + 0.8)
    limit = float(np.quantile(np.abs(cloud), 0.99))
    image = ax.imshow(
        shown, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="none"
    )
    ax.set_yticks(range(len(shown)), labels[: len(shown)], fontsize=8)
    ax.set(xlabel="dimension", ylabel="token")
    ax.grid(False)
    ax.figure.colorbar(image, ax=ax, label="value", shrink=0.7)
    return ax


# --- couplings and distances --------------------------------------------------------------------


def principal_plane(
    points: Float[np.ndarray, "points d"],
) -> Float[np.ndarray, "points 2"]:
    """The points in the plane of their two largest principal components, signs fixed."""
    centred = points - points.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    largest = np.abs(axes).argmax(axis=1)
    signs = np.sign(axes[np.arange(2), largest])
    return centred @ (axes * signs[:, None]).T


def coupling_map(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "n d"],
    sigma: Int[np.ndarray, " n"],
    name: str = "optimal",
    ax: Axes | None = None,
) -> Axes:
    """Both clouds in their common principal plane, a line for each pair of the coupling."""
    ax = _axes(ax, 4.2)
    plane = principal_plane(np.concatenate([x, y]))
    start, end = plane[: len(x)], plane[len(x) :]
    ax.plot(*np.stack([start, end[sigma]]).transpose(2, 0, 1), color=PALETTE[name], lw=0.9)
    ax.scatter(start[:, 0], start[:, 1], s=13, color=INK, zorder=3, label="tokens of A")
    ax.scatter(
        end[:, 0], end[:, 1], s=16, facecolor="white", edgecolor=INK, zorder=3, label="tokens of B"
    )
    ax.set(aspect="equal", xlabel="first principal component", ylabel="second principal component")
    ax.set_title(name, color=PALETTE[name], fontweight="bold")
    ax.label_outer()
    return ax


def way_panels(
    x: Float[np.ndarray, "n 2"],
    y: Float[np.ndarray, "n 2"],
    paths: Mapping[str, Float[np.ndarray, "t n 2"]],
) -> Figure:
    """A panel for each way between two clouds in the plane: the curve of every token.

    Tokens of x are dots, those of y rings, one that is the same in both a cross. A curve ends in a
    diamond, which a ring covers where it is reached.
    """
    rows = -(-len(paths) // 3)
    figure, axes = plt.subplots(
        rows, 3, figsize=(WIDTH, 1.4 * rows), sharex=True, sharey=True, squeeze=False
    )
    for ax in axes.flat:
        ax.axis("off")
    for ax, (name, path) in zip(axes.flat, paths.items(), strict=False):
        colour = PALETTE.get(name, INK)
        ax.plot(*path.transpose(2, 0, 1), color=colour, lw=1.1)
        ax.plot(*path[-1].T, "D", ms=3.5, color=colour, mec="white", mew=0.5)
        ax.plot(*x.T, "o", ms=4, color=INK)
        ax.plot(*y.T, "o", ms=5, mfc="white", mec=INK, mew=1)
        ax.plot(*x[(x == y).all(axis=1)].T, "X", ms=7, color=INK, mec="white")
        ax.set_title(name, color=colour, fontweight="bold", fontsize=8.5, pad=2)
        ax.set_aspect("equal")
        ax.margins(0.08)
    return figure


def _groups(labels: Sequence[str]) -> tuple[Int[np.ndarray, " n"], list[str]]:
    """Give each word its own number and all padding tokens the last one, with tick labels."""
    words = [label for label in labels if label != PADDING]
    padding = len(labels) - len(words)
    numbers = np.empty(len(labels), dtype=np.int64)
    is_padding: Bool[np.ndarray, " n"] = np.array([label == PADDING for label in labels])
    numbers[~is_padding] = np.arange(len(words))
    numbers[is_padding] = len(words)
    return numbers, words + ([f"padding ×{padding}"] if padding else [])


def coupling_matrix(
    sigma: Int[np.ndarray, " n"],
    labels_x: Sequence[str],
    labels_y: Sequence[str],
    name: str = "optimal",
    ax: Axes | None = None,
) -> Axes:
    """Which token goes to which: a square per pair, all padding tokens gathered in one line."""
    (rows, row_labels), (columns, column_labels) = _groups(labels_x), _groups(labels_y)
    ax = _axes(ax, 0.2 * len(row_labels) + 1.2)
    counts = np.zeros((len(row_labels), len(column_labels)), dtype=np.int64)
    np.add.at(counts, (rows, columns[sigma]), 1)
    for i, j in zip(*np.nonzero(counts), strict=True):
        ax.add_patch(plt.Rectangle((j - 0.45, i - 0.45), 0.9, 0.9, color=PALETTE[name]))
        if counts[i, j] > 1:
            ax.text(j, i, str(counts[i, j]), color="white", ha="center", va="center", fontsize=7)
    ax.set(xlim=(-0.5, len(column_labels) - 0.5), ylim=(len(row_labels) - 0.5, -0.5), aspect=1)
    ax.xaxis.tick_top()
    ax.set_xticks(range(len(column_labels)), column_labels, rotation=90, fontsize=8)
    ax.set_yticks(range(len(row_labels)), row_labels, fontsize=8)
    ax.set_xlabel(name, color=PALETTE[name], fontweight="bold")
    return ax


def wasserstein_map(
    distances: Float[np.ndarray, "p p"], groups: Sequence[str], ax: Axes | None = None
) -> Axes:
    """A heat map of the distances between prompts, which come sorted by group."""
    ax = _axes(ax, 4.0)
    image = ax.imshow(distances, cmap="viridis", interpolation="none")
    sizes = [(name, len(list(members))) for name, members in groupby(groups)]
    edges = np.cumsum([0] + [size for _, size in sizes])
    ax.set_yticks((edges[:-1] + edges[1:] - 1) / 2, [name for name, _ in sizes])
    ax.set_xticks([])
    for edge in edges[1:-1] - 0.5:
        ax.axhline(edge, color="white", lw=0.8)
        ax.axvline(edge, color="white", lw=0.8)
    ax.grid(False)
    ax.figure.colorbar(image, ax=ax, label="Wasserstein distance", shrink=0.7)
    return ax


def classical_scaling(distances: Float[np.ndarray, "p p"]) -> Float[np.ndarray, "p 2"]:
    """Points in the plane whose distances are close to the given ones (classical scaling)."""
    centring = np.eye(len(distances)) - 1 / len(distances)
    values, vectors = np.linalg.eigh(-0.5 * centring @ distances**2 @ centring)
    values, vectors = values[:-3:-1], vectors[:, :-3:-1]
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), [0, 1]])
    return vectors * signs * np.sqrt(np.maximum(values, 0))


def wasserstein_embedding(
    distances: Float[np.ndarray, "p p"], groups: Sequence[str], ax: Axes | None = None
) -> Axes:
    """The prompts as points of a plane that keeps their distances as well as it can.

    Lines join the prompts of a group, and its name stands above the highest of them.
    """
    ax = _axes(ax, 4.4)
    points, names = classical_scaling(distances), np.asarray(groups)
    for name in dict.fromkeys(groups):
        members = points[names == name]
        ax.plot(*members.T, "o-", ms=6, mec="white", color=INK)
        ax.annotate(
            name,
            members[members[:, 1].argmax()],
            xytext=(0, 5),
            textcoords="offset points",
            fontsize=8,
            ha="center",
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )
    ax.margins(0.1)
    ax.set(aspect="equal", xlabel="first coordinate", ylabel="second coordinate")
    return ax


def notice(text: str) -> Figure:
    """A line of text in the place of a picture that there is not."""
    figure = plt.figure(figsize=(WIDTH, 0.5))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


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


# --- tokens -------------------------------------------------------------------------------------


def token_flows(flows_by_group: Mapping[str, pd.DataFrame]) -> Figure:
    """From which kind of token to which: a panel for each group, a band for each way taken.

    The height of a band is its number of tokens, which stands beside the bars in sum. Padding that
    goes to padding, far more than all the rest, is left out, and its number written below.

    Args:
        flows_by_group: for each group's name a table with `kind`, `target_kind` and `tokens`, the
            mean number of tokens of a prompt pair.
    """
    count = len(flows_by_group)
    figure, axes = plt.subplots(1, count, figsize=(WIDTH, 3.7), squeeze=False)
    for ax, (name, flows) in zip(axes.flat, flows_by_group.items(), strict=True):
        within = (flows["kind"] == "padding") & (flows["target_kind"] == "padding")
        _draw_flows(ax, flows[~within], gap=1.1)
        left_out = flows.loc[within, "tokens"].sum()
        ax.set_title(name)
        ax.set_xlabel(f"padding to padding: {left_out:.1f}", fontsize=8)
    lowest = min(ax.get_ylim()[0] for ax in axes.flat)
    for ax in axes.flat:
        ax.set_ylim(lowest, 0.3)
    return figure


def _draw_flows(ax: Axes, flows: pd.DataFrame, gap: float) -> None:
    """Two columns of bars, one bar for each kind, and the bands between them."""
    ax.set(xlim=(-0.62, 1.62), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.grid(False)
    starts = _draw_bars(ax, flows.groupby("kind")["tokens"].sum(), gap, x=0.0, side="right")
    ends = _draw_bars(ax, flows.groupby("target_kind")["tokens"].sum(), gap, x=1.0, side="left")
    order = list(KIND_COLOURS)
    ways = flows.assign(
        source=flows["kind"].map(order.index), target=flows["target_kind"].map(order.index)
    ).sort_values(["source", "target"])
    for kind, target, tokens in ways[["kind", "target_kind", "tokens"]].itertuples(index=False):
        _draw_band(ax, starts[kind], ends[target], tokens, KIND_COLOURS[kind])
        starts[kind] -= tokens
        ends[target] -= tokens
    ax.set_ylim(min(*starts.values(), *ends.values()) - 0.3, 0.3)


def _draw_bars(
    ax: Axes, tokens: "pd.Series[float]", gap: float, x: float, side: str
) -> dict[str, float]:
    """One column of bars from the top down, and where each begins."""
    tops, y = {}, 0.0
    sign = -1 if side == "right" else 1
    for kind in KIND_COLOURS:
        height = float(tokens.get(kind, 0.0))
        tops[kind] = y
        ax.add_patch(
            plt.Rectangle((x - 0.03, y - height), 0.06, height, color=KIND_COLOURS[kind], zorder=3)
        )
        label = f"{kind}\n{height:.1f}"
        place = (x + 0.07 * sign, y - height / 2)
        ax.text(*place, label, ha=side, va="center", fontsize=8, linespacing=1.0)
        y -= height + gap
    return tops


def _draw_band(ax: Axes, start: float, end: float, height: float, colour: str) -> None:
    """A band from the left column to the right one, its edges horizontal at both."""
    middle, left, right = 0.5, 0.03, 0.97
    upper = [(left, start), (middle, start), (middle, end), (right, end)]
    lower = [(x, y - height) for x, y in upper[::-1]]
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3]
    ax.add_patch(PathPatch(Path([*upper, *lower], codes), fc=colour, lw=0, alpha=0.55))


def shares_by_place(shares: Mapping[str, pd.DataFrame], ylabel: str) -> Axes:
    """A share for each place in the prompt, with its interval; a line for each of two groups.

    Args:
        shares: for each group's name a table with the places as index and columns `share`, `low`
            and `high`, in per cent.
        ylabel: what the shares are.
    """
    ax = _axes(None, 2.6)
    blue = PALETTE["optimal"]
    for (name, table), style in zip(shares.items(), ["-", "--"], strict=True):
        ax.plot(table.index, table["share"], style, color=blue, label=name)
        ax.fill_between(table.index, table["low"], table["high"], color=blue, alpha=0.2, lw=0)
    ax.set(xlabel="place in the prompt", ylabel=ylabel, ylim=(0, 100))
    _legend_above(ax)
    return ax


# --- tempo --------------------------------------------------------------------------------------


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
