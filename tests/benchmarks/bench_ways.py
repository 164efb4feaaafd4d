"""What a path of each way costs, beside what its rows of the UNet imply, in one run.

Row order has the price of a row: what its paths of two frames and of all take, once their
decoding is left out, lie on a line over their rows. What a way takes beyond the line, and beyond
decoding as many pictures, is its own: the mixing, and the second text that attention reads.
"""

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

import embedding_geometry as eg
from embedding_geometry.diffusion.generation import decode_latents, sample_latents
from embedding_geometry.diffusion.readings import unet_rows
from embedding_geometry.ground.places import POCKET_FOLDER
from embedding_geometry.study.recorded import named_study
from embedding_geometry.transport.ways import find_way

PROMPTS = ["a small cat on the beach at night", "a large panda in the snow at dusk"]
# two batches of every way that mixes in the UNet: the ends, and as many frames between them
FRAMES, ROUNDS, TIMES_IMPLIED = 18, 9, 1.1
ENDS, DECODING = "the ends", "decoding"
DECODED = {"cross-fade": 2, ENDS: 2}  # pictures, where these are not all frames


def seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def implied(taken: pd.DataFrame, rows: "pd.Series[int]") -> pd.DataFrame:
    """Seconds in each round (rows of the table) of each way (columns), by its rows alone."""
    pictures = pd.Series({way: DECODED.get(way, FRAMES) for way in rows.index}) / FRAMES
    decoding = pd.DataFrame({way: taken[DECODING] * share for way, share in pictures.items()})
    few, many = (taken[way] - decoding[way] for way in (ENDS, "row"))
    price = (many - few) / (rows["row"] - rows[ENDS])
    line = {way: few + price * (count - rows[ENDS]) for way, count in rows.items()}
    return pd.DataFrame(line) + decoding


def test_ways_cost_what_their_rows_imply(record) -> None:
    model = eg.load_model(POCKET_FOLDER.name, device="cpu")
    latent, settings = eg.initial_latent(model, seed=0), eg.default_settings(model)
    texts, times = eg.encode(model, PROMPTS), np.linspace(0, 1, FRAMES)
    _, study = named_study(f"{POCKET_FOLDER.name}_rivals")
    rng = np.random.default_rng(0)
    paths = {
        way: texts.along(find_way(way)(texts.ends, times, rng), times)
        for way in study.named_couplings
    } | {ENDS: texts}
    latents = sample_latents(model, paths["row"], latent, settings)
    contenders = {
        way: lambda path=path: eg.render(model, path, latent, settings)
        for way, path in paths.items()
    } | {DECODING: lambda: decode_latents(model, latents, settings.batch_size)}
    rounds = [{name: seconds(run) for name, run in contenders.items()} for _ in range(1 + ROUNDS)]
    taken = pd.DataFrame(rounds[1:])  # the first pass through the networks is slower
    rows = pd.Series({way: unet_rows(model, path, settings) for way, path in paths.items()})
    ratios = (taken[rows.index] / implied(taken, rows)).median()
    of_row = taken.div(taken["row"], axis=0).median()
    ways = [*study.named_couplings]
    table = pd.DataFrame(
        {
            "way": ways,
            "rows a step": rows[ways],
            "seconds": taken[ways].median(),
            "times row order's": of_row[ways],
            "times what its rows imply": ratios[ways],
        }
    )
    facts = {"frames": FRAMES, "rounds": ROUNDS, "steps": settings.steps}
    record("ways", table, **facts, batch_size=settings.batch_size)
    assert ratios[ways].max() <= TIMES_IMPLIED, ratios.idxmax()
