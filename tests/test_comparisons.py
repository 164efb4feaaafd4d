"""The protocol's comparisons on planted studies."""

import numpy as np
import pandas as pd
import pytest

from embedding_geometry.statistics.by_pair import by_pair, compare
from embedding_geometry.statistics.comparisons import (
    Family,
    any_smoother,
    before_and_after,
    centring_agrees,
    compare_couplings,
    compare_ways,
    primary_effects,
    way_verdict,
)
from embedding_geometry.statistics.paired import PairedComparison

OPEN = "undecided on this model"


def planted(first_seed):
    """A study of 24 pairs and two latents, the worst coupling on the first alone."""
    rng = np.random.default_rng(0)
    rows = [
        {"pair_id": f"p{k}", "similarity": k % 6, "stratum": "rigid" if k > 19 else "free",
         "seed": seed, "coupling": coupling, "w2": 3.0, "ppl": level * rng.uniform(0.9, 1.1),
         "root_sum": 1.0, "maximum_step": 1.0, "gini": 0.5,
         "wasserstein_length": 3.0 if coupling == "optimal" else 3 + rng.uniform()}
        for seed in (first_seed, 0)
        for k in range(24)
        for coupling, level in {"row": 1.0, "optimal": 0.8, "random": 1.0, "worst": 1.0}.items()
        if coupling != "worst" or seed == first_seed
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_worst_coupling_is_compared_on_the_studys_first_latent_whatever_its_seed():
    study = planted(first_seed=7)
    found = compare_couplings(study).secondary["random-against-worst"]
    first = study[study["seed"] == 7]
    free = by_pair(first[first["stratum"] == "free"])
    assert found == compare(free, "random", "worst")
    assert found.n == 20


def test_the_primary_effects_are_those_of_the_column_of_a_net():
    study = planted(first_seed=1).assign(ppl_vgg=1.0)
    study.loc[study["coupling"] == "optimal", "ppl_vgg"] = 1.0 - study["similarity"] / 20
    effect, similarity = primary_effects(study, "ppl_vgg")
    assert (effect.n, effect.relative_improvement) == (20, pytest.approx(0.125, abs=0.03))
    assert similarity.rho == pytest.approx(1)
    assert primary_effects(study)[0].relative_improvement == pytest.approx(0.2, abs=0.05)


def test_secondary_comparisons_are_corrected_with_both_correlations():
    made = compare_couplings(planted(first_seed=1))
    assert set(made.corrected) == {*made.secondary, "similarity", "saving"}
    assert made.primary.relative_improvement == pytest.approx(0.2, abs=0.05)
    assert made.secondary["rigid-control"].n == 4
    assert made.secondary["optimal-against-random"].p_value < 0.001
    least = min(made.secondary.values(), key=lambda result: result.p_value).p_value
    assert min(made.corrected.values()) == pytest.approx(least * len(made.corrected))


def test_ways_are_tested_on_both_sides():
    rng = np.random.default_rng(0)
    gains = {"row": 0, "optimal": 0, "words": 0.2, "cosine": -0.2, "centred": 0}
    study = pd.DataFrame(
        {"pair_id": f"p{k}", "coupling": way, "ppl": 1 - gain + 0.02 * rng.normal()}
        for k in range(30)
        for way, gain in gains.items()
    )
    ways = compare_ways(study)
    verdicts = {name: way_verdict(ways, name) for name in ways.found}
    assert verdicts == {
        "words-against-optimal": "holds",
        "cosine-against-optimal": "does not hold",
        "words-against-row": "holds",
        "cosine-against-row": "does not hold",
        "optimal-against-row": OPEN,
    }
    assert not centring_agrees(study).any()
    study.loc[study["coupling"] == "centred", "ppl"] = study.loc[
        study["coupling"] == "optimal", "ppl"
    ].to_numpy()
    assert centring_agrees(study).all()


@pytest.mark.parametrize(
    ("interval", "corrected", "expected"),
    [((0.1, 0.2), 0.049, "holds"), ((0.1, 0.2), 0.05, OPEN), ((-0.2, -0.1), 0.01, "does not hold"),
     ((-0.2, -0.1), 0.05, OPEN), ((-0.1, 0.2), 0.01, OPEN)],
)  # fmt: skip
def test_a_verdict_on_a_way_needs_interval_and_p_value(interval, corrected, expected):
    result = PairedComparison(9, 0.0, (0.0, 0.0), 0.0, (0.0, 0.0), 0.1, interval, 0.5, 0.01, 0.0)
    assert way_verdict(Family({"way": result}, {"way": corrected}), "way") == expected


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [([OPEN, "holds", "does not hold"], "holds"), ([OPEN, "does not hold"], OPEN),
     (["does not hold"] * 2, "does not hold")],
)  # fmt: skip
def test_some_way_is_smoother_if_one_is_and_none_if_all_are_rougher(verdicts, expected):
    assert any_smoother(verdicts) == expected


def test_paths_are_compared_before_the_first_and_after_the_last_round():
    rounds = pd.DataFrame(
        {
            "pair_id": ["a"] * 3,
            "coupling": ["row"] * 3,
            "round": [2, 0, 1],
            "gini": [0.1, 0.9, 0.5],
            "ppl": [1.0, 3.0, 2.0],
            "root_sum": [5.0, 4.0, 4.5],
            "maximum_step": [1.0, 9.0, 2.0],
            "extra": [18, 0, 9],
        }
    )
    twice = pd.concat([rounds.assign(seed=0), rounds.assign(seed=1, gini=rounds["gini"] + 0.04)])
    assert before_and_after(twice)["gini"].to_numpy() == pytest.approx(np.array([[0.92, 0.12]]))
    [row] = before_and_after(rounds).to_dict("records")
    assert (row["gini", "before"], row["gini", "after"]) == (0.9, 0.1)
    assert (row["extra", "before"], row["extra", "after"]) == (0, 18)
