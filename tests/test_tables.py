"""A table shows everything without a script, and sorts and filters in a browser."""

import re
import shutil

import pytest
from playwright.sync_api import sync_playwright

from embedding_geometry.pages.tables import Cell, Row, SortableTable

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NUMBERS = {"ten": 10, "two": 2, "one": 1}  # by name, by number and as given: three orders


def table(names=NUMBERS):
    rows = tuple(
        Row(
            (Cell(f"<b>{name}</b>", "sentence"), Cell(f"{n} pairs", "number")),
            "does not hold" if n > 5 else "holds",
            f"row-{name}",
        )
        for name, n in names.items()
    )
    tones = {"does not hold": ("#123456", "#abcdef")}
    return SortableTable("three <rows>", ("name", "n & unit"), rows, "Verdict", tones)


def test_the_table_is_complete_without_a_script_and_fetches_nothing():
    html = table()._repr_html_()
    static, script = html.split("<script>")
    assert re.findall(r"<th scope=\"row\"[^>]*><b>(\w+)</b></th>", static) == list(NUMBERS)
    assert re.findall(r"<td[^>]*>(\d+) pairs</td>", static) == ["10", "2", "1"]
    assert "<button" not in static
    assert "//" not in html.replace("// ", "")
    assert "querySelector" in script


def test_each_cell_knows_its_heading_and_each_row_its_group_and_place():
    html = table()._repr_html_()
    assert html.count('data-label="n &amp; unit"') == 3
    assert '<tr id="row-ten" data-group="does not hold">' in html
    assert 'data-choice="Verdict"' in html


def test_a_kind_has_a_colour_on_light_and_on_dark_ground():
    html = table()._repr_html_()
    assert ".sortable .does-not-hold { color: #123456;" in html
    assert 'html[data-theme="dark"] .sortable .does-not-hold { color: #abcdef; }' in html


def test_a_row_with_too_few_cells_is_an_error():
    short = SortableTable("t", ("a", "b"), (Row((Cell("x"),), "g"),), "c", {})
    with pytest.raises(ValueError, match="zip"):
        short._repr_html_()


def test_in_plain_text_a_table_is_its_title():
    assert repr(table()) == "<three <rows>>"


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    page = browser.new_page()
    page.set_content(f"<!doctype html><html lang=en>{table()._repr_html_()}")
    yield page
    page.close()


def visible(page):
    return [text for text in page.locator("tbody tr:visible th").all_inner_texts()]


def test_a_heading_sorts_up_and_down_and_says_so(page):
    button = page.get_by_role("button", name="n & unit")
    button.click()
    assert visible(page) == ["one", "two", "ten"]  # as numbers, not as letters
    assert page.locator("thead th").nth(1).get_attribute("aria-sort") == "ascending"
    button.click()
    assert visible(page) == ["ten", "two", "one"]
    page.get_by_role("button", name="name").focus()
    page.keyboard.press("Enter")
    assert visible(page) == ["one", "ten", "two"]
    assert page.locator("[aria-sort]").count() == 1


def test_words_and_groups_filter_the_rows(page):
    page.get_by_label("Filter").fill("PAIRS t")
    assert visible(page) == ["ten", "two"]
    page.get_by_label("Verdict").select_option("holds")
    assert visible(page) == ["two"]
    assert page.get_by_role("status").inner_text() == "1 of 3 shown"


def test_on_a_phone_the_cells_stand_below_each_other_with_their_headings(page):
    page.set_viewport_size({"width": 360, "height": 740})
    name, cell = page.locator("tbody tr").first.locator("th, td").all()
    assert cell.bounding_box()["y"] >= name.bounding_box()["y"] + name.bounding_box()["height"]
    before = cell.evaluate("cell => getComputedStyle(cell, '::before').content")
    assert "n & unit" in before
    assert page.evaluate("document.documentElement.scrollWidth") == 360
