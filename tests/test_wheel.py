"""The wheel, away from its repository: it carries the model, and its commands work."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ["pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "LICENSE-text"]
FOLDERS = ["src", "data"]
PLANTED = "data/second/model_index.json"
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return a folder with what the wheel installs, built from a copy of the sources."""
    copy, built = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("built")
    for name in SOURCES:
        shutil.copy(ROOT / name, copy)
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    (copy / PLANTED).parent.mkdir()
    (copy / PLANTED).touch()
    command = [sys.executable, "-c", BUILD, str(built)]
    subprocess.run(command, cwd=copy, check=True, capture_output=True)
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(built / "site")
    return built / "site"


def content(folder):
    files = filter(Path.is_file, folder.rglob("*"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_the_wheel_carries_the_models_whose_only_copies_are_in_data_and_nothing_else_of_it(site):
    carried = content(site / "embedding_geometry/data")
    assert carried.pop("second/model_index.json") == b""
    models = {file.parent for file in (ROOT / "data").glob("*/model_index.json")}
    assert carried == {
        f"{model.name}/{name}": held for model in models for name, held in content(model).items()
    }
    assert [*(ROOT / "src").rglob("*.safetensors")] == []


def test_example_and_commands_work_in_another_folder(site, tmp_path):
    environment = os.environ | {
        "PYTHONPATH": f"{site}{os.pathsep}{ROOT / 'tests/offline'}",
        "HF_HUB_OFFLINE": "1",
    }
    before = content(site).keys()
    done = subprocess.run(
        [sys.executable, "-B", ROOT / "tools/try_package.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"pocket in {site / 'embedding_geometry/data/pocket'}" in done.stdout
    assert done.stdout.count("$ embedding-geometry") == 4
    assert content(site).keys() == before
