r"""Dose and response: the longer the path of clouds, the longer the path of images?

A pair of prompts is joined along couplings of graded cost. The *dose* of a path is the logarithm
of its length in Wasserstein space over the distance of its ends, :math:`\log(L / W_2)`, which is
0 along the optimal coupling; the *response* is the logarithm of a measure of its images. A slope
between the two is an elasticity: if images moved in proportion to clouds, at constant speed, every
LPIPS distance, being a square, would grow like :math:`L^2` (`EXPECTED_SLOPES`).

Pairs differ in their level by decades, and in logarithms a level is a constant of the pair. So
slopes are taken within pairs, and a pair's level, be it the PPL of its own row order or any other,
cancels. Every `table` below is one that `dose_table` makes of a study's.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.tools.sm_exceptions import ModelWarning

from embedding_geometry.ground.grades import MOST_SIMILAR, RIGID, grade
from embedding_geometry.statistics.by_pair import SEED, of_first_seed
from embedding_geometry.statistics.estimates import Interval, median_interval

# Slopes at constant speed: of squared distances, of their roots, and of a ratio without a unit.
EXPECTED_SLOPES = {"ppl": 2, "scaled_mean": 2, "maximum_step": 2, "root_sum": 1, "gini": 0}
AT_THE_BOUND = 1e-4  # a variance below this share of the residual variance counts as 0
NOT_IN_LOGARITHMS = ("gini",)  # it has no unit and may be 0


class MixedModelError(RuntimeError):
    """A mixed-effects model could not be fitted to the table."""


@dataclass(frozen=True)
class MedianSlope:
    """Median over pairs of the slope within a pair, its bootstrap interval, and the n pairs."""

    estimate: float
    interval: Interval
    n: int


@dataclass(frozen=True)
class SignTest:
    """Share of pairs with a positive trend, ties counting half; two-sided p-value; n pairs."""

    share: float
    p_value: float
    n: int


@dataclass(frozen=True)
class MixedModel:
    """What `fit_mixed_model` finds.

    Attributes:
        slope: response per unit of dose, for the average pair.
        interval: Wald interval of `slope` at 95 %.
        p_value: two-sided, of "the slope is 0".
        pairs: number of pairs.
        cells: number of paths.
        sd_slope: standard deviation of the slopes over pairs; 0 where no pair has its own.
        sd_pair: standard deviation of the level over pairs, at dose 0.
        sd_seed: standard deviation of the level over the seeds of a pair; 0 where left out.
        sd_residual: standard deviation of what is left.
    """

    slope: float
    interval: Interval
    p_value: float
    pairs: int
    cells: int
    sd_slope: float
    sd_pair: float
    sd_seed: float
    sd_residual: float


def dose_table(study: pd.DataFrame, measure: str = "ppl") -> pd.DataFrame:
    """Dose and response of every path of a study, for a measure of `EXPECTED_SLOPES`.

    A pair with equal ends has no dose, and one with a measure of 0, as when two images are the
    same, has no logarithm of it. Such a pair is left out whole, so that the rest is complete;
    compare the numbers of pairs to say how many there are.

    Returns:
        Columns `pair_id`, `grade` (the similarity rounded to a whole number), `seed`, `coupling`,
        `dose` and `response`, in the order of the study.

    Raises:
        ValueError: The measure is unknown, the table is empty, or no pair in it has dose and
            response.
    """
    if measure not in EXPECTED_SLOPES:
        raise ValueError(f"measure {measure!r} is unknown; choose {', '.join(EXPECTED_SLOPES)}")
    usable = (study["w2"] > 0) & (study["wasserstein_length"] > 0) & np.isfinite(study[measure])
    if measure not in NOT_IN_LOGARITHMS:
        usable &= study[measure] > 0
    whole = study[~study["pair_id"].isin(study.loc[~usable, "pair_id"])]
    if whole.empty:
        raise ValueError(
            f"the table has {len(study)} paths and no pair with both a dose and a {measure}: "
            "run the study, or take pairs of different prompts"
        )
    response = whole[measure] if measure in NOT_IN_LOGARITHMS else np.log(whole[measure])
    return whole[["pair_id", "seed", "coupling"]].assign(
        grade=whole["similarity"].map(grade),
        dose=np.log(whole["wasserstein_length"] / whole["w2"]),
        response=response,
    )


def pair_slopes(table: pd.DataFrame) -> pd.Series:
    """Least-squares slope of each pair: each of its seeds has its own level, all have one slope.

    Returns:
        The slopes, indexed by `pair_id`.

    Raises:
        ValueError: A pair has the same dose on all its paths.
    """
    dose, response = _within_seeds(table)
    products = pd.DataFrame({"xy": dose * response, "xx": dose**2})
    sums = products.groupby(table["pair_id"]).sum()
    return sums["xy"] / sums["xx"]


def rank_trends(table: pd.DataFrame) -> pd.Series:
    """Rank correlation of dose and response within each pair and seed, averaged over its seeds.

    Returns:
        Spearman's correlations, indexed by `pair_id`; a response that never changes counts as 0.

    Raises:
        ValueError: A pair has the same dose on all its paths.
    """
    seeds = table.groupby(["pair_id", "seed"], sort=False)[["dose", "response"]]
    dose, response = _within_seeds(table.assign(**seeds.rank()))
    keys = [table["pair_id"], table["seed"]]
    products = pd.DataFrame({"xy": dose * response, "xx": dose**2, "yy": response**2})
    sums = products.groupby(keys).sum()
    varying = sums["yy"].where(sums["yy"] > 0, np.inf)
    return (sums["xy"] / np.sqrt(sums["xx"] * varying)).groupby("pair_id").mean()


def median_slope(slopes: pd.Series) -> MedianSlope:
    """Median of the pairs' slopes with its BCa interval at 95 %, resampled from one fixed seed.

    Raises:
        ValueError: There are fewer than two pairs.
    """
    values = slopes.to_numpy(dtype=float)
    interval = median_interval(values, SEED)
    return MedianSlope(float(np.median(values)), interval, len(values))


def same_scene_slope(study: pd.DataFrame, picked: pd.Series) -> tuple[MedianSlope, float]:
    """Median slope of the pairs of grade 5 outside the control, and whether it is above zero.

    The pairs that suggested the question, picked by their `pair_id`, are left out.

    Returns:
        The slope, and the one-sided p-value of Wilcoxon's signed-rank test.
    """
    same = (study["stratum"] != RIGID) & (study["similarity"] == MOST_SIMILAR)
    slopes = pair_slopes(dose_table(study[same & ~study["pair_id"].isin(picked)]))
    return median_slope(slopes), float(stats.wilcoxon(slopes, alternative="greater").pvalue)


def sign_test(trends: pd.Series) -> SignTest:
    """Test whether more pairs rise than fall (Dixon & Mood 1946); ties do not take part.

    Raises:
        ValueError: There is no pair.
    """
    if trends.empty:
        raise ValueError("a sign test needs one pair at least; the table is empty")
    signs = np.sign(trends.to_numpy(dtype=float))
    rising, moving = int((signs > 0).sum()), int((signs != 0).sum())
    p_value = float(stats.binomtest(rising, moving).pvalue) if moving else 1.0
    return SignTest(float(np.mean((1 + signs) / 2)), p_value, len(signs))


def page_trend(table: pd.DataFrame, couplings: Sequence[str]) -> float:
    """One-sided p-value of Page's test that the response rises along an order (Page 1963).

    Only the table's first seed is used, on which all couplings are computed; they stand in the
    order in which the response is predicted to rise.

    Raises:
        ValueError: A pair lacks one of the couplings on the first seed.
    """
    by_coupling = of_first_seed(table).pivot(
        index="pair_id", columns="coupling", values="response"
    )
    values = by_coupling.reindex(columns=list(couplings))
    if values.isna().any(axis=None):
        raise ValueError(
            f"Page's test needs every pair under every coupling, but {values.isna().sum().sum()} "
            f"paths of {', '.join(values.columns[values.isna().any()])} are missing on the first "
            "seed: finish the study"
        )
    return float(stats.page_trend_test(values.to_numpy(), method="asymptotic").pvalue)


def fit_mixed_model(table: pd.DataFrame, *, by_coupling: bool = False) -> MixedModel:
    """Mixed-effects model of the response (Laird & Ware 1982), fitted by restricted likelihood.

    Each pair has its own level and slope, normally distributed over pairs, and each seed of a pair
    its own shift of the level. A model counts only where statsmodels has no doubt about its
    convergence. Where the likelihood is greatest with a variance on its bound of 0, that part is
    left out: first the seeds' shift, then the pairs' own slopes, then both. `sd_slope` and
    `sd_seed` tell. With `by_coupling` each coupling's name has a level of its own, too; the slope
    is then the effect of the length beyond the name.

    Raises:
        ValueError: The table has fewer than three pairs.
        MixedModelError: The fit does not converge with a level for each pair alone.
    """
    pairs = table["pair_id"].nunique()
    if pairs < 3:
        raise ValueError(f"a mixed-effects model over pairs needs three or more; got {pairs}")
    formula = "response ~ dose" + (" + C(coupling)" if by_coupling else "")
    for random_slope, seeds in ((True, True), (True, False), (False, True), (False, False)):
        found = _fit(table, formula, random_slope, seeds)
        if found is not None:
            return found
    raise MixedModelError(
        f"the mixed-effects model of {len(table)} paths of {pairs} pairs does not "
        "converge; look at the slopes of the single pairs instead"
    )


def _within_seeds(table: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Dose and response less their means over the pair and seed, once the dose varies there."""
    seeds = table.groupby(["pair_id", "seed"], sort=False)
    flat = table.loc[seeds["dose"].transform(np.ptp) < 1e-9, "pair_id"]
    if table.empty or len(flat):
        where = f"in pair {flat.iloc[0]}" if len(flat) else "in an empty table"
        raise ValueError(
            f"the dose does not vary {where}: a slope needs couplings of different length"
        )
    means = seeds[["dose", "response"]].transform("mean")
    return table["dose"] - means["dose"], table["response"] - means["response"]


def _fit(table: pd.DataFrame, formula: str, random_slope: bool, seeds: bool) -> MixedModel | None:
    """The fitted model, or None where the likelihood has no maximum inside its bounds."""
    model = smf.mixedlm(
        formula,
        table,
        groups="pair_id",
        re_formula="~ dose" if random_slope else "~ 1",
        vc_formula={"seed": "0 + C(seed)"} if seeds else None,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", ModelWarning)
        # statsmodels takes 0.01 for the bound, in whatever unit the response has
        warnings.filterwarnings("ignore", message="The MLE may be on the boundary")
        warnings.simplefilter("ignore", RuntimeWarning)  # of steps outside the bounds, taken back
        try:
            # levels that differ by decades throw optimizers off that follow the gradient; at the
            # looser default of ftol the second decimal would hang on rounding
            result = model.fit(reml=True, method="powell", ftol=1e-10)
        except (ModelWarning, np.linalg.LinAlgError):
            return None
    variances = np.diag(np.asarray(result.cov_re))
    least = AT_THE_BOUND * result.scale
    if not np.isfinite(result.llf) or not (np.r_[variances, result.vcomp] > least).all():
        return None
    low, high = result.conf_int().loc["dose"]
    return MixedModel(
        slope=float(result.fe_params["dose"]),
        interval=(float(low), float(high)),
        p_value=float(result.pvalues["dose"]),
        pairs=int(table["pair_id"].nunique()),
        cells=len(table),
        sd_slope=float(np.sqrt(variances[1])) if random_slope else 0.0,
        sd_pair=float(np.sqrt(variances[0])),
        sd_seed=float(np.sqrt(result.vcomp.sum())),
        sd_residual=float(np.sqrt(result.scale)),
    )
