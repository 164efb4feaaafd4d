"""What no table records, computed by the page that shows it and by the ledger's page anew."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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
from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.ground.records import Manifest
from embedding_geometry.ground.types import Clouds
from embedding_geometry.study.prompts import PromptPair, write_prompt_pairs
from embedding_geometry.study.run import run_study
from embedding_geometry.study.settings import StudySettings
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


def recompute(
    recorded: pd.DataFrame,
    manifest: Manifest,
    pairs: Sequence[PromptPair],
    couplings: Sequence[str],
    loading: LoadSettings,
) -> pd.DataFrame:
    """Compute some pairs of a recorded study again, on its first initial latent.

    Returns:
        A row for each pair and coupling, with every measured column twice, as `ppl now` and
        `ppl recorded`.
    """
    conditions = manifest["settings"]
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "pairs.csv"
        write_prompt_pairs(table, pairs)
        settings = StudySettings(
            pairs=table,
            net=conditions["net"],
            couplings=tuple(couplings),
            extra_couplings_first_seed=(),
            seeds=(conditions["seeds"][0],),
            frames=conditions["frames"],
            loading=replace(loading, dtype=conditions["dtype"]),
            rendering=RenderSettings.recorded(conditions),
        )
        again = run_study(settings, Path(folder) / "study", progress=False)
    cell = ["pair_id", "coupling", "seed"]
    return again.merge(recorded, on=cell, suffixes=(" now", " recorded"))


def agreeing(compared: pd.DataFrame, tolerances: Mapping[str, tuple[float, float]]) -> np.ndarray:
    """Of each row of `recompute`, whether columns agree to their relative and absolute tolerances.

    A last bit of a network may move a byte of a picture by one, so a PPL is never equal elsewhere.
    """
    return np.all(
        [
            np.isclose(compared[f"{of} now"], compared[f"{of} recorded"], relative, absolute)
            for of, (relative, absolute) in tolerances.items()
        ],
        axis=0,
    )


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
