"""Each page and its notebook say the same, and the notebook was run in order and is small."""

import importlib.util
import json
import re
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml
from jupytext.compare import NotebookDifference, compare_notebooks

from embedding_geometry.ground.places import DEFAULT

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "notebooks").glob("*.md"))
FORMAT = {"extension": ".md", "format_name": "myst"}
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
FIGURE = re.compile(r"^---\nmystnb:\n(.*?)^---\n", re.MULTILINE | re.DOTALL)


def read(page):
    return nbformat.read(page.with_suffix(".ipynb"), as_version=4)


def code_cells(page):
    return [cell for cell in read(page).cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("tool", ROOT / "tools/run_notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_pair(text, notebook):
    compare_notebooks(
        text, notebook, "md:myst", allow_expected_differences=True, compare_outputs=False
    )


def test_every_page_is_in_the_table_of_contents():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    assert [f for f in listed if f.startswith("notebooks/")] == [
        f"notebooks/{p.stem}" for p in PAGES
    ]


@every_page
def test_text_and_notebook_agree(page):
    check_pair(jupytext.read(page, fmt=FORMAT), read(page))


def test_a_changed_word_is_noticed():
    text = jupytext.read(PAGES[0], fmt=FORMAT)
    text.cells[-1].source += " Changed."
    with pytest.raises(NotebookDifference):
        check_pair(text, read(PAGES[0]))


@every_page
def test_cells_were_executed_in_order(page):
    counts = [cell.execution_count for cell in code_cells(page)]
    assert counts == list(range(1, len(counts) + 1))


@every_page
def test_no_cell_failed_or_wrote_to_stderr(page):
    outputs = [output for cell in code_cells(page) for output in cell.outputs]
    assert [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"] == []


@every_page
def test_notebook_is_small(page):
    assert page.with_suffix(".ipynb").stat().st_size < 500_000


@every_page
def test_what_the_page_takes_is_recorded_and_fits_in_two_gigabytes(page):
    """Binder gives 2 GB."""
    costs = json.loads((ROOT / "data/results/page_costs.json").read_text())["pages"]
    assert page.stem in costs, f"run tools/run_notebooks.py --costs notebooks/{page.name}"
    cost = costs[page.stem]
    assert 0 < cost["seconds"] < 600
    assert 0 < cost["megabytes"] < 2000


def test_costs_of_pages_are_kept_until_the_machine_is_another(tool, tmp_path, monkeypatch):
    path, cost = tmp_path / "costs.json", {"seconds": 1.0, "megabytes": 2}
    tool.record({"a": cost, "b": cost}, path)
    tool.record({"b": cost | {"seconds": 3.0}}, path)
    recorded = json.loads(path.read_text())["pages"]
    assert (recorded["a"]["seconds"], recorded["b"]["seconds"]) == (1.0, 3.0)
    monkeypatch.setattr(tool, "cpu_name", lambda: "another")
    tool.record({"c": cost}, path)
    assert list(json.loads(path.read_text())["pages"]) == ["c"]


def test_execution_keeps_outputs_and_measures_memory(tool, tmp_path):
    text = tmp_path / "page.md"
    text.write_text("# Page\n\n```{code-cell}\nprint(6 * 7)\n```\n")
    notebook, memory = tool.execute(text)
    [cell] = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cell.outputs[0].text == "42\n"
    assert cell.execution_count == 1
    assert memory > 10


@every_page
def test_notebook_holds_no_path_of_a_machine(page):
    assert not re.search(r"/(home|root|tmp|work|Users)/", page.with_suffix(".ipynb").read_text())


@every_page
def test_page_opens_with_one_sentence_and_ends_with_what_was_learnt(page):
    text = jupytext.read(page, fmt=FORMAT).cells[0].source
    opening = text.split("\n\n")[1].replace("\n", " ")
    assert opening.startswith("This page ")
    assert opening.count(". ") == 0
    headings = re.findall(r"^## (.*)", page.read_text(), flags=re.MULTILINE)
    assert headings[-1] == "What was learnt"


@every_page
def test_page_states_its_provenance(page):
    outputs = [output for cell in code_cells(page) for output in cell.outputs]
    lines = [o.data["text/markdown"] for o in outputs if "text/markdown" in o.get("data", {})]
    model = DEFAULT if "configured_model()" in page.read_text() else "pocket"
    assert [line.startswith(f"**Provenance.** Model {model}") for line in lines] == [True]


@every_page
def test_page_fetches_the_book_on_colab_and_only_there(page):
    """Every page has the same cell, which the book does not show."""
    cell, first = code_cells(page)[0], code_cells(PAGES[0])[0]
    assert cell.source == first.source
    assert cell.source.splitlines()[2] == 'if "google.colab" in sys.modules:'
    assert all(line.startswith("    ") for line in cell.source.splitlines()[3:])
    assert (cell.metadata["tags"], cell.outputs) == (["remove-cell"], [])


@every_page
def test_every_code_cell_is_introduced(page):
    cells = jupytext.read(page, fmt=FORMAT).cells
    kinds = [cell.cell_type for cell in cells]
    assert kinds[0] == "markdown"
    assert [i for i in range(1, len(kinds)) if kinds[i - 1 : i + 1] == ["code", "code"]] == []


@every_page
def test_recomputed_numbers_agree_with_the_record(page):
    assert "do NOT agree" not in str([cell.outputs for cell in code_cells(page)])


@every_page
def test_every_figure_has_caption_name_and_alternative_text(page):
    for block in FIGURE.findall(page.read_text()):
        figure = yaml.safe_load(f"mystnb:\n{block}")["mystnb"]
        assert figure["figure"]["name"].startswith("fig-")
        assert len(figure["figure"]["caption"]) > 30
        assert len(figure["image"]["alt"]) > 30


@every_page
def test_prose_quotes_no_measured_number(page):
    """Numbers with decimals or per cent in the prose come from glue, never from the keyboard."""
    prose = "\n".join(
        c.source for c in jupytext.read(page, fmt=FORMAT).cells if c.cell_type == "markdown"
    )
    prose = re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$|\{[a-z:]+\}", "", prose, flags=re.DOTALL)
    prose = prose.replace("95 %", "")  # the confidence of the intervals
    assert re.findall(r"\d+\.\d+|\d+ ?%", prose) == []
