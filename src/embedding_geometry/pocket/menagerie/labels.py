"""What can be recognised in a picture of the second world, and how much of it is found."""

import numpy as np
from jaxtyping import Float

from embedding_geometry.pocket.menagerie.anatomy import SPECIES
from embedding_geometry.pocket.menagerie.scenes import GROUNDS, Scene

CLASSES = (len(SPECIES), len(GROUNDS))
VALUES = ("x", "size", "time")
MIXED = -1.0
"""In place of a species or a ground that is a mixture."""


def labels(scene: Scene) -> list[float]:
    """Species and ground by their numbers, then position, size and time."""
    names = [(list(SPECIES), scene.labels.species), (list(GROUNDS), scene.labels.ground)]
    numbers = [MIXED if name is None else float(known.index(name)) for known, name in names]
    return [*numbers, scene.x, scene.size, scene.time]


def shares(
    wanted: Float[np.ndarray, "n 5"],
    real: Float[np.ndarray, "n 5"],
    made: Float[np.ndarray, "n 5"],
) -> dict[str, float]:
    """Shares of unmixed species and grounds that are named, and correlations of the values.

    The judge's own, on real pictures, are what the model could reach at best.
    """
    found: dict[str, float] = {}
    for who, given in {"judge_": real, "": made}.items():
        for column, name in enumerate(("species", "ground")):
            pure = wanted[:, column] != MIXED
            found[who + name] = (given[pure, column] == wanted[pure, column]).mean()
        for column, name in enumerate(VALUES, start=len(CLASSES)):
            found[f"{who}{name}_correlation"] = np.corrcoef(given[:, column], wanted[:, column])[
                0, 1
            ]
    return found
