"""A page makes pictures of a study again: of chosen pairs, from its latent, with its settings."""

import json

import numpy as np
import pandas as pd
import pytest
from study_tables import MANIFEST, whole_study

from embedding_geometry.diffusion.generation import initial_latent
from embedding_geometry.ground.places import EMBEDDED
from embedding_geometry.pages import studied
from embedding_geometry.study.prompts import PromptPair, write_prompt_pairs

GAINS = {"h": (5.0, [0.5, 0.1, 0.3]), "l": (3.0, [0.4, 0.2, 0.1, 0.3])}


@pytest.fixture
def study(tmp_path, monkeypatch, tiny_folder, tiny_metric):
    """A recorded study of the tiny model, with one pair of the rigid control, loaded again."""
    settings = {"frames": 5, "seeds": [1, 0], "dtype": "float64", "net": "squeeze", "steps": 2}
    gained = {
        f"{letter}{k}": (grade, gain)
        for letter, (grade, gains) in GAINS.items()
        for k, gain in enumerate(gains)
    }
    tables = [
        whole_study({pair: (1.0, 1 - gain)}).assign(similarity=grade)
        for pair, (grade, gain) in gained.items()
    ]
    table = pd.concat([*tables, whole_study({"r": (1.0, 0.9)}).assign(stratum="rigid")])
    table.loc[table["seed"] == 1, "ppl"] *= 3
    stem = str(tmp_path / tiny_folder.name)
    table.to_csv(f"{stem}_study.csv", index=False)
    pairs = [PromptPair(pair, f"from {pair}", f"to {pair}", 5.0) for pair in [*gained, "r"]]
    write_prompt_pairs(tmp_path / f"{tiny_folder.name}_pairs.csv", pairs)
    with open(f"{stem}_manifest.json", "w", encoding="utf-8") as file:
        json.dump(MANIFEST | {"model": {"name": "t", "revision": "r"}, "settings": settings}, file)
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    monkeypatch.setattr(studied, "load_metric", {"squeeze": tiny_metric}.__getitem__)
    return studied.studied(str(tiny_folder))


def test_the_pair_of_a_grade_is_the_one_of_the_median_improvement(study):
    assert {grade: pair.target for grade, pair in study.pairs.items()} == {5: "to h2", 3: "to l1"}
    assert list(study.pairs) == [5, 3]
    assert study.n_pairs == {5: 3, 3: 4}  # without the rigid control


def test_the_studys_conditions_are_those_of_its_pictures(study, tiny_folder):
    assert study.name == tiny_folder.name
    assert (study.seed, study.settings.steps, study.model.provenance.dtype) == (1, 2, "float64")
    np.testing.assert_array_equal(study.times, [0, 0.25, 0.5, 0.75, 1])
    assert study.latent.equal(initial_latent(study.model, 1))
    assert study.ppl["h2", "optimal"] == pytest.approx(3 * 0.7)


def test_the_front_picture_is_of_menagerie_whichever_model_the_pages_are_about():
    model, _ = studied.FRONT
    for name in (*EMBEDDED, "owner/stable-diffusion", str(EMBEDDED["pocket"])):
        other = studied.other_model(name)
        assert other in EMBEDDED
        assert [name.rpartition("/")[2], other].count(model) == 1
