"""The table by prompt pair, and the pair that represents a grade."""

import numpy as np
import pandas as pd
from study_tables import study_table

from embedding_geometry.statistics import by_pair


def test_pairs_average_over_latents_and_compare_within_the_pair():
    study = study_table({"a": (0.4, 0.3), "b": (0.2, 0.3)})
    study.loc[study["seed"] == 1, "ppl"] *= 3
    pairs = by_pair.by_pair(study)
    np.testing.assert_allclose(pairs.loc["a", ["row", "optimal"]].astype(float), [0.8, 0.6])
    np.testing.assert_allclose(pairs["improvement"], [0.25, -0.5])
    assert pairs["grade"].tolist() == [5, 5]


def test_coupling_of_one_latent_alone_is_not_averaged_with_the_others():
    study = study_table({"a": (0.4, 0.3)})
    worst = study.iloc[[0]].assign(coupling="worst")
    assert "worst" not in by_pair.by_pair(pd.concat([study, worst]))


def test_equal_prompts_have_nothing_to_improve():
    assert by_pair.by_pair(study_table({"a": (0.0, 0.0)}))["improvement"].tolist() == [0.0]


def test_representative_pair_is_the_median_of_its_grade():
    high = study_table({f"h{k}": (1.0, 1.0 - gain) for k, gain in enumerate([0.5, 0.1, 0.3])})
    low = study_table(
        {f"l{k}": (1.0, 1.0 - gain) for k, gain in enumerate([0.4, 0.2, 0.1, 0.3])}, grade=0.0
    )
    pairs = by_pair.by_pair(pd.concat([low, high]))
    assert by_pair.representative_pairs(pairs) == ["h2", "l1"]  # most similar first, lower middle


def test_representative_pair_does_not_depend_on_the_order_of_the_table():
    pairs = by_pair.by_pair(study_table({f"p{k}": (1.0, 0.9) for k in range(5)}))
    assert by_pair.representative_pairs(pairs.iloc[::-1]) == ["p2"]
