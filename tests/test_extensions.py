"""What the extensions of the book look up while it is built."""

import base64
import gzip
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[1] / "book/_ext"))

import laboratory
import nbformat
from laboratory import SUGGESTIONS, packed, suggestions
from reading import costs, recorded_on, table_named
from recorded import put_beside

from embedding_geometry.ground import records
from embedding_geometry.ground.places import DEFAULT, PROMPTS, RESULTS

EXTENSIONS = Path(laboratory.__file__).parent


def test_a_page_names_the_models_table_else_the_defaults_wherever_results_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the embedded models come with the book, also where results are kept elsewhere."""
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    monkeypatch.setenv("EMBEDDING_GEOMETRY_MODEL", "some/model")
    assert table_named("study.csv") == RESULTS / f"{DEFAULT}_study.csv"
    for name in (f"{DEFAULT}_study.csv", "model_study.csv"):
        (tmp_path / name).touch()
        assert table_named("study.csv") == tmp_path / name
    assert table_named("benchmark_costs.csv") == RESULTS / "benchmark_costs.csv"
    assert table_named("prompts") == PROMPTS / "pairs.csv"
    assert table_named("no_such.csv") is None


@pytest.mark.parametrize(
    ("name", "beside"),
    [("pocket", "menagerie"), ("menagerie", "pocket"), ("some/model", "menagerie")],
)
def test_a_page_names_the_table_of_the_model_that_it_shows_beside_its_own(
    name: str, beside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDDING_GEOMETRY_MODEL", name)
    assert table_named("other_steps.parquet") == RESULTS / f"{beside}_steps.parquet"


def test_a_table_was_recorded_when_its_manifest_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    monkeypatch.setenv("EMBEDDING_GEOMETRY_MODEL", "some/model")
    for name in ("steps.parquet", "pocket_dose_study.csv", "benchmark_costs.csv", "atlas.csv"):
        table = table_named(name)
        assert table is not None
        assert (recorded_on(table) or "").startswith("2026-")
    (tmp_path / "model_manifest.json").write_text('{"ended": "2031-05-06T07:08:09"}')
    assert recorded_on(tmp_path / "model_steps.parquet") == "2031-05-06"
    assert recorded_on(PROMPTS / "pocket_pairs.csv") is None


def test_the_costs_of_pages_are_empty_where_none_were_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert costs()["pages"]
    monkeypatch.setattr(records, "RESULTS", tmp_path)
    assert costs() == {"pages": {}}


def test_an_archive_is_cut_into_parts_that_are_decoded_one_by_one() -> None:
    files = {"noise": np.random.default_rng(0).bytes(3_000_001), "none": b"", "text": b"words"}
    places, parts = packed(files)
    assert len(parts) > 2
    whole = gzip.decompress(b"".join(base64.b64decode(part, validate=True) for part in parts))
    assert {name: whole[start:end] for name, (start, end) in places.items()} == files


def test_prompts_are_suggested_from_all_over_the_world() -> None:
    texts = suggestions()
    assert len(set(texts)) == len(texts) == SUGGESTIONS
    shares = [sum(word in text for text in texts) for word in ("night", "left", "right")]
    assert all(shares)


@pytest.mark.parametrize(("builder", "says_so"), [("html", True), ("singlehtml", False)])
def test_without_its_runtime_the_laboratory_is_left_out_and_the_rest_is_built(
    builder: str, says_so: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On paper nothing is missing: the example stands there with the laboratory, too."""
    monkeypatch.setattr(laboratory, "RUNTIME", tmp_path / "not fetched")
    source, out = tmp_path / "book", tmp_path / "html"
    source.mkdir()
    (source / "index.md").write_text("# Try\n\n```{laboratory}\nExample.\n```\n\nThe rest.\n")
    said, extensions = StringIO(), {"extensions": ["myst_parser", "laboratory"]}
    Sphinx(source, None, out, tmp_path / "trees", builder, extensions, said, said).build()
    page = (out / "index.html").read_text()
    assert ("laboratory is left out" in page) == says_so
    assert "Example." in page
    assert "The rest." in page
    assert 'class="laboratory"' not in page
    assert not (out / laboratory.PLACE).exists()


def test_a_table_is_put_beside_the_pages(tmp_path: Path) -> None:
    table = tmp_path / "made.csv"
    table.write_text("gain\n1\n")
    book = SimpleNamespace(outdir=str(tmp_path / "html"))
    (tmp_path / "html").mkdir()
    assert put_beside(book, table) == "_data/made.csv"
    assert (tmp_path / "html/_data/made.csv").read_text() == "gain\n1\n"


CODE = """---
file_format: mystnb
kernelspec:
  name: python3
---

# A page

```{code-cell} ipython3
%s
```
"""


def build(folder: Path, *options: str, **pages: str) -> "subprocess.CompletedProcess[str]":
    """Build a book of pages with code, and of a first page that has none."""
    source, titles = folder / "source", "\n".join(pages)
    source.mkdir(exist_ok=True)
    (source / "index.md").write_text(f"# A book\n\n```{{toctree}}\n{titles}\n```\n")
    settings = 'extensions, nb_execution_mode = ["myst_nb", "execution"], "cache"\n'
    (source / "conf.py").write_text(settings)
    for page, code in pages.items():
        (source / f"{page}.md").write_text(CODE % code)
    command = [sys.executable, "-m", "sphinx", "-W", *options, source, folder / "html"]
    paths = os.environ | {"PYTHONPATH": str(EXTENSIONS)}
    return subprocess.run(command, env=paths, capture_output=True, text=True, check=False)


def test_what_is_read_anew_is_executed_anew_though_its_text_is_the_same(tmp_path: Path) -> None:
    """The package may have changed, which no text shows."""
    page = {"counted": "print(6 * 7); open('runs', 'a').write('x');"}
    for options, runs in (([], 1), (["--fresh-env"], 2)):
        built = build(tmp_path, *options, **page)
        assert built.returncode == 0, built.stderr
        assert (tmp_path / "source/runs").read_text() == "x" * runs
    [cell] = nbformat.read(tmp_path / "executed/counted.ipynb", 4).cells[1:]
    assert cell.outputs[0].text == "42\n"
    assert ">42\n" in (tmp_path / "html/counted.html").read_text()
    assert not (tmp_path / "executed/index.ipynb").exists()


def test_a_page_that_fails_ends_the_build_with_what_went_wrong(tmp_path: Path) -> None:
    built = build(tmp_path, sound="print('sound')", broken="raise KeyError('no such cat')")
    assert built.returncode != 0
    assert "broken was not executed to its end" in built.stderr
    assert "no such cat" in built.stderr
    assert not (tmp_path / "html/index.html").exists()
