"""Recorded tables in the book: copies beside its pages, and the links that lead there.

A table that code has written links to the notebook of another page and to recorded tables, as
they lie in the repository, so that the links hold in a notebook. In the book they lead to the
built page, and to a copy of the table beside the pages.
"""

import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from embedding_geometry.ground.places import PROMPTS, RESULTS, results_folder

PAGE = re.compile(r'href="\.\./notebooks/(\w+)\.ipynb')
TABLE = re.compile(r'href="\.\./data/(?:results|prompts)/([\w.-]+)"')


class LinkIntoBook(SphinxPostTransform):
    """Lead the links of a page's written tables into the book, and put the tables there."""

    default_priority = 8  # what is glued from other pages is there
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Rewrite the page's raw HTML."""
        for raw in self.document.findall(nodes.raw):
            text = TABLE.sub(self.publish, PAGE.sub(self.link, raw.astext()))
            if text != raw.astext():
                raw.children = [nodes.Text(text)]

    def link(self, match: re.Match[str]) -> str:
        """The address of a page; in a book of one page its places stand on the same page."""
        if self.app.builder.name == "singlehtml":
            return 'href="'
        return f'href="../notebooks/{match[1]}.html'

    def publish(self, match: re.Match[str]) -> str:
        """Copy a table and return its new address."""
        folders = (results_folder(), RESULTS, PROMPTS)
        table = next(folder / match[1] for folder in folders if (folder / match[1]).is_file())
        return f'href="../{put_beside(self.app, table)}"'


def put_beside(app: Sphinx, table: Path) -> str:
    """Copy a table beside the pages and return its place in the book."""
    target = Path(app.outdir) / "_data" / table.name
    target.parent.mkdir(exist_ok=True)
    shutil.copy2(table, target)
    return f"_data/{table.name}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform with Sphinx."""
    app.add_post_transform(LinkIntoBook)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
