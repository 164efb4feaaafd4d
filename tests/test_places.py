"""Which model is meant, where its prompts are, and that results are in a folder that is there."""

from pathlib import Path

import pytest

from embedding_geometry.ground.places import (
    DEFAULT,
    EMBEDDED,
    RESULTS,
    configured_model,
    data_folder,
    embedded_models,
    models_folder,
    prompt_table,
    results_folder,
    short_name,
)


def test_the_configured_model(monkeypatch):
    monkeypatch.delenv("EMBEDDING_GEOMETRY_MODEL", raising=False)
    assert configured_model() == DEFAULT
    monkeypatch.setenv("EMBEDDING_GEOMETRY_MODEL", "owner/name")
    assert configured_model() == "owner/name"
    assert configured_model("another") == "another"
    assert configured_model("") == ""  # which load_model refuses: never another model


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


def test_embedded_models_have_their_own_pairs_and_others_the_natural_ones(monkeypatch):
    monkeypatch.setitem(EMBEDDED, "second", Path())
    assert prompt_table("pocket").name == "pocket_pairs.csv"
    assert prompt_table("a/copy/of/second").name == "second_pairs.csv"
    assert prompt_table("some/stable-diffusion").name == "pairs.csv"
    assert short_name("some/stable-diffusion") == "stable-diffusion"


def test_the_models_of_a_wheel_lie_beside_the_code_else_in_the_clone(tmp_path):
    package = tmp_path / "src/embedding_geometry"
    assert models_folder(package) == tmp_path / "data"
    (package / "data").mkdir(parents=True)
    assert models_folder(package) == package / "data"


def test_every_folder_with_the_index_of_diffusers_is_an_embedded_model_the_default_first(tmp_path):
    for name in ("another", DEFAULT, "prompts"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model_index.json").touch()
    (tmp_path / "prompts/model_index.json").unlink()
    (tmp_path / "studies.toml").touch()
    found = embedded_models(tmp_path)
    assert found == {name: tmp_path / name for name in (DEFAULT, "another")}
    assert (next(iter(found)), next(iter(EMBEDDED))) == (DEFAULT, DEFAULT)


def test_records_belong_to_the_clone_that_one_works_in_else_to_the_working_folder(tmp_path):
    inside = tmp_path / "clone/notebooks"
    inside.mkdir(parents=True)
    (tmp_path / "clone/data").mkdir()
    assert data_folder(inside) == inside / "data"
    (tmp_path / "clone/data/studies.toml").touch()
    assert data_folder(inside) == data_folder(tmp_path / "clone") == tmp_path / "clone/data"
    assert data_folder(tmp_path) == tmp_path / "data"
