"""What no table records, computed by the page that shows it and by the ledger's page anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from embedding_geometry.diffusion.attention import shuffling_changes
from embedding_geometry.diffusion.clouds import Texts, encode
from embedding_geometry.diffusion.generation import (
    decode_latents,
    default_settings,
    initial_latent,
    sample_latents,
)
from embedding_geometry.diffusion.loading import TextToImageModel
from embedding_geometry.ground.types import Clouds
from embedding_geometry.study.prompts import PromptPair
from embedding_geometry.transport.barycenters import (
    Barycenter,
    WeightGrid,
    frechet_objective,
    mean_of_rows,
    square_grid,
    triangle_grid,
    wasserstein_barycenter,
)


def order_table(model: TextToImageModel, pairs: Sequence[PromptPair]) -> pd.DataFrame:
    """What shuffling the tokens changes in the pictures of twelve prompts, spread over the pairs.

    Returns:
        Index: the prompts; columns `by_order` and `by_text`, the changes of `shuffling_changes`.
    """
    prompts = [pair.source for pair in pairs[:: max(1, len(pairs) // 12)]][:12]
    texts = encode(model, prompts)
    latent, settings = initial_latent(model, seed=0), default_settings(model)

    def pictures(clouds: Clouds) -> np.ndarray:
        latents = sample_latents(model, replace(texts, clouds=clouds), latent, settings)
        return decode_latents(model, latents)

    by_order, by_text = shuffling_changes(pictures, texts.clouds, np.random.default_rng(0))
    return pd.DataFrame({"by_order": by_order, "by_text": by_text}, index=prompts)


@dataclass(frozen=True)
class Mixture:
    """Prompts at the corners of a grid, and their barycenters at its points."""

    grid: WeightGrid
    prompts: list[str]
    corners: Texts
    ends: list[Barycenter]

    def objectives(self) -> pd.DataFrame:
        """Fréchet's objective at every point that is no corner: how central a mixture is.

        Returns:
            Columns `barycenter` and `mean_of_rows`.
        """
        return pd.DataFrame(
            {
                "barycenter": end.objective,
                "mean_of_rows": frechet_objective(
                    mean_of_rows(self.corners.clouds, weights), self.corners.clouds, weights
                ),
            }
            for end, weights in zip(self.ends, self.grid.weights, strict=True)
            if weights.max() < 1
        )


def mix(model: TextToImageModel, pairs: Sequence[PromptPair]) -> dict[str, Mixture]:
    """The triangle of the first three sources, and the square of the first two pairs."""
    grids = {"triangle": triangle_grid(6), "square": square_grid(5)}
    prompts = {
        "triangle": [pair.source for pair in pairs[:3]],
        "square": [text for pair in pairs[:2] for text in (pair.source, pair.target)],
    }
    return {shape: _mixture(model, grid, prompts[shape]) for shape, grid in grids.items()}


def _mixture(model: TextToImageModel, grid: WeightGrid, prompts: list[str]) -> Mixture:
    corners = encode(model, prompts)
    ends = [wasserstein_barycenter(corners.clouds, weights) for weights in grid.weights]
    return Mixture(grid, prompts, corners, ends)


def grid_table(mixtures: Mapping[str, Mixture]) -> pd.DataFrame:
    """The objectives of all mixtures, with their `shape`."""
    return pd.concat(
        [mixture.objectives().assign(shape=shape) for shape, mixture in mixtures.items()]
    )
