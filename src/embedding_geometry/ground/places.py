"""Where things lie in a clone of this repository, and where the results of a model are."""

import os
from pathlib import Path

DATA = Path(__file__).resolve().parents[3] / "data"
POCKET_FOLDER = DATA / "pocket"
PROMPTS = DATA / "prompts"
RESULTS = DATA / "results"
STUDIES = DATA / "studies.toml"


def short_name(model_name: str) -> str:
    """The last part of a model's name, by which its recorded files are called."""
    return Path(model_name).name


def prompt_table(model_name: str) -> Path:
    """The book's prompt pairs for a model: pocket speaks only of its own small world."""
    table = "pocket_pairs.csv" if short_name(model_name) == "pocket" else "pairs.csv"
    return PROMPTS / table


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
