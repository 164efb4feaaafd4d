"""What stands where in a picture of the first world, and how much of it is found."""

import numpy as np
from jaxtyping import Float

from embedding_geometry.pocket.pictographs.scenes import OBJECTS, PLACES, POSITIONS, TIMES, Scene

CLASSES = (*(1 + len(OBJECTS),) * 3, len(PLACES), len(TIMES))
"""The number of answers: which object in each slot (0 = none), which place, what time of day."""


def labels(scene: Scene) -> list[float]:
    """Object in each slot, then place, then time of day, by their numbers."""
    names = list(OBJECTS)
    slots = dict.fromkeys(POSITIONS, 0)
    slots[scene.position] = 1 + names.index(scene.thing)
    if scene.second:
        slots[scene.other_side] = 1 + names.index(scene.second)
    ground = (list(PLACES).index(scene.place), list(TIMES).index(scene.time))
    return [float(number) for number in (*slots.values(), *ground)]


def named(found: Float[np.ndarray, "n 5"], wanted: Float[np.ndarray, "n 5"]) -> np.ndarray:
    """Whether every wanted object is found in some slot, bool (n,)."""
    return np.array([set(w[:3]) - {0} <= set(f[:3]) for f, w in zip(found, wanted, strict=True)])


def shares(
    wanted: Float[np.ndarray, "n 5"],
    real: Float[np.ndarray, "n 5"],
    made: Float[np.ndarray, "n 5"],
) -> dict[str, float]:
    """Shares of what is wanted that is found in the real and in the made pictures.

    The judge's own, on real pictures, are what the model could reach at best. `objects` are found
    wherever they stand, `placed` in their right positions.
    """
    found, two = named(made, wanted), (wanted[:, :3] > 0).sum(axis=1) == 2
    return {
        "judge_objects": named(real, wanted).mean(),
        "judge_place": (real[:, 3] == wanted[:, 3]).mean(),
        "objects": found.mean(),
        "single_objects": found[~two].mean(),
        "two_objects": found[two].mean(),
        "placed": (made[:, :3] == wanted[:, :3]).all(1).mean(),
        "place": (made[:, 3] == wanted[:, 3]).mean(),
        "time": (made[:, 4] == wanted[:, 4]).mean(),
    }
