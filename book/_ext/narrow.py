"""Tables of numbers on a narrow screen.

Pandas names the columns of a table in its first line alone. Where all columns side by side are too
wide for a phone, the style sheet puts the cells of a row below its name instead, each behind the
name of its column. For that the cells are given these names, and wide tables a class.
"""

import re
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

TABLE = re.compile(r'<table[^>]* class="dataframe">.*?</table>', re.DOTALL)
ROOM = 40  # characters of all columns together for which a phone has room


class NameCells(SphinxPostTransform):
    """Give each cell of the page's tables the name of its column."""

    default_priority = 8  # what is glued from other pages is there
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Rewrite the page's raw HTML."""
        for raw in self.document.findall(nodes.raw):
            text = TABLE.sub(named, raw.astext())
            if text != raw.astext():
                raw.children = [nodes.Text(text)]


def named(match: re.Match[str]) -> str:
    """The table with named cells; of the class `wide` if a phone has no room for it."""
    table = ElementTree.fromstring(match[0])
    lines = map(spread, table.iterfind("thead/tr"))
    heads = [" ".join(filter(None, column)) for column in zip(*lines, strict=True)]
    columns: list[list[str]] = [[head] for head in heads]
    for row in table.iterfind("tbody/tr"):
        # The first cell may stand for several rows, so columns are counted from the last.
        for head, column, cell in zip(heads[::-1], columns[::-1], row[::-1], strict=False):
            text = cell.text or ""
            column.append(text if cell.tag == "td" else text.replace(" ", "\u00a0"))
            if cell.tag == "td":
                cell.set("data-label", head)
    if sum(map(unbreakable, columns)) > ROOM:
        table.set("class", "dataframe wide")
    return ElementTree.tostring(table, encoding="unicode", method="html")


def spread(row: ElementTree.Element) -> list[str]:
    """The headings of a line, each as often as it has columns."""
    return [cell.text or "" for cell in row for _ in range(int(cell.get("colspan", 1)))]


def unbreakable(texts: list[str]) -> int:
    """The characters of the longest word; what a no-break space joins is one word."""
    return max(len(word) for text in texts for word in text.split(" "))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform with Sphinx."""
    app.add_post_transform(NameCells)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
