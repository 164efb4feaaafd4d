"""The pipeline, token clouds, couplings and the flow of tokens, drawn."""

from collections.abc import Mapping, Sequence
from itertools import groupby

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path
from matplotlib.patheffects import withStroke

from embedding_geometry.pages.figures.style import (
    INK,
    KIND_COLOURS,
    PADDING,
    PALETTE,
    WIDTH,
    _axes,
    _legend_above,
)


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
