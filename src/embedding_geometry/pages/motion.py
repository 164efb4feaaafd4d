"""How pictures move, on a page: of each model that was studied, and after each training.

The tables of the latter, one line for each training, are from the record of motion.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from embedding_geometry.ground.grades import GRADES, MOST_SIMILAR
from embedding_geometry.ground.records import MOTION, Manifest, RecordError
from embedding_geometry.pages.texts import number_text

NAMED = {"what": ("objects", "species"), "where": ("place", "ground")}
"""What a judge is asked, by what the two worlds call it."""


UNLIKE = "grades 0 to 4"


def evenness_medians(paths: pd.DataFrame) -> pd.DataFrame:
    """How even the steps of the median pair are, by grade and over all grades below the highest.

    Args:
        paths: as `statistics.steps.evenness` makes it of a study.

    Returns:
        Index "grade 5" to "grade 0", and `UNLIKE`; columns `largest_step` and `gini`.
    """
    by_grade = paths.groupby("grade").median().sort_index(ascending=False)
    unlike = paths[paths["grade"] < MOST_SIMILAR].median()[by_grade.columns]
    return pd.concat([by_grade.rename(index="grade {}".format), unlike.to_frame(UNLIKE).T])


def evenness_table(medians: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The `evenness_medians` of each model as they are read; a grade that one lacks is a dash."""
    columns = {
        f"{model}: {what}": table[column].map(write)
        for model, table in medians.items()
        for column, what, write in (
            ("largest_step", "largest step", _per_cent),
            ("gini", "Gini", lambda value: number_text(value, 2)),
        )
    }
    lines = [*map("grade {}".format, GRADES), UNLIKE]
    return pd.DataFrame(columns).reindex(lines).dropna(how="all").fillna("–")


def motion_medians(motion: pd.DataFrame, manifest: Manifest) -> pd.DataFrame:
    """How pictures move after each training, in the median pair of grades 0 to 4.

    Args:
        motion: the recorded table, a row for each cause and pair: `cause`, `grade`, and what
            `measure_motion` gives.
        manifest: what it was made with; its `recognised` has what the judge found for each cause.

    Returns:
        By cause, in the order recorded: the `pairs`; the medians of `gini`, of `largest_step`, the
        share of the way in one step, and of `noise`, the noise floor as a share of the mean step;
        the shares of pictures in which the judge names `what` they show and `where`.

    Raises:
        RecordError: there is a cause of which the judge has seen nothing.
    """
    judged: Mapping[str, Mapping[str, float]] = manifest["recognised"]
    if unjudged := set(motion["cause"]) - judged.keys():
        raise RecordError(
            f"of {', '.join(sorted(unjudged))} the manifest does not say what the judge "
            f"recognises; `{MOTION.command}` makes both anew"
        )
    unlike = motion[motion["grade"] < MOST_SIMILAR]
    noise = (unlike["noise_floor"] / unlike["ppl"]).where(unlike["ppl"] > 0, np.nan)
    by_cause = unlike.assign(noise=noise).groupby("cause", sort=False)
    medians = by_cause[["gini", "largest_step", "noise"]].median()
    medians.insert(0, "pairs", by_cause.size())
    for question, names in NAMED.items():
        medians[question] = [
            next(share for name, share in judged[cause].items() if name in names)
            for cause in medians.index
        ]
    return medians


def motion_table(medians: pd.DataFrame) -> pd.DataFrame:
    """The medians of `motion_medians` as they are read, the most even way first."""
    ordered = medians.sort_values("gini", kind="stable").rename_axis(None)
    return pd.DataFrame(
        {
            "pairs": ordered["pairs"],
            "Gini": ordered["gini"].map(lambda value: number_text(value, 2)),
            "largest step": ordered["largest_step"].map(_per_cent),
            "noise floor": ordered["noise"].map(lambda value: number_text(value, 3, percent=True)),
            "named: what": ordered["what"].map(_per_cent),
            "named: where": ordered["where"].map(_per_cent),
        }
    )


def _per_cent(share: float) -> str:
    return number_text(share, 0, percent=True)
