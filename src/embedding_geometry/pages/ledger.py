"""The ledger: every claim beside what its recorded table shows, and the verdict that follows.

A `Section` holds the claims of one page that rest on one table and are computed from it together,
because their p-values are corrected together. `claims.SECTIONS` lists them in reading order. A
claim whose table is missing stays in the ledger as *not recorded*, with the command that makes
the table.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

import pandas as pd

from embedding_geometry.ground.places import DATA, short_name
from embedding_geometry.ground.records import Manifest, Record, recording_day
from embedding_geometry.pages.findings import Finding, Findings
from embedding_geometry.pages.tables import Cell, Row, SortableTable
from embedding_geometry.pages.texts import (
    effect_interval,
    effect_key,
    effect_text,
    p_text,
    test_text,
)
from embedding_geometry.statistics.paired import Verdict

Status = Verdict | Literal["not recorded"]
TONES = {
    "holds": ("#00705a", "#4fd0a8"),
    "does not hold": ("#a3264a", "#f59bb0"),
    "undecided on this model": ("#8a5200", "#f0b060"),
    "not recorded": ("#5a5a5a", "#b8b8b8"),
}
WORDS = {  # of one claim, and of several
    "holds": ("holds", "hold"),
    "does not hold": ("does not hold", "do not hold"),
    "undecided on this model": ("is undecided", "are undecided"),
    "not recorded": ("is not recorded", "are not recorded"),
}


class LedgerError(ValueError):
    """A recorded table is there but cannot be read as what it should be."""


# --- what a claim is ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    """One sentence that can be wrong.

    Attributes:
        identifier: its name in the ledger, unique, and its key among the findings of its section.
        statement: the claim in plain words.
        anchor: the place on its page where what was found is shown.
    """

    identifier: str
    statement: str
    anchor: str


@dataclass(frozen=True)
class Section:
    """Claims of a page that are computed together from one table.

    Attributes:
        title: under which the summary counts them.
        page: the file name of the page, without its ending.
        source: the table.
        claims: in reading order.
        find: what the table and its manifest show about every claim. A claim for which the table
            has too few cases may be left out.
    """

    title: str
    page: str
    source: Record
    claims: tuple[Claim, ...]
    find: Callable[[pd.DataFrame, Manifest], Findings]


@dataclass(frozen=True)
class Entry:
    """A line of the ledger: a claim, where it belongs, and what was found, if it was recorded."""

    section: Section
    claim: Claim
    finding: Finding | None

    @property
    def status(self) -> Status:
        """The verdict, or that there is none because nothing was recorded."""
        return "not recorded" if self.finding is None else self.finding.verdict


# --- reading and counting -----------------------------------------------------------------------


def ledger(
    sections: Iterable[Section], model_name: str, computed: Mapping[str, pd.DataFrame]
) -> list[Entry]:
    """Every claim with what was found, in reading order.

    Args:
        sections: the claims.
        model_name: the model whose recorded studies are read.
        computed: tables that a page has computed, by the names of their sources.

    Raises:
        LedgerError: a table lacks a column or a line that its claims need.
        RecordError: a table is damaged or has no rows.
    """
    entries = []
    for section in sections:
        findings = _findings(section, model_name, computed)
        entries += [Entry(section, c, findings.get(c.identifier)) for c in section.claims]
    return entries


def _findings(section: Section, model_name: str, computed: Mapping[str, pd.DataFrame]) -> Findings:
    source = section.source
    table = computed.get(source.name)
    if table is None:
        if not source.recorded(model_name):
            return {}
        table = source.rows(model_name)
    try:
        return section.find(table, source.facts(model_name))
    except KeyError as error:
        raise LedgerError(
            f"{source.path(model_name)} or its manifest has no {error.args[0]!r}, which the "
            f"claims of {section.page} need; `{source.command}` makes them anew"
        ) from error


def count_text(entries: Sequence[Entry]) -> str:
    """How many claims of the ledger have which verdict, as a sentence without its end."""
    found = [entry.status for entry in entries]
    held = found.count("holds")
    text = f"{held} of {len(found)} claims {WORDS['holds'][held != 1]}"
    rest = _counts([status for status in found if status != "holds"])
    return f"{text}; {rest}" if rest else text


def _counts(found: Sequence[Status]) -> str:
    numbers = {status: found.count(status) for status in WORDS if status in found}
    return ", ".join(f"{n} {WORDS[status][n > 1]}" for status, n in numbers.items())


def summary_table(entries: Sequence[Entry]) -> str:
    """For each page how many of its claims have which verdict, as HTML with links to the pages."""
    lines: dict[tuple[str, str], list[Status]] = {}
    for entry in entries:
        page = entry.section.title, entry.section.page
        lines.setdefault(page, []).append(entry.status)
    rows = "\n".join(
        f'<tr><td><a href="{page_address(page)}">{escape(title)}</a></td>'
        f"<td>{_counts(found)}</td></tr>"
        for (title, page), found in lines.items()
    )
    head = '<tr><th scope="col">claims of</th><th scope="col">verdicts</th></tr>'
    return f'<table class="stack table"><thead>{head}</thead>\n<tbody>{rows}</tbody></table>'


# --- the table of all claims --------------------------------------------------------------------


def ledger_table(entries: Sequence[Entry], model_name: str) -> SortableTable:
    """The ledger to sort and filter, each claim with links to its page and its data."""
    return SortableTable(
        title=f"ledger of {len(entries)} claims",
        heads=("claim", "verdict", "effect [95 % interval]", "test", "n", "data"),
        rows=tuple(_row(place, entry, model_name) for place, entry in enumerate(entries)),
        choice="Verdict",
        tones=TONES,
    )


def _row(place: int, entry: Entry, model_name: str) -> Row:
    section, claim = entry.section, entry.claim
    link = f'<a href="{page_address(section.page, claim.anchor)}">page {_number(section.page)}</a>'
    statement = f'{escape(claim.statement)} <span class="where">{link}</span>'
    cells = (
        Cell(statement, "sentence", key=str(place)),
        Cell(entry.status, entry.status),
        *_found_cells(entry),
        _data_cell(section.source, model_name),
    )
    return Row(cells, entry.status, f"claim-{claim.identifier}")


def _found_cells(entry: Entry) -> tuple[Cell, ...]:
    found = entry.finding
    if found is None:
        command = escape(entry.section.source.command)
        return Cell(f"made by <code>{command}</code>"), Cell(""), Cell("")
    interval = f" [{effect_interval(found)}]" if found.interval else ""
    test, p_value = test_text(found), "" if found.p_value is None else f"; {p_text(found.p_value)}"
    return (
        Cell(escape(effect_text(found) + interval), key=effect_key(found)),
        Cell(escape(test + p_value), key=f"{test} {found.p_value or 0:.20f}"),
        Cell(f"{found.n}\u00a0{found.unit}"),
    )


def _data_cell(source: Record, model_name: str) -> Cell:
    path = source.path(model_name)
    file = escape(path.name).replace("_", "_<wbr>")
    if not path.is_file():
        return Cell(file)
    link = f'<a href="{data_address(path)}">{file}</a>'
    return Cell(f'{link} <span class="where">{escape(made_with(source, model_name))}</span>')


def made_with(source: Record, model_name: str) -> str:
    """The model of a table, or the library whose models it is about."""
    if source.manifest is None:
        return "computed on this page"
    manifest = source.facts(model_name)
    model = manifest.get("model")
    if model is None:
        return f"diffusers {manifest['versions']['diffusers']}, random weights"
    return short_name(model["name"] if isinstance(model, dict) else model)


def _number(page: str) -> int:
    return int(page.partition("_")[0])


def page_address(page: str, anchor: str = "") -> str:
    """The address of a place on a page, seen from another page; the book makes it its own."""
    return f"../notebooks/{page}.ipynb" + (f"#{anchor}" if anchor else "")


def data_address(path: Path) -> str:
    """The address of a recorded table, seen from a page; the book makes it its own."""
    ours = path.is_relative_to(DATA)
    folder = path.parent.relative_to(DATA) if ours else "results"
    return f"../data/{folder}/{path.name}"


# --- what the tables were made with -------------------------------------------------------------


def provenance_table(sections: Iterable[Section], model_name: str) -> pd.DataFrame:
    """What each recorded table was made with, on what, when, and how to make it again.

    Returns:
        Index: the file; columns `model`, `revision`, `device`, `recorded`, `rows`, `made by`.
    """
    sources = {section.source.name: section.source for section in sections}
    recorded = [source for source in sources.values() if source.manifest is not None]
    lines = {s.path(model_name).name: _provenance(s, model_name) for s in recorded}
    return pd.DataFrame(lines).T


def _provenance(source: Record, model_name: str) -> dict[str, str]:
    if not source.recorded(model_name):
        missing = dict.fromkeys(("model", "revision", "device", "recorded", "rows"), "–")
        return missing | {"recorded": "not recorded", "made by": source.command}
    table, manifest = source.read(model_name)
    model = manifest.get("model")
    revision = model["revision"] if isinstance(model, dict) else manifest.get("model_revision")
    return {
        "model": made_with(source, model_name),
        "revision": revision or "–",
        "device": _device(manifest),
        "recorded": _unbroken(recording_day(manifest)),
        "rows": str(len(table)),
        "made by": source.command,
    }


def _unbroken(date: str) -> str:
    """A date at whose hyphens no line is broken."""
    return date.replace("-", "\u2011")


def _device(manifest: Manifest) -> str:
    """The device of a study, or the processor that a benchmark ran on."""
    model = manifest.get("model")
    of_model = model["device"] if isinstance(model, dict) else None
    return str(of_model or manifest.get("device") or manifest["cpu"])
