"""What the built book says about its pages: where they come from, how long they take.

Checks the result of `make book`; without it these tests are skipped. That links lead somewhere is
checked with all others.
"""

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from test_book import (  # noqa: F401
    BOOK,
    NOTEBOOKS,
    PAGES,
    every_notebook,
    every_page,
    missing,
    parse,
    pytestmark,
)  # fmt: skip


def found(pattern, page):
    """What of the page's markup fits; what its scripts would write does not count."""
    text = re.sub("<script.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.findall(pattern, text, flags=re.DOTALL)


@every_page
def test_pictures_load_late_and_have_a_size(page):
    """Nothing jumps when a picture arrives."""
    pictures = [p for p in parse(page).pictures if "_images" in p["src"]]
    manners = {(p.get("loading"), p.get("decoding")) for p in pictures}
    assert manners <= {("lazy", "async")}
    assert [p for p in pictures if int(p["width"]) < 100 or int(p["height"]) < 100] == []


@every_notebook
def test_page_says_what_made_it_and_what_it_takes(page):
    [banner] = found('<ul class="provenance.*?</ul>', page)
    facts = re.findall(r"<p>(.*?)</p>", banner)
    assert facts[0].startswith("Model ")
    for fact in (r"computed \d{4}-\d\d-\d\d", r"\d+\u00a0min to read",
                 r"\d+\u00a0s and \d+\.\d\u00a0GB to run"):  # fmt: skip
        assert len([text for text in facts if re.fullmatch(fact, text)]) == 1


@every_notebook
def test_page_with_recorded_tables_says_when_they_were_recorded(page):
    recorded = [table for table in found(r"/_data/([\w.-]+)", page) if "pairs" not in table]
    assert bool(found("tables recorded 20", page)) == bool(recorded)


@every_page
def test_every_figure_leads_to_its_picture_and_its_code(page):
    for figure in found("<figure.*?</figure>", page):
        [links] = re.findall(r'class="figure-links">(.*?)</span>', figure, re.DOTALL)
        labels = re.findall(r">(\w+)</a>", links)
        assert labels[0] in ("PNG", "JPEG")
        # only what is drawn to explain, and not from data, has none
        explains = 'id="fig-pipeline"' in figure or 'id="fig-ways-toy"' in figure
        assert labels[1:] == (["code"] if explains else ["data", "code"])


# figures of pairs that have a link: those of the model that the laboratory runs
STRIPS = {"index": 1, "05_interpolations": 7, "11_ways": 1}


@every_page
def test_strips_lead_to_the_laboratory_with_the_pair_that_their_caption_names(page):
    tried = [
        (link, figure)
        for figure in found("<figure.*?</figure>", page)
        for link in re.findall(r'href="([^"]*)">try this pair<', figure)
    ]
    laboratory = BOOK / "book/laboratory.html"
    opened = 'class="laboratory"' in laboratory.read_text(encoding="utf-8")
    assert len(tried) == (STRIPS.get(page.stem, 0) if opened else 0)
    for link, figure in tried:
        address = urlsplit(unescape(link))
        assert (page.parent / address.path).resolve() == laboratory
        asked = parse_qs(address.query, keep_blank_values=True)
        caption = unescape(re.sub("<.*?>", "", figure))
        named = re.search(r"[Ff]rom “(.*?)” to “(.*?)”", caption)
        if named:  # the figure of all four couplings calls its pair by the grade
            assert (*asked["source"], *asked["target"]) == named.groups()
        assert f"seed {asked['seed'][0]}" in caption


@every_page
def test_sliders_find_their_frames(page):
    sprites = [unescape(sprite) for sprite in found(r"--sprite: url\((.*?)\)", page)]
    assert [s for s in sprites if missing(page, s.strip("'"))] == []
    assert len(sprites) == {"05_interpolations": 6, "index": 1}.get(page.stem, len(sprites))


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem == "index"])
def test_first_page_lists_all_pages_and_what_they_take(page):
    [listed] = found('<table class="[^"]*pages.*?</table>', page)
    rows = re.findall(r"<tr.*?</tr>", listed, re.DOTALL)[1:]
    links = [re.search(r'href="\.\./(.*?)"', row).group(1) for row in rows]
    assert links == [notebook.relative_to(BOOK).as_posix() for notebook in NOTEBOOKS]
    times = re.compile(r"\d+\u00a0min<.*\d+\u00a0s and \d+\.\d\u00a0GB<", re.DOTALL)
    assert [row for row in rows if not times.search(row)] == []
