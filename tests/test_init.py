"""The package's front: its public names, and what importing it does not cost."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import embedding_geometry

LIGHT = [
    *(
        "barycenters",
        "couplings",
        "dose",
        "paths",
        "repairing",
        "retiming",
        "statistics",
        "figures",
    ),
    *("prompts", "results", "types"),
]


@pytest.mark.parametrize("name", embedding_geometry.__all__)
def test_every_public_name_is_its_modules(name):
    home = importlib.import_module(f"embedding_geometry.{embedding_geometry._HOMES[name]}")
    found = getattr(embedding_geometry, name)
    assert found is getattr(home, name)
    assert found.__module__ == home.__name__
    assert found.__doc__


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(embedding_geometry.__file__).read_text())
    declared = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("embedding_geometry.")
        for alias in node.names
    }
    homes = embedding_geometry._HOMES.items()
    assert declared == {name: f"embedding_geometry.{home}" for name, home in homes}


def test_public_names_are_listed():
    assert set(embedding_geometry.__all__) <= set(dir(embedding_geometry))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'slerp'"):
        _ = embedding_geometry.slerp


def test_the_mathematics_starts_without_torch():
    imports = "; ".join(f"import embedding_geometry.{module}" for module in LIGHT)
    heavy = "{'torch', 'diffusers', 'transformers', 'lpips'} & set(sys.modules)"
    program = f"import sys; {imports}; from embedding_geometry import couple; assert not {heavy}"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_package_itself_imports_nothing():
    program = "import sys, embedding_geometry; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
