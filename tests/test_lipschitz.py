"""The local Lipschitz constant of cloud → image: planted steps, and what attention allows."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch

from embedding_geometry.diffusion.attention import (
    attention_bound,
    attention_stretch,
    cross_attention,
    cross_attention_layers,
)
from embedding_geometry.diffusion.clouds import encode
from embedding_geometry.statistics.lipschitz import (
    constants_by_time,
    length_and_constant,
    local_constants,
)
from embedding_geometry.transport.couplings import wasserstein_distance

LENGTHS = {"row": 8.0, "optimal": 4.0, "measures": np.nan}


def planted(constants, pairs=6):
    """A study of five frames whose picture changes by so much a unit, pair after pair."""
    study, steps = [], []
    for k in range(pairs):
        for way, length in LENGTHS.items():
            c = constants.get(way, 1.0) * (1 + k)
            cell = {"pair_id": f"p{k}", "coupling": way, "seed": 0}
            distances = (c * np.array([0.5, 1.5, 1.5, 0.5]) * np.nan_to_num(length) / 4) ** 2
            study.append(
                cell | {"similarity": 5.0 if k % 2 else 1.0, "frames": 5,
                        "wasserstein_length": length, "root_sum": np.sqrt(distances).sum()}
            )  # fmt: skip
            steps += [cell | {"step": s, "distance": d} for s, d in enumerate(distances)]
    return pd.DataFrame(steps), pd.DataFrame(study)


def test_the_constant_is_the_root_of_the_distance_a_unit_of_length():
    constants = local_constants(*planted({"row": 0.2, "optimal": 0.3}))
    assert set(constants["coupling"]) == {"row", "optimal"}  # on a rule no cloud moves
    first = constants.query("pair_id == 'p1' and coupling == 'optimal'")
    assert first["time"].tolist() == [0.125, 0.375, 0.625, 0.875]
    assert first["constant"].to_numpy() == pytest.approx(0.6 * np.array([0.5, 1.5, 1.5, 0.5]))
    assert first["grade"].tolist() == [5] * 4


def test_by_time_stand_the_quartiles_of_each_grade():
    table = constants_by_time(local_constants(*planted({"row": 0.2})))
    row = table.loc[(5, "row", 0.125)]  # pairs 1, 3 and 5
    assert row["median"] == pytest.approx(0.2 * 4 * 0.5)
    assert (row["low"], row["high"]) == pytest.approx((0.2 * 3 * 0.5, 0.2 * 5 * 0.5))


def test_a_shorter_way_is_told_from_a_calmer_one():
    _, study = planted({"row": 0.2, "optimal": 0.3})
    tie = length_and_constant(study)
    assert list(tie.index) == ["all", "5", "1"]
    for name in tie.index:
        assert tie.loc[name, "clouds"] == pytest.approx(0.5)
        assert tie.loc[name, "constant"] == pytest.approx(1.5)
        assert tie.loc[name, "pictures"] == pytest.approx(0.75)
    assert tie["n"].tolist() == [6, 3, 3]
    study.loc[(study["pair_id"] == "p0") & (study["coupling"] == "row"), "root_sum"] = 0.0
    assert length_and_constant(study).loc["all", "n"] == 5


def test_attention_stays_below_its_bound():
    """Clouds within the ball, near to each other and far apart."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        n, c, d, radius = 5, 3, 2, rng.uniform(0.1, 2)
        key, value = rng.normal(size=(d, c)), rng.normal(size=(4, c))
        query = rng.normal(size=(1, d)) * rng.uniform(0, 3)
        x = rng.normal(size=(n, c))
        x *= radius * rng.uniform(size=(n, 1)) / np.linalg.norm(x, axis=1, keepdims=True)
        y = np.clip(x + rng.normal(0, rng.choice([0.01, 1.0]), size=x.shape), -1, 1)
        y *= np.minimum(1, radius / np.linalg.norm(y, axis=1, keepdims=True))
        change = np.linalg.norm(
            cross_attention(query, x @ key.T, x @ value.T)
            - cross_attention(query, y @ key.T, y @ value.T)
        )
        [bound] = attention_bound(query, key, value, radius)
        assert change <= bound * wasserstein_distance(x, y, normalized=True) * (1 + 1e-9)


def test_the_bound_is_reached_where_all_tokens_are_read_alike():
    """Without a query attention is the mean, which moves as far as the cloud does."""
    x = np.random.default_rng(0).normal(size=(4, 3))
    query, weights = np.zeros((1, 2)), np.ones((2, 3))
    moved = x + [1.0, 0.0, 0.0]
    change = cross_attention(query, moved @ weights.T, moved) - cross_attention(
        query, x @ weights.T, x
    )
    [bound] = attention_bound(query, weights, np.eye(3), 5.0)
    assert bound == 1.0
    assert np.linalg.norm(change) == pytest.approx(
        bound * wasserstein_distance(x, moved, normalized=True)
    )


def test_a_bound_of_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"values of \(4, 2\) and radius 1"):
        attention_bound(np.ones((1, 2)), np.ones((2, 3)), np.ones((4, 2)), 1.0)
    with pytest.raises(ValueError, match="radius -1"):
        attention_bound(np.ones((1, 2)), np.ones((2, 3)), np.ones((4, 3)), -1.0)
    assert np.isinf(attention_bound(np.ones((1, 2)), np.ones((2, 3)), np.ones((4, 3)), 1e4))


def test_what_attention_does_along_a_path_is_what_its_layers_do(tiny_model):
    """Against the layers themselves without their last linear map, of which heads know nothing."""
    texts = encode(tiny_model, ["a small cat", "two birds over the sea"])
    x, y = texts.clouds
    path = np.stack([x, (x + y) / 2, y])
    found = attention_stretch(tiny_model, path, np.random.default_rng(3))
    layers = cross_attention_layers(tiny_model)
    assert found.keys() == layers.keys()
    rng = np.random.default_rng(3)
    for name, layer in layers.items():
        heads = copy.deepcopy(layer)
        heads.to_out = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
        image = torch.tensor(rng.standard_normal((1, 64, layer.query_dim)), dtype=torch.float32)
        with torch.no_grad():
            answers = [heads(image, torch.tensor(z, dtype=torch.float32)[None])[0] for z in path]
        changes = [
            (after - before).reshape(64, layer.heads, -1).norm(dim=2).max().item()
            / wasserstein_distance(*ends, normalized=True)
            for before, after, ends in zip(
                answers, answers[1:], [(path[0], path[1]), (path[1], path[2])], strict=False
            )
        ]
        assert found[name].seen == pytest.approx(max(changes), rel=1e-3)
        keys, values = (w.weight.detach().double().numpy() for w in (layer.to_k, layer.to_v))
        queries = image[0].double().numpy() @ layer.to_q.weight.detach().double().numpy().T
        radius = float(np.linalg.norm(path, axis=2).max())
        heads = zip(
            np.split(queries, layer.heads, axis=1),
            np.split(keys, layer.heads),
            np.split(values, layer.heads),
            strict=True,
        )
        bounds = [attention_bound(*head, radius) for head in heads]
        assert found[name].bound == pytest.approx(np.median(bounds), rel=1e-4)
    with pytest.raises(ValueError, match="1 of 1 steps of the path move no cloud"):
        attention_stretch(tiny_model, np.stack([x, x]), np.random.default_rng(0))
