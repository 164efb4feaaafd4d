"""Where on a path its PPL lies, planted: flips, even steps, and paths that stand still."""

import numpy as np
import pandas as pd
import pytest

from embedding_geometry.perception.path_length import perceptual_path_length
from embedding_geometry.statistics.steps import evenness, step_profile, step_shares

EVEN = np.full(10, 0.1)


def flip(step, height=1.0):
    """All of the way in one step of ten."""
    return height * np.eye(10)[step]


def planted(*paths, similarity=3.0, stratum="free", coupling="row"):
    """A study's table and its steps, of one pair for each list of paths, one path for a latent."""
    rows, steps = [], []
    for k, latents in enumerate(paths):
        for seed, distances in enumerate(latents):
            cell = {"pair_id": f"{stratum}-{k}", "coupling": coupling, "seed": seed}
            length = perceptual_path_length(distances)
            rows.append(
                cell
                | {"similarity": similarity, "stratum": stratum, "total": length.total}
                | {"maximum_step": length.maximum_step, "gini": length.gini}
            )
            steps += [cell | {"step": n, "distance": d} for n, d in enumerate(distances)]
    return pd.DataFrame(rows), pd.DataFrame(steps)


def wide(shares):
    """One row for each pair, one column for each time."""
    return shares.pivot(index="pair_id", columns="time", values="share")


def test_a_flip_has_its_whole_share_in_one_step():
    shares = wide(step_shares(*planted([flip(3), flip(3, 0.01)])))
    np.testing.assert_allclose(shares.columns, np.arange(0.05, 1, 0.1))
    np.testing.assert_allclose(shares.to_numpy(), [flip(3)])


def test_even_steps_have_even_shares_however_long_the_path_is():
    shares = wide(step_shares(*planted([EVEN], [7 * EVEN])))
    np.testing.assert_allclose(shares.to_numpy(), np.full((2, 10), 0.1))


def test_latents_count_alike_however_long_their_paths_are():
    shares = wide(step_shares(*planted([flip(0, 100.0), flip(9)])))
    np.testing.assert_allclose(shares.to_numpy(), [(flip(0) + flip(9)) / 2])


def test_control_other_couplings_and_paths_that_stand_still_are_left_out():
    parts = [
        planted([flip(2), np.zeros(10)], [np.zeros(10)]),
        planted([EVEN], stratum="rigid"),
        planted([EVEN, EVEN], coupling="optimal"),
    ]
    study, steps = (pd.concat(tables) for tables in zip(*parts, strict=True))
    np.testing.assert_allclose(wide(step_shares(study, steps)).to_numpy(), [flip(2)])
    assert evenness(study)["largest_step"].to_dict() == {"free-0": 1.0}
    assert evenness(study, "optimal")["largest_step"].to_dict() == pytest.approx({"free-0": 0.1})


def test_a_profile_has_the_quartiles_of_each_grade():
    paths = [[share * flip(0) + (1 - share) * flip(9)] for share in (0, 0.25, 0.5, 0.75, 1)]
    parts = planted(*paths), planted([EVEN], similarity=5.0, stratum="other")
    profile = step_profile(pd.concat([step_shares(*part) for part in parts]))
    first, last = profile.loc[(3, 0.05)], profile.loc[(3, 0.95)]
    assert first.tolist() == last.tolist() == [0.25, 0.5, 0.75, 5]
    assert profile.loc[(5, 0.05)].tolist() == pytest.approx([0.1, 0.1, 0.1, 1])


def test_evenness_is_that_of_the_paths_mean_over_latents():
    found = evenness(planted([flip(1, 5.0), flip(8)], [EVEN, 3 * EVEN], [flip(1), EVEN])[0])
    assert found["grade"].tolist() == [3, 3, 3]
    np.testing.assert_allclose(found["largest_step"], [1, 0.1, 0.55])
    np.testing.assert_allclose(found["gini"], [0.9, 0, 0.45], atol=1e-12)
