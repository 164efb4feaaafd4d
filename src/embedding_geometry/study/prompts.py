"""Prompt pairs: two texts, how similar they are, and where they come from.

A study compares couplings *within* a pair of prompts, so the pair is its unit of observation. The
similarity runs from 0 (nothing shared) to 5 (the same content in other words), the scale of
Crisscrossed Captions (Parekh et al., 2021). The stratum tells apart pairs made in different ways.

Crisscrossed Captions (CxC) itself holds scores of pairs of COCO captions and no text. Its ids are
the `sentid` of Karpathy's split of COCO (`dataset_coco.json`), which holds the captions.
"""

import csv
import io
import json
import math
import os
import re
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from embedding_geometry.ground.disk import write_whole
from embedding_geometry.ground.grades import GRADES, MOST_SIMILAR, grade

COLUMNS = ("pair_id", "source", "target", "similarity")
CXC_COLUMNS = ("caption1", "caption2", "agg_score", "sampling_method")
CXC_ID = re.compile(r"[^:]+:sentid:(\d+)")


class PromptPairsError(ValueError):
    """A table of prompt pairs that cannot be used; says which file, which line, and the remedy."""


class MissingCaptionsWarning(UserWarning):
    """Pairs were left out, because captions with their ids are not in the file of captions."""


class TooFewPairsWarning(UserWarning):
    """A grade of similarity has fewer pairs than were asked for."""


@dataclass(frozen=True)
class PromptPair:
    """The two ends of one image interpolation.

    Attributes:
        pair_id: Name of the pair, unique within its table.
        source: The prompt at t = 0.
        target: The prompt at t = 1.
        similarity: Semantic similarity of the two, from 0 to 5.
        stratum: The group that the pair belongs to, such as `natural`, `free` or `rigid`.
    """

    pair_id: str
    source: str
    target: str
    similarity: float
    stratum: str = "natural"

    @property
    def grade(self) -> int:
        """The similarity as a whole number."""
        return grade(self.similarity)


def read_prompt_pairs(path: str | os.PathLike[str]) -> list[PromptPair]:
    """Read a table of prompt pairs, in the order of its lines.

    Args:
        path: A CSV file in UTF-8 with a header and the columns `pair_id`, `source`, `target`,
            `similarity` and, where wanted, `stratum`. Other columns are left alone.

    Raises:
        FileNotFoundError: There is no such file.
        PromptPairsError: The file is not UTF-8, lacks a column, holds no pair or the same
            `pair_id` twice, or a line has an empty text or a similarity outside 0 to 5.
    """
    path = Path(path)
    pairs: dict[str, PromptPair] = {}
    for line, row in _read_rows(path, COLUMNS):
        pair = _parse_pair(row, f"{path}, line {line}")
        if pair.pair_id in pairs:
            raise PromptPairsError(
                f"{path}, line {line}: pair_id {pair.pair_id!r} is already taken by an earlier "
                "line; give every pair its own pair_id"
            )
        pairs[pair.pair_id] = pair
    if not pairs:
        raise PromptPairsError(f"{path} holds no prompt pair; add a line {','.join(COLUMNS)}")
    return list(pairs.values())


def write_prompt_pairs(path: str | os.PathLike[str], pairs: Sequence[PromptPair]) -> None:
    """Write a table of prompt pairs that `read_prompt_pairs` reads back, every text in quotes."""
    text = io.StringIO()
    # csv's own choice of quotes leaves a carriage return bare where lines end in "\n"
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow([field.name for field in fields(PromptPair)])
    writer.writerows(astuple(pair) for pair in pairs)
    write_whole(Path(path), text.getvalue().encode())


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
    rows = _read_rows(scores, CXC_COLUMNS)
    if not rows:
        raise PromptPairsError(f"{scores} has no pairs, only a header; fetch the file again")
    captions = _read_karpathy(karpathy)
    pairs: dict[str, PromptPair] = {}
    missing: set[int] = set()
    for line, row in rows:
        place = f"{scores}, line {line}"
        ids = [_sentid(row[column], place) for column in ("caption1", "caption2")]
        similarity = _parse_similarity(row["agg_score"], place)
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


def sample_pairs(
    pairs: Sequence[PromptPair], per_grade: int, rng: np.random.Generator
) -> list[PromptPair]:
    """Draw pairs without replacement, as many of each grade, the most similar grade first.

    Args:
        pairs: The pairs to draw from.
        per_grade: Pairs of each grade. A grade that has fewer gives all it has, and is named in a
            `TooFewPairsWarning`.
        rng: Source of the draw.

    Returns:
        The pairs drawn, those of one grade in the order that they came in.

    Raises:
        ValueError: `per_grade` is less than 1, or there are no pairs.
    """
    if per_grade < 1 or not pairs:
        raise ValueError(f"{per_grade} pairs a grade from {len(pairs)} pairs: both are 1 or more")
    grades: dict[int, list[PromptPair]] = defaultdict(list)
    for pair in pairs:
        grades[pair.grade].append(pair)
    drawn = []
    for name in GRADES:
        members = grades[name]
        if len(members) < per_grade:
            warnings.warn(
                f"grade {name} has {len(members)} pairs of the {per_grade} asked for",
                TooFewPairsWarning,
                stacklevel=2,
            )
        chosen = rng.choice(len(members), min(per_grade, len(members)), replace=False)
        drawn += [members[index] for index in sorted(chosen)]
    return drawn


def _read_rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Return the lines of a CSV file in UTF-8 with these columns, and perhaps more, by number."""
    if not path.is_file():
        raise FileNotFoundError(f"no table of prompt pairs at {path}; name an existing CSV file")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            header = reader.fieldnames or ()
            rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        raise PromptPairsError(
            f"{path} is not UTF-8 (byte {error.start} is {error.object[error.start]:#04x}); "
            "save it again as UTF-8"
        ) from error
    except csv.Error as error:
        raise PromptPairsError(
            f"{path}, line {reader.line_num}: not CSV ({error}); check the quotation marks"
        ) from error
    missing = [column for column in columns if column not in header]
    if missing:
        raise PromptPairsError(
            f"{path} lacks the column {', '.join(missing)}; its header is "
            f"{','.join(header) or 'empty'}, expected {','.join(columns)}"
        )
    for line, row in rows:
        if None in row:
            raise PromptPairsError(
                f"{path}, line {line}: more fields than the header has columns; "
                "put texts with commas in quotes"
            )
    return rows


def _parse_pair(row: Mapping[str, str], place: str) -> PromptPair:
    texts = {column: row[column].strip() for column in ("pair_id", "source", "target")}
    empty = [column for column, text in texts.items() if not text]
    if empty:
        raise PromptPairsError(f"{place}: {', '.join(empty)} is empty; fill it or drop the line")
    similarity = _parse_similarity(row["similarity"], place)
    stratum = row.get("stratum", "").strip() or "natural"
    return PromptPair(**texts, similarity=similarity, stratum=stratum)


def _parse_similarity(text: str, place: str) -> float:
    try:
        similarity = float(text)
    except ValueError:
        similarity = math.nan
    if not 0 <= similarity <= MOST_SIMILAR:
        raise PromptPairsError(
            f"{place}: similarity is {text!r}; it must be a number from 0 (nothing shared) "
            f"to {MOST_SIMILAR:g} (same content)"
        )
    return similarity


def _sentid(text: str, place: str) -> int:
    match = CXC_ID.fullmatch(text.strip())
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
