"""How threads wait for one another: the package says it before torch is loaded; a user may too."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

PAGES = sorted((Path(__file__).parents[1] / "notebooks").glob("*.md"))
WAITING = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
LOADS_OPENMP = {"diffusers", "lpips", "ot", "torch", "torchvision", "transformers"}


def spins_after(program, **chosen):
    """How often a thread spins before it sleeps, as OpenMP says itself when a program loads it."""
    kept = {name: value for name, value in os.environ.items() if name not in WAITING}
    environment = kept | {"OMP_DISPLAY_ENV": "verbose"} | chosen
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert run.returncode == 0, run.stderr
    lines = (line.partition(" = ") for line in run.stderr.splitlines())
    settings = {name.split()[-1]: value.strip("'") for name, sign, value in lines if sign}
    if "GOMP_SPINCOUNT" not in settings:
        # on macOS and Windows it does, and the variable has no meaning there
        pytest.skip("torch comes with another OpenMP than GNU's")
    return int(settings["GOMP_SPINCOUNT"].replace("INFINITE", "-1"))


@pytest.mark.parametrize("front", ["embedding_geometry", "embedding_geometry.__main__"])
def test_the_package_bounds_the_spinning_of_torch(front):
    assert spins_after(f"import {front}, torch") == 1000 < spins_after("import torch")


@pytest.mark.parametrize(
    "chosen",
    [{"GOMP_SPINCOUNT": "77"}, {"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "passive"}],
)
def test_a_users_choice_stands(chosen):
    with_package = spins_after("import embedding_geometry, torch", **chosen)
    assert with_package == spins_after("import torch", **chosen) != 1000


def test_the_tests_themselves_have_it():
    assert WAITING & os.environ.keys()


def imported(source):
    """The packages that a cell imports, in order; lines for IPython alone are left out."""
    python = "\n".join(line for line in source.splitlines() if line.lstrip()[:1] not in set("!%"))
    for node in ast.walk(ast.parse(python)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_imports_the_package_before_torch(page):
    cells = jupytext.read(page, fmt={"extension": ".md", "format_name": "myst"}).cells
    names = [name for c in cells if c.cell_type == "code" for name in imported(c.source)]
    assert not LOADS_OPENMP & set(names[: names.index("embedding_geometry")])
