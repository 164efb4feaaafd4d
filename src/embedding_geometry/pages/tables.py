"""Tables of a page to sort and filter, stacked on a phone, and complete without a script.

They carry their own style and script and fetch nothing. What they say they say in words; colours
only repeat it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent
STYLE = (FOLDER / "tables.css").read_text(encoding="utf-8")
Tones = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Cell:
    """What stands in a cell.

    Attributes:
        html: its content as markup.
        kind: "number" aligns digits, "sentence" takes room; a word of the table's tones colours
            the cell.
        key: what it is sorted by, if not by its text. Numbers in it count as numbers.
    """

    html: str
    kind: str = ""
    key: str | None = None


@dataclass(frozen=True)
class Row:
    """A line of a table: its cells, of which the first names it, and the group it belongs to."""

    cells: tuple[Cell, ...]
    group: str
    anchor: str = ""


@dataclass(frozen=True, repr=False)
class SortableTable:
    """A table that shows itself.

    Attributes:
        title: what it is, such as "atlas of 78 backbones".
        heads: the heading of each column.
        rows: its lines, in the order shown at first.
        choice: the label of the choice between the groups of lines.
        tones: for each kind of cell that is coloured, its colour on light and on dark ground.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    choice: str
    tones: Tones

    def __repr__(self) -> str:
        """Name the table where it cannot be shown."""
        return f"<{self.title}>"

    def _repr_html_(self) -> str:
        heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in self.heads)
        rows = "\n".join(self._row(row) for row in self.rows)
        script = (FOLDER / "tables.js").read_text(encoding="utf-8")
        return (
            f'<div class="sortable" data-choice="{escape(self.choice)}">'
            f"<style>{STYLE}{tone_rules(self.tones)}</style>\n"
            f"<table><thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>\n"
            f"<script>{script}</script>"
        )

    def _row(self, row: Row) -> str:
        name, *cells = row.cells
        place = f' id="{escape(row.anchor)}"' if row.anchor else ""
        columns = zip(cells, self.heads[1:], strict=True)
        rest = "".join(_data_cell(cell, head) for cell, head in columns)
        head = f'<th scope="row" class="{name.kind}"{_sorted_by(name)}>{name.html}</th>'
        return f'<tr{place} data-group="{escape(row.group)}">{head}{rest}</tr>'


def _data_cell(cell: Cell, head: str) -> str:
    kind = css_class(cell.kind)
    return f'<td class="{kind}" data-label="{escape(head)}"{_sorted_by(cell)}>{cell.html}</td>'


def _sorted_by(cell: Cell) -> str:
    return "" if cell.key is None else f' data-key="{escape(cell.key)}"'


def css_class(kind: str) -> str:
    """The name of a kind of cell as one word, such as "does-not-hold"."""
    return kind.replace(" ", "-")


def tone_rules(tones: Tones) -> str:
    """The colours of a table's words, on light and on dark ground."""
    rules = []
    for kind, (light, dark) in tones.items():
        word = f".sortable .{css_class(kind)}"
        rules += [f"{word} {{ color: {light}; font-weight: 600; }}"]
        rules += [f'html[data-theme="dark"] {word} {{ color: {dark}; }}']
    return "\n".join(rules)
