"""The claims of the poster and of this book, in reading order, and what decides each.

The sentences stand in `claims.toml`, beside the page that each is on, the table of `records` that
it rests on, and the function of `findings` that says what the table shows and what follows.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import product
from typing import Any

from embedding_geometry.ground.records import RECORDS
from embedding_geometry.pages import findings
from embedding_geometry.pages.ledger import Claim, Section

Words = Mapping[str, Mapping[str, str] | Sequence[str]]


def read_sections() -> tuple[Section, ...]:
    """The sections of `claims.toml` with their tables and functions."""
    told = tomllib.loads(files(__package__).joinpath("claims.toml").read_text(encoding="utf-8"))
    return tuple(_section(section, told["words"]) for section in told["section"])


def _section(told: Mapping[str, Any], words: Mapping[str, str]) -> Section:
    claims = (
        claim
        for anchor, statements in told["at"].items()
        for name, statement in statements.items()
        for claim in _family(name, statement, anchor, told.get("each", {}), words)
    )
    find = getattr(findings, f"{told['find']}_findings")
    source = RECORDS[told["source"]]
    return Section(told["title"], told["page"], source, tuple(claims), find)


def _family(
    name: str, statement: str, anchor: str, each: Words, words: Mapping[str, str]
) -> Iterator[Claim]:
    """The claims that a name stands for: one, or one for each combination of what is in braces."""
    axes = {axis: entries for axis, entries in each.items() if f"{{{axis}}}" in name}
    for keys in product(*axes.values()):
        key_of = dict(zip(axes, keys, strict=True))
        word_of = {
            axis: (entries if isinstance(entries, Mapping) else words).get(
                key_of[axis], key_of[axis]
            )
            for axis, entries in axes.items()
        }
        sentence = statement.format(**{**words, **word_of})
        yield Claim(name.format(**key_of), " ".join(sentence.split()), anchor)


SECTIONS = read_sections()


def of_page(page: str) -> tuple[Section, ...]:
    """The sections of a page, named by its file without the ending."""
    return tuple(section for section in SECTIONS if section.page == page)
