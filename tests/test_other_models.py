"""The pages run on folders of Stable Diffusion 1 and XL, with a study recorded for each."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
import torchvision
from tiny_model import randomize, write_tiny_family

from embedding_geometry import pages
from embedding_geometry.results import StudySettings
from embedding_geometry.study import publish_results, run_study

ROOT = Path(__file__).parents[1]
# The pages that show the configured model; the others are about pocket whatever it is, and would
# compute here once more what `make test` compares in their own notebooks.
EVERY = sorted((ROOT / "notebooks").glob("*.md"))
PAGES = [page for page in EVERY if "configured_model()" in page.read_text(encoding="utf-8")]
PROMPTS = pages.DATA / "prompts/pairs.csv"
OF_ONE_GRADE = 2


@pytest.fixture(scope="module")
def torch_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A torch cache with a random AlexNet under its real name; of the classifier, a number."""
    home = tmp_path_factory.mktemp("torch_home")
    network = torchvision.models.alexnet(weights=None)
    randomize(network.features, torch.Generator().manual_seed(0))
    weights = {
        name: torch.zeros(()).expand(weight.shape) if name.startswith("classifier") else weight
        for name, weight in network.state_dict().items()
    }
    (home / "hub/checkpoints").mkdir(parents=True)
    torch.save(weights, home / "hub/checkpoints/alexnet-owt-7be5be79.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(home))
        yield home


def write_model(folder: Path, family: str) -> Path:
    """Write a family's folder that can say every prompt of the table, in two steps."""
    table = pd.read_csv(PROMPTS)
    write_tiny_family(folder, family, [*table["source"], *table["target"]])
    (folder / "generation.json").write_text(json.dumps({"steps": 2, "guidance_scale": 7.5}))
    return folder


def record_study(model: Path, results: Path) -> None:
    """Record a small study of the model: some pairs of each grade, one latent, short paths."""
    table = model.parent / "pairs.csv"
    pd.read_csv(PROMPTS).groupby("similarity").head(OF_ONE_GRADE).to_csv(table, index=False)
    settings = StudySettings(
        table, model=str(model), net="alex", seeds=(0,), frames=4, scheduler="euler", device="cpu"
    )
    run_study(settings, model.parent / "study", progress=False)
    publish_results(model.parent / "study", results / model.name)


def run_pages(model: Path, results: Path) -> dict[str, dict]:
    """What every page shows and glues."""
    shown = model.parent / "shown.json"
    environment = os.environ | {
        "EMBEDDING_GEOMETRY_MODEL": str(model),
        "EMBEDDING_GEOMETRY_RESULTS": str(results),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT / "tests/offline"),
    }
    command = [sys.executable, ROOT / "tests/run_pages.py", shown, *PAGES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(shown.read_text())


@pytest.mark.parametrize("family", ["sd1", "xl"])
def test_every_page_runs_on_a_folder_with_its_own_study(
    family: str, torch_home: Path, tmp_path: Path
) -> None:
    model = write_model(tmp_path / f"tiny-{family}", family)
    record_study(model, tmp_path / "results")
    shown = run_pages(model, tmp_path / "results")
    assert list(shown) == [page.stem for page in PAGES]
    assert PAGES[:7] == EVERY[:7]
    for page in PAGES[:7]:
        [provenance] = [text for text in shown[page.stem]["texts"] if "Provenance" in text]
        assert f"tiny-{family} (revision " in provenance
        assert "**Note.**" not in str(shown[page.stem]["texts"])
    glued = shown["06_statistics"]["glued"]
    assert glued["model_name"] == repr(f"tiny-{family}")
    assert glued["n_pairs"] == repr(str(6 * OF_ONE_GRADE))
    assert glued["coverage"].startswith("'It is a pilot")
    assert glued["recomputed"] == repr("agree")
    assert glued["claim_1_verdict"] == repr("holds")
    assert shown["05_interpolations"]["glued"]["agreement"] == repr("agree")
