"""The sheet shows each picture where the pointer will look for it; the pointer stands alone."""

import html
import io
import json
import re
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from embedding_geometry.pages import figures
from embedding_geometry.pages.pointer import Pointer, sheet
from embedding_geometry.transport.barycenters import square_grid, triangle_grid

CHROMIUM = shutil.which("chromium")
GRIDS = {"triangle": triangle_grid(3), "square": square_grid(2)}
PROMPTS = ["a cat & a dog", "a <red> car", "50 % of a house", "a boat_on_the_sea"]
every_grid = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)


@pytest.fixture(autouse=True)
def clean_canvas():
    with plt.rc_context():
        figures.set_style()
        yield
        plt.close("all")


def flat_pictures(count, blue):
    """Pictures of one colour each, red and green telling which one it is."""
    pictures = np.full((count, 8, 8, 3), blue, np.uint8)
    pictures[..., 0] = 20 * np.arange(count)[:, None, None]
    pictures[..., 1] = 255 - pictures[..., 0]
    return pictures


def both(grid):
    count = len(grid.weights)
    return {"barycenter": flat_pictures(count, 0), "mean of rows": flat_pictures(count, 200)}


def as_pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def pointer(grid):
    return Pointer(grid, PROMPTS[: grid.weights.shape[1]])


def layout(shown):
    return json.loads(html.unescape(re.search('data-layout="([^"]*)"', shown._repr_html_())[1]))


@every_grid
def test_pointer_finds_every_picture_of_the_sheet(grid):
    pictures, said = both(grid), layout(pointer(grid))
    pixels = as_pixels(sheet(pictures, grid))
    height, width = pixels.shape[:2]
    assert said["aspect"] == pytest.approx(width / height, rel=0.01)
    for name, corners in said["panels"].items():
        for (left, top), picture in zip(corners, pictures[name], strict=True):
            across = slice(round(left * width) + 2, round((left + said["picture"][0]) * width) - 2)
            down = slice(round(top * height) + 2, round((top + said["picture"][1]) * height) - 2)
            cut = pixels[down, across].reshape(-1, 3).astype(int)
            assert len(cut) > 400
            assert np.abs(cut - picture[0, 0]).max() <= 1


@every_grid
def test_pointer_knows_the_weights(grid):
    said = layout(pointer(grid))
    np.testing.assert_allclose(said["weights"], grid.weights, atol=1e-4)
    assert tuple(said["rows"]) == grid.rows
    assert [weight for weight in said["weights"] if 1 in weight] == [
        row.tolist() for row in grid.weights if row.max() == 1
    ]


@every_grid
def test_sheet_names_its_panels_and_corners(grid):
    names = [text.get_text() for text in sheet(both(grid), grid).axes[0].texts]
    letters = "ABCD"[: grid.weights.shape[1]]
    assert names == ["barycenter", *letters, "mean of rows", *letters]


def test_without_scripts_the_prompts_can_be_read():
    shown = pointer(GRIDS["square"])._repr_html_()
    static = re.sub(r"<(script|style)>.*?</\1>", "", shown, flags=re.DOTALL)
    assert re.findall(r"<li><b>(.)</b> <span>(.*?)</span></li>", static) == [
        ("A", "a cat &amp; a dog"),
        ("B", "a &lt;red&gt; car"),
        ("C", "50 % of a house"),
        ("D", "a boat_on_the_sea"),
    ]


def test_pointer_carries_no_picture_and_asks_for_nothing():
    shown = pointer(GRIDS["triangle"])._repr_html_()
    assert len(shown) < 12_000
    assert not re.search(r"https?:|data:|url\(|<img", shown)


def test_another_number_of_pictures_is_an_error():
    grid = GRIDS["triangle"]
    pictures = {"barycenter": flat_pictures(10, 0), "mean of rows": flat_pictures(9, 0)}
    with pytest.raises(ValueError, match=r"10 points; got pictures .*'mean of rows': 9"):
        sheet(pictures, grid)


def test_another_number_of_prompts_is_an_error():
    with pytest.raises(ValueError, match="3 corners needs as many prompts; got 2"):
        Pointer(GRIDS["triangle"], PROMPTS[:2])


def test_pictures_are_bytes():
    grid = GRIDS["triangle"]
    with pytest.raises(TypeCheckError):
        sheet({"barycenter": both(grid)["barycenter"] / 255.0}, grid)


# --- in a browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Open a page with the sheet of a grid and the pointer below it."""
    pages = []

    def opened(grid, pictures=None):
        figure = sheet(pictures or both(grid), grid)
        figure.savefig(tmp_path / "sheet.png")
        body = pointer(grid)._repr_html_()
        (tmp_path / "page.html").write_text(
            f'<!doctype html><html lang="en"><title>x</title><main><img src="sheet.png" '
            f'alt="sheet" width="300">{body}</main>'
        )
        page = browser.new_page(viewport={"width": 360, "height": 1600})
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_function("document.querySelector('.here')?.hasAttribute('cx')")
        pages.append(page)
        return page

    yield opened
    for page in pages:
        assert page.errors == []
        page.close()


def shown_pictures(page):
    """The colour in the middle of each canvas."""
    # A page opened as a file may not read its canvas back, so look at the screen.
    shots = [canvas.screenshot() for canvas in page.query_selector_all("canvas")]
    images = [plt.imread(io.BytesIO(shot)) for shot in shots]
    return [np.round(255 * i[i.shape[0] // 2, i.shape[1] // 2, :3]).astype(int) for i in images]


def said(page):
    return page.get_attribute("input:focus", "aria-valuetext")


def test_arrow_keys_move_in_both_directions_and_change_both_pictures(open_page):
    grid = GRIDS["triangle"]
    page, pictures = open_page(grid), both(grid)
    page.focus("input")
    for _ in range(3):
        page.keyboard.press("ArrowUp")
    assert said(page) == "all of A: a cat & a dog"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert said(page) == "33 percent A, 67 percent B"
    page.keyboard.press("ArrowRight")
    assert said(page) == "33 percent A, 33 percent B, 33 percent C"
    for seen, name in zip(shown_pictures(page), pictures, strict=True):
        assert np.abs(seen - pictures[name][4, 0, 0]).max() <= 2
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert said(page) == "33 percent A, 67 percent C"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert said(page) == "all of A: a cat & a dog"


def test_mouse_moves_to_the_nearest_point(open_page):
    grid = GRIDS["square"]
    page, pictures = open_page(grid), both(grid)
    box = page.query_selector(".pointer svg").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + box["height"] - 2)
    for seen, name in zip(shown_pictures(page), pictures, strict=True):
        assert np.abs(seen - pictures[name][6, 0, 0]).max() <= 2
    assert [e.inner_text() for e in page.query_selector_all(".share")] == [
        "0\u202f%",
        "0\u202f%",
        "100\u202f%",
        "0\u202f%",
    ]


def test_nothing_is_wider_than_a_phone(open_page):
    page = open_page(GRIDS["square"])
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_above_it_stands_another_picture_and_the_pointer_goes(browser, tmp_path):
    (tmp_path / "wide.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="30"/>'
    )
    body = pointer(GRIDS["triangle"])._repr_html_()
    (tmp_path / "page.html").write_text(f'<!doctype html><img src="wide.svg" alt="">{body}')
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_function("!document.querySelector('.stage')")
    assert page.query_selector_all(".prompts li") != []
    page.close()
