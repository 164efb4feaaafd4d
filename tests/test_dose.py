"""Dose and response against planted slopes, least squares by numpy, and theorems."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from embedding_geometry.statistics.dose import (
    EXPECTED_SLOPES,
    MixedModelError,
    dose_table,
    fit_mixed_model,
    median_slope,
    page_trend,
    pair_slopes,
    rank_trends,
    sign_test,
)

COUPLINGS = ["optimal", "a", "b", "row", "worst"]


@pytest.fixture
def rng():
    return np.random.default_rng(20251112)


def planted(rng, slope, *, pairs=40, noise=0.05, sd_slope=0.0, sd_seed=0.0, of_name=0.0):
    """A study whose log PPL rises by `slope` per unit of dose, its level over decades by pair.

    Doses grow in the order of COUPLINGS; `of_name` is the rise from one coupling to the next that
    has nothing to do with the length.
    """
    rows = []
    for pair in range(pairs):
        level, own, w2 = rng.normal(-2, 2), rng.normal(slope, sd_slope), rng.uniform(20, 90)
        doses = np.cumsum([0, *rng.uniform(0.05, 0.4, len(COUPLINGS) - 1)])
        for seed in (0, 1):
            shift = rng.normal(0, sd_seed)
            for rank, (coupling, dose) in enumerate(zip(COUPLINGS, doses, strict=True)):
                log_ppl = level + shift + own * dose + of_name * rank + rng.normal(0, noise)
                row = {"pair_id": f"p{pair:02}", "similarity": pair % 6, "seed": seed}
                row |= {"coupling": coupling, "wasserstein_length": w2 * np.exp(dose), "w2": w2}
                rows.append(row | {"ppl": np.exp(log_ppl), "gini": 0.5 + 0.01 * log_ppl})
    return pd.DataFrame(rows)


def at_constant_speed(lengths):
    """Distances of ten equal steps of a path whose images move in proportion to the clouds."""
    steps = np.full(10, 0.01) * np.array(lengths)[:, None] ** 2
    return steps / 100


def test_dose_and_response_are_logarithms(rng):
    study = planted(rng, 1.0, pairs=2)
    table = dose_table(study)
    assert list(table) == ["pair_id", "seed", "coupling", "grade", "dose", "response"]
    np.testing.assert_allclose(np.exp(table["dose"]) * study["w2"], study["wasserstein_length"])
    np.testing.assert_allclose(np.exp(table["response"]), study["ppl"])
    np.testing.assert_allclose(table.loc[table["coupling"] == "optimal", "dose"], 0, atol=1e-12)
    assert dose_table(study, "gini")["response"].equals(study["gini"].rename("response"))


@pytest.mark.parametrize(
    ("column", "value"), [("ppl", 0.0), ("w2", 0.0), ("ppl", np.nan), ("wasserstein_length", 0.0)]
)
def test_a_pair_without_dose_or_logarithm_is_left_out_whole(rng, column, value):
    study = planted(rng, 1.0, pairs=4)
    study.loc[12, column] = value
    assert set(dose_table(study)["pair_id"]) == {"p00", "p02", "p03"}
    with pytest.raises(ValueError, match="10 paths and no pair with both a dose and a ppl"):
        dose_table(study[study["pair_id"] == "p01"])


def test_an_empty_table_is_one_error(rng):
    with pytest.raises(
        ValueError, match="0 paths and no pair with both a dose and a ppl: run the"
    ):
        dose_table(planted(rng, 1.0, pairs=1).iloc[:0])


def test_an_unknown_measure_is_named_with_the_known_ones(rng):
    with pytest.raises(ValueError, match="'fid' is unknown; choose ppl, scaled_mean, max"):
        dose_table(planted(rng, 1.0, pairs=1), "fid")


def test_slopes_without_noise_are_those_planted(rng):
    slopes = pair_slopes(dose_table(planted(rng, -0.7, noise=0, sd_seed=1)))
    np.testing.assert_allclose(slopes, -0.7, rtol=1e-9)


def test_a_slope_is_least_squares_with_a_level_for_each_seed(rng):
    study = planted(rng, 1.3, pairs=3, sd_seed=0.5)
    table = dose_table(study[(study["seed"] == 0) | (study["coupling"] > "b")])
    for pair, part in table.groupby("pair_id"):
        design = np.c_[part["dose"], part["seed"] == 0, part["seed"] == 1].astype(float)
        expected = np.linalg.lstsq(design, part["response"], rcond=None)[0][0]
        assert pair_slopes(table)[pair] == pytest.approx(expected, rel=1e-9)


def test_constant_speed_has_the_expected_slopes():
    lengths = np.array([1.0, 1.2, 1.5, 2.0])
    steps = at_constant_speed(lengths)
    study = pd.DataFrame({"wasserstein_length": lengths, "coupling": list("abcd")})
    study = study.assign(pair_id="p", similarity=5.0, seed=0, w2=1.0, ppl=steps.mean(axis=1))
    study = study.assign(
        scaled_mean=100 * study["ppl"], root_sum=np.sqrt(steps).sum(axis=1),
        maximum_step=steps.max(axis=1), gini=0.0,
    )  # fmt: skip
    found = {name: pair_slopes(dose_table(study, name))["p"] for name in EXPECTED_SLOPES}
    assert found == pytest.approx(EXPECTED_SLOPES)


def test_a_level_of_the_pair_changes_no_slope(rng):
    """The PPL as a multiple of the pair's own row order, or of anything, has the same slope."""
    study = planted(rng, 0.4)
    row = study[(study["coupling"] == "row") & (study["seed"] == 0)].set_index("pair_id")["ppl"]
    ratio = study.assign(ppl=study["ppl"] / study["pair_id"].map(row))
    pd.testing.assert_series_equal(pair_slopes(dose_table(study)), pair_slopes(dose_table(ratio)))


@pytest.mark.parametrize("function", [pair_slopes, rank_trends])
def test_a_pair_of_constant_dose_is_named(rng, function):
    table = dose_table(planted(rng, 1.0, pairs=3))
    table.loc[table["pair_id"] == "p01", "dose"] = 0.1
    with pytest.raises(ValueError, match="does not vary in pair p01: a slope needs"):
        function(table)
    with pytest.raises(ValueError, match="does not vary in an empty table"):
        function(table.iloc[:0])


def test_rank_trends_are_scipys_averaged_over_the_seeds(rng):
    table = dose_table(planted(rng, 0.2, pairs=5, noise=0.2))
    found = rank_trends(table)
    for pair, part in table.groupby("pair_id"):
        seeds = [
            stats.spearmanr(s["dose"], s["response"]).statistic for _, s in part.groupby("seed")
        ]
        assert found[pair] == pytest.approx(np.mean(seeds))


def test_a_response_that_never_changes_has_no_trend(rng):
    table = dose_table(planted(rng, 1.0, pairs=3))
    table.loc[table["pair_id"] == "p01", "response"] = 1.0
    assert rank_trends(table)["p01"] == 0


@pytest.mark.parametrize(("slope", "found"), [(1.5, True), (0.0, False)])
def test_only_a_planted_slope_is_found(rng, slope, found):
    table = dose_table(planted(rng, slope, sd_slope=0.3, noise=0.1))
    median = median_slope(pair_slopes(table))
    assert (median.interval[0] > 0) is found
    assert median.interval[0] < slope < median.interval[1]
    assert (sign_test(rank_trends(table)).p_value < 0.001) is found
    assert (page_trend(table, COUPLINGS) < 0.001) is found
    model = fit_mixed_model(table)
    assert (model.interval[0] > 0) is found
    assert (model.p_value < 0.001) is found


def test_sign_test_by_hand():
    found = sign_test(pd.Series([0.5, 0.1, 0.2, -0.1, 0.0]))
    assert found.share == pytest.approx(0.7)  # three of five, and half of the tie
    assert found.p_value == pytest.approx(10 / 16)  # 3 or more, or 1 or fewer, of 4 coins
    assert sign_test(pd.Series([0.0, 0.0])).p_value == 1
    with pytest.raises(ValueError, match="the table is empty"):
        sign_test(pd.Series([], dtype=float))


def test_page_trend_is_about_the_order(rng):
    table = dose_table(planted(rng, 1.0))
    assert page_trend(table, COUPLINGS) < 1e-6
    assert page_trend(table, COUPLINGS[::-1]) > 1 - 1e-6


def test_page_trend_needs_every_coupling_of_every_pair(rng):
    table = dose_table(planted(rng, 1.0, pairs=3)).iloc[1:]
    with pytest.raises(ValueError, match="1 paths of optimal are missing on the first seed"):
        page_trend(table, COUPLINGS)
    with pytest.raises(ValueError, match="of random are missing"):
        page_trend(table, [*COUPLINGS[1:], "random"])


def test_mixed_model_finds_the_planted_variances(rng):
    study = planted(rng, 1.0, pairs=120, noise=0.05, sd_slope=0.5, sd_seed=0.3)
    model = fit_mixed_model(dose_table(study))
    assert (model.pairs, model.cells, model.sd_slope > 0) == (120, 1200, True)
    assert model.interval[0] < 1.0 < model.interval[1]
    assert model.sd_slope == pytest.approx(0.5, rel=0.2)
    assert model.sd_pair == pytest.approx(2, rel=0.2)
    assert model.sd_seed == pytest.approx(0.3, rel=0.2)
    assert model.sd_residual == pytest.approx(0.05, rel=0.1)


def test_the_unit_of_the_response_does_not_decide_what_is_left_out(rng):
    table = dose_table(planted(rng, 1.0, noise=0.05, sd_slope=0.5, sd_seed=0.08))
    small = table.assign(response=table["response"] / 100)
    model, scaled = fit_mixed_model(table), fit_mixed_model(small)
    assert model.sd_seed == pytest.approx(0.08, rel=0.3)
    assert scaled.sd_slope > 0
    assert scaled.sd_seed == pytest.approx(model.sd_seed / 100, rel=0.05)


def test_mixed_model_without_seeds_that_differ_leaves_them_out(rng):
    model = fit_mixed_model(dose_table(planted(rng, 1.0, sd_slope=0.5)))
    assert model.sd_seed < 0.02
    assert model.interval[0] < 1.0 < model.interval[1]


def test_mixed_model_of_balanced_pairs_is_the_mean_of_their_slopes(rng):
    """With the same doses in every pair, the fixed slope is the mean of the pairs' slopes."""
    study = planted(rng, 0.8, sd_slope=0.4, sd_seed=0.2)
    study["wasserstein_length"] = study["w2"] * study["coupling"].map(
        dict(zip(COUPLINGS, [1, 1.2, 1.4, 1.7, 2], strict=True))
    )
    table = dose_table(study)
    model, slopes = fit_mixed_model(table), pair_slopes(table)
    assert model.slope == pytest.approx(slopes.mean(), rel=1e-3)
    margin = 1.96 * slopes.sem()
    assert model.interval == pytest.approx(
        (slopes.mean() - margin, slopes.mean() + margin), rel=0.01
    )


@pytest.mark.parametrize(("slope", "found"), [(1.5, True), (0.0, False)])
def test_the_effect_beyond_the_name_is_that_of_the_length_alone(rng, slope, found):
    """A rise that goes with the name is the name's; without it, the length seems to matter."""
    table = dose_table(planted(rng, slope, of_name=0.3))
    assert fit_mixed_model(table).slope > slope + 0.5
    beyond = fit_mixed_model(table, by_coupling=True)
    assert beyond.interval[0] < slope < beyond.interval[1]
    assert (beyond.interval[0] > 0) is found


def test_mixed_model_needs_pairs_and_says_when_it_does_not_converge(rng):
    with pytest.raises(ValueError, match="three or more; got 2"):
        fit_mixed_model(dose_table(planted(rng, 1.0, pairs=2)))
    constant = dose_table(planted(rng, 1.0, pairs=4)).assign(response=1.0)
    with pytest.raises(MixedModelError, match="40 paths of 4 pairs does not converge"):
        fit_mixed_model(constant)
