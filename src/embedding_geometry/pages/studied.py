"""A recorded study whose pictures a page makes again: its model as it was, the pairs it shows."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from embedding_geometry.diffusion.generation import initial_latent
from embedding_geometry.diffusion.loading import TextToImageModel, load_model
from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.ground.places import short_name
from embedding_geometry.perception.metric import PerceptualMetric
from embedding_geometry.perception.weights import load_metric
from embedding_geometry.statistics.by_pair import free_and_rigid, representative_pairs
from embedding_geometry.study.prompts import PromptPair
from embedding_geometry.study.recorded import (
    recorded_commit,
    recorded_manifest,
    recorded_rendering,
    recorded_study,
    studied_pairs,
)

FRONT = "menagerie", 3
"""Model and grade of the picture on the first page of the book, by the protocol."""


@dataclass(frozen=True, eq=False)
class Studied:
    """What a study was computed with, loaded again, and the pairs that pages show of it.

    Attributes:
        name: the last part of the model's name.
        manifest: what was recorded of how the study was made.
        model: the model, in the precision and at the commit of the study.
        metric: the metric of the study.
        settings: how the study made its images.
        seed: the first of its seeds; the pictures shown start there.
        latent: the initial latent of this seed.
        times: of the frames of a path.
        pairs: the pair to show of each grade, the most similar first, by the protocol's rule: of
            the free pairs the one with the median relative improvement.
        n_pairs: how many free pairs there are of each grade.
        ppl: what was recorded from this seed, by `pair_id` and `coupling`.
    """

    name: str
    manifest: dict[str, Any]
    model: TextToImageModel
    metric: PerceptualMetric
    settings: RenderSettings
    seed: int
    latent: Tensor
    times: Float[np.ndarray, " t"]
    pairs: dict[int, PromptPair]
    n_pairs: dict[int, int]
    ppl: dict[tuple[str, str], float]


def other_model(model_name: str) -> str:
    """The embedded model to show beside one: that of the first page, and pocket beside that."""
    return "pocket" if short_name(model_name) == FRONT[0] else FRONT[0]


def studied(model_name: str) -> Studied:
    """Load a study with what it was computed with; raises as `study.recorded` and loading do."""
    manifest, table = recorded_manifest(model_name), recorded_study(model_name)
    conditions, settings = manifest["settings"], recorded_rendering(model_name)
    model = load_model(model_name, dtype=conditions["dtype"], revision=recorded_commit(model_name))
    free, _ = free_and_rigid(table)
    texts = {pair.pair_id: pair for pair in studied_pairs(model_name)}
    seed = conditions["seeds"][0]
    return Studied(
        name=short_name(model_name),
        manifest=manifest,
        model=model,
        metric=load_metric(conditions["net"]),
        settings=settings,
        seed=seed,
        latent=initial_latent(model, seed, settings),
        times=np.linspace(0, 1, conditions["frames"]),
        pairs={int(free["grade"][shown]): texts[shown] for shown in representative_pairs(free)},
        n_pairs=Counter(free["grade"].astype(int)),
        ppl=table[table["seed"] == seed].set_index(["pair_id", "coupling"])["ppl"].to_dict(),
    )
