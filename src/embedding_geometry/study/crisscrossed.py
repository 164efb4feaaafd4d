"""Crisscrossed Captions (CxC): graded pairs of COCO captions, and samples of them.

CxC (Parekh et al., 2021) holds scores of pairs of captions and no text. Its ids are the `sentid`
of Karpathy's split of COCO (`dataset_coco.json`), which holds the captions.
"""

import json
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from embedding_geometry.ground.grades import GRADES
from embedding_geometry.ground.types import Random, generator
from embedding_geometry.study.prompts import (
    PromptPair,
    PromptPairsError,
    parse_similarity,
    read_rows,
)

COLUMNS = ("caption1", "caption2", "agg_score", "sampling_method")
ID = re.compile(r"[^:]+:sentid:(\d+)")


class MissingCaptionsWarning(UserWarning):
    """Pairs were left out, because captions with their ids are not in the file of captions."""


class TooFewPairsWarning(UserWarning):
    """A grade of similarity has fewer pairs than were asked for."""


def read_cxc(
    scores_csv: str | os.PathLike[str], karpathy_json: str | os.PathLike[str]
) -> list[PromptPair]:
    """Read the caption pairs of Crisscrossed Captions with their texts, in the order of the lines.

    Args:
        scores_csv: `sts_val.csv` or `sts_test.csv` of Crisscrossed Captions, with the columns
            `caption1,caption2,agg_score,sampling_method` and ids like `COCO_val2014:sentid:98`.
        karpathy_json: `dataset_coco.json` of Karpathy's split, in which `sentid` leads to `raw`.

    Returns:
        Pairs named `<sentid>-<sentid>`; the stratum is the sampling method. Pairs of which a
        caption is missing are left out and counted in a `MissingCaptionsWarning`.

    Raises:
        FileNotFoundError: One of the files is not there.
        PromptPairsError: Another kind of file, a changed header, an id or a score that cannot be
            understood, a pair that comes twice, or not one pair whose captions are there.
    """
    scores, karpathy = Path(scores_csv), Path(karpathy_json)
    rows = read_rows(scores, COLUMNS)
    if not rows:
        raise PromptPairsError(f"{scores} has no pairs, only a header; fetch the file again")
    captions = _read_karpathy(karpathy)
    pairs: dict[str, PromptPair] = {}
    missing: set[int] = set()
    for line, row in rows:
        place = f"{scores}, line {line}"
        ids = [_sentid(row[column], place) for column in ("caption1", "caption2")]
        similarity = parse_similarity(row["agg_score"], place)
        if absent := {sentid for sentid in ids if sentid not in captions}:
            missing |= absent
            continue
        name = "{}-{}".format(*ids)
        if name in pairs:
            raise PromptPairsError(f"{place}: the pair {name} is already there; keep one line")
        source, target = (captions[sentid] for sentid in ids)
        pairs[name] = PromptPair(name, source, target, similarity, row["sampling_method"])
    if not pairs:
        raise PromptPairsError(
            f"none of the {len(rows)} pairs in {scores} has both captions in {karpathy}; take "
            "dataset_coco.json of Karpathy's split of COCO"
        )
    if missing:
        warnings.warn(
            f"{len(rows) - len(pairs)} of {len(rows)} pairs are left out: {len(missing)} of their "
            f"captions are not in {karpathy}, sentid {min(missing)} the first",
            MissingCaptionsWarning,
            stacklevel=2,
        )
    return list(pairs.values())


def sample_pairs(pairs: Sequence[PromptPair], per_grade: int, rng: Random) -> list[PromptPair]:
    """Draw pairs without replacement, as many of each grade, the most similar grade first.

    A grade that has fewer gives all it has, and is named in a `TooFewPairsWarning`.

    Returns:
        The pairs drawn, those of one grade in the order that they came in.

    Raises:
        ValueError: `per_grade` is less than 1, or there are no pairs.
    """
    if per_grade < 1 or not pairs:
        raise ValueError(f"{per_grade} pairs a grade from {len(pairs)} pairs: both are 1 or more")
    rng = generator(rng)
    drawn = []
    for name in GRADES:
        members = [pair for pair in pairs if pair.grade == name]
        if len(members) < per_grade:
            warnings.warn(
                f"grade {name} has {len(members)} pairs of the {per_grade} asked for",
                TooFewPairsWarning,
                stacklevel=2,
            )
        chosen = rng.choice(len(members), min(per_grade, len(members)), replace=False)
        drawn += [members[index] for index in sorted(chosen)]
    return drawn


def _sentid(text: str, place: str) -> int:
    match = ID.fullmatch(text.strip())
    if match is None:
        raise PromptPairsError(
            f"{place}: {text!r} is no id of a caption such as COCO_val2014:sentid:98; the file "
            "wanted is sts_val.csv or sts_test.csv of Crisscrossed Captions"
        )
    return int(match[1])


def _read_karpathy(path: Path) -> dict[int, str]:
    """Return the captions of Karpathy's JSON file by their sentid, each on one line."""
    if not path.is_file():
        raise FileNotFoundError(f"no captions at {path}; name Karpathy's dataset_coco.json")
    try:
        images = json.loads(path.read_text(encoding="utf-8"))["images"]
        captions = {
            int(sentence["sentid"]): " ".join(sentence["raw"].split())
            for image in images
            for sentence in image["sentences"]
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PromptPairsError(
            f"{path} is not Karpathy's dataset_coco.json, which holds images[].sentences[] with "
            f"sentid and raw: {type(error).__name__} {error}"
        ) from error
    return {sentid: text for sentid, text in captions.items() if text}
