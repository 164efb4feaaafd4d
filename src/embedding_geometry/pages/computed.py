"""What no table records, computed by the page that shows it and by the ledger's page anew."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool

from embedding_geometry.diffusion.attention import shuffling_changes
from embedding_geometry.diffusion.clouds import Texts, encode
from embedding_geometry.diffusion.generation import (
    decode_latents,
    default_settings,
    initial_latent,
    render,
    sample_latents,
)
from embedding_geometry.diffusion.loading import TextToImageModel
from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.ground.records import Manifest, Record
from embedding_geometry.ground.types import Cloud, Clouds, Frames
from embedding_geometry.perception.metric import PerceptualMetric, perceptual_distances
from embedding_geometry.statistics.by_pair import by_pair, of_first_seed, representative_pairs
from embedding_geometry.study.cells import cloud_path
from embedding_geometry.study.prompts import PromptPair, write_prompt_pairs
from embedding_geometry.study.recorded import studied_pairs
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
from embedding_geometry.transport.couplings import wasserstein_distance
from embedding_geometry.transport.ways import WAYS, Ends

TOLERANCE = 1e-2  # of a PPL that another processor computes


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


def where_ways_lead(
    model: TextToImageModel,
    metric: PerceptualMetric,
    rendering: RenderSettings,
    pairs: Sequence[PromptPair],
    ways: Sequence[str],
) -> pd.DataFrame:
    """What paths of clouds do to the tokens of some pairs, and how far from the target they end.

    Returns:
        Index: the ways; medians over the pairs: `half` and `end`, the mean norm of a token
        half-way and at the end over that of the two prompts; `cloud` and `picture`, the distance
        of the last one from the target's over that of the two prompts, 0 for ways that arrive.
    """
    latent, found = initial_latent(model, 0, rendering), []
    for pair in pairs:
        texts = encode(model, [pair.source, pair.target])
        last, table = _tokens_on_the_way(texts.ends, ways)
        clouds = np.stack([*texts.clouds, *last.values()])
        times = np.minimum(np.arange(len(clouds)), 1.0)  # all but the source's at the target's end
        source, target, *others = render(model, texts.along(clouds, times), latent, rendering)
        for way, picture in zip(last, others, strict=True):
            gap, whole = perceptual_distances(metric, np.stack([picture, target, source]))
            table.loc[way, "picture"] = gap / whole
        found.append(table)
    return pd.concat(found).groupby(level=0, sort=False).median()


def _tokens_on_the_way(ends: Ends, ways: Sequence[str]) -> tuple[dict[str, Cloud], pd.DataFrame]:
    """The last cloud of each way that does not arrive; of all ways what clouds alone say."""
    level = (_norm(ends.x) + _norm(ends.y)) / 2
    apart = wasserstein_distance(ends.x, ends.y, normalized=False)
    last, rows = {}, {}
    for way in ways:
        path = np.asarray(WAYS[way](ends, np.array([0.5, 1.0]), np.random.default_rng(0)))
        gap = wasserstein_distance(path[-1], ends.y, normalized=False)
        half, end = (_norm(cloud) / level for cloud in path)
        rows[way] = {"half": half, "end": end, "cloud": gap / apart, "picture": 0.0}
        if not ends.arrives(path):
            last[way] = path[-1]
    return last, pd.DataFrame(rows).T


def _norm(cloud: Cloud) -> float:
    """Mean norm of a cloud's tokens."""
    return float(np.linalg.norm(cloud, axis=1).mean())


@dataclass(frozen=True)
class Walk:
    """What a page shows of a recorded study.

    Attributes:
        model: its model.
        pair: the prompts.
        frames: along every way of the study, from its first initial latent.
        agree: of each way, whether the PPL of these frames is the recorded one, to `TOLERANCE`.
    """

    model: TextToImageModel
    pair: PromptPair
    frames: Mapping[str, Frames]
    agree: Bool[np.ndarray, " ways"]


def walk(model: TextToImageModel, metric: PerceptualMetric, record: Record, grade: int) -> Walk:
    """Render anew the pair of a grade that the protocol's rule picks from a recorded study.

    Args:
        model: its model.
        metric: its metric.
        record: the study.
        grade: which grade.

    Raises:
        FileNotFoundError: no such study of the model is recorded.
        RecordError: it is damaged.
        KeyError: it has no pair of this grade.
    """
    name = model.provenance.name
    study, manifest = record.read(name)
    pairs = {pair.pair_id: pair for pair in studied_pairs(name, record)}
    table = by_pair(study)
    chosen = {table["grade"][pair_id]: pair_id for pair_id in representative_pairs(table)}
    pair, conditions = pairs[chosen[grade]], manifest["settings"]
    paths = of_first_seed(study[study["pair_id"] == pair.pair_id]).set_index("coupling")["ppl"]
    rendering, count = RenderSettings.recorded(conditions), conditions["frames"]
    texts, times = encode(model, [pair.source, pair.target]), np.linspace(0.0, 1.0, count)
    latent = initial_latent(model, conditions["seeds"][0], rendering)
    frames = {}
    for way in paths.index:
        path = texts.along(cloud_path(pair, way, texts.ends, count), times)
        frames[way] = render(model, path, latent, rendering)
    again = [perceptual_distances(metric, each).mean() for each in frames.values()]
    return Walk(model, pair, frames, np.isclose(again, paths, rtol=TOLERANCE, atol=1e-5))


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
    mixtures = {}
    for shape, grid in grids.items():
        corners = encode(model, prompts[shape])
        ends = [wasserstein_barycenter(corners.clouds, weights) for weights in grid.weights]
        mixtures[shape] = Mixture(grid, prompts[shape], corners, ends)
    return mixtures


def grid_table(mixtures: Mapping[str, Mixture]) -> pd.DataFrame:
    """The objectives of all mixtures, with their `shape`."""
    return pd.concat(
        [mixture.objectives().assign(shape=shape) for shape, mixture in mixtures.items()]
    )
