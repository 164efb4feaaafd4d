"""What the extensions of the book look up while it is built."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "book/_ext"))

from reading import table_named

from embedding_geometry.ground.places import PROMPTS, RESULTS


def test_a_page_names_the_models_table_else_pockets_wherever_results_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pocket's own tables come with the book, also where another folder holds the results."""
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    monkeypatch.setenv("EMBEDDING_GEOMETRY_MODEL", "some/model")
    assert table_named("retiming.csv") == RESULTS / "pocket_retiming.csv"
    for name in ("pocket_retiming.csv", "model_retiming.csv"):
        (tmp_path / name).touch()
        assert table_named("retiming.csv") == tmp_path / name
    assert table_named("benchmark_costs.csv") == RESULTS / "benchmark_costs.csv"
    assert table_named("prompts") == PROMPTS / "pairs.csv"
    assert table_named("no_such.csv") is None
