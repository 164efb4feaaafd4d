r"""How much a picture changes where its cloud moves: the local Lipschitz constant along a path.

Cloud → image is a map of measures to pictures. Between frames k and k + 1 of a path it stretches

.. math:: c_k = \frac{\sqrt{\delta_k}}{W(z_k, z_{k+1})},

with :math:`\delta_k` the LPIPS of the two frames, a squared distance, and W the Wasserstein
distance of their clouds (in the poster's units, without 1/n under the root). The length of a path
of pictures is then the length of the path of clouds times the mean of these constants,

.. math:: \sum_k \sqrt{\delta_k} = L \cdot \overline{c}, \qquad L = \sum_k W(z_k, z_{k+1}),

so a shorter path of clouds makes a shorter path of pictures as far as the constants along it are
the same. Where they are not, the tie breaks; `length_and_constant` says how much is which.

Along straight lines every step moves each token by the same vector, so the steps are equally long
as long as each token stays nearest to its own next place; on pocket's clouds they are to about a
per cent, and exactly along the optimal coupling. So :math:`c_k` is found of a study's tables
alone, as :math:`\sqrt{\delta_k} / (L / (n - 1))` for n frames.
"""

import numpy as np
import pandas as pd

from embedding_geometry.ground.grades import grade
from embedding_geometry.statistics.estimates import with_ends
from embedding_geometry.statistics.paired import paired_ratio

CELL = ["pair_id", "coupling", "seed"]
QUARTILES = {"low": 0.25, "median": 0.5, "high": 0.75}


def local_constants(steps: pd.DataFrame, study: pd.DataFrame) -> pd.DataFrame:
    """The local constant of every step of a study's paths along straight lines.

    Args:
        steps: a study's steps: `pair_id`, `coupling`, `seed`, `step`, `distance`.
        study: its table; paths of which no cloud moves are left out.

    Returns:
        A row for each step: the pair's `grade`, `pair_id`, `coupling`, `seed`, `time`, the middle
        of the step, and `constant`, the root of LPIPS a unit of Wasserstein length.
    """
    paths = study[[*CELL, "similarity", "frames", "wasserstein_length"]]
    table = steps.merge(paths[paths["wasserstein_length"] > 0], on=CELL, validate="many_to_one")
    count = table["frames"] - 1
    return pd.DataFrame(
        {
            "grade": table["similarity"].map(grade),
            **{name: table[name] for name in CELL},
            "time": (table["step"] + 0.5) / count,
            "constant": np.sqrt(table["distance"]) * count / table["wasserstein_length"],
        }
    )


def constants_by_time(constants: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles over the paths of each grade and coupling, at each time.

    Returns:
        Index `grade`, `coupling` and `time`; columns `low`, `median` and `high`.
    """
    grouped = constants.groupby(["grade", "coupling", "time"], sort=False)["constant"]
    return pd.DataFrame({name: grouped.quantile(share) for name, share in QUARTILES.items()})


def length_and_constant(
    study: pd.DataFrame, treatment: str = "optimal", control: str = "row"
) -> pd.DataFrame:
    """How much of a shorter path of pictures is a shorter path of clouds, and how much is not.

    Returns:
        Index: "all" and each grade with two pairs or more, the most similar first; columns
        `clouds`, `constant` and `pictures`, geometric means over pairs of treatment over control:
        of the length of the path of clouds, of the mean local constant, and of their product, the
        length of the path of pictures; each with `_low` and `_high`, and `n`. Pairs in which one
        of them is 0 have no part in it.
    """
    ways = study[study["coupling"].isin([treatment, control])]
    by_pair = ways.groupby(["pair_id", "coupling"])[["wasserstein_length", "root_sum"]].mean()
    sides = by_pair[(by_pair > 0).groupby("pair_id").transform("all").all(axis=1)].unstack()
    grades = ways.groupby("pair_id")["similarity"].first().map(grade)[sides.index]
    parts = {"all": sides} | {
        str(each): part for each, part in reversed([*sides.groupby(grades)]) if len(part) > 1
    }
    return pd.DataFrame(
        {name: _tie(part, treatment, control) for name, part in parts.items()}
    ).T.astype({"n": int})


def _tie(sides: pd.DataFrame, treatment: str, control: str) -> dict[str, float]:
    """The three ratios of some pairs, with their intervals."""
    clouds, pictures = sides["wasserstein_length"], sides["root_sum"]
    measures = {"clouds": clouds, "constant": pictures / clouds, "pictures": pictures}
    found = {"n": float(len(sides))}
    for name, values in measures.items():
        each = paired_ratio(values[treatment], values[control], np.random.default_rng(0))
        found |= with_ends(name, each.ratio, each.interval)
    return found
