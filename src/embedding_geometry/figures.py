"""The paper's figures: functions of tables and arrays that return matplotlib Axes or Figures.

Nothing here computes a result or loads a model. One colour stands for one coupling throughout
(Okabe and Ito's colour-blind safe palette), and every figure brings its own light background, so
that it reads the same on a light and on a dark page.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

PALETTE = {"row": "#D55E00", "optimal": "#0072B2", "random": "#7A7A7A", "worst": "#AA4499"}
INK = "#262626"
WIDTH = 6.0  # inches, the text width of the book
STYLE = {
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 130,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "grid.color": "#E6E6E6",
    "legend.frameon": False,
    "savefig.facecolor": "white",
    "text.color": INK,
}
PADDING = "<pad>"
Images = UInt8[np.ndarray, "images h w 3"]


def set_style() -> None:
    """Use the paper's look for every figure that follows."""
    plt.style.use(STYLE)


def _axes(ax: Axes | None, height: float) -> Axes:
    """The given axes, or new ones as wide as the text and `height` inches high."""
    return ax if ax is not None else plt.subplots(figsize=(WIDTH, height))[1]


# --- images -------------------------------------------------------------------------------------


def _strip(frames: Images, gap: int = 2) -> UInt8[np.ndarray, "h strip 3"]:
    """The frames side by side on white, as one picture."""
    padded = np.pad(frames, ((0, 0), (0, 0), (0, gap), (0, 0)), constant_values=255)
    return np.concatenate(padded, axis=1)[:, :-gap]


def _show_strip(ax: Axes, frames: Images, name: str) -> None:
    """Draw one strip so that frame `i` is centred over the number `i`."""
    count = len(frames)
    ax.imshow(
        _strip(frames), extent=(-0.5, count - 0.5, 0, 1), aspect="auto", interpolation="lanczos"
    )
    ax.set(xticks=[], yticks=[])
    ax.set_ylabel(name, color=PALETTE.get(name, INK), fontweight="bold")
    ax.spines[:].set_visible(False)
    ax.grid(False)


def film_strips(
    frames_by_coupling: Mapping[str, Images],
    distances_by_coupling: Mapping[str, Float[np.ndarray, " steps"]] | None = None,
) -> Figure:
    """One strip of frames per coupling, and below them the perceptual distance of each step.

    Args:
        frames_by_coupling: for each coupling's name its frames, all of the same number and size.
        distances_by_coupling: for each coupling's name one distance fewer than frames; left out,
            the strips stand alone.
    """
    rows, frames = len(frames_by_coupling), next(iter(frames_by_coupling.values()))
    count, shape = len(frames), frames.shape[1:3]
    strip_height = (WIDTH - 0.4) / count * shape[0] / shape[1]
    heights = [strip_height] * rows + ([1.1] if distances_by_coupling else [])
    figure, axes = plt.subplots(
        len(heights),
        1,
        figsize=(WIDTH, sum(heights) + 0.12 * len(heights) + 0.3),
        height_ratios=heights,
        squeeze=False,
    )
    for ax, (name, strip) in zip(axes[:, 0], frames_by_coupling.items(), strict=False):
        _show_strip(ax, strip, name)
    if distances_by_coupling:
        step_distances(distances_by_coupling, axes[-1, 0])
    else:
        axes[-1, 0].set_xticks([0, count - 1], ["$t = 0$", "$t = 1$"])
    return figure


def step_distances(
    distances_by_coupling: Mapping[str, Float[np.ndarray, " steps"]], ax: Axes | None = None
) -> Axes:
    """The perceptual distance of each step, drawn between the two frames that it compares."""
    ax = _axes(ax, 2.0)
    for name, distances in distances_by_coupling.items():
        ax.plot(np.arange(len(distances)) + 0.5, distances, "o-", ms=4, color=PALETTE[name])
    count = max(map(len, distances_by_coupling.values()))
    ax.set(xlim=(-0.5, count + 0.5), ylim=(0, None), ylabel="distance\nof the step")
    ax.set_xticks([0, count / 2, count], ["$t = 0$", "$t = 1/2$", "$t = 1$"])
    return ax


def gallery(images: Images, titles: Sequence[str], columns: int = 4) -> Figure:
    """A contact sheet: pictures in rows of `columns`, each under its title."""
    rows = -(-len(images) // columns)
    cell = WIDTH / columns
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, rows * (cell + 0.3)), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, title in zip(axes.flat, images, titles, strict=False):
        ax.imshow(image, interpolation="lanczos")
        ax.set_title(title, fontsize=8.5)
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
    ax.text(x, y, text, ha="center", va="center", fontsize=10, linespacing=1.35)


def pipeline_diagram(
    cloud_shape: tuple[int, int],
    latent_shape: tuple[int, int, int],
    image_size: tuple[int, int],
    steps: int,
) -> Figure:
    """The parts of Stable Diffusion, with the sizes of what passes between them.

    Blue marks the one input that this paper varies; grey marks what it holds fixed.
    """
    figure, ax = plt.subplots(figsize=(5.0, 4.5))
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
    ax = _axes(ax, 4.0)
    plane = principal_plane(np.concatenate([x, y]))
    start, end = plane[: len(x)], plane[len(x) :]
    ax.plot(*np.stack([start, end[sigma]]).transpose(2, 0, 1), color=PALETTE[name], lw=0.9)
    ax.scatter(start[:, 0], start[:, 1], s=22, color=INK, zorder=3, label="tokens of A")
    ax.scatter(
        end[:, 0], end[:, 1], s=26, facecolor="white", edgecolor=INK, zorder=3, label="tokens of B"
    )
    ax.set(xlabel="first principal component", ylabel="second", title=name)
    return ax


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
    ax = _axes(ax, 5.4)
    (rows, row_labels), (columns, column_labels) = _groups(labels_x), _groups(labels_y)
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
    ax = _axes(ax, 5.6)
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

    Lines join the prompts of a group.
    """
    ax = _axes(ax, 5.0)
    points, names = classical_scaling(distances), np.asarray(groups)
    for number, name in enumerate(dict.fromkeys(groups)):
        members = points[names == name]
        ax.plot(*members.T, "o-", ms=7, mec="white", color=plt.get_cmap("tab20")(number % 20))
        ax.annotate(name, members[0], xytext=(5, 4), textcoords="offset points", fontsize=8)
    ax.set(aspect="equal", xlabel="first coordinate", ylabel="second coordinate")
    return ax


def curves(
    x: Sequence[int] | Float[np.ndarray, " points"],
    y_by_coupling: Mapping[str, Float[np.ndarray, " points"]],
    xlabel: str,
    ylabel: str,
    ax: Axes | None = None,
) -> Axes:
    """A line for each coupling, named at the right end of the line."""
    ax = _axes(ax, 3.4)
    for name, values in y_by_coupling.items():
        ax.plot(x, values, "o-", ms=4, color=PALETTE[name], label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend()
    return ax


# --- the study ----------------------------------------------------------------------------------


def ppl_distributions(pairs: pd.DataFrame, couplings: Sequence[str]) -> Figure:
    """For each grade the PPL of every pair under each coupling: thin lines join one pair's values.

    Args:
        pairs: one row per pair with `grade` and, for each coupling, a column of its name.
        couplings: the columns to draw, in order.
    """
    grades = sorted(pairs["grade"].unique(), reverse=True)
    columns = min(3, len(grades))
    rows = -(-len(grades) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, 2.5 * rows), sharey=True, squeeze=False
    )
    for ax in axes.flat[len(grades) :]:
        ax.axis("off")
    for ax, grade in zip(axes.flat, grades, strict=False):
        values = pairs.loc[pairs["grade"] == grade, list(couplings)].to_numpy()
        ax.plot(values.T, color=INK, alpha=0.1, lw=0.7)
        boxes = ax.boxplot(
            values,
            positions=range(len(couplings)),
            widths=0.5,
            showfliers=False,
            patch_artist=True,
            medianprops={"color": "white", "lw": 2},
        )
        for patch, name in zip(boxes["boxes"], couplings, strict=True):
            patch.set(facecolor=PALETTE[name], alpha=0.85)
        ax.set_xticks(range(len(couplings)), couplings)
        ax.set(yscale="log", title=f"grade {grade:g}")
    for ax in axes[:, 0]:
        ax.set_ylabel("PPL")
    return figure


def boxes(
    values_by_group: Mapping[str, Float[np.ndarray, " values"]],
    xlabel: str,
    ax: Axes | None = None,
) -> Axes:
    """One box for each group of values, the first group on top; whiskers span the 5 to 95 %."""
    ax = _axes(ax, 0.42 * len(values_by_group) + 0.9)
    ax.boxplot(
        list(values_by_group.values())[::-1],
        orientation="horizontal",
        tick_labels=list(values_by_group)[::-1],
        widths=0.6,
        whis=(5, 95),
        patch_artist=True,
        boxprops={"facecolor": PALETTE["optimal"], "alpha": 0.85},
        medianprops={"color": "white", "lw": 2},
        flierprops={"marker": ".", "ms": 4, "mec": "none", "mfc": INK, "alpha": 0.4},
    )
    ax.axvline(0, color=INK, lw=1)
    ax.set_xlabel(xlabel)
    ax.grid(False, axis="y")
    return ax


def forest(effects: pd.DataFrame, xlabel: str, ax: Axes | None = None) -> Axes:
    """Estimates with their intervals, one line each, zero marked.

    Args:
        effects: index = what is estimated, columns `estimate`, `low`, `high`.
        xlabel: what the numbers are, with their unit.
        ax: where to draw.
    """
    ax = _axes(ax, 0.45 * len(effects) + 0.9)
    rows = np.arange(len(effects))[::-1]
    ax.axvline(0, color=INK, lw=1)
    ax.hlines(rows, effects["low"], effects["high"], color=PALETTE["optimal"], lw=2.5)
    ax.plot(effects["estimate"], rows, "o", color=PALETTE["optimal"], ms=7, mec="white")
    ax.set_yticks(rows, effects.index)
    ax.set(xlabel=xlabel, ylim=(-0.6, len(effects) - 0.4))
    ax.grid(False, axis="y")
    return ax


def improvement_by_similarity(pairs: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The relative improvement of every pair against its grade, with the median of each grade.

    Args:
        pairs: one row per pair with `grade` and `improvement` (a share: 0.1 is 10 % lower PPL).
        ax: where to draw. Improvements beyond ±100 % are drawn at the edge.
    """
    ax = _axes(ax, 3.8)
    shown = 100 * pairs["improvement"].clip(-1, 1)
    jitter = np.random.default_rng(0).uniform(-0.2, 0.2, len(pairs))
    ax.axhline(0, color=INK, lw=1)
    ax.scatter(pairs["grade"] + jitter, shown, s=12, color=PALETTE["optimal"], alpha=0.35, lw=0)
    medians = 100 * pairs.groupby("grade")["improvement"].median()
    ax.plot(
        medians.index, medians, "D-", color=INK, mfc="white", ms=7, label="median of the grade"
    )
    ax.set(
        xlabel="grade of similarity (5: the same scene in other words)",
        ylabel="improvement over row order, %",
        ylim=(-105, 105),
    )
    ax.legend(loc="lower right")
    return ax


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
    return figure
