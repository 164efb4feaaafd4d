"""How evenly the pictures of a path change: what share of its PPL lies in which step.

A path of n frames has n - 1 steps. Of even ones each holds a share of 1/(n - 1), and a picture
that flips has nearly all in one. Pairs of the rigid control are left out, and so are paths on
which nothing changes, of which no step has a share.
"""

import pandas as pd

from embedding_geometry.ground.grades import RIGID, grade
from embedding_geometry.statistics.lipschitz import QUARTILES

PATH = ["pair_id", "seed"]  # of one coupling


def step_shares(study: pd.DataFrame, steps: pd.DataFrame) -> pd.DataFrame:
    """The share of every step in the PPL of each pair in row order, mean over initial latents.

    Args:
        study: a study's table, one row per path.
        steps: its steps, of equal number on all paths: `pair_id`, `coupling`, `seed`, `step`,
            `distance`.

    Returns:
        A row for each pair and step: `grade`, `pair_id`, `time`, the middle of the step, and
        `share`; the shares of a pair add up to 1.
    """
    moving = _moving(study, "row")[[*PATH, "grade", "total"]]
    along = steps[steps["coupling"] == "row"].merge(moving, on=PATH, validate="many_to_one")
    along["share"] = along["distance"] / along["total"]
    along["time"] = (along["step"] + 0.5) / (along["step"].max() + 1)
    return along.groupby(["grade", "pair_id", "time"])["share"].mean().reset_index()


def step_profile(shares: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles of the shares over the pairs of each grade, at each time.

    Returns:
        Index `grade` and `time`; columns `low`, `median`, `high`, and `n`, the number of pairs.
    """
    grouped = shares.groupby(["grade", "time"])["share"]
    profile = {name: grouped.quantile(share) for name, share in QUARTILES.items()}
    return pd.DataFrame(profile | {"n": grouped.size()})


def evenness(study: pd.DataFrame, coupling: str = "row") -> pd.DataFrame:
    """How even the steps of each pair's paths are, mean over its initial latents.

    Returns:
        Index `pair_id`; columns `grade`, `largest_step`, the share of the PPL that lies in one
        step, and `gini`, the Gini coefficient of the steps.
    """
    paths = _moving(study, coupling)
    paths = paths.assign(largest_step=paths["maximum_step"] / paths["total"])
    by_pair = paths.groupby(["pair_id", "grade"])[["largest_step", "gini"]].mean()
    return by_pair.reset_index("grade")


def _moving(study: pd.DataFrame, coupling: str) -> pd.DataFrame:
    """The paths along a coupling on which something changes, with their grade."""
    along, free = study["coupling"] == coupling, study["stratum"] != RIGID
    paths = study[along & free & (study["total"] > 0)]
    return paths.assign(grade=paths["similarity"].map(grade))
