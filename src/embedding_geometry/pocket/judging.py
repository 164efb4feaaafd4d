"""Judges for a study of an embedded model: how sure is a recogniser of what it sees in a picture?

The recogniser shares nothing with the model, neither weights nor captions (see `evaluate`). It is
trained by `python -m embedding_geometry.pocket evaluate` into the run folder, `runs/RECIPE` of the
current folder, and does not come with the model. `study --judge
embedding_geometry.pocket.judging:pocket` takes it from there.
"""

from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors.torch import load_file

from embedding_geometry.ground.plugins import Plugin
from embedding_geometry.ground.types import Frames
from embedding_geometry.pocket.evaluate import JUDGE, untrained_judge
from embedding_geometry.pocket.pictographs.pictures import pixels
from embedding_geometry.pocket.recipes import RECIPES
from embedding_geometry.pocket.recogniser import Recognising


@cache
def load_judge(recipe: str) -> Recognising:
    """The trained judge of a recipe's world.

    Raises:
        FileNotFoundError: it has not been trained.
    """
    file = Path("runs") / recipe / JUDGE
    if not file.is_file():
        raise FileNotFoundError(
            f"no judge at {file.absolute()}; `python -m embedding_geometry.pocket evaluate "
            f"--recipe {recipe}` trains it, after the model"
        )
    judge = untrained_judge(RECIPES[recipe].world)
    judge.load_state_dict(load_file(file))
    return judge.eval()


def judge_of(recipe: str) -> Plugin:
    """What a study asks: for frames (t, h, w, 3) the `Recognising.confidence` in each."""

    def confidence(frames: Frames) -> Float[np.ndarray, " t"]:
        return load_judge(recipe).confidence(pixels(list(frames)))

    return Plugin(confidence, version="largest probabilities")


pocket = judge_of("pocket")
menagerie = judge_of("menagerie")  # rightly in doubt where a picture shows a mixture
