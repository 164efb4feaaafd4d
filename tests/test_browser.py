"""The built book in a real browser: on a phone and on a desk, in light and in dark.

Checks the result of `make book` with Chromium, which can reach no other computer. A full picture
of each page is kept in `_build/screenshots`. That each check can fail is shown on broken pages.
"""

import functools
import http.server
import itertools
import operator
import shutil
import threading
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

BUILD = Path(__file__).parents[1] / "_build"
BOOK, SCREENSHOTS = BUILD / "html", BUILD / "screenshots"
PAGES = sorted(
    page.relative_to(BOOK).as_posix()
    for page in [*BOOK.glob("*.html"), *BOOK.glob("book/*.html"), *BOOK.glob("notebooks/*.html")]
    if page != BOOK / "index.html"  # leads to the first page
)
SLIDERS = {  # how many each page has
    "book/index.html": 1,
    "notebooks/05_interpolations.html": 6,
    "notebooks/12_barycenters.html": 4,
}
PHONE, DESK = (360, 740), (1280, 900)  # CSS pixels
VIEWS = list(itertools.product([PHONE, DESK], ["light", "dark"]))
every_page = pytest.mark.parametrize("address", PAGES, ids=lambda address: Path(address).stem)
every_view = pytest.mark.parametrize("view", VIEWS, ids=lambda view: f"{view[0][0]}-{view[1]}")
BROWSERS = ["chromium", "chromium-browser", "google-chrome"]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
WEBGPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]
NO_GPU = "No available adapters."  # said by a browser that a page asks for a GPU in vain


# --- a browser and what it shows ----------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection for many files

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def serve():
    """Return a function that serves a folder to this computer, as a web server would."""
    servers = []

    def serve(folder):
        handler = functools.partial(Quiet, directory=folder)
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def launch(absent):
    """Return a function that starts a browser with these arguments."""
    installed = next(filter(None, map(shutil.which, BROWSERS)), None)
    if installed is None:
        absent(f"no browser on this machine; install one of {', '.join(BROWSERS)}")
    with sync_playwright() as playwright, ExitStack() as started:

        def launch(arguments):
            browser = playwright.chromium.launch(executable_path=installed, args=arguments)
            return started.enter_context(browser)

        yield launch


@pytest.fixture(scope="module")
def browser(launch):
    return launch(ARGUMENTS)


@pytest.fixture(scope="module")
def gpu_browser(launch):
    """A browser that computes WebGPU on the processor: what a GPU would compute, only slowly."""
    return launch([*set(ARGUMENTS) - {"--disable-gpu"}, *WEBGPU])


def new_page(browser, view):
    """Open a page of the view's size and colours, without motion: else every look waits for it."""
    (width, height), mode = view
    viewport = {"width": width, "height": height}
    return browser.new_page(viewport=viewport, color_scheme=mode, reduced_motion="reduce")


@pytest.fixture(scope="module")
def open_tab(browser):
    """Return a function that opens a tab in a view, of a site."""

    def open_tab(site, view):
        return Tab(new_page(browser, view), site, view[1])

    return open_tab


@pytest.fixture(scope="module")
def site(absent, serve):
    """Return the address of the book."""
    if not PAGES:
        absent("the book is not built; run `make book` first")
    return serve(BOOK)


@pytest.fixture(scope="module")
def book(site, open_tab):
    """Return a function from a view to the one tab that shows the book in it."""
    return functools.cache(lambda view: open_tab(site, view))


class Tab:
    """A tab that shows one page of a site after the other and notes what goes wrong in it."""

    def __init__(self, page, site, mode):
        self.page, self.site, self.mode = page, site, mode
        self.faults = defaultdict(list)
        page.on("console", self.said)
        page.on("pageerror", lambda error: self.faults["exceptions"].append(str(error)))
        page.on("request", self.asked)
        page.on("requestfailed", lambda request: self.faults["requests"].append(request.url))
        page.on("response", self.answered)

    def said(self, message):
        if message.type in ("error", "warning") and message.text != NO_GPU:
            self.faults["console"].append(message.text)

    def asked(self, request):
        if not request.url.startswith((self.site + "/", "data:", "blob:")):
            self.faults["off the site"].append(request.url)

    def answered(self, response):
        if response.status >= 400:
            self.faults["requests"].append(f"{response.status} {response.url}")

    def visit(self, address, keep=None):
        """Show a page until it is complete; return what is wrong with it, by kind.

        Args:
            address: of the page on the site.
            keep: the file for a picture of the whole page.
        """
        self.faults.clear()
        self.page.goto(f"{self.site}/{address}", wait_until="load")
        self.page.evaluate(SETTLE)
        for kind, script in SCRIPTS.items():
            self.faults[kind] += self.page.evaluate(script)
        self.faults["colours"] += wrong_colours(self.page, self.mode)
        if keep:
            self.page.screenshot(path=keep, full_page=True)
        self.faults["sliders"] += stuck_sliders(self.page)
        self.faults["accessibility"] += inaccessible(self.page)
        return {kind: found for kind, found in self.faults.items() if found}


# --- what can be wrong with a page --------------------------------------------------------------


SETTLE = """async () => {
  const root = document.documentElement;
  for (let top = 0; top < root.scrollHeight; top += innerHeight) {
    scrollTo(0, top);
    await new Promise(requestAnimationFrame);
  }
  scrollTo(0, 0);
  if (window.MathJax) await new Promise((done) => MathJax.Hub.Queue(done));
  await document.fonts.ready;
}"""

UNDECODED = """async () => {
  const decoded = (image) => image.decode().then(() => [], () => [image.src.slice(0, 200)]);
  const images = [...document.images];
  for (const image of images) image.loading = "eager";
  return (await Promise.all(images.map(decoded))).flat();
}"""

UNDRAWN = """() => {
  const wrong = [...document.querySelectorAll(".merror, .MathJax_Error, mjx-merror")];
  const undrawn = [...document.querySelectorAll(".math.notranslate")].filter(
    (equation) => !equation.querySelector(".MathJax, mjx-container"));
  return [...wrong, ...undrawn].map((element) => element.outerHTML.slice(0, 200));
}"""

TOO_WIDE = """() => {
  const root = document.documentElement;
  const overflow = (box) => getComputedStyle(box).overflowX;
  const scrolls = (box) =>
    box && (["auto", "scroll"].includes(overflow(box)) || scrolls(box.parentElement));
  const cut = [...document.querySelectorAll("main *")].filter((element) =>
    element.checkVisibility()
    && element.getBoundingClientRect().right > root.clientWidth + 1
    && !scrolls(element));
  const page = root.scrollWidth > root.clientWidth ? [`the page is ${root.scrollWidth} wide`] : [];
  return [...page, ...cut.map((element) => element.outerHTML.slice(0, 200))];
}"""

SIDEWAYS = """() => {
  const meant = "pre, figure:has(img.film-strip)";  // lines of code, and strips of film
  const boxes = [...document.querySelectorAll("main *")].filter((box) =>
    ["auto", "scroll"].includes(getComputedStyle(box).overflowX)
    && box.scrollWidth > box.clientWidth + 1
    && !box.closest(meant) && !box.querySelector(meant));
  return boxes.map((box) => box.outerHTML.slice(0, 200));
}"""

LIGHTNESS = """() => {
  const colour = getComputedStyle(document.body).backgroundColor;
  const [red, green, blue, alpha = 1] = colour.match(/[\\d.]+/g).map(Number);
  return alpha * (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255;
}"""


SCRIPTS = {
    "images": UNDECODED,
    "equations": UNDRAWN,
    "width": TOO_WIDE,
    "scrolled sideways": SIDEWAYS,
}

PICTURED = """(slider) => {
  let group = slider;
  while (!group.querySelector("img, canvas, [role=img]") && group !== document.body)
    group = group.parentElement;
  return group;
}"""


def wrong_colours(page, mode):
    lightness = page.evaluate(LIGHTNESS)
    right = lightness < 0.2 if mode == "dark" else lightness > 0.8
    return [] if right else [f"{mode} page with a background of lightness {lightness:.2f}"]


def stuck_sliders(page):
    """Sliders that the keyboard does not move, or that leave one of their pictures as it was."""
    stuck = []
    for slider in page.locator("input[type=range], [role=slider]").filter(visible=True).all():
        pictures = (
            slider.evaluate_handle(PICTURED)
            .as_element()
            .query_selector_all("img, canvas, [role=img]")
        )
        shown = [picture for picture in pictures if picture.is_visible()]
        slider.press("Home")
        first = [picture.screenshot() for picture in shown]
        slider.press("End")
        last = [picture.screenshot() for picture in shown]
        if not shown or any(map(operator.eq, first, last)):
            stuck.append(slider.evaluate("(slider) => slider.outerHTML"))
    return stuck


def inaccessible(page):
    """What axe-core finds that keeps people out."""
    options = {"resultTypes": ["violations"], "preload": False}
    return [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in Axe().run(page, options=options).response["violations"]
        for node in violation["nodes"]
        if violation["impact"] in ("serious", "critical")
    ]


# --- the book -----------------------------------------------------------------------------------


@every_page
@every_view
def test_nothing_is_wrong_with_a_page(address, view, book):
    (width, _), mode = view
    SCREENSHOTS.mkdir(exist_ok=True)
    picture = SCREENSHOTS / f"{Path(address).stem}-{width}-{mode}.png"
    assert book(view).visit(address, keep=picture) == {}


def test_root_leads_to_the_first_page(book):
    tab = book(VIEWS[0])
    tab.page.goto(tab.site)
    tab.page.wait_for_url("**/book/index.html")


def test_reader_can_switch_to_the_dark(book):
    page = book((DESK, "light")).page
    page.goto(book((DESK, "light")).site + "/book/index.html")
    for _ in range(3):  # the system's choice, light, dark
        if page.locator("html").get_attribute("data-theme") == "light":
            page.locator(".theme-switch-button").locator("visible=true").click()
    assert wrong_colours(page, "dark") == []
    page.reload()
    assert wrong_colours(page, "dark") == []


def test_atlas_is_filtered_and_sorted_by_keyboard(book):
    tab = book((DESK, "light"))
    tab.page.goto(f"{tab.site}/notebooks/09_atlas.html")
    atlas = tab.page.locator("[data-ready]:has(table)")
    rows = atlas.locator("tbody tr").filter(visible=True)
    everything = rows.count()
    atlas.get_by_label("Filter").press_sequentially("rotary flux")
    texts = [text.lower() for text in rows.all_inner_texts()]
    assert 0 < len(texts) < everything
    assert all("rotary" in text and "flux" in text for text in texts)
    atlas.get_by_label("Filter").fill("")
    for order, step in [("ascending", 1), ("descending", -1)]:
        atlas.locator("thead button").first.press("Enter")
        letters = [name[0].lower() for name in atlas.locator("tbody th").all_inner_texts()]
        assert atlas.locator("thead th").first.get_attribute("aria-sort") == order
        assert len(letters) == everything
        assert letters[::step] == sorted(letters)


@pytest.mark.parametrize("address", SLIDERS)
@every_view
def test_all_sliders_of_a_page_are_there(address, view, book):
    """That they move is looked at on every page; one that gave up is not there to be looked at."""
    tab = book(view)
    tab.page.goto(f"{tab.site}/{address}")
    sliders = tab.page.locator("input[type=range], [role=slider]").filter(visible=True)
    expect(sliders).to_have_count(SLIDERS[address])


@pytest.mark.parametrize("address", SLIDERS)
def test_without_scripts_a_sheet_stands_for_the_sliders(address, browser, site):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{site}/{address}")
        for figure in page.locator("figure").all():
            assert figure.locator("img").filter(visible=True).count() > 0
        assert page.locator("input[type=range]").filter(visible=True).count() == 0


# --- pages on which something is wrong ----------------------------------------------------------

SOUND = """<!doctype html><html lang="en"><title>A page</title>
<link rel="icon" href="data:,">
<style>
  body { background: Canvas; color: CanvasText; color-scheme: light dark }
  #frame { background: #000; height: 9px; width: calc(9px + 1px * var(--frame, 0)) }
</style>
<main><h1>A page</h1>
<img alt="a square" src="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>">
<div><div id="frame" role="img" aria-label="a frame"></div>
<input type="range" aria-label="frame" oninput="frame.style.setProperty('--frame', value)"></div>
%s</main>"""

BROKEN = {
    "an error in the console": ("console", "<script>console.error('broken')</script>"),
    "a warning in the console": ("console", "<script>console.warn('broken')</script>"),
    "an exception": ("exceptions", "<script>throw Error('broken')</script>"),
    "an exception of a promise": (
        "exceptions",
        "<script>Promise.reject(Error('broken'))</script>",
    ),
    "a missing script": ("requests", "<script src='missing.js'></script>"),
    "a connection refused": ("requests", "<script src='http://127.0.0.1:9/x.js'></script>"),
    "a foreign picture": ("off the site", "<img alt='x' src='https://example.org/x.png'>"),
    "a picture of no format": ("images", "<img alt='x' src='data:image/png;base64,AAAA'>"),
    "a late picture that is missing": (
        "images",
        "<p style='height: 9999px'>text</p><img alt='x' src='missing.png' loading='lazy'>",
    ),
    "an equation left as text": ("equations", "<span class='math notranslate'>\\(x^2\\)</span>"),
    "an error in an equation": ("equations", "<span class='merror'>Missing close brace</span>"),
    "a page too wide": ("width", "<pre style='width: 9999px'>text</pre>"),
    "text cut off": (
        "width",
        "<div style='overflow: hidden'><p style='width: 9999px'>text</p></div>",
    ),
    "a table to push aside": (
        "scrolled sideways",
        "<div style='overflow-x: auto' tabindex='0'><p style='width: 9999px'>text</p></div>",
    ),
    "a page that is always dark": (
        "colours",
        "<style>body { background: #111 !important }</style>",
    ),
    "pale text": ("accessibility", "<p style='color: #777; background: #888'>text</p>"),
    "a picture without words": ("accessibility", "<img src='data:image/svg+xml,<svg/>'>"),
    "a slider without name": ("accessibility", "<input type='range'>"),
    "a slider that moves nothing": ("sliders", "<input type='range' aria-label='nothing'>"),
    "a slider that moves one of two": (
        "sliders",
        "<div><div role='img' aria-label='moved' id='moved'>text</div>"
        "<div role='img' aria-label='still'>text</div>"
        "<input type='range' aria-label='frame' oninput='moved.textContent = value'></div>",
    ),
}


@pytest.fixture(scope="module")
def faults(tmp_path_factory, serve, open_tab):
    """Return a function from a page's content and a view to what is wrong with it."""
    folder = tmp_path_factory.mktemp("pages")
    site = serve(folder)
    tab = functools.cache(lambda view: open_tab(site, view))
    names = map("{}.html".format, itertools.count())  # none is in the browser's cache

    def faults(content, view):
        name = next(names)
        (folder / name).write_text(SOUND % content, encoding="utf-8")
        return tab(view).visit(name)

    return faults


@every_view
def test_nothing_is_wrong_with_a_sound_page(view, faults):
    assert faults("", view) == {}


@pytest.mark.parametrize(("kind", "content"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_found(kind, content, faults):
    assert kind in faults(content, VIEWS[0])
