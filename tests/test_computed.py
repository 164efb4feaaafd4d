"""What two pages compute anew, on a tiny model."""

import numpy as np
import pytest

from embedding_geometry.pages.computed import grid_table, mix, order_table
from embedding_geometry.study.prompts import PromptPair
from embedding_geometry.transport.barycenters import frechet_objective, mean_of_rows

PAIRS = [
    PromptPair("a", "a small cat on the beach", "on the beach a cat", 5.0),
    PromptPair("b", "a red car in the snow", "a blue car in the rain", 2.0),
    PromptPair("c", "two birds over the sea", "a red car", 0.0),
]


def test_shuffled_tokens_change_nothing_and_another_prompt_does(tiny_model):
    table = order_table(tiny_model, PAIRS)
    assert list(table.index) == [pair.source for pair in PAIRS]
    assert table["by_order"].max() < 1e-3 < table["by_text"].min()


@pytest.fixture(scope="module")
def mixtures(tiny_model):
    return mix(tiny_model, PAIRS)


def test_grids_have_the_first_prompts_at_their_corners(mixtures):
    assert mixtures["triangle"].prompts == [pair.source for pair in PAIRS]
    assert mixtures["square"].prompts[:2] == [PAIRS[0].source, PAIRS[0].target]
    for mixture in mixtures.values():
        for end, weights in zip(mixture.ends, mixture.grid.weights, strict=True):
            if weights.max() == 1:
                np.testing.assert_array_equal(end.cloud, mixture.corners.clouds[weights.argmax()])


def test_the_objective_is_compared_at_every_point_that_is_no_corner(mixtures):
    table = grid_table(mixtures)
    assert table["shape"].value_counts().to_dict() == {"triangle": 28 - 3, "square": 36 - 4}
    triangle = mixtures["triangle"]
    inside = triangle.grid.weights[triangle.grid.weights.max(axis=1) < 1]
    clouds = triangle.corners.clouds
    expected = [frechet_objective(mean_of_rows(clouds, w), clouds, w) for w in inside]
    np.testing.assert_allclose(table["mean_of_rows"][: len(inside)], expected)
    assert (table["barycenter"] <= table["mean_of_rows"] * (1 + 1e-9)).mean() > 0.9
