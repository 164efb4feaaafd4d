"""Are the pictures of a study's paths still pictures? What is kept of them, and what it says.

While a cell is computed, features of its frames are kept (`results.Seen`). When all are there, the
inner frames are held against two references (see `perception.fidelity`):

- *held-out*: pictures of the model at prompts that the study does not use, each from an initial
  latent of its own. They are made when the study is collected, and kept as features.
- *ends*: the first and the last pictures of the study's own paths. Frames are like the ends of
  their own pair, which says nothing of fidelity, so a pair's frames are held against the ends of
  all *other* pairs.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from tqdm import tqdm

from embedding_geometry.diffusion.clouds import Texts, encode
from embedding_geometry.diffusion.generation import initial_latent, render
from embedding_geometry.diffusion.readings import unet_rows
from embedding_geometry.ground.grades import GRADES, grade
from embedding_geometry.ground.types import CloudPath, Frames, real_array
from embedding_geometry.perception.fidelity import (
    Features,
    KernelDistance,
    Reference,
    kernel_difference,
    kernel_distance,
    picture_features,
    realism,
)
from embedding_geometry.perception.metric import PerceptualMetric
from embedding_geometry.perception.repeats import distinct_frames
from embedding_geometry.statistics.rivals import CONTROLS
from embedding_geometry.study.cells import Bench, conditions_of_cells
from embedding_geometry.study.prompts import PromptPair
from embedding_geometry.study.results import Seen, load_seen, save_seen
from embedding_geometry.study.settings import FEATURES
from embedding_geometry.study.tasks import Task
from embedding_geometry.transport.rules import Rule

FIRST_LATENT = 10_000  # seed of the first reference picture's; a study's own are small numbers
LEAST_PAIRS = 3  # of a study, so that the ends of all but one make a reference
HELD_OUT, ENDS, ALL, NO_CONTROL = "held-out", "ends", "all", "none"


# --- while a cell is computed -------------------------------------------------------------------


def keep_look(
    bench: Bench, folder: Path, task: Task, texts: Texts, path: CloudPath | Rule, frames: Frames
) -> None:
    """Keep, in a study's folder, what fidelity needs of the pictures of a cell."""
    version = bench.judge.version if bench.judge else ""
    save_seen(folder, task.identity, version, look(bench, texts, path, frames))


def look(bench: Bench, texts: Texts, path: CloudPath | Rule, frames: Frames) -> Seen:
    """What is kept of the frames of a path between two texts."""
    along = texts.along(path, np.linspace(0.0, 1.0, len(frames)))
    return Seen(
        features=picture_features(feature_net(bench), frames),
        distinct=distinct_frames(frames, tolerance=1),
        unet_rows=unet_rows(bench.model, along, bench.rendering) / len(frames),
        confidence=_confidence(bench, frames[1:-1]),
    )


def feature_net(bench: Bench) -> PerceptualMetric:
    """The one of a bench's nets whose features are compared."""
    [net] = [each for each in (bench.metric, *bench.beside) if each.net == FEATURES]
    return net


def _confidence(bench: Bench, frames: Frames) -> Float[np.ndarray, " judged"]:
    if bench.judge is None:
        return np.zeros(0)
    confidence = real_array(bench.judge.function(frames), "what the judge returned")
    if confidence.shape != frames.shape[:1] or (np.abs(confidence - 0.5) > 0.5).any():
        raise ValueError(
            f"for {len(frames)} frames the judge returned an array of shape {confidence.shape}, "
            f"from {confidence.min(initial=0):g} to {confidence.max(initial=0):g}; a confidence "
            "in each, from 0 to 1, is wanted"
        )
    return confidence


# --- the references -----------------------------------------------------------------------------


def reference_prompts(
    reference: Sequence[PromptPair], studied: Sequence[PromptPair]
) -> dict[str, int]:
    """The prompts of the reference pictures, and the seeds of their initial latents.

    They are the sources of the reference's pairs, each once, without those that the study uses.

    Raises:
        ValueError: fewer than three pairs are studied, or no prompt is left.
    """
    if len(studied) < LEAST_PAIRS:
        raise ValueError(
            f"the study has {len(studied)} pairs, and fidelity holds the frames of a pair against "
            f"the ends of the others: give {LEAST_PAIRS} pairs or more, or no reference"
        )
    used = {text for pair in studied for text in (pair.source, pair.target)}
    prompts = dict.fromkeys(pair.source for pair in reference if pair.source not in used)
    if not prompts:
        raise ValueError(
            "the study uses every source of the reference; name a table with prompts of its own"
        )
    return {prompt: FIRST_LATENT + k for k, prompt in enumerate(prompts)}


def reference_features(bench: Bench, prompts: Mapping[str, int], folder: Path) -> Features:
    """Features of one picture of each prompt, from the initial latent of its seed.

    Each is kept in the study's folder as soon as it is made, and never made again.
    """
    pictures = tqdm(prompts.items(), "reference", unit="picture", disable=None)
    return np.concatenate([_reference_picture(bench, folder, *each) for each in pictures])


def _reference_picture(bench: Bench, folder: Path, prompt: str, seed: int) -> Features:
    identity = conditions_of_cells(bench) | {"prompt": prompt, "seed": seed}
    kept = load_seen(folder, identity, judge="")
    if kept is None:
        text = encode(bench.model, [prompt])
        latent = initial_latent(bench.model, seed, bench.rendering)
        picture = render(bench.model, text, latent, bench.rendering)
        features = picture_features(feature_net(bench), picture)
        features = features.astype(np.float32).astype(np.float64)  # as they are read again
        rows = float(unet_rows(bench.model, text, bench.rendering))
        kept = Seen(features, distinct=1, unet_rows=rows, confidence=np.zeros(0))
        save_seen(folder, identity, judge="", seen=kept)
    return kept.features


# --- what it adds up to -------------------------------------------------------------------------


def with_fidelity(table: pd.DataFrame, seen: Sequence[Seen], known: Reference) -> pd.DataFrame:
    """A study's table with more columns, from what was seen of the pictures of each of its rows.

    Returns:
        The table with `distinct` frames; `unet_rows`, a frame and step; `realism` against the
        held-out pictures and `realism_ends` against the ends of all other pairs, means over the
        inner frames; and, where there was a judge, its mean `confidence` in these.
    """
    ends, owners = end_pictures(table, seen)
    pairs, names = pd.factorize(table["pair_id"])
    others = [
        Reference.of(ends[owners != pair], f"the ends of all pairs but {name}")
        for pair, name in enumerate(names)
    ]
    inner = [each.features[1:-1] for each in seen]
    found = table.assign(
        distinct=[each.distinct for each in seen],
        unet_rows=[each.unet_rows for each in seen],
        realism=[realism(each, known).mean() for each in inner],
        realism_ends=[
            realism(each, others[pair]).mean() for each, pair in zip(inner, pairs, strict=True)
        ],
    )
    if not all(len(each.confidence) for each in seen):
        return found
    return found.assign(confidence=[each.confidence.mean() for each in seen])


def end_pictures(
    table: pd.DataFrame, seen: Sequence[Seen]
) -> tuple[Features, Int[np.ndarray, " ends"]]:
    """Features of both ends of each pair on each latent, along the first way, and whose they are.

    Pairs are numbered in the order of the table.
    """
    first = np.flatnonzero(table["coupling"] == table["coupling"].iloc[0])
    ends = np.concatenate([seen[row].features[[0, -1]] for row in first.tolist()])
    return ends, pd.factorize(table["pair_id"])[0][first].repeat(2)


def kernel_table(table: pd.DataFrame, seen: Sequence[Seen], known: Reference) -> pd.DataFrame:
    """The kernel distance of each way's inner frames from both references.

    Returns:
        Columns `grade`, "all" or one that has three pairs or more; `reference`, "held-out" or
        "ends"; `coupling`; `control`, "none" for the distance itself, else the way that it is held
        against, for the difference of the two; `kid`, and its interval `low` and `high`.
    """
    grades, pairs = table["similarity"].map(grade), pd.factorize(table["pair_id"])[0]
    parts = {ALL: grades >= 0, **{str(each): grades == each for each in GRADES}}
    ends, owners = end_pictures(table, seen)
    rows = []
    for name, members in parts.items():
        kept = np.isin(owners, pairs[members])
        if len(np.unique(owners[kept])) < LEAST_PAIRS:
            continue
        ways = {
            way: _inner(seen, pairs, np.flatnonzero(members & (table["coupling"] == way)))
            for way in table["coupling"].unique()
        }
        references = {
            HELD_OUT: (known, None),
            ENDS: (Reference.of(ends[kept], "the ends"), owners[kept]),
        }
        for which, reference in references.items():
            rows += [
                (name, which, way, control, found.value, *found.interval)
                for way, control, found in _kernels(ways, *reference)
            ]
    columns = ["grade", "reference", "coupling", "control", "kid", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


Inner = tuple[Features, Int[np.ndarray, " t"]]  # frames between the ends, and their pairs


def _inner(seen: Sequence[Seen], pairs: np.ndarray, rows: np.ndarray) -> Inner:
    """Features of the inner frames of the paths in some rows of the table."""
    inner = [seen[row].features[1:-1] for row in rows.tolist()]
    return np.concatenate(inner), np.repeat(pairs[rows], [len(each) for each in inner])


def _kernels(
    ways: Mapping[str, Inner], reference: Reference, owners: np.ndarray | None
) -> Iterator[tuple[str, str, KernelDistance]]:
    """The distance of each way from a reference, and how much greater it is than a control's."""
    for way, inner in ways.items():
        features, groups = inner
        yield way, NO_CONTROL, kernel_distance(features, reference, groups, owners)
        for control in CONTROLS:
            if control in ways and way != control:
                yield way, control, kernel_difference(inner, ways[control], reference, owners)
