"""The pages run on Stable Diffusion 1 and XL, with a study recorded for each.

The first is a folder and takes the book's own prompts. The second is a hub id at a pinned commit,
while other weights are on the hub's main branch; its prompts are a table of another origin, with
similarities in fractions and none of grade 3.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest
import torch
import torchvision
from tiny_model import randomize, write_tiny_family

from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.ground.places import PROMPTS
from embedding_geometry.study.recorded import publish_results
from embedding_geometry.study.run import run_study
from embedding_geometry.study.settings import StudySettings

ROOT = Path(__file__).parents[1]
# The pages that show the configured model; the others are about pocket whatever it is, and would
# compute here once more what `make test` compares in their own notebooks.
EVERY = sorted((ROOT / "notebooks").glob("*.md"))
PAGES = [page for page in EVERY if "configured_model()" in page.read_text(encoding="utf-8")]
TABLE = PROMPTS / "pairs.csv"
# these show embedded models, which alone have such records: once is enough
OF_EMBEDDED = {"10_dose", "11_ways", "13_tokens"}
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


pytestmark = pytest.mark.filterwarnings("ignore:.* names PNDMScheduler:UserWarning")
COMMIT, LATER = (
    "0123456789abcdef0123456789abcdef01234567",
    "89abcdef0123456789abcdef0123456789abcdef",
)


def write_model(folder: Path, family: str, seed: int = 0) -> Path:
    """Write a family's folder that can say every prompt of the table, in two steps."""
    table = pd.read_csv(TABLE)
    write_tiny_family(folder, family, [*table["source"], *table["target"]], seed=seed)
    (folder / "generation.json").write_text(json.dumps({"steps": 2, "guidance_scale": 7.5}))
    return folder


def write_hub(cache: Path, family: str) -> None:
    """Lay two commits of owner/tiny into a hub cache, the later one on the main branch."""
    repository = cache / "models--owner--tiny"
    for seed, commit in enumerate((COMMIT, LATER)):
        write_model(repository / "snapshots" / commit, family, seed)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(LATER)


def some_pairs(path: Path) -> Path:
    """Write the first pairs of each grade of the book's table."""
    pd.read_csv(TABLE).groupby("similarity").head(OF_ONE_GRADE).to_csv(path, index=False)
    return path


def pairs_of_another_origin(path: Path) -> Path:
    """Write pairs as Crisscrossed Captions has them: their own ids, strata and fractions."""
    table = pd.read_csv(some_pairs(path)).query("similarity != 3")
    table["pair_id"] = [f"98-{number}" for number in range(len(table))]
    table["similarity"] = (table["similarity"] - 0.3).clip(lower=0)
    table["stratum"] = "c2c_cocaption"
    table.to_csv(path, index=False)
    return path


def record_study(model: str, pairs: Path, folder: Path, revision: str | None = None) -> None:
    """Record a small study of the model: one latent, short paths."""
    settings = StudySettings(
        pairs,
        net="alex",
        seeds=(0,),
        frames=4,
        loading=LoadSettings(model, "cpu", revision=revision),
        rendering=RenderSettings(scheduler="euler"),
    )
    run_study(settings, folder / "study", progress=False)
    publish_results(folder / "study", folder / "results" / Path(model).name)


def run_pages(model: str, folder: Path, pages: Sequence[Path]) -> dict[str, dict]:
    """What these pages show and glue; hub caches are looked for in the folder alone."""
    shown = folder / "shown.json"
    environment = os.environ | {
        "EMBEDDING_GEOMETRY_MODEL": model,
        "EMBEDDING_GEOMETRY_RESULTS": str(folder / "results"),
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_CACHE": str(folder),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT / "tests/offline"),
    }
    command = [sys.executable, ROOT / "tests/run_pages.py", shown, *pages]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(shown.read_text())


def check_pages(shown: dict[str, dict], name: str, pairs: int) -> None:
    """The pages are about the model, and agree with its study."""
    assert PAGES[:7] == EVERY[:7]
    for page in PAGES[:7]:
        [provenance] = [text for text in shown[page.stem]["texts"] if "Provenance" in text]
        assert f"{name} (revision " in provenance
        assert "**Note.**" not in str(shown[page.stem]["texts"])
    glued = shown["06_statistics"]["glued"]
    assert glued["model_name"] == repr(Path(name).name)
    assert glued["coverage"] == repr(f"It covers all {pairs} prompt pairs")
    assert glued["recomputed"] == repr("agree")
    assert glued["claim_1_verdict"] == repr("holds")
    assert shown["05_interpolations"]["glued"]["recomputed"] == repr("agree")


def test_every_page_runs_on_a_folder_with_its_own_study(torch_home: Path, tmp_path: Path) -> None:
    model = str(write_model(tmp_path / "tiny-sd1", "sd1"))
    record_study(model, some_pairs(tmp_path / "pairs.csv"), tmp_path)
    shown = run_pages(model, tmp_path, PAGES)
    assert list(shown) == [page.stem for page in PAGES]
    check_pages(shown, model, 6 * OF_ONE_GRADE)
    assert shown["05_interpolations"]["glued"]["top"] == repr("5")


def test_every_page_runs_on_a_hub_id_studied_at_another_commit_and_on_other_prompts(
    torch_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_hub(tmp_path, "xl")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    pairs = pairs_of_another_origin(tmp_path / "pairs.csv")
    record_study("owner/tiny", pairs, tmp_path, revision=COMMIT)
    shown = run_pages(
        "owner/tiny", tmp_path, [page for page in PAGES if page.stem not in OF_EMBEDDED]
    )
    check_pages(shown, "owner/tiny", 5 * OF_ONE_GRADE)
    revisions = {stem: COMMIT in str(page["texts"]) for stem, page in shown.items()}
    assert {stem for stem, pinned in revisions.items() if pinned} == {
        "05_interpolations",
        "06_statistics",
    }
    glued = shown["05_interpolations"]["glued"]
    assert glued["source_3"] == repr("–")
    assert glued["source_5"] != repr("–")
