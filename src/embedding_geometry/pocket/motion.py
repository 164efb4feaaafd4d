"""How a model's picture goes from one prompt to another: does it move, or does it flip?

Only row order is looked at, and only on pairs that no study uses: no coupling is compared with
another where a model is chosen.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from tqdm import tqdm

from embedding_geometry.diffusion.clouds import encode, interpolate
from embedding_geometry.diffusion.generation import initial_latent, render
from embedding_geometry.diffusion.loading import TextToImageModel
from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.perception.metric import PerceptualMetric, perceptual_distances
from embedding_geometry.perception.path_length import perceptual_path_length
from embedding_geometry.pocket.pairs import draw_pairs
from embedding_geometry.pocket.recipes import World
from embedding_geometry.study.prompts import PromptPair

PAIRS_SEED, TIMES = 1, np.linspace(0, 1, 11)
A_HAIR = 1e-3
"""The share of a path between whose ends the picture should not change but for noise."""


def fresh_pairs(world: World, a_grade: int) -> list[PromptPair]:
    """The first free pairs of each grade under a seed that no study uses."""
    names = {f"f{grade}-{n:03d}" for grade in range(6) for n in range(1, a_grade + 1)}
    return [pair for pair in draw_pairs(world, seed=PAIRS_SEED) if pair.pair_id in names]


def measure_motion(
    model: TextToImageModel,
    pairs: Sequence[PromptPair],
    metric: PerceptualMetric,
    settings: RenderSettings,
) -> pd.DataFrame:
    """How each pair's picture moves along row order, eleven frames from latent 0.

    Returns:
        A row a pair: its perceptual path length `ppl`, the Gini coefficient `gini` of its steps,
        the share `largest_step` that one step of the ten has in the whole, and `noise_floor`,
        the distance of two pictures a thousandth of the path apart.
    """
    latent = initial_latent(model, 0)
    rows = []
    for pair in tqdm(pairs, "pairs", leave=False):
        ends = encode(model, [pair.source, pair.target])
        texts = interpolate(ends, np.arange(model.n_tokens), np.array([*TIMES, A_HAIR]))
        frames = render(model, texts, latent, settings)
        length = perceptual_path_length(perceptual_distances(metric, frames[:-1]))
        rows.append(
            {
                "pair_id": pair.pair_id,
                "grade": pair.similarity,
                "ppl": length.mean,
                "gini": length.gini,
                "largest_step": length.maximum_step / length.total if length.total else np.nan,
                "noise_floor": perceptual_distances(metric, frames[[0, -1]])[0],
            }
        )
    return pd.DataFrame(rows)
