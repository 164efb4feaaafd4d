"""Where results are kept is one folder that is there, and prompts are those of the model."""

from pathlib import Path

import pytest

from embedding_geometry.ground.places import RESULTS, prompt_table, results_folder, short_name


def test_a_results_folder_that_is_not_there_is_named_whole(monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", "runs/nowhere")
    whole = Path("runs/nowhere").absolute()
    with pytest.raises(FileNotFoundError, match=rf"'runs/nowhere', but {whole} is no folder; giv"):
        results_folder()


def test_results_are_in_the_folder_that_is_named_else_in_the_books(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    assert results_folder() == tmp_path
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", "")
    assert results_folder() == RESULTS


def test_pocket_has_its_own_pairs_and_others_the_natural_ones():
    assert prompt_table("pocket").name == "pocket_pairs.csv"
    assert prompt_table("some/stable-diffusion").name == "pairs.csv"
    assert short_name("some/stable-diffusion") == "stable-diffusion"
