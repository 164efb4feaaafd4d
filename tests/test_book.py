"""The built book stands on its own: nothing foreign, no dead link, equations without a network.

Checks the result of `make book`; without it these tests are skipped.
"""

import functools
import html.parser
import http.server
import re
import shutil
import subprocess
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

BOOK = Path(__file__).parents[1] / "_build/html"
# Pages of text; the search and the index page are made by Sphinx.
PAGES = sorted([*BOOK.glob("notebooks/*.html"), *BOOK.glob("book/*.html")])
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
RESOURCES = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}

pytestmark = pytest.mark.skipif(not PAGES, reason="the book is not built; run `make book` first")
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


class Page(html.parser.HTMLParser):
    """What a page asks for, links to, and can be linked to."""

    def __init__(self, text):
        super().__init__()
        self.resources, self.links, self.anchors, self.pictures = [], [], set(), []
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
    assert [p["src"] for p in contents if not p.get("alt")] == []


@every_page
def test_glued_numbers_and_cross_references_are_resolved(page):
    text = page.read_text(encoding="utf-8")
    visible = re.sub(r"<script.*?</script>|<pre.*?</pre>", "", text, flags=re.DOTALL)
    assert not re.search(r"\{(glue|numref|eq|ref|doc|term|cite)[:}]", visible)


@pytest.fixture(scope="module")
def site():
    """Serve the book to this computer, as a web server would."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Quiet, directory=BOOK)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def rendered(address, profile):
    """The page as a browser shows it that can reach no other computer."""
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}",
        "--virtual-time-budget=20000",
        "--dump-dom",
        address,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@every_page
def test_equations_are_drawn_without_a_network(page, site, tmp_path):
    wanted = len(re.findall(r'class="math notranslate', page.read_text(encoding="utf-8")))
    if not wanted:
        return
    shown = rendered(site + page.relative_to(BOOK).as_posix(), tmp_path)
    assert len(re.findall(r'<span class="MathJax"', shown)) >= wanted
    assert not re.search(r'class="[^"]*(MathJax_Error|merror)', shown)
