"""The comparison of rivals on every model that has one: the tables and sentences of its page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from embedding_geometry.ground.grades import GRADES
from embedding_geometry.ground.places import short_name
from embedding_geometry.ground.records import (
    RIVALS,
    RIVALS_RETIMING,
    STUDY,
    Manifest,
    read_table,
)
from embedding_geometry.pages.texts import (
    advice_sentences,
    interval_text,
    number_text,
    on_models,
    p_number,
    ratio_text,
    rival_row,
)
from embedding_geometry.statistics import comparisons, rivals
from embedding_geometry.statistics.lipschitz import length_and_constant

MEDIANS = {  # of `rivals.rival_table`, as they are headed, and their decimals
    "ppl": ("PPL", 4),
    "ppl_vgg": ("PPL, VGG16", 4),
    "gini": ("Gini coefficient", 2),
    "maximum_step": ("largest step", 3),
    "realism": ("realism", 3),
    "realism_ends": ("realism to ends", 3),
}
COSTS = {
    "unet_rows": ("rows a frame", 2),
    "distinct": ("pictures", 1),
    "confidence": ("judge is sure", 2),
}
NOTHING = "–"


@dataclass(frozen=True)
class Contest:
    """The rivals on one model.

    Attributes:
        model: its name.
        study: a row for each path.
        manifest: what they were made with.
        kernels: the kernel distances of each way.
        retimed: a row for each round of each path that was re-timed.
    """

    model: str
    study: pd.DataFrame
    manifest: Manifest
    kernels: pd.DataFrame
    retimed: pd.DataFrame

    @cached_property
    def made(self) -> rivals.Rivals:
        """Every way against the two controls."""
        return rivals.compare_rivals(self.study)

    @cached_property
    def points(self) -> pd.DataFrame:
        """The plane of all pairs, relative to row order."""
        return rivals.plane(self.study)

    @property
    def title(self) -> str:
        """Of its panel in a figure."""
        return _titled(self.model, self.points)

    @cached_property
    def retimed_points(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The planes of the paths that were re-timed, before and after."""
        first = self.retimed[self.retimed["round"] == 0]
        return rivals.plane(first), rivals.plane(rivals.last_round(self.retimed))

    @property
    def medians(self) -> pd.DataFrame:
        """Medians over the paths of each way, and what a frame costs."""
        return rivals.rival_table(self.study)

    @property
    def front(self) -> list[str]:
        """The ways that no other way beats."""
        return rivals.pareto_front(self.points)

    @property
    def advice(self) -> rivals.Advice:
        """Which way for whom."""
        return rivals.advise(self.made, self.points, self.medians["unet_rows"])


Contests = Mapping[str, Contest]


def recorded(model_names: Sequence[str]) -> dict[str, Contest]:
    """The comparisons of those models that have one and its re-timing, by short names.

    Raises:
        FileNotFoundError: none of the models has both, or one lacks a table.
        RecordError: a table is damaged or has no rows.
    """
    both = (RIVALS, RIVALS_RETIMING)
    whole = [name for name in model_names if all(each.recorded(name) for each in both)]
    found = {}
    for name in whole or model_names[:1]:
        study, manifest = RIVALS.read(name)
        kernels = read_table(RIVALS.file("_fidelity.csv", name), RIVALS.made_by(name))
        retimed = RIVALS_RETIMING.rows(name)
        found[short_name(name)] = Contest(name, study, manifest, kernels, retimed)
    return found


# --- planes -------------------------------------------------------------------------------------


def planes(found: Contests) -> dict[str, pd.DataFrame]:
    """The plane of each model, by its title."""
    return {each.title: each.points for each in found.values()}


def fronts(found: Contests) -> dict[str, list[str]]:
    """The Pareto fronts of these planes."""
    return {each.title: each.front for each in found.values()}


def grade_planes(found: Contests) -> dict[str, pd.DataFrame]:
    """The planes of each grade: those of all models, the most similar prompts first."""
    by_grade = {model: rivals.planes_by_grade(each.study) for model, each in found.items()}
    return {
        f"{model}, grade {grade}": parts[grade]
        for grade in GRADES
        for model, parts in by_grade.items()
        if grade in parts
    }


def retimed_planes(found: Contests) -> dict[str, pd.DataFrame]:
    """The plane of each model in equal perceptual steps, by its title."""
    after = {each.model: each.retimed_points[1] for each in found.values()}
    return {_titled(model, points): points for model, points in after.items()}


def _titled(model: str, points: pd.DataFrame) -> str:
    return f"{short_name(model)}, n = {points['n'].iloc[0]}"


# --- tables -------------------------------------------------------------------------------------


def by_model(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of texts side by side, each under the name of its model."""
    return pd.concat(tables, axis=1).fillna(NOTHING)


def duel_table(found: Contests, control: str) -> pd.DataFrame:
    """Each way against a control, on each model."""
    lines = {
        model: {way: rival_row(duel) for way, duel in contest.made.against(control).items()}
        for model, contest in found.items()
    }
    return by_model({model: pd.DataFrame(rows).T for model, rows in lines.items()})


def control_table(found: Contests) -> pd.DataFrame:
    """What the measure of fidelity can tell on each model, and what contradicts it."""
    return pd.DataFrame({model: _control(contest) for model, contest in found.items()})


def _control(contest: Contest) -> dict[str, str]:
    made, between = contest.made, rivals.between_latents(contest.study)
    fade = made.against("row")[rivals.NULL].realism
    generous = "generous" if between < rivals.MARGIN else "not generous"
    contradicted = rivals.disagreements(made, contest.kernels)
    return {
        "pairs": str(fade.n),
        "pairs without a ratio": ", ".join(made.left_out) or "none",
        "realism of the cross-fade": ratio_text(fade.ratio, fade.interval),
        "a loss is told": "yes" if made.sensitive else "no",
        "realism differs between latents by": number_text(between, 1, percent=True),
        "beside that the margin is": generous,
        "kernel distance contradicts": ", ".join(contradicted) or "nothing",
    }


def cost_table(found: Contests) -> pd.DataFrame:
    """What a frame of each way costs, how many pictures it shows, and how sure a judge is."""
    return by_model({model: _written(each.medians, COSTS) for model, each in found.items()})


def median_table(found: Contests) -> pd.DataFrame:
    """Medians of all that was measured of each way, one model after the other."""
    return pd.concat({model: _written(each.medians, MEDIANS) for model, each in found.items()})


def _written(medians: pd.DataFrame, columns: Mapping[str, tuple[str, int]]) -> pd.DataFrame:
    """Some columns of the medians as texts, under their headings; none of those that lack."""
    texts = {
        heading: [number_text(value, digits) for value in medians[name]]
        for name, (heading, digits) in columns.items()
        if name in medians
    }
    return pd.DataFrame(texts, index=medians.index.rename(None))


def kernel_table(found: Contests) -> pd.DataFrame:
    """The kernel distance of each way's frames from both references, and less the controls'."""
    parts = {
        (model, str(reference)): _kernels(part)
        for model, each in found.items()
        for reference, part in each.kernels.groupby("reference", sort=False)
    }
    return pd.concat(parts)


def _kernels(kernels: pd.DataFrame) -> pd.DataFrame:
    table: dict[str, dict[str, str]] = {}
    for row in kernels[kernels["grade"] == "all"].to_dict("records"):
        heading = "distance" if row["control"] == "none" else f"less {row['control']}"
        text = ratio_text(row["kid"], (row["low"], row["high"]), digits=3)
        table.setdefault(row["coupling"], {})[heading] = text
    return pd.DataFrame(table).T.fillna(NOTHING)


def timing_table(found: Contests) -> pd.DataFrame:
    """The PPL over row order's before and after re-timing, and how much of it was timing."""
    return by_model({model: _timing(*each.retimed_points) for model, each in found.items()})


def _timing(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """The part is told only where there surely was a difference."""
    parts = rivals.part_of_timing(before, after)
    sure = _surely_differs(before)
    return pd.DataFrame(
        {
            way: {
                "equal times": _ppl(before, way),
                "equal steps": _ppl(after, way),
                "timing": number_text(parts[way], 0, percent=True) if sure[way] else NOTHING,
            }
            for way in map(str, before.index.drop("row"))
        }
    ).T


def _surely_differs(points: pd.DataFrame) -> "pd.Series[bool]":
    """Whether the interval of a way's PPL leaves out row order's."""
    return (points["ppl_low"] > 1) | (points["ppl_high"] < 1)


def _ppl(points: pd.DataFrame, way: str) -> str:
    ratio, low, high = points.loc[[way], ["ppl", "ppl_low", "ppl_high"]].to_numpy()[0].tolist()
    return ratio_text(ratio, (low, high))


def tie_table(ties: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Of `statistics.length_and_constant` on each model the three ratios with their intervals."""
    names = "clouds", "constant", "pictures"
    lines = {
        model: {
            part: {n: ratio_text(row[n], (row[f"{n}_low"], row[f"{n}_high"])) for n in names}
            for part, row in tie.iterrows()
        }
        for model, tie in ties.items()
    }
    return by_model({model: pd.DataFrame(rows).T for model, rows in lines.items()})


def ways_table(study: pd.DataFrame) -> pd.DataFrame:
    """Each way of a study on one latent against the optimal coupling and against row order.

    Improvements of the PPL with their intervals and corrected p-values; without tests the median
    improvement over the optimal coupling in companions of the PPL.
    """
    compared = comparisons.compare_ways(study)
    beside = {
        name: study.pivot(index="pair_id", columns="coupling", values=measure)
        for measure, name in comparisons.MEASURES.items()
        if measure in ("root_sum", "maximum_step")
    }
    table: dict[str, dict[str, str]] = {}
    for name, result in compared.found.items():
        way, _, control = name.partition("-against-")
        low_high = interval_text(result.relative_interval, 1, percent=True)
        effect = number_text(result.relative_improvement, 1, percent=True)
        line = {f"over {control}": f"{effect} [{low_high}]"}
        line |= {f"p, {control}": p_number(compared.corrected[name])}
        for measure, values in beside.items():
            gain = (1 - values[way] / values["optimal"]).median()
            line[measure] = number_text(gain, 1, percent=True)
        table[way] = table.get(way, {}) | line
    return pd.DataFrame(table).T.fillna(NOTHING)


# --- sentences ----------------------------------------------------------------------------------


def advice_lists(found: Contests) -> dict[str, list[str]]:
    """Which way to use, sentences under a head: on each model, and on all of them."""
    lists = {f"On {model}": advice_sentences(each.advice) for model, each in found.items()}
    if len(found) > 1:
        lists["On all of these models"] = [
            f"Better than {name}: {', '.join(better_on_all(found.values(), control)) or 'no way'}."
            for control, name in (("optimal", "the optimal coupling"), ("row", "row order"))
        ]
    return lists


def better_on_all(found: Iterable[Contest], control: str) -> list[str]:
    """The ways that are better than a control on every model."""
    first, *others = (contest.made.better(control) for contest in found)
    return [way for way in first if all(way in other for other in others)]


def glued(found: Contests) -> dict[str, str]:
    """What the prose of the page quotes: counts, the margin, the fronts."""
    first = next(iter(found.values()))
    return {
        "n_rivals": str(first.study["coupling"].nunique()),
        "n_tests": str(2 * len(first.made.duels)),
        "n_retimed": str(first.retimed["pair_id"].nunique()),
        "margin": number_text(rivals.MARGIN, 0, percent=True),
        "floor": number_text(1 - rivals.MARGIN, 2),
        "fronts": on_models({model: each.front for model, each in found.items()}),
        "rivals_front": front_page(found),
        "timing_part": timing_sentence(found),
    }


def front_page(found: Contests) -> str:
    """What the front page of the book says of the rivals, whatever was found.

    Where the measure tells no loss of fidelity, nothing is better, and what is smoother is said.
    """
    better = {model: each.made.better("optimal") for model, each in found.items()}
    smoother = {
        model: [w for w, duel in each.made.against("optimal").items() if duel.smoother == "holds"]
        for model, each in found.items()
    }
    blind = " and ".join(model for model, each in found.items() if not each.made.sensitive)
    sentences = [
        f"Smoother than the optimal coupling at no loss of fidelity: {on_models(better)}",
        f"Smoother, whatever their fidelity: {on_models(smoother)}",
    ]
    if blind:
        sentences.append(
            f"On {blind} the measure of fidelity does not find even the cross-fade to be a loss, "
            "so no way is called better there"
        )
    return ". ".join(sentences)


def timing_sentence(found: Contests) -> str:
    """How much of the differences that surely are there is timing, on each model."""
    medians = []
    for model, each in found.items():
        before, after = each.retimed_points
        parts = rivals.part_of_timing(before, after)[_surely_differs(before)]
        share = number_text(parts.median(), 0, percent=True)
        medians.append(f"{share} on {model} (median of {len(parts)} that surely differ)")
    return f"Of a way's difference from row order, timing makes {' and '.join(medians)}"


def study_ties(model_names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """`statistics.length_and_constant` of the studies of those models that have one."""
    studied = [name for name in model_names if STUDY.recorded(name)]
    return {short_name(name): length_and_constant(STUDY.rows(name)) for name in studied}


def broken_ties(ties: Mapping[str, pd.DataFrame]) -> str:
    """The grades in which the mean constants surely differ, on each model."""
    differ = {
        model: tie.index[(tie["constant_low"] > 1) | (tie["constant_high"] < 1)]
        for model, tie in ties.items()
    }
    return on_models({m: [str(g) for g in grades if g != "all"] for m, grades in differ.items()})
