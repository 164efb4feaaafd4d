"""The atlas on a page: a table to sort and filter, and a picture of all models in one plane."""

from collections.abc import Hashable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from embedding_geometry.atlas.check import CHANGED, UNCHANGED
from embedding_geometry.figures import WIDTH

HEADS = {
    "model": "model",
    "family": "family",
    "verdict": "sees a",
    "permuting": "permuted",
    "doubling": "doubled",
    "other_text": "another text",
    "cause": "because of",
}
NUMBERS = ("permuting", "doubling", "other_text")
COLOURS = {"measure": "#009E73", "multiset": "#E69F00", "sequence": "#882255"}
MARKERS = ("o", "s", "^", "D")
ROUNDING = {str(dtype).removeprefix("torch."): bound for dtype, bound in UNCHANGED.items()}
POWERS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LATEX = str.maketrans({sign: f"\\{sign}" for sign in "&%#_"})
SMALLEST = 1e-17  # an exact zero is drawn here
FOLDER = Path(__file__).parent
Row = dict[Hashable, Any]


def size_text(change: float, precision: str) -> str:
    """Write a change for reading: a bound for rounding, per cent for what is clear."""
    if pd.isna(change):
        return ""
    if change >= CHANGED:
        return f"{float(f'{100 * change:.2g}'):g}\u202f%"
    exponent = f"{ROUNDING[precision]:.0e}".split("e")[1]
    return f"≤\u00a010{str(int(exponent)).translate(POWERS)}"


@dataclass(frozen=True, repr=False)
class AtlasTable:
    """A recorded atlas that shows itself: in HTML to sort and filter, in LaTeX as a long table.

    Without JavaScript the HTML is a complete static table; it fetches nothing.
    """

    table: pd.DataFrame

    def __repr__(self) -> str:
        """Name the table where it cannot be shown."""
        return f"<atlas of {len(self.table)} backbones>"

    def _rows(self) -> list[Row]:
        return self.table.fillna({"cause": ""}).to_dict("records")

    def _repr_html_(self) -> str:
        heads = "".join(f'<th scope="col">{head}</th>' for head in HEADS.values())
        rows = "\n".join(map(_html_row, self._rows()))
        style, script = ((FOLDER / f"table.{kind}").read_text() for kind in ("css", "js"))
        return (
            f'<div class="atlas"><style>{style}</style>\n'
            f"<table><thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>\n"
            f"<script>{script}</script>"
        )

    def _repr_latex_(self) -> str:
        rows = "\n".join(map(_latex_row, self._rows()))
        return (
            "\\begin{longtable}{p{0.27\\linewidth}lp{0.42\\linewidth}}\n"
            f"model & sees a & because of \\\\ \\hline \\endhead\n{rows}\n\\end{{longtable}}"
        )


def _html_row(row: Row) -> str:
    name = f"{escape(str(row['model']))}<br><small><code>{row['class']}</code></small>"
    cells = [
        f'<th scope="row">{name}</th>',
        _cell("family", str(row["family"])),
        _cell("verdict", str(row["verdict"]), kind=str(row["verdict"])),
    ]
    for name in NUMBERS:
        text = size_text(row[name], str(row["precision"]))
        cells.append(_cell(name, text, kind="number", key=f"{row[name]:.20f}"))
    cells.append(_cell("cause", str(row["cause"])))
    return f'<tr data-verdict="{row["verdict"]}">{"".join(cells)}</tr>'


def _cell(column: str, text: str, kind: str = "", key: str | None = None) -> str:
    order = "" if key is None else f' data-key="{key}"'
    return f'<td class="{kind}" data-label="{HEADS[column]}"{order}>{escape(text)}</td>'


def _latex_row(row: Row) -> str:
    model, cause = (str(row[column]).translate(LATEX) for column in ("model", "cause"))
    return f"{model} & {row['verdict']} & {cause} \\\\"


def plane(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Every model by what permuting and what doubling its tokens changes.

    An arrow leads from each sequence to where it comes to lie once the cause is taken out. A model
    that takes a fixed number of tokens lies on the upper edge.
    """
    ax = ax if ax is not None else plt.subplots(figsize=(WIDTH, 4.2))[1]
    table = table[table["verdict"].isin(COLOURS)]  # the absent have no place
    places = table[["permuting", "doubling", "permuting_removed", "doubling_removed"]]
    places = places.fillna({"doubling": 1}).clip(lower=SMALLEST)
    ax.set(xscale="log", yscale="log", xlim=(SMALLEST / 3, 4), ylim=(SMALLEST / 3, 4))
    ax.axvspan(max(ROUNDING.values()), CHANGED, color="#F0F0F0", zorder=0)
    ax.axhspan(max(ROUNDING.values()), CHANGED, color="#F0F0F0", zorder=0)
    for x, y, x_removed, y_removed in places.dropna().itertuples(index=False):
        arrow = {"arrowstyle": "->", "color": "#888888", "lw": 0.6, "alpha": 0.6}
        ax.annotate("", (x_removed, y_removed), (x, y), arrowprops=arrow)
    for marker, (family, members) in zip(
        MARKERS, table.groupby("family", sort=False), strict=False
    ):
        here = places.loc[members.index]
        colours = members["verdict"].map(COLOURS)
        ax.scatter(here["permuting"], here["doubling"], s=34, c=colours, marker=marker,
                   edgecolor="white", lw=0.6, alpha=0.85, zorder=3)  # fmt: skip
        ax.scatter([], [], s=34, c="#555555", marker=marker, label=family)
    named = {"measure": (3e-11, 3e-11), "multiset": (3e-11, 2e-3), "sequence": (5e-2, 1e-6)}
    for verdict, (x, y) in named.items():
        ax.text(x, y, verdict, color=COLOURS[verdict], fontweight="bold", fontsize=11, ha="center")
    for precision, x in {"float64": 1e-15, "float32": 3e-7}.items():
        ax.text(x, 1.5e-9, f"in {precision}", fontsize=8, color="#666666", ha="center")
    ax.set(xlabel="change when the tokens are permuted", ylabel="change when each is doubled")
    ax.legend(loc="lower right", fontsize=8.5)
    return ax
