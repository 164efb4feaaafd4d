"""Prompt pairs: two texts, how similar they are, and where they come from.

A study compares couplings *within* a pair of prompts, so the pair is its unit of observation. The
similarity runs from 0 (nothing shared) to 5 (the same content in other words), the scale of
Crisscrossed Captions (Parekh et al., 2021). The stratum tells apart pairs made in different ways.
"""

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from embedding_geometry.ground.disk import write_whole
from embedding_geometry.ground.grades import MOST_SIMILAR, grade

COLUMNS = ("pair_id", "source", "target", "similarity")


class PromptPairsError(ValueError):
    """A table of prompt pairs that cannot be used; says which file, which line, and the remedy."""


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

    Examples:
        >>> columns = ["pair_id", "source", "target", "similarity"]
        >>> pairs = pd.DataFrame([["first", "a cat", "a dog", 3]], columns=columns)
        >>> pairs.to_csv("pairs.csv", index=False)
        >>> eg.read_prompt_pairs("pairs.csv")[0].target
        'a dog'
    """
    path = Path(path)
    pairs: dict[str, PromptPair] = {}
    for line, row in read_rows(path, COLUMNS):
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


def read_rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
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
    similarity = parse_similarity(row["similarity"], place)
    stratum = row.get("stratum", "").strip() or "natural"
    return PromptPair(**texts, similarity=similarity, stratum=stratum)


def parse_similarity(text: str, place: str) -> float:
    """Return the number that the text says, or an error that names its place in a file."""
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
