"""What the laboratory costs its reader: the megabytes that it loads, and the seconds of a picture.

Each round opens a page in Chromium from a file, which has all to load and to start, and draws two
strips. The networks run in WebAssembly on one core, as this browser has no GPU.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median

import pandas as pd
import pytest
from opponents import PAIR
from playwright.sync_api import Browser, sync_playwright
from test_browser import ARGUMENTS, BROWSERS

from embedding_geometry.ground.places import DEFAULT

BOOK = Path(__file__).parents[2] / "book"
sys.path.insert(0, str(BOOK / "_ext"))

from laboratory import PLACE, fetched, page_part, written  # noqa: E402

FRAMES, ROUNDS, PATIENCE = 5, 3, 300_000  # milliseconds
PICTURES = 2 * FRAMES - 2  # both strips have the same ends
MOST_MEGABYTES = 35
REACHED = "(text) => document.querySelector('.laboratory').innerText.includes(text)"


@pytest.fixture
def browser() -> Iterator[Browser]:
    installed = next(filter(None, map(shutil.which, BROWSERS)), None)
    if installed is None:
        pytest.fail(f"no browser on this machine; install one of {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed, args=ARGUMENTS)
        yield browser
        browser.close()


def publish(folder: Path) -> tuple[str, dict[str, float]]:
    """Put a page of nothing but the laboratory into a folder; its address, and megabytes."""
    if not fetched():
        pytest.fail("ONNX Runtime Web is not fetched; run `make setup` with a network")
    settings = written(BOOK / PLACE, folder / PLACE)
    for script in ("tokens.js", "page.js"):
        shutil.copy(BOOK / PLACE / script, folder / PLACE)
    page = folder / "laboratory.html"
    page.write_text(f"<!doctype html><meta charset=utf-8>{page_part(settings, PLACE)}")
    networks, wasm, webgpu = (settings["archives"][n] for n in ("networks", "wasm", "webgpu"))
    files = (networks["files"] | wasm["files"]).items()
    sizes = {name: (end - start) / 1e6 for name, (start, end) in files}
    return page.as_uri(), {
        "megabytes": (networks["bytes"] + wasm["bytes"]) / 1e6,
        "webgpu_megabytes": (networks["bytes"] + webgpu["bytes"]) / 1e6,
        "networks_megabytes": sum(sizes[name] for name in sizes if name.endswith(".onnx")),
        "runtime_megabytes": sizes["ort.wasm"],
    }


def seconds(browser: Browser, address: str) -> dict[str, float]:
    """Draw two strips on a new page; the seconds of what a reader waits for."""
    page = browser.new_page()
    page.goto(address)
    page.get_by_label("From the prompt").fill(PAIR.source)
    page.get_by_label("to the prompt", exact=True).fill(PAIR.target)
    page.get_by_label("frames").select_option(str(FRAMES))
    page.get_by_role("button", name="Go").click()
    times = [time.perf_counter()]
    for text in (f"1 of {PICTURES} pictures", f"{PICTURES} of {PICTURES} pictures", "CSV"):
        page.wait_for_function(REACHED, arg=text, polling="raf", timeout=PATIENCE)
        times.append(time.perf_counter())
    page.close()
    first, others, distances = (after - before for before, after in pairwise(times))
    return {
        "to the first picture": first,
        "a further picture": others / (PICTURES - 1),
        "the distances of a strip": distances / 2,
    }


def test_what_the_laboratory_loads_and_takes(browser, tmp_path, record) -> None:
    load = os.getloadavg()[0]
    address, megabytes = publish(tmp_path)
    rounds = [seconds(browser, address) for _ in range(ROUNDS)]
    table = pd.DataFrame(
        {"what": what, "seconds": median(times[what] for times in rounds)} for what in rounds[0]
    )
    facts = {
        "model": DEFAULT,
        "browser": f"Chromium {browser.version}",
        "frames": FRAMES,
        "rounds": ROUNDS,
    }
    record("laboratory", table, **megabytes, **facts, load=load)
    assert megabytes["webgpu_megabytes"] <= MOST_MEGABYTES
