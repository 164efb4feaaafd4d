"""What two pages compute anew, on a tiny model."""

import json

import numpy as np
import pandas as pd
import pytest

from embedding_geometry.diffusion.clouds import encode
from embedding_geometry.diffusion.generation import initial_latent, render
from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.ground.places import short_name
from embedding_geometry.ground.records import Record
from embedding_geometry.pages.computed import grid_table, mix, order_table, walk, where_ways_lead
from embedding_geometry.perception.metric import perceptual_distances
from embedding_geometry.study.prompts import PromptPair, write_prompt_pairs
from embedding_geometry.transport.barycenters import frechet_objective, mean_of_rows
from embedding_geometry.transport.couplings import wasserstein_distance

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


# --- what the page on ways renders --------------------------------------------------------------

SMALL = RenderSettings(2, 3.0, height=32, width=32)


def test_the_pair_that_the_rule_picks_is_walked_and_held_against_the_record(
    tiny_model, tiny_metric, tmp_path, monkeypatch
):
    """Of three pairs of grade 2 the one whose improvement is in the middle."""
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    pairs = [PromptPair(f"p{k}", each.source, each.target, 2.0) for k, each in enumerate(PAIRS)]
    texts = encode(tiny_model, [pairs[1].source, pairs[1].target])
    latent = initial_latent(tiny_model, 7, SMALL)
    straight = np.stack([(1 - t) * texts.clouds[0] + t * texts.clouds[1] for t in (0, 0.5, 1)])
    wanted = render(tiny_model, straight, latent, SMALL)
    ppl = perceptual_distances(tiny_metric, wanted).mean()
    improved = {"p0": 0.1, "p1": 0.2, "p2": 0.3}
    rows = [
        {"pair_id": name, "similarity": 2.0, "stratum": "free", "coupling": way, "seed": seed,
         "w2": 1.0, "ppl": ppl * (1 - share * (way == "optimal"))}
        for name, share in improved.items()
        for seed in (7, 8)
        for way in ("row", "optimal")
    ]  # fmt: skip
    name = short_name(tiny_model.provenance.name)
    pd.DataFrame(rows).to_csv(tmp_path / f"{name}_walked_study.csv", index=False)
    write_prompt_pairs(tmp_path / f"{name}_walked_pairs.csv", pairs)
    settings = {"steps": 2, "guidance_scale": 3.0, "height": 32, "width": 32, "frames": 3}
    manifest = {"settings": settings | {"seeds": [7, 8]}}
    (tmp_path / f"{name}_walked_manifest.json").write_text(json.dumps(manifest))
    found = walk(tiny_model, tiny_metric, Record("{model}_walked", "make it"), 2)
    assert found.pair == pairs[1]
    assert list(found.frames) == ["row", "optimal"]
    np.testing.assert_allclose(found.frames["row"].astype(int), wanted.astype(int), atol=1)
    assert found.agree[0]


def test_where_ways_lead_is_measured_on_clouds_and_pictures(tiny_model, tiny_metric):
    found = where_ways_lead(tiny_model, tiny_metric, SMALL, PAIRS[:1], ["row", "pooled"])
    x, y = encode(tiny_model, [PAIRS[0].source, PAIRS[0].target]).clouds
    norms = [np.linalg.norm(cloud, axis=1).mean() for cloud in (x, (x + y) / 2, y)]
    assert found.loc["row", "half"] == pytest.approx(2 * norms[1] / (norms[0] + norms[2]))
    assert found.loc["row", ["cloud", "picture"]].tolist() == pytest.approx([0, 0], abs=1e-9)
    ends = encode(tiny_model, [PAIRS[0].source, PAIRS[0].target]).ends
    last = x + (y[ends.y_end] - x[ends.x_end])
    gap, whole = (wasserstein_distance(cloud, y, normalized=False) for cloud in (last, x))
    assert found.loc["pooled", "cloud"] == pytest.approx(gap / whole, rel=1e-5)
    latent = initial_latent(tiny_model, 0, SMALL)
    pictures = render(tiny_model, np.stack([last.astype(x.dtype), y, x]), latent, SMALL)
    gap, whole = perceptual_distances(tiny_metric, pictures)
    assert found.loc["pooled", "picture"] == pytest.approx(gap / whole, rel=0.02)
