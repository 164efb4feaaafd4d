"""The pipeline, token clouds, couplings and the flow of tokens, drawn."""

from collections.abc import Mapping, Sequence

import lazy_loader
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.patheffects import withStroke

from embedding_geometry.pages.figures.style import (
    BLUE,
    INK,
    KIND_COLOURS,
    PADDING,
    WIDTH,
    legend_above,
    look,
    new_axes,
    panels,
)
from embedding_geometry.transport.ways import Ends

sns = lazy_loader.load("seaborn")  # takes two seconds, and half of the pages draw without it

# --- the pipeline -------------------------------------------------------------------------------


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
    text_side = [
        (5.05, "prompt\n(a sentence)", varied),
        (3.75, "tokenizer and\nCLIP text encoder", fixed),
        (2.45, f"token cloud $x$\n{n} rows × {d}", varied),
    ]
    image_side = [
        (5.05, f"initial latent $L_T$\n{latent}, one seed", fixed),
        (3.5, f"UNet\n{steps} steps, $L_T \\to L_0$", fixed),
        (2.05, "VAE decoder", fixed),
        (0.6, f"image\n{h} × {w} pixels", varied),
    ]
    arrow = {"arrowstyle": "-|>", "color": INK, "lw": 1.4, "shrinkA": 0, "shrinkB": 0}
    for x, boxes in [(left, text_side), (right, image_side)]:
        for y, text, colour in boxes:
            corner, rounded = (x - 1.25, y - 0.475), "round,pad=0,rounding_size=0.12"
            ax.add_patch(FancyBboxPatch(corner, 2.5, 0.95, rounded, fc=colour, ec=INK))
            ax.text(x, y, text, ha="center", va="center", fontsize=9.5, linespacing=1.35)
        for (above, *_), (below, *_) in zip(boxes[:-1], boxes[1:], strict=True):
            ax.annotate("", (x, below + 0.475), (x, above - 0.475), arrowprops=arrow)
    ax.annotate("", (right - 1.25, 3.3), (left + 1.25, 2.45), arrowprops=arrow)
    ax.text((left + right) / 2 + 0.1, 2.65, "cross-\nattention", fontsize=9, ha="center", va="top")
    return figure


# --- a cloud and its coupling -------------------------------------------------------------------


def token_heatmap(
    cloud: Float[np.ndarray, "n d"], labels: Sequence[str], padding: int = 8
) -> Axes:
    """The matrix that CLIP makes of a prompt: a row per token, a column per dimension.

    Of the padding only the first rows are drawn, as many as `padding` says.
    """
    rows = sum(label != PADDING for label in labels) + padding
    shown = pd.DataFrame(cloud[:rows], index=pd.Index(labels[:rows], name="token"))
    shown = shown.rename_axis(columns="dimension")
    ax, bar = new_axes(0.16 * len(shown) + 0.8), {"label": "value", "shrink": 0.7}
    limit = np.quantile(np.abs(cloud), 0.99)
    sns.heatmap(
        shown,
        vmin=-limit,
        vmax=limit,
        cmap="RdBu_r",
        xticklabels=cloud.shape[1] // 8,
        cbar_kws=bar,
        ax=ax,
    )
    ax.tick_params(labelsize=8)
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
    ax, colour = ax or new_axes(4.2), look(name).colour
    plane = principal_plane(np.concatenate([x, y]))
    start, end = plane[: len(x)], plane[len(x) :]
    ax.plot(*np.stack([start, end[sigma]]).transpose(2, 0, 1), color=colour, lw=0.9)
    ax.plot(*start.T, "o", ms=4, color=INK, label="tokens of A")
    ax.plot(*end.T, "o", ms=4, mfc="white", mec=INK, label="tokens of B")
    ax.set(aspect="equal", xlabel="first principal component", ylabel="second principal component")
    ax.set_title(name, color=colour, fontweight="bold")
    ax.label_outer()
    return ax


def _gathered(labels: Sequence[str]) -> tuple[Int[np.ndarray, " n"], list[str]]:
    """The line of each token, the padding at their end sharing the last, and the lines' names."""
    words = [label for label in labels if label != PADDING]
    padding = len(labels) - len(words)
    lines = np.minimum(np.arange(len(labels)), len(words))
    return lines, words + ([f"padding ×{padding}"] if padding else [])


def coupling_matrix(
    sigma: Int[np.ndarray, " n"], labels_x: Sequence[str], labels_y: Sequence[str]
) -> Axes:
    """Which token an optimal coupling moves where: a square per pair, all padding in one line."""
    (rows, row_names), (columns, column_names) = _gathered(labels_x), _gathered(labels_y)
    counts = pd.crosstab(rows, columns[sigma]).set_axis(row_names)
    ax = sns.heatmap(
        counts.set_axis(column_names, axis=1),
        mask=counts.to_numpy() == 0,
        annot=counts.astype(str).where(counts > 1, ""),
        fmt="",
        annot_kws={"fontsize": 7},
        cmap=[BLUE],
        cbar=False,
        linewidths=1.5,
        square=True,
        xticklabels=True,  # of a long sentence, too, every token is named
        yticklabels=True,
        ax=new_axes(0.2 * len(row_names) + 1.2),
    )
    ax.xaxis.tick_top()
    ax.tick_params(axis="x", rotation=90, labelsize=8)
    ax.tick_params(axis="y", rotation=0, labelsize=8)
    ax.set_xlabel("optimal", color=BLUE, fontweight="bold")
    return ax


def planted_ends() -> Ends:
    """Two clouds in the plane as prompts have them: a start token, four others, two of padding."""

    def around(degrees: Sequence[int], radii: Sequence[float]) -> Float[np.ndarray, "7 2"]:
        angles, start = np.radians(degrees), [0.0, 2.1]
        places = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.array(radii)[:, None]
        return np.concatenate([[start], places])

    x = around([150, 205, 125, 230, 165, 190], [1.3, 1.1, 1.5, 1.3, 0.75, 0.6])
    y = around([-35, 50, 5, -10, 25, -25], [1.5, 1.2, 0.9, 1.4, 1.5, 0.8])
    return Ends(x, y, x_end=4, y_end=4)


def way_panels(ends: Ends, paths: Mapping[str, Float[np.ndarray, "t n 2"]]) -> Figure:
    """A panel for each way between two clouds in the plane: the curve of every token.

    Tokens of x are dots, those of y rings, one that is the same in both a cross. A curve ends in a
    diamond, which a ring covers where it is reached.
    """
    figure, axes = panels(len(paths), 3, 1.4, shared=True)
    x, y = ends.x, ends.y
    for ax, (name, path) in zip(axes, paths.items(), strict=True):
        colour = look(name).colour
        ax.plot(*path.transpose(2, 0, 1), color=colour, lw=1.1)
        ax.plot(*path[-1].T, "D", ms=3.5, color=colour, mec="white", mew=0.5)
        ax.plot(*x.T, "o", ms=4, color=INK)
        ax.plot(*y.T, "o", ms=5, mfc="white", mec=INK, mew=1)
        ax.plot(*x[(x == y).all(axis=1)].T, "X", ms=7, color=INK, mec="white")
        ax.set_title(name, color=colour, fontweight="bold", fontsize=8.5, pad=2)
        ax.set_aspect("equal")
        ax.margins(0.08)
        ax.axis("off")
    return figure


# --- many clouds --------------------------------------------------------------------------------


def wasserstein_map(distances: Float[np.ndarray, "p p"], groups: Sequence[str]) -> Axes:
    """A heat map of the distances between prompts, which come sorted by group."""
    ax, bar = new_axes(4.0), {"label": "Wasserstein distance", "shrink": 0.7}
    sns.heatmap(distances, cmap="viridis", square=True, xticklabels=False, cbar_kws=bar, ax=ax)
    sizes = pd.Series(groups).value_counts(sort=False)
    ends = sizes.cumsum()
    ax.set_yticks(ends - sizes / 2, sizes.index, rotation=0)
    ax.hlines(ends[:-1], 0, len(groups), color="white", lw=0.8)
    ax.vlines(ends[:-1], 0, len(groups), color="white", lw=0.8)
    return ax


def classical_scaling(distances: Float[np.ndarray, "p p"]) -> Float[np.ndarray, "p 2"]:
    """Points in the plane whose distances are close to the given ones (classical scaling)."""
    centring = np.eye(len(distances)) - 1 / len(distances)
    values, vectors = np.linalg.eigh(-0.5 * centring @ distances**2 @ centring)
    values, vectors = values[:-3:-1], vectors[:, :-3:-1]
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), [0, 1]])
    return vectors * signs * np.sqrt(np.maximum(values, 0))


def wasserstein_embedding(distances: Float[np.ndarray, "p p"], groups: Sequence[str]) -> Axes:
    """The prompts as points of a plane that keeps their distances as well as it can.

    Lines join the prompts of a group, and its name stands above the highest of them.
    """
    ax, halo = new_axes(4.4), withStroke(linewidth=2.5, foreground="white")
    points, names = classical_scaling(distances), np.asarray(groups)
    for name in dict.fromkeys(groups):
        members = points[names == name]
        ax.plot(*members.T, "o-", ms=6, mec="white", color=INK)
        highest = members[members[:, 1].argmax()]
        ax.annotate(name, highest, (0, 5), textcoords="offset points", fontsize=8, ha="center",
                    path_effects=[halo])  # fmt: skip
    ax.margins(0.1)
    ax.set(aspect="equal", xlabel="first coordinate", ylabel="second coordinate")
    return ax


# --- where tokens go ----------------------------------------------------------------------------


def token_flows(flows_by_group: Mapping[str, pd.DataFrame]) -> Figure:
    """From which kind of token to which: a panel for each group, a band for each way taken.

    The height of a band is its number of tokens, which stands beside the bars in sum. Padding that
    goes to padding, far more than all the rest, is left out, and its number written below.

    Args:
        flows_by_group: for each group's name a table with `kind`, `target_kind` and `tokens`, the
            mean number of tokens of a prompt pair.
    """
    figure, axes = panels(len(flows_by_group), len(flows_by_group), 3.7)
    for ax, (name, flows) in zip(axes, flows_by_group.items(), strict=True):
        within = (flows["kind"] == "padding") & (flows["target_kind"] == "padding")
        _draw_flows(ax, flows[~within])
        left_out = flows.loc[within, "tokens"].sum()
        ax.set_title(name)
        ax.set_xlabel(f"padding to padding: {left_out:.1f}", fontsize=8)
    lowest = min(ax.get_ylim()[0] for ax in axes)
    plt.setp(axes, ylim=(lowest, 0.3))
    return figure


def _draw_flows(ax: Axes, flows: pd.DataFrame) -> None:
    """Two columns of bars, one bar for each kind, and the bands between them."""
    ax.set(xlim=(-0.62, 1.62), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.grid(False)
    kinds, colours = zip(*KIND_COLOURS.items(), strict=True)
    table = flows.pivot_table("tokens", "kind", "target_kind", aggfunc="sum")
    tokens = table.reindex(index=kinds, columns=kinds).fillna(0.0).to_numpy()
    starts = _draw_bars(ax, tokens.sum(axis=1), x=0, side=-1)
    ends = _draw_bars(ax, tokens.sum(axis=0), x=1, side=1)
    across = np.linspace(0, 1, 50)
    bend = across**2 * (3 - 2 * across)  # horizontal at both ends
    for (kind, target), height in np.ndenumerate(tokens):
        top = starts[kind] + (ends[target] - starts[kind]) * bend
        ax.fill_between(
            0.03 + 0.94 * across, top - height, top, color=colours[kind], lw=0, alpha=0.55
        )
        starts[kind] -= height
        ends[target] -= height
    ax.set_ylim(min(*starts, *ends) - 0.3, 0.3)


def _draw_bars(
    ax: Axes, heights: Float[np.ndarray, " kinds"], x: int, side: int
) -> Float[np.ndarray, " kinds"]:
    """One column of bars from the top down, named on one side, and where each begins."""
    tops = heights - heights.cumsum() - 1.1 * np.arange(len(heights))  # with gaps between
    ax.bar(x, -heights, 0.06, tops, color=list(KIND_COLOURS.values()), zorder=3)
    place, outward = x + 0.07 * side, "left" if side > 0 else "right"
    for kind, top, height in zip(KIND_COLOURS, tops, heights, strict=True):
        label, middle = f"{kind}\n{height:.1f}", top - height / 2
        ax.text(place, middle, label, ha=outward, va="center", size=8, linespacing=1.0)
    return tops


def shares_by_place(shares: Mapping[str, pd.DataFrame], ylabel: str) -> Axes:
    """A share for each place in the prompt, with its interval; a line for each group, at most two.

    Args:
        shares: for each group's name a table with the places as index and columns `share`, `low`
            and `high`, in per cent.
        ylabel: what the shares are.
    """
    ax = new_axes(2.6)
    for (name, table), style in zip(shares.items(), ["-", "--"][: len(shares)], strict=True):
        ax.plot(table.index, table["share"], style, color=BLUE, label=name)
        ax.fill_between(table.index, table["low"], table["high"], color=BLUE, alpha=0.2, lw=0)
    ax.set(xlabel="place in the prompt", ylabel=ylabel, ylim=(0, 100))
    legend_above(ax)
    return ax
