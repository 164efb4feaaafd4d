"""The fronts of the package and its wings: public names, and what importing them does not cost."""

import importlib
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from PIL import Image

import embedding_geometry

PACKAGE = Path(embedding_geometry.__file__).parent
LIGHT = ["ground", "transport", "statistics"]  # wings that start without torch
LISTED = re.compile(r"^from \.([\w.]+) import (\w+) as \2$", re.MULTILINE)
NAMES = [
    (".".join(["embedding_geometry", *stub.parent.relative_to(PACKAGE).parts]), home, name)
    for stub in PACKAGE.rglob("__init__.pyi")
    for home, name in LISTED.findall(stub.read_text())
]


@pytest.mark.parametrize(("package", "home", "name"), NAMES)
def test_every_public_name_is_its_modules(package, home, name):
    module = importlib.import_module(f"{package}.{home}")
    found = getattr(importlib.import_module(package), name)
    assert found is getattr(module, name)
    if package == "embedding_geometry":
        assert found.__module__ == module.__name__
        assert found.__doc__


def test_public_names_are_listed():
    assert set(embedding_geometry.__all__) == {n for p, _, n in NAMES if p == "embedding_geometry"}
    assert set(embedding_geometry.__all__) <= set(dir(embedding_geometry))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="No embedding_geometry attribute slerp"):
        _ = embedding_geometry.slerp


def test_few_modules_lie_flat():
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_the_mathematics_starts_without_torch():
    modules = [
        f"embedding_geometry.{wing}.{path.stem}"
        for wing in LIGHT
        for path in (PACKAGE / wing).glob("*.py")
        if path.stem != "__init__"
    ]
    heavy = "{'torch', 'diffusers', 'transformers', 'lpips'} & set(sys.modules)"
    program = (
        f"import sys, {', '.join(modules)}; "
        f"from embedding_geometry import couple; assert not {heavy}"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_ppl_starts_without_what_it_does_not_need(tmp_path):
    """Of these torchvision alone takes longer to import than torch, as it loads its compiler."""
    heavy = {
        *("diffusers", "transformers", "torchvision", "torch._dynamo", "lpips", "matplotlib"),
        *("scipy.stats", "scipy.optimize", "statsmodels", "ot", "numba", "ray", "onnx"),
    }
    for name in ("1.png", "2.png"):
        Image.new("RGB", (32, 32)).save(tmp_path / name)
    program = (
        "import sys; from embedding_geometry.__main__ import main; "
        f"code = main(['ppl', {str(tmp_path)!r}, '--device', 'cpu']); "
        f"print(code, sorted({heavy} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_the_first_frames_do_not_wait_for_the_library_of_the_table(tmp_path):
    """What is not a path is found when the network is there, and then there is no table."""
    program = (
        "import sys; from embedding_geometry.__main__ import main; "
        f"print(main(['ppl', {str(tmp_path / 'none')!r}, '--device', 'cpu']), end=' '); "
        "print('torch' in sys.modules, 'pandas' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "2 True False\n"


def test_the_version_is_that_of_the_distribution():
    assert embedding_geometry.__version__ == metadata.version("embedding-geometry")


def test_the_package_itself_imports_nothing():
    program = "import sys, embedding_geometry; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
