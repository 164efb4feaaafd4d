"""Where things lie: the embedded models, and the tables of the clone that one works in.

Only the embedded models are looked for beside the code. Every other file is looked for, and
written, in the clone that the working folder belongs to, never where the package happens to be
installed.
"""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
DEFAULT = "menagerie"
"""The model that is taken where none is named: the embedded one whose pictures move."""


def models_folder(package: Path = PACKAGE) -> Path:
    """Where the models are: in a wheel beside the code (see setup.py), else the clone's `data`."""
    packaged = package / "data"
    return packaged if packaged.is_dir() else package.parents[1] / "data"


def embedded_models(folder: Path) -> dict[str, Path]:
    """The models in a folder by name, the default first: each is a folder as diffusers has it."""
    folders = sorted(index.parent for index in folder.glob("*/model_index.json"))
    return {each.name: each for each in sorted(folders, key=lambda each: each.name != DEFAULT)}


def data_folder(here: Path) -> Path:
    """`data` of the clone of this repository around a folder, else of the folder itself."""
    found = (folder / "data" for folder in (here, *here.parents))
    return next((data for data in found if (data / "studies.toml").is_file()), here / "data")


MODELS = models_folder()
EMBEDDED = embedded_models(MODELS)
POCKET_FOLDER = MODELS / "pocket"
DATA = data_folder(Path.cwd())
PROMPTS = DATA / "prompts"
RESULTS = DATA / "results"
STUDIES = DATA / "studies.toml"


def configured_model(named: str | None = None) -> str:
    """Return the named model, else that of ``EMBEDDING_GEOMETRY_MODEL``, else the default."""
    if named is not None:
        return named
    return os.environ.get("EMBEDDING_GEOMETRY_MODEL") or DEFAULT


def short_name(model_name: str) -> str:
    """The last part of a model's name, by which its recorded files are called."""
    return Path(model_name).name


def prompt_table(model_name: str) -> Path:
    """The book's prompt pairs for a model: an embedded one speaks only of its own small world."""
    name = short_name(model_name)
    return PROMPTS / (f"{name}_pairs.csv" if name in EMBEDDED else "pairs.csv")


def results_folder() -> Path:
    """`data/results`, or the folder that EMBEDDING_GEOMETRY_RESULTS names.

    Raises:
        FileNotFoundError: the named folder does not exist; a page runs in its own folder, so a
            name that is not absolute may mean another place there.
    """
    named = os.environ.get("EMBEDDING_GEOMETRY_RESULTS")
    if named and not Path(named).is_dir():
        raise FileNotFoundError(
            f"EMBEDDING_GEOMETRY_RESULTS is {named!r}, but {Path(named).absolute()} is no folder; "
            "give its whole path, or leave it empty for data/results"
        )
    return Path(named) if named else RESULTS
