"""The atlas on a page: a table to sort and filter, and a picture of all models in one plane."""

import math
import re
from collections.abc import Hashable
from html import escape
from typing import Any

import lazy_loader
import pandas as pd
from matplotlib.axes import Axes

from embedding_geometry.atlas.check import CHANGED, UNCHANGED
from embedding_geometry.pages.figures.style import new_axes
from embedding_geometry.pages.tables import Cell, Row, SortableTable
from embedding_geometry.pages.texts import power_of_ten

sns = lazy_loader.load("seaborn")
HEADS = ("model", "family", "sees a", "permuted", "doubled", "another text", "because of")
NUMBERS = ("permuting", "doubling", "other_text")
COLOURS = {"measure": "#009E73", "multiset": "#E69F00", "sequence": "#882255"}
TONES = {  # the same, dark and bright enough to be read as letters
    "measure": ("#007a5a", "#4fd0a8"),
    "multiset": ("#b35c00", "#f0a04b"),
    "sequence": ("#8a3a78", "#dd9bcd"),
}
MARKERS = ("o", "s", "^", "D")
ROUNDING = {str(dtype).removeprefix("torch."): bound for dtype, bound in UNCHANGED.items()}
SMALLEST = 1e-17  # an exact zero is drawn here
Line = dict[Hashable, Any]


def size_text(change: float, precision: str) -> str:
    """Write a change for reading: a bound for rounding, per cent for what is clear."""
    if pd.isna(change):
        return ""
    if change >= CHANGED:
        return f"{float(f'{100 * change:.2g}'):g}\u202f%"
    return f"≤\u00a0{power_of_ten(round(math.log10(ROUNDING[precision])))}"


def atlas_table(table: pd.DataFrame) -> SortableTable:
    """A recorded atlas as a table to sort and filter."""
    lines: list[Line] = table.fillna({"cause": ""}).to_dict("records")
    return SortableTable(
        title=f"atlas of {len(table)} backbones",
        heads=HEADS,
        rows=tuple(map(_row, lines)),
        choice="Sees a",
        tones=TONES,
    )


def _row(line: Line) -> Row:
    verdict = str(line["verdict"])
    words = re.sub("(?<=[a-z])(?=[A-Z0-9])", "<wbr>", str(line["class"]))  # where it may break
    name = f"{escape(str(line['model']))}<br><small><code>{words}</code></small>"
    numbers = (
        Cell(size_text(line[name], str(line["precision"])), "number", f"{line[name]:.20f}")
        for name in NUMBERS
    )
    cells = Cell(name), Cell(escape(str(line["family"]))), Cell(verdict, verdict), *numbers
    return Row((*cells, Cell(escape(str(line["cause"])))), group=verdict)


def plane(table: pd.DataFrame) -> Axes:
    """Every model by what permuting and what doubling its tokens changes.

    An arrow leads from each sequence to where it comes to lie once the cause is taken out. A model
    that takes a fixed number of tokens lies on the upper edge.
    """
    ax = new_axes(4.2)
    table = table[table["verdict"].isin(COLOURS)]  # the absent have no place
    places = table[["permuting", "doubling", "permuting_removed", "doubling_removed"]]
    places = places.fillna({"doubling": 1}).clip(lower=SMALLEST)
    ax.set(xscale="log", yscale="log", xlim=(SMALLEST / 3, 4), ylim=(SMALLEST / 3, 4))
    ax.axvspan(max(ROUNDING.values()), CHANGED, color="#F0F0F0", zorder=0)
    ax.axhspan(max(ROUNDING.values()), CHANGED, color="#F0F0F0", zorder=0)
    for x, y, x_removed, y_removed in places.dropna().itertuples(index=False):
        arrow = {"arrowstyle": "->", "color": "#888888", "lw": 0.6, "alpha": 0.6}
        ax.annotate("", (x_removed, y_removed), (x, y), arrowprops=arrow)
    families = table["family"].unique()
    sns.scatterplot(
        table.assign(permuting=places["permuting"], doubling=places["doubling"]),
        x="permuting", y="doubling", hue="verdict", palette=COLOURS, style="family",
        markers=dict(zip(families, MARKERS, strict=False)), s=34, alpha=0.85, linewidth=0.6,
        zorder=3, ax=ax,
    )  # fmt: skip
    named = {"measure": (3e-11, 3e-11), "multiset": (3e-11, 2e-3), "sequence": (5e-2, 1e-6)}
    for verdict, (x, y) in named.items():
        ax.text(x, y, verdict, color=COLOURS[verdict], fontweight="bold", fontsize=11, ha="center")
    for precision, x in {"float64": 1e-15, "float32": 3e-7}.items():
        ax.text(x, 1.5e-9, f"in {precision}", fontsize=8, color="#666666", ha="center")
    ax.set(xlabel="change when the tokens are permuted", ylabel="change when each is doubled")
    handles, names = ax.get_legend_handles_labels()  # the verdicts, named above, and the families
    ax.legend(handles[-len(families) :], names[-len(families) :], loc="lower right")
    return ax
