"""Print the book, built as one page by `make pdf`, to a PDF.

python tools/print_book.py           # _build/singlehtml to _build/pdf/book.pdf
python tools/print_book.py --check   # only say whether there is a browser to print with
"""

import functools
import http.server
import shutil
import sys
import threading
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "_build/singlehtml"
PDF = ROOT / "_build/pdf/book.pdf"
BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
COMPLETE = """async () => {
  document.title = document.querySelector("h1").firstChild.textContent.trim();
  for (const image of document.images) image.loading = "eager";
  if (window.MathJax) await new Promise((done) => MathJax.Hub.Queue(done));
  await Promise.all([...document.images].map((image) => image.decode()));
  await document.fonts.ready;
}"""
FOOT = """<div style="font-size: 8px; text-align: center; width: 100%">
<span class="pageNumber"></span></div>"""
MARGIN = {"top": "18mm", "bottom": "18mm", "left": "18mm", "right": "18mm"}


def browser_path() -> str:
    """The first browser that is installed; without one, the program ends and says what to do."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        sys.exit(
            f"error: a browser prints the PDF, and none of {', '.join(BROWSERS)} was found; "
            "install one (on Debian: apt install chromium)"
        )
    return path


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and writes no log."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Write nothing."""


def print_page(page: Page, address: str) -> None:
    """Wait until equations and pictures are there, then print."""
    page.goto(address, wait_until="load", timeout=120_000)
    page.emulate_media(media="print", color_scheme="light")
    page.evaluate(COMPLETE)
    page.pdf(
        path=PDF,
        format="A4",
        scale=0.75,  # wide enough for a line of code
        margin=MARGIN,
        print_background=True,
        display_header_footer=True,
        header_template="<span></span>",
        footer_template=FOOT,
        outline=True,
        tagged=True,
    )


def main() -> None:
    """Print the book from a server of this machine, which is the only one the browser sees."""
    browser = browser_path()
    if "--check" in sys.argv[1:]:
        return
    PDF.parent.mkdir(parents=True, exist_ok=True)
    # The builder addresses pictures and styles as if the page lay in the topmost folder.
    text = (BOOK / "book/index.html").read_text(encoding="utf-8")
    text = text.replace('href="book/index.html#', 'href="#')
    (BOOK / "book.html").write_text(text, encoding="utf-8")
    handler = functools.partial(Quiet, directory=BOOK)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            page = chromium.new_page()
            page.set_default_timeout(300_000)
            print_page(page, f"http://127.0.0.1:{server.server_port}/book.html")
            chromium.close()
        server.shutdown()
    print(f"The book is at {PDF}")


if __name__ == "__main__":
    main()
