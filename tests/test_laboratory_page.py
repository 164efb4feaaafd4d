"""The page "Try it yourself" of the built book in a real browser, from a server and from a file.

What it draws is compared with the package. The tests that are not about that let it take two
denoising steps instead of all. Seconds and megabytes are printed.
"""

import csv
import json
import os
import re
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect
from test_browser import (  # noqa: F401 - fixtures
    BOOK,
    DESK,
    SCREENSHOTS,
    SCRIPTS,
    SETTLE,
    VIEWS,
    Tab,
    browser,
    gpu_browser,
    inaccessible,
    launch,
    new_page,
    serve,
    wrong_colours,
)
from test_laboratory_scripts import fetched

from embedding_geometry.diffusion.clouds import encode
from embedding_geometry.diffusion.generation import default_settings, initial_latent, render
from embedding_geometry.diffusion.loading import load_model
from embedding_geometry.diffusion.tokens import token_labels
from embedding_geometry.perception.metric import perceptual_distances
from embedding_geometry.perception.weights import load_metric
from embedding_geometry.transport.couplings import (
    coupling_cost,
    optimal_coupling,
    wasserstein_distance,
)
from embedding_geometry.transport.ways import find_way

PAGE = "book/laboratory.html"
PAIR = ("a cat on the beach at night", "a panda in the snow at dusk")
PATIENCE = 300_000  # milliseconds for a run, on a busy machine
FEW_STEPS = """
const parse = JSON.parse;
JSON.parse = (text) => {
  const value = parse(text);
  if (value?.steps && value.guidance) value.steps = value.steps.slice(0, 2);
  return value;
};"""
BASELINES = """(choices) => [...choices.querySelectorAll("label")].map((label) => {
  const mark = document.createElement("img"); // an empty picture stands on the line
  label.append(mark);
  const { bottom } = mark.getBoundingClientRect();
  mark.remove();
  return bottom;
})"""
IN_WORKER = """
window.Blob = class extends Blob {
  constructor(parts, options) {
    super(options?.type === "text/javascript" ? [...parts, window.added] : parts, options);
  }
};"""
PIXELS = """(canvas) => Array.from(
  canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data)"""


@pytest.fixture(scope="module")
def built(absent):
    if not (BOOK / PAGE).is_file():
        absent("the book is not built; run `make book` first")
    if not fetched():  # a book that was set up without a network is whole without it
        pytest.skip("the laboratory is left out of this book; run `make book` with a network")
    if 'class="laboratory"' not in (BOOK / PAGE).read_text():
        absent("the book was built without the laboratory; run `make book` again")


@pytest.fixture
def open_page(built, browser, serve):  # noqa: F811
    """Return a function that opens the laboratory, and sees that nothing goes wrong in it."""
    tabs, sites = [], {"file": BOOK.as_uri(), "http": serve(BOOK)}

    def open_page(
        scheme="file", view=(DESK, "light"), steps="few", script="", query="", within=browser
    ):
        page = new_page(within, view)
        page.set_default_timeout(PATIENCE)
        page.add_init_script(script + (FEW_STEPS if steps == "few" else ""))
        tab = Tab(page, sites[scheme], view[1])
        tabs.append(tab)
        page.goto(f"{tab.site}/{PAGE}{query}", wait_until="load")
        return tab

    yield open_page
    for tab in tabs:
        tab.page.close()
    assert [dict(tab.faults) for tab in tabs if tab.faults] == []


def ask(page, source=PAIR[0], target=PAIR[1], frames=5, seed=0, ways=("row", "optimal")):
    page.get_by_label("From the prompt").fill(source)
    page.get_by_label("to the prompt", exact=True).fill(target)
    page.get_by_label("frames").select_option(str(frames))
    page.get_by_label("seed").select_option(str(seed))
    for way in ("row", "optimal", "random"):
        page.get_by_role("checkbox", name=way).set_checked(way in ways)
    page.get_by_role("button", name="Go").click()


def finished(page):
    expect(page.get_by_role("button", name="CSV")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("button", name="Go")).to_be_enabled()
    return page.get_by_role("status").inner_text()


def strips(page, frames):
    """The frames of each strip (frames, height, width, 3) by way."""
    found = {}
    for canvas in page.locator("canvas.strip").all():
        height, width = int(canvas.get_attribute("height")), int(canvas.get_attribute("width"))
        pixels = np.array(canvas.evaluate(PIXELS), np.uint8).reshape(height, frames, -1, 4)
        assert (pixels[..., 3] == 255).all()
        assert pixels.shape[2] == width // frames
        found[canvas.get_attribute("data-way")] = pixels[..., :3].transpose(1, 0, 2, 3)
    return found


def added_to_the_worker(script):
    return f"window.added = {json.dumps(script)};{IN_WORKER}"


def saved(page, button):
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return Path(download.value.path())


# --- what it draws ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "ways", "seed"),
    [("file", ["row", "optimal"], 0), ("http", ["random"], 5)],
)
def test_eleven_frames_a_strip_are_those_of_the_package(scheme, ways, seed, open_page):
    page = open_page(scheme, steps="all").page
    ask(page, frames=11, seed=seed, ways=ways)
    began = time.perf_counter()
    said = finished(page)
    pace = re.search(r"([\d.]+) s each", page.locator(".stage").inner_text())[1]
    print(f"{pace} s a picture, {time.perf_counter() - began:.0f} s in all", end=" ")
    model, metric = load_model(device="cpu"), load_metric("alex", "cpu")
    texts, times = encode(model, PAIR), np.linspace(0, 1, 11)
    drawn, rows = strips(page, 11), [*csv.DictReader(saved(page, "CSV").read_text().splitlines())]
    assert [*drawn] == ways
    for way in ways:
        path = find_way(way)(texts.ends, times, np.random.default_rng(seed))
        latent, settings = initial_latent(model, seed), default_settings(model)
        expected = render(model, texts.along(path, times), latent, settings)
        assert np.abs(drawn[way].astype(int) - expected).max() <= 2
        of_way = [row for row in rows if row["way"] == way]
        lengths = np.array([float(row["distance"]) for row in of_way])
        ppl = perceptual_distances(metric, expected).mean()
        assert lengths.mean() == pytest.approx(ppl, rel=0.01)
        assert f"along {way}: 11 frames, PPL {lengths.mean():.3}" in said
        distance = wasserstein_distance(*texts.clouds, normalized=False)
        assert float(of_way[0]["w2"]) == pytest.approx(distance, rel=1e-5)
        cost = np.linalg.norm(path[-1] - path[0])
        assert float(of_way[0]["cost"]) == pytest.approx(cost, rel=1e-5)
        asked = (PAIR[0], str(seed), "alex")
        assert (of_way[0]["source"], of_way[0]["seed"], of_way[0]["net"]) == asked
    assert coupling_cost(*texts.clouds, np.arange(77)) >= distance


def test_pictures_come_ends_first_and_a_token_leads_to_its_partner(open_page):
    tab = open_page()
    page = tab.page
    page.evaluate(
        """() => {
          window.order = [];
          const draw = CanvasRenderingContext2D.prototype.putImageData;
          CanvasRenderingContext2D.prototype.putImageData = function (image, x, y) {
            if (this.canvas.className === "strip") order.push(x / image.width);
            return draw.call(this, image, x, y);
          };
        }"""
    )
    ask(page, ways=["optimal"])
    finished(page)
    assert page.evaluate("order") == [0, 4, 2, 1, 3]
    model = load_model(device="cpu")
    sigma = optimal_coupling(*encode(model, PAIR).clouds).tolist()
    labels = [[*token_labels(model, text)] for text in PAIR]
    for side, row in [(0, 2), (0, 3), (1, 2), (1, 4)]:
        partner = sigma.index(row) if side else sigma[row]
        chip = page.locator(f".chips [data-side='{side}'][data-row='{row}']")
        expect(chip).to_have_text(labels[side][row])
        chip.hover() if row == 2 else chip.focus()
        expect(page.locator(".partner")).to_contain_text(f"“{labels[side][row]}” (row {row}) is")
        expect(page.locator(".partner")).to_contain_text(f"(row {partner}).")
        expect(page.locator(f".paired[data-side='{side}']")).to_have_text(labels[side][row])
    assert saved(page, "PNG").read_bytes().startswith(b"\x89PNG")


def test_on_a_gpu_it_draws_the_same_picture(open_page, gpu_browser):  # noqa: F811
    """The GPU of this browser is none, so that it is passed off as the faster one."""
    pace = "async function () { return this.engine === 'WebGPU' ? 1 : 2; }"
    script = added_to_the_worker(f"Networks.prototype.pace = {pace};")
    pages = {
        "WebAssembly": open_page().page,
        "WebGPU": open_page(script=script, within=gpu_browser).page,
    }
    asked, pictures = [], []
    pages["WebGPU"].on("request", lambda request: asked.append(Path(request.url).name))
    for engine, page in pages.items():
        ask(page, ways=["optimal"])
        expect(page.locator(".stage")).to_contain_text(f" s each in {engine}", timeout=PATIENCE)
        pixels = page.locator("canvas.strip").evaluate(PIXELS)
        pictures.append(np.array(pixels).reshape(64, 5, 64, 4)[:, 0])  # the first of the strip
    assert np.ptp(pictures[0][..., :3]) > 100
    assert np.abs(pictures[0] - pictures[1]).max() <= 2
    assert "webgpu-00.js" in asked
    assert "wasm-00.js" not in asked


# --- what a reader does -------------------------------------------------------------------------


def test_nothing_is_loaded_until_go_and_nothing_from_elsewhere(open_page):
    asked = []
    tab = open_page("http")
    tab.page.wait_for_load_state("networkidle")
    expect(tab.page.locator(".stage")).to_contain_text("Go first loads")
    assert not tab.page.evaluate(
        "performance.getEntriesByType('resource').some(({ name }) => /-\\d+\\.js$/.test(name))"
    )
    tab.page.on("request", lambda request: asked.append(request.url))
    ask(tab.page)
    finished(tab.page)
    parts = [url for url in asked if re.search(r"/(wasm|networks)-\d+\.js$", url)]
    sizes = [(BOOK / "_static/laboratory" / Path(url).name).stat().st_size for url in parts]
    print(f"{sum(sizes) / 1e6:.1f} MB", end=" ")
    assert len(parts) == len(set(parts))
    assert 20e6 < sum(sizes) < 35e6
    asked.clear()
    ask(tab.page, target="a dog", seed=3)
    finished(tab.page)
    assert [url for url in asked if not url.startswith("blob:")] == []


def test_stop_ends_a_run_at_once_and_another_can_follow(open_page):
    page = open_page(steps="all").page
    ask(page, frames=17)
    expect(page.locator(".stage")).to_contain_text("2 of 32 pictures", timeout=PATIENCE)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status")).to_have_text("Stopped.", timeout=1000)
    drawn = page.locator("canvas.strip").first.evaluate("(canvas) => canvas.toDataURL()")
    page.wait_for_timeout(2500)
    assert page.locator("canvas.strip").first.evaluate("(canvas) => canvas.toDataURL()") == drawn
    ask(page, "a dog", "a car", frames=5, ways=["row"])
    assert finished(page).startswith("Strip along row: 5 frames")
    expect(page.locator("canvas.strip")).to_have_count(1)


def test_stop_while_loading_leaves_what_is_loaded(open_page):
    page = open_page().page
    ask(page)
    expect(page.locator(".stage")).to_contain_text("Loading the networks")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status")).to_have_text("Stopped.")
    ask(page)
    finished(page)


def test_any_text_that_fits_is_a_prompt(open_page):
    page = open_page().page
    for text, spelt in [
        ("", ""),
        ("🐈 on", "🐈"),
        ("кот на", "кот"),
        ("A CAT, on the beach!", ""),
    ]:
        ask(page, source=text, ways=["optimal"])
        assert "Strip along optimal" in finished(page)
        said = page.locator(".spelt").first.inner_text()
        assert spelt in said
        assert bool(spelt) == bool(said)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"target": "cat " * 100}, "The second prompt takes 102 tokens"),
        ({"source": "🐈" * 30}, "The first prompt takes 1"),
        ({"ways": []}, "Choose at least one way"),
    ],
)
def test_what_cannot_be_drawn_is_named_before_anything_is_loaded(form, message, open_page):
    page = open_page().page
    ask(page, **form)
    expect(page.get_by_role("status")).to_contain_text(message)
    expect(page.get_by_role("button", name="Go")).to_be_enabled()
    assert page.evaluate("document.querySelectorAll('.outcome canvas').length") == 0


def test_a_link_brings_its_pair(open_page):
    page = open_page(query="?source=a+red+car&target=a+%F0%9F%90%88&seed=3").page
    expect(page.get_by_label("From the prompt")).to_have_value("a red car")
    expect(page.get_by_label("to the prompt", exact=True)).to_have_value("a 🐈")
    expect(page.get_by_label("seed")).to_have_value("3")
    expect(page.get_by_role("status")).to_be_empty()


def test_a_link_with_an_unknown_seed_says_so(open_page):
    page = open_page(query="?seed=8").page
    expect(page.get_by_role("status")).to_contain_text("no seed 8")
    expect(page.get_by_label("seed")).to_have_value("0")


def test_all_that_is_chosen_stands_on_one_line_of_text(open_page):
    """Where there is room; the words in labels and beside boxes, and those that are selected."""
    page = open_page(view=((1200, 900), "light")).page
    lines = page.locator(".choices").evaluate(BASELINES)
    assert len(lines) == 5
    assert max(lines) - min(lines) < 1


# --- what goes wrong ----------------------------------------------------------------------------


def test_a_blocked_file_is_named_and_go_tries_again(open_page):
    tab = open_page("http")
    tab.page.route("**/networks-01.js", lambda route: route.abort())
    ask(tab.page)
    status = tab.page.get_by_role("status")
    expect(status).to_contain_text("The file networks-01.js could not be loaded")
    tab.faults.clear()  # the browser reports the blocked file
    tab.page.unroute("**/networks-01.js")
    ask(tab.page)
    finished(tab.page)


def test_a_failure_in_the_middle_is_named_and_go_starts_anew(open_page):
    lost = "Networks.prototype.decode = async () => { throw new Error('the GPU is lost'); };"
    page = open_page(script=added_to_the_worker(lost)).page
    ask(page)
    expect(page.get_by_role("status")).to_have_text("the GPU is lost", timeout=PATIENCE)
    page.evaluate("window.added = ''")
    ask(page)
    finished(page)


@pytest.mark.parametrize(
    ("script", "missing"),
    [
        ("WebAssembly.validate = () => false;", "no WebAssembly with SIMD"),
        ("delete window.WebAssembly;", "no WebAssembly with SIMD"),
        ("delete window.DecompressionStream;", "no DecompressionStream"),
    ],
)
def test_what_the_browser_lacks_is_named(script, missing, open_page):
    page = open_page(script=script).page
    ask(page)
    expect(page.get_by_role("status")).to_contain_text(missing)


def test_without_scripts_an_example_stands_there(built, browser):  # noqa: F811
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{BOOK.as_uri()}/{PAGE}")
        expect(page.locator(".laboratory")).to_be_hidden()
        expect(page.get_by_role("img", name="film strips")).to_be_visible()


def test_on_paper_the_example_stands_there(open_page):
    page = open_page().page
    expect(page.get_by_role("img", name="film strips")).to_be_hidden()
    page.emulate_media(media="print")
    expect(page.locator(".laboratory")).to_be_hidden()
    expect(page.get_by_role("img", name="film strips")).to_be_visible()


# --- for everybody ------------------------------------------------------------------------------


def test_nothing_is_wrong_with_what_it_shows_in_any_view(open_page):
    tab = open_page("http")
    ask(tab.page, "a zebra", "a panda in the snow at dusk")
    finished(tab.page)
    SCREENSHOTS.mkdir(exist_ok=True)
    for (width, height), mode in VIEWS:
        tab.page.set_viewport_size({"width": width, "height": height})
        tab.page.emulate_media(color_scheme=mode)
        tab.page.evaluate(SETTLE)
        wrong = {kind: tab.page.evaluate(script) for kind, script in SCRIPTS.items()}
        wrong["colours"] = wrong_colours(tab.page, mode)
        picture = SCREENSHOTS / f"laboratory-drawn-{width}-{mode}.png"
        tab.page.screenshot(path=picture, full_page=True)
        wrong["accessibility"] = inaccessible(tab.page)
        assert {kind: found for kind, found in wrong.items() if found} == {}, (width, mode)


def test_all_of_it_is_done_by_keyboard(open_page):
    page = open_page().page
    page.get_by_label("From the prompt").focus()
    page.keyboard.type("a")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Stop")).to_be_enabled()
    said = finished(page)
    assert said.count("Strip along") == 2
    slider = page.get_by_role("slider")
    for key, place in [("Home", 1), ("ArrowRight", 2), ("End", 11)]:
        slider.press(key)
        name = f"frame {place} of 11"
        assert slider.get_attribute("aria-valuetext") == name
        labels = page.locator("canvas.frame").evaluate_all("all => all.map((c) => c.ariaLabel)")
        assert all(name in label for label in labels)
    page.get_by_role("button", name="Go").focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Stop")).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_role("status")).to_have_text("Stopped.")
    expect(page.get_by_role("button", name="Go")).to_be_focused()


@contextmanager
def resident(browser):  # noqa: F811
    """Yield a function for the megabytes that this process's browsers hold in their pages."""
    session = browser.new_browser_cdp_session()

    def megabytes():
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        pages = [p["id"] for p in processes if p["type"] == "renderer"]
        kept = 0
        for process in pages:
            status = Path(f"/proc/{process}/status").read_text()
            kept += int(re.search(r"VmRSS:\s+(\d+)", status)[1])
        return kept / 1000

    yield megabytes
    session.detach()


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="memory is read where Linux says it")
def test_memory_does_not_grow_with_runs(open_page, browser):  # noqa: F811
    page = open_page().page
    with resident(browser) as megabytes:
        held = []
        for seed in [0, 1, 2, *range(8)]:
            ask(page, seed=seed)
            finished(page)
            held.append(megabytes())
    print(f"{held[0]:.0f} MB after the first run, {held[-1]:.0f} MB after the last", end=" ")
    assert held[-1] < 1.15 * max(held[:4])
