"""What a path of each way costs, beside what its rows of the UNet imply, in one run.

A row costs the less the more there are in a batch, up to a point, and then more again. So what so
many rows imply is what row order takes for as many, all in one batch, on a path of as many frames
as that needs: between the lengths that are timed on the straight line. What a way takes beyond
that, and beyond decoding as many pictures, is its own: the mixing, and the second text that
attention reads.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

import embedding_geometry as eg
from embedding_geometry.diffusion.generation import decode_latents, sample_latents
from embedding_geometry.diffusion.readings import unet_rows
from embedding_geometry.ground.places import POCKET_FOLDER
from embedding_geometry.study.recorded import named_study
from embedding_geometry.transport.ways import find_way

PROMPTS = ["a small cat on the beach at night", "a large panda in the snow at dusk"]
FRAMES, ROUNDS, TIMES_IMPLIED = 11, 31, 1.1
LENGTHS = [2, FRAMES, 13, 17]  # frames of paths in row order: rows from the fewest to the most
DECODING, DECODED = "decoding", {"cross-fade": 2}  # pictures, where these are not all frames


def seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def implied(taken: pd.DataFrame, rows: "pd.Series[int]", ways: list[str]) -> pd.DataFrame:
    """Seconds in each round (rows of the table) of each way (columns), by its rows alone."""
    lengths = [of_length(frames) for frames in LENGTHS]
    decoded = pd.Series(
        {way: DECODED.get(way, FRAMES) for way in ways} | dict(zip(lengths, LENGTHS, strict=True))
    )
    decoding = pd.DataFrame({name: taken[DECODING] * n / FRAMES for name, n in decoded.items()})
    denoising = (taken[lengths] - decoding[lengths]).to_numpy()
    line = {way: [np.interp(rows[way], rows[lengths], each) for each in denoising] for way in ways}
    return pd.DataFrame(line) + decoding[ways]


def of_length(frames: int) -> str:
    return f"row order, {frames} frames"


def test_ways_cost_what_their_rows_imply(record) -> None:
    model = eg.load_model(POCKET_FOLDER.name, device="cpu")
    latent = eg.initial_latent(model, seed=0)
    settings = replace(eg.default_settings(model), batch_size=max(LENGTHS))
    texts, rng = eg.encode(model, PROMPTS), np.random.default_rng(0)

    def along(way: str, frames: int) -> Any:
        times = np.linspace(0, 1, frames)
        return texts.along(find_way(way)(texts.ends, times, rng), times)

    _, study = named_study(f"{POCKET_FOLDER.name}_rivals")
    ways = [*study.named_couplings]
    paths = {way: along(way, FRAMES) for way in ways}
    paths |= {of_length(frames): along("row", frames) for frames in LENGTHS}
    latents = sample_latents(model, paths["row"], latent, settings)
    contenders = {
        name: lambda path=path: eg.render(model, path, latent, settings)
        for name, path in paths.items()
    } | {DECODING: lambda: decode_latents(model, latents, settings.batch_size)}
    orders = [rng.permutation([*contenders]) for _ in range(1 + ROUNDS)]
    rounds = [{name: seconds(contenders[name]) for name in order} for order in orders]
    taken = pd.DataFrame(rounds[1:])  # the first pass through the networks is slower
    rows = pd.Series({name: unet_rows(model, path, settings) for name, path in paths.items()})
    ratios = (taken[ways] / implied(taken, rows, ways)).median()
    table = pd.DataFrame(
        {
            "way": ways,
            "rows a step": rows[ways],
            "seconds": taken[ways].median(),
            "times row order's": taken[ways].div(taken["row"], axis=0).median(),
            "times what its rows imply": ratios,
        }
    )
    facts = {"frames": FRAMES, "rounds": ROUNDS, "steps": settings.steps}
    record("ways", table, **facts, batch_size=settings.batch_size)
    assert ratios.max() <= TIMES_IMPLIED, ratios.idxmax()
