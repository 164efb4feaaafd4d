"""The built book stands on its own, and can be read without seeing its pictures.

Checks the files that `make book` writes; without them these tests are skipped.
"""

import functools
import html.parser
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from embedding_geometry.pages.figures.style import LOOKS

BOOK = Path(__file__).parents[1] / "_build/html"
# Pages of text; the search and the index page are made by Sphinx.
PAGES = sorted([*BOOK.glob("notebooks/*.html"), *BOOK.glob("book/*.html")])
STYLE = Path(__file__).parents[1] / "book/_static/paper.css"
RESOURCES = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}

pytestmark = pytest.mark.skipif(not PAGES, reason="the book is not built; run `make book` first")
NOTEBOOKS = sorted(BOOK.glob("notebooks/*.html"))
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
every_notebook = pytest.mark.parametrize("page", NOTEBOOKS, ids=lambda page: page.stem)


class Page(html.parser.HTMLParser):
    """What a page asks for, links to, and can be linked to."""

    def __init__(self, text):
        super().__init__()
        self.resources, self.links, self.anchors, self.pictures = [], [], set(), []
        self.descriptions = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.anchors |= {attributes.get("id"), attributes.get("name")}
        if attributes.get(RESOURCES.get(tag)) and attributes.get("rel") not in ("next", "prev"):
            self.resources.append(attributes[RESOURCES[tag]])
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag == "img":
            self.pictures.append(attributes)
        if tag == "meta" and attributes.get("name") == "description":
            self.descriptions.append(attributes["content"])


@functools.cache
def parse(path):
    return Page(path.read_text(encoding="utf-8"))


def local(reference):
    return not urlsplit(reference).scheme and not reference.startswith("//")


def missing(page, reference):
    """Whether a local reference leads to no file, or to no place in it."""
    parts = urlsplit(reference)
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file():
        return True
    return bool(parts.fragment) and unquote(parts.fragment) not in parse(target).anchors


@every_page
def test_page_asks_for_nothing_foreign(page):
    foreign = [r for r in parse(page).resources if not local(r) and not r.startswith("data:")]
    assert foreign == []


@every_page
def test_resources_links_and_anchors_exist(page):
    references = parse(page).resources + [link for link in parse(page).links if link != "#"]
    assert [r for r in references if local(r) and missing(page, r)] == []


@every_page
def test_pictures_are_described(page):
    contents = [p for p in parse(page).pictures if "_images" in p["src"]]
    assert [p["src"] for p in contents if len((p.get("alt") or "").split()) < 6] == []


@every_page
def test_page_is_light(page):
    """Pictures and text of a page, without what all pages share, stay below 3 MB."""
    sprites = re.findall(r"url\('([^']+)'\)", page.read_text(encoding="utf-8"))
    sources = [*(picture["src"] for picture in parse(page).pictures), *sprites]
    pictures = {source for source in sources if local(source)}
    sizes = [(page.parent / unquote(picture)).stat().st_size for picture in pictures]
    assert page.stat().st_size + sum(sizes) < 3e6


@every_page
def test_page_has_an_icon_and_at_most_one_description(page):
    icons = [r for r in parse(page).resources if "favicon" in r]
    assert len(icons) == 1
    described = parse(page).descriptions
    assert len(described) <= 1
    assert [text for text in described if not 10 < len(text) <= 200] == []


@every_notebook
def test_page_can_be_downloaded_as_a_notebook(page):
    notebook = BOOK / "_sources/notebooks" / f"{page.stem}.ipynb"
    assert f"../_sources/notebooks/{notebook.name}" in parse(page).links
    assert '"outputs"' in notebook.read_text(encoding="utf-8")


@every_page
def test_launch_buttons_open_notebooks(page):
    """There are such buttons only where the book is built for publication."""
    launched = [
        link for link in parse(page).links if re.search("mybinder.org/v2|colab.*/git", link)
    ]
    assert [link for link in launched if not link.endswith(".ipynb")] == []


def test_style_sheet_and_figures_agree_on_the_colours():
    """The colour of each coupling in the text is its colour in the figures."""
    colours = re.findall(r"coupling-(\w+) \{ --coupling: (#\w+)", STYLE.read_text())
    assert dict(colours) == {name: look.colour for name, look in LOOKS.items()}


@every_page
def test_glued_numbers_and_cross_references_are_resolved(page):
    text = page.read_text(encoding="utf-8")
    visible = re.sub(r"<script.*?</script>|<pre.*?</pre>", "", text, flags=re.DOTALL)
    assert not re.search(r"\{(glue|numref|eq|ref|doc|term|cite)[:}]", visible)
