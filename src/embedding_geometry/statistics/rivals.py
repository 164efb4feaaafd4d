"""Every way against two others, by smoothness *and* fidelity: which is better, and at what cost?

The smoothest way of all shows two pictures at once, so a way is called *better* than another only
if it is smoother at no loss of fidelity. Both are judged by intervals of geometric mean ratios
over the pairs of prompts, a pair's value being the mean over its initial latents:

- *smoother*: the whole interval of the ratio of the PPLs is below 1, and the p-value, corrected
  for all tests made here, is below the level;
- *no loss*: the interval of the ratio of the realisms does not reach below 1 less a margin
  (`MARGIN`). It is a loss if all of it lies there, and open otherwise. This is a test of
  non-inferiority at 2.5 % (D'Agostino, Massaro and Sullivan, Statistics in Medicine 2003).

A measure that tells nothing apart would find no loss anywhere. So there is a control: against row
order the *cross-fade* has to be a loss. If it is not, nothing is said about fidelity, and no way
is better.

Every `table` has columns `pair_id`, `coupling`, `seed`, `ppl`, `realism`, and one with grades
`similarity`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from embedding_geometry.ground.grades import GRADES, grade
from embedding_geometry.statistics.by_pair import ratio, ratios
from embedding_geometry.statistics.estimates import Interval
from embedding_geometry.statistics.paired import PairedRatio
from embedding_geometry.statistics.verdicts import LEVEL, Verdict, holm, verdict

MARGIN = 0.05  # of realism, which may be lost; the protocol says why
CONTROLS = ("optimal", "row")
NULL = "cross-fade"  # the way that is smooth and false
OPEN: Verdict = "undecided on this model"
SMOOTH, FAITHFUL = "ppl", "realism"
LEAST_PAIRS = 3  # of a grade, for intervals
SMOOTHNESS = ("ppl", "ppl_vgg", "gini", "maximum_step", "distinct")
MEDIANS = (*SMOOTHNESS, "realism", "realism_ends", "confidence")


@dataclass(frozen=True)
class Duel:
    """A way against another.

    Attributes:
        way: the one.
        control: the other.
        ppl: ratio of their PPLs, below 1 where the way is smoother.
        realism: ratio of their realisms, above 1 where the way is more faithful.
        corrected: p-value of `ppl` as Holm corrects it.
        sensitive: whether the study can tell a loss of fidelity, see `Rivals`.
    """

    way: str
    control: str
    ppl: PairedRatio
    realism: PairedRatio
    corrected: float
    sensitive: bool

    @property
    def smoother(self) -> Verdict:
        """Whether the way is smoother than the control; it is rougher where that does not hold."""
        low, high = self.ppl.interval
        return verdict(1 - high, 1 - low) if self.corrected < LEVEL else OPEN

    @property
    def faithful(self) -> Verdict:
        """Whether the way is no loss of fidelity; it is one where that does not hold."""
        return no_loss(self.realism.interval) if self.sensitive else OPEN

    @property
    def better(self) -> Verdict:
        """Whether the way is smoother at no loss of fidelity."""
        both = {self.smoother, self.faithful}
        if both == {"holds"}:
            return "holds"
        return "does not hold" if "does not hold" in both else OPEN


@dataclass(frozen=True)
class Rivals:
    """What is asked of a study of rivals.

    Attributes:
        duels: every way against each control, the one control against the other, in the order of
            the study's ways.
        left_out: the pairs in which some way has a PPL of 0, which has no logarithm.
        sensitive: whether the cross-fade is found to be a loss of fidelity against row order.
    """

    duels: Sequence[Duel]
    left_out: Sequence[str]
    sensitive: bool

    def against(self, control: str) -> dict[str, Duel]:
        """The duels against a control, by the way."""
        return {duel.way: duel for duel in self.duels if duel.control == control}

    def better(self, control: str) -> list[str]:
        """The ways that are better than a control."""
        return [way for way, duel in self.against(control).items() if duel.better == "holds"]


def no_loss(interval: Interval) -> Verdict:
    """Whether a ratio of realisms is no loss beyond the margin, from its interval."""
    low, high = interval
    return verdict(low - (1 - MARGIN), high - (1 - MARGIN))


def compare_rivals(table: pd.DataFrame) -> Rivals:
    """Compare every way of a study with the two controls, and these with each other.

    All p-values are corrected together, those of realism too, though no verdict asks for them.

    Raises:
        KeyError: the study lacks a control or the cross-fade.
    """
    values, left_out = by_way(table)
    ways = [str(way) for way in values[SMOOTH]]
    asked = [(way, c) for c in CONTROLS for way in ways if way not in CONTROLS] + [CONTROLS]
    found = {
        (way, c): (ratio(values[SMOOTH], way, c), ratio(values[FAITHFUL], way, c))
        for way, c in asked
    }
    p_values = holm([each.p_value for both in found.values() for each in both])
    _, faithful = found[NULL, "row"]
    sensitive = no_loss(faithful.interval) == "does not hold"
    duels = [
        Duel(way, control, *both, float(corrected), sensitive)
        for ((way, control), both), corrected in zip(found.items(), p_values[::2], strict=True)
    ]
    return Rivals(duels, left_out, sensitive)


def by_way(table: pd.DataFrame) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """PPL and realism by pair and way, means over latents; the pairs that are left out.

    Returns:
        For each measure a table: index `pair_id`, a column for each way in the study's order.
    """
    ways = table["coupling"].unique()
    values = {
        measure: table.pivot_table(index="pair_id", columns="coupling", values=measure)[ways]
        for measure in (SMOOTH, FAITHFUL)
    }
    moving = (values[SMOOTH] > 0).all(axis=1)
    return {measure: each[moving] for measure, each in values.items()}, [*moving.index[~moving]]


def between_latents(table: pd.DataFrame) -> float:
    """By how much realism differs between latents alone, what the margin is held against.

    Returns:
        The median over pairs and ways of the share by which the least faithful latent of each
        falls short of the most faithful one.

    Raises:
        ValueError: there is one latent only.
    """
    if table["seed"].nunique() < 2:
        raise ValueError("the study has one initial latent, and two or more are compared")
    latents = table.groupby(["pair_id", "coupling"])[FAITHFUL]
    return float((1 - latents.min() / latents.max()).median())


def disagreements(made: Rivals, kernels: pd.DataFrame) -> list[str]:
    """The duels in which kernel distance and realism contradict each other, both surely.

    Args:
        made: the duels.
        kernels: a study's table of kernel distances, see `study.fidelity.kernel_table`.

    Returns:
        Names such as "outer against row": of those two, one is the more faithful by the whole
        interval of realism, and the other by the whole interval of the kernel distance from the
        held-out pictures.
    """
    overall = kernels[(kernels["grade"] == "all") & (kernels["reference"] == "held-out")]
    ends = overall.set_index(["coupling", "control"])[["low", "high"]]
    found = []
    for duel in made.duels:
        nearest, farthest = ends.loc[(duel.way, duel.control), :].to_numpy()
        low, high = duel.realism.interval
        if (nearest > 0 and low > 1) or (farthest < 0 and high < 1):
            found.append(f"{duel.way} against {duel.control}")
    return found


# --- the plane ----------------------------------------------------------------------------------


def plane(table: pd.DataFrame) -> pd.DataFrame:
    """Each way as a point of smoothness and fidelity, relative to row order within the pairs.

    The levels of pairs differ 20-fold and would hide what differs between ways; relative to one of
    the ways they cancel.

    Returns:
        Index: the ways, row order with them; columns `ppl` and `realism`, ratios to row order's,
        their intervals `ppl_low`, `ppl_high`, `realism_low`, `realism_high`, and `n`.
    """
    values, _ = by_way(table)
    rows = {way: ratios(values, way, "row") for way in map(str, values[SMOOTH])}
    return pd.DataFrame(rows).T.astype({"n": int})


def planes_by_grade(table: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """`plane` for each grade that has three pairs or more, the most similar first."""
    grades = table["similarity"].map(grade)
    parts = {each: table[grades == each] for each in GRADES}
    return {
        each: plane(part)
        for each, part in parts.items()
        if part["pair_id"].nunique() >= LEAST_PAIRS
    }


def pareto_front(points: pd.DataFrame) -> list[str]:
    """The ways that no other beats, from the smoothest to the most faithful.

    One way beats another if it is as smooth and as faithful, and more of one of the two. Estimates
    alone are looked at: the front says what may be chosen, not what is certain.
    """
    smooth, faithful = points[SMOOTH].to_numpy(), points[FAITHFUL].to_numpy()
    as_good = (smooth[:, None] <= smooth) & (faithful[:, None] >= faithful)
    beats = as_good & ~as_good.T
    unbeaten = np.flatnonzero(~beats.any(axis=0))
    return list(points.index[unbeaten[np.argsort(smooth[unbeaten])]])


# --- what it costs, and what follows ------------------------------------------------------------


def rival_table(table: pd.DataFrame) -> pd.DataFrame:
    """Medians over the paths of each way.

    Returns:
        Index: the ways; columns `ppl`, `gini`, `maximum_step`, `distinct`, `realism` and, where
        they were measured, `realism_ends`, `ppl_vgg` and `confidence`; `unet_rows` a frame, mean.
    """
    measured = {name: "median" for name in MEDIANS if name in table} | {"unet_rows": "mean"}
    return table.groupby("coupling", sort=False).agg(measured)


def last_round(retimed: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table of re-timed paths after the last round of each."""
    path = retimed.groupby(["pair_id", "coupling", "seed"])["round"]
    return retimed[retimed["round"] == path.transform("max")]


def part_of_timing(before: pd.DataFrame, after: pd.DataFrame) -> "pd.Series[float]":
    """How much of the difference in PPL from row order is timing, a share for each way.

    Args:
        before: `plane` of paths at equal times.
        after: the same of these paths at equal perceptual steps.

    Returns:
        1 where re-timing leaves no difference, 0 where it leaves all, below 0 where it adds to it;
        in logarithms. NaN for row order itself.
    """
    left, whole = np.log(after[SMOOTH]), np.log(before[SMOOTH])
    return (1 - left / whole.where(whole != 0)).rename("part of timing")


@dataclass(frozen=True)
class Advice:
    """Which way for whom, as names that may be none.

    Attributes:
        sensitive: whether the study can tell a loss of fidelity; if not, nothing is better.
        better: for each control the ways that are better than it.
        traps: smoother than row order, but a loss of fidelity.
        open: for each control the ways of which neither is known.
        thrifty: the smoothest of the ways that are better than row order and take no more rows of
            the UNet than it; row order itself where there is none.
        front: the Pareto front.
    """

    sensitive: bool
    better: Mapping[str, Sequence[str]]
    traps: Sequence[str]
    open: Mapping[str, Sequence[str]]
    thrifty: str
    front: Sequence[str]


def advise(rivals: Rivals, points: pd.DataFrame, rows: "pd.Series[float]") -> Advice:
    """What follows from the duels for somebody who wants to go from one prompt to another.

    Args:
        rivals: the duels.
        points: of `plane`.
        rows: of the UNet a frame, for each way.
    """
    affordable = [way for way in rivals.better("row") if rows[way] <= rows["row"]]
    return Advice(
        sensitive=rivals.sensitive,
        better={control: rivals.better(control) for control in CONTROLS},
        traps=[
            way
            for way, duel in rivals.against("row").items()
            if duel.smoother == "holds" and duel.faithful == "does not hold"
        ],
        open={c: [w for w, d in rivals.against(c).items() if d.better == OPEN] for c in CONTROLS},
        thrifty=str(points.loc[["row", *affordable], SMOOTH].idxmin()),
        front=pareto_front(points),
    )
