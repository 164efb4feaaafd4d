"""The ledger: every claim beside what its recorded table shows, and the verdict that follows.

A `Section` holds the claims of one page that rest on one table and are computed from it together,
because their p-values are corrected together. `claims.SECTIONS` lists them in reading order. Where
each model has such a table of its own, a claim has a verdict on each, and one on all of them. A
claim whose table is missing stays in the ledger as *not recorded*, with the command that makes
the table.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

import pandas as pd

from embedding_geometry.ground.places import DATA, EMBEDDED, short_name
from embedding_geometry.ground.records import Manifest, Record, recording_day
from embedding_geometry.pages.findings import Finding, Findings
from embedding_geometry.pages.tables import STYLE, Cell, Row, SortableTable, css_class, tone_rules
from embedding_geometry.pages.texts import (
    effect_interval,
    effect_key,
    effect_text,
    p_text,
    test_text,
)
from embedding_geometry.statistics.verdicts import Verdict

Status = Verdict | Literal["not recorded"]
Together = Literal["models agree", "models differ", "undecided", "not recorded"]
TONES = {  # on light and on dark ground
    **dict.fromkeys(("holds", "models agree"), ("#00705a", "#4fd0a8")),
    **dict.fromkeys(("does not hold", "models differ"), ("#a3264a", "#f59bb0")),
    **dict.fromkeys(("undecided on this model", "undecided"), ("#8a5200", "#f0b060")),
    "not recorded": ("#5a5a5a", "#b8b8b8"),
}
WORDS = {  # of one claim, and of several
    "holds": ("holds", "hold"),
    "does not hold": ("does not hold", "do not hold"),
    "undecided on this model": ("is undecided", "are undecided"),
    "not recorded": ("is not recorded", "are not recorded"),
}
NO_MODEL = ""  # the name under which the finding of a claim about no single model stands


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
        find: what the table and its manifest show about every claim; sections of one table may
            share it. A claim for which the table has too few cases may be left out.
    """

    title: str
    page: str
    source: Record
    claims: tuple[Claim, ...]
    find: Callable[[pd.DataFrame, Manifest], Findings]


@dataclass(frozen=True)
class Entry:
    """A line of the ledger: a claim, where it belongs, and what was found, if it was recorded.

    Attributes:
        section: the claims that it was computed with.
        claim: the claim.
        found: what was found on each model, by its name; of a claim that is not about a model,
            what was found at all, under `NO_MODEL`.
    """

    section: Section
    claim: Claim
    found: Mapping[str, Finding | None]

    @property
    def of_models(self) -> bool:
        """Whether it has a verdict on each model."""
        return NO_MODEL not in self.found

    @property
    def statuses(self) -> dict[str, Status]:
        """The verdicts, or that there is none because nothing was recorded."""
        return {m: "not recorded" if f is None else f.verdict for m, f in self.found.items()}

    @property
    def together(self) -> Together:
        """What the verdicts on the models say together, by the rule of the protocol."""
        found = set(self.statuses.values())
        if "not recorded" in found:
            return "not recorded"
        if "undecided on this model" in found:
            return "undecided"
        return "models agree" if len(found) == 1 else "models differ"


# --- reading and counting -----------------------------------------------------------------------


def compared_models(model_name: str) -> tuple[str, ...]:
    """The models of the ledger: the one of the pages, and the embedded ones beside it."""
    return model_name, *(name for name in EMBEDDED if name != short_name(model_name))


def ledger(
    sections: Iterable[Section],
    models: Sequence[str],
    computed: Mapping[str, Mapping[str, pd.DataFrame]],
) -> list[Entry]:
    """Every claim with what was found, in reading order.

    Args:
        sections: the claims.
        models: the models whose recorded studies are read.
        computed: tables that a page has computed, by the names of their sources and by model.

    Raises:
        LedgerError: a table lacks a column or a line that its claims need.
        RecordError: a table is damaged or has no rows.
    """
    entries = []
    known: dict[tuple[Record, object], dict[str, Findings]] = {}
    for section in sections:
        basis = section.source, section.find
        if basis not in known:
            of = models if section.source.of_model else (NO_MODEL,)
            tables = computed.get(section.source.name, {})
            known[basis] = {model: _findings(section, model, tables.get(model)) for model in of}
        for claim in section.claims:
            found = {model: each.get(claim.identifier) for model, each in known[basis].items()}
            entries.append(Entry(section, claim, found))
    return entries


def _findings(section: Section, model_name: str, table: pd.DataFrame | None) -> Findings:
    source = section.source
    if table is None:
        if not source.recorded(model_name):
            return {}
        table = source.rows(model_name)
    try:
        return section.find(table, source.facts(model_name))
    except KeyError as error:
        raise LedgerError(
            f"{source.path(model_name)} or its manifest has no {error.args[0]!r}, which the "
            f"claims of {section.page} need; `{source.made_by(model_name)}` makes them anew"
        ) from error


def count_text(entries: Sequence[Entry]) -> str:
    """How many claims have which verdict on each model, as a sentence without its end."""
    of_models = [entry for entry in entries if entry.of_models]
    parts = [
        f"on {short_name(model)} {_count([entry.statuses[model] for entry in of_models])}"
        for model in (of_models[0].found if of_models else ())
    ]
    if of_models:
        together = [entry.together for entry in of_models]
        agree, differ = together.count("models agree"), together.count("models differ")
        parts += [f"the models agree on {agree} and differ on {differ}"]
    others = [entry.statuses[NO_MODEL] for entry in entries if not entry.of_models]
    parts += [f"of the claims that are not about a model {_count(others)}"] * bool(others)
    text = "; ".join(parts)
    return text[:1].upper() + text[1:]


def _count(found: Sequence[Status]) -> str:
    held = found.count("holds")
    text = f"{held} of {len(found)} claims {WORDS['holds'][held != 1]}"
    rest = _counts([status for status in found if status != "holds"])
    return f"{text}, {rest}" if rest else text


def _counts(found: Sequence[Status]) -> str:
    numbers = {status: found.count(status) for status in WORDS if status in found}
    return ", ".join(f"{n} {WORDS[status][n > 1]}" for status, n in numbers.items())


# --- tables of some claims ----------------------------------------------------------------------


def summary_table(entries: Sequence[Entry]) -> str:
    """For each page how many of its claims have which verdict, as HTML with links to the pages."""
    models = _models(entries)
    lines: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        lines.setdefault((entry.section.title, entry.section.page), []).append(entry)
    columns = {**models, NO_MODEL: "about no model"}
    rows = (
        [
            f'<a href="{page_address(page)}">{escape(title)}</a>',
            *(_counts([e.statuses[each] for e in found if each in e.found]) for each in columns),
        ]
        for (title, page), found in lines.items()
    )
    return _html_table(["claims of", *columns.values()], rows)


def claims_table(entries: Sequence[Entry]) -> str:
    """Claims about models with what was found on each, as HTML with links to the pages."""
    models = _models(entries)
    rows = (
        [_statement(entry), *(_verdict(entry, m) for m in models), _toned(entry.together)]
        for entry in entries
    )
    table = _html_table(["claim", *models.values(), "together"], rows, "sortable")
    return f"<style>{STYLE}{tone_rules(TONES)}</style>{table}"


def _models(entries: Sequence[Entry]) -> dict[str, str]:
    """The models of the entries, and how their columns are headed."""
    found = next((entry.found for entry in entries if entry.of_models), {})
    return {model: f"on {short_name(model)}" for model in found}


def _html_table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    labels = [f'<td data-label="{escape(each)}">' for each in heads]
    body = "\n".join(
        f"<tr>{''.join(f'{td}{cell}</td>' for td, cell in zip(labels, row, strict=True))}</tr>"
        for row in rows
    )
    return (
        f'<div class="{kind}"><table class="stack table"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _toned(word: str) -> str:
    return f'<span class="{css_class(word)}">{word}</span>'


def _statement(entry: Entry) -> str:
    page = entry.section.page
    number = int(page.partition("_")[0])
    link = f'<a href="{page_address(page, entry.claim.anchor)}">page {number}</a>'
    return f"{escape(entry.claim.statement)} {_where(link)}"


def _verdict(entry: Entry, model: str) -> str:
    """What was found on a model: the verdict, the effect, how it was decided, on how much."""
    found = entry.found[model]
    if found is None:
        return f"{_toned('not recorded')}{_where(_remedy(entry.section.source, model))}"
    lines = escape(_effect(found)), f"{escape(_test(found))}; {found.n}\u00a0{found.unit}"
    return "".join([_toned(found.verdict), *map(_where, lines)])


def _where(line: str) -> str:
    return f'<span class="where">{line}</span>'


def _remedy(source: Record, model: str) -> str:
    return f"made by <code>{escape(source.made_by(model))}</code>"


def _effect(found: Finding) -> str:
    return effect_text(found) + (f" [{effect_interval(found)}]" if found.interval else "")


def _test(found: Finding) -> str:
    return test_text(found) + ("" if found.p_value is None else f"; {p_text(found.p_value)}")


# --- the tables of all claims -------------------------------------------------------------------


def models_table(entries: Sequence[Entry]) -> SortableTable:
    """The claims about models to sort and filter, each with its data and links to its page."""
    of_models = [entry for entry in entries if entry.of_models]
    return SortableTable(
        title=f"ledger of {len(of_models)} claims about models",
        heads=("claim", *_models(of_models).values(), "together"),
        rows=tuple(_models_row(place, entry) for place, entry in enumerate(of_models)),
        choice="Together",
        tones=TONES,
    )


def _models_row(place: int, entry: Entry) -> Row:
    cells = (
        Cell(_statement(entry), "sentence", key=str(place)),
        *(_model_cell(entry, model) for model in entry.found),
        Cell(entry.together, entry.together),
    )
    return Row(cells, entry.together, f"claim-{entry.claim.identifier}")


def _model_cell(entry: Entry, model: str) -> Cell:
    found = entry.found[model]
    key = "" if found is None else f"{found.verdict} {effect_key(found)}"
    data = _where(_data(entry.section.source, model))
    return Cell(_verdict(entry, model) + data, key=key)


def others_table(entries: Sequence[Entry]) -> SortableTable:
    """The claims that are not about a model, likewise."""
    others = [entry for entry in entries if not entry.of_models]
    return SortableTable(
        title=f"ledger of {len(others)} other claims",
        heads=("claim", "verdict", "effect [95 % interval]", "test", "n", "data"),
        rows=tuple(_other_row(place, entry) for place, entry in enumerate(others)),
        choice="Verdict",
        tones=TONES,
    )


def _other_row(place: int, entry: Entry) -> Row:
    [status], [found], source = entry.statuses.values(), entry.found.values(), entry.section.source
    effect, test, n = Cell(_remedy(source, NO_MODEL)), Cell(""), Cell("")
    if found is not None:
        effect = Cell(escape(_effect(found)), key=effect_key(found))
        test = Cell(escape(_test(found)), key=f"{test_text(found)} {found.p_value or 0:.20f}")
        n = Cell(f"{found.n}\u00a0{found.unit}")
    statement = Cell(_statement(entry), "sentence", key=str(place))
    data = Cell(f"{_data(source, NO_MODEL)} {_where(escape(made_with(source, NO_MODEL)))}")
    cells = (statement, Cell(status, status), effect, test, n, data)
    return Row(cells, status, f"claim-{entry.claim.identifier}")


def _data(source: Record, model_name: str) -> str:
    """The name of a table, and a link to it where it is there."""
    path = source.path(model_name)
    file = escape(path.name).replace("_", "_<wbr>")
    return f'<a href="{data_address(path)}">{file}</a>' if path.is_file() else file


def made_with(source: Record, model_name: str) -> str:
    """The model of a table, or the library whose models it is about."""
    if source.manifest is None:
        return "computed on this page"
    if not source.recorded(model_name):
        return ""
    manifest = source.facts(model_name)
    model = manifest.get("model")
    if model is None:
        return f"diffusers {manifest['versions']['diffusers']}, random weights"
    return short_name(model["name"] if isinstance(model, dict) else model)


def page_address(page: str, anchor: str = "") -> str:
    """The address of a place on a page, seen from another page; the book makes it its own."""
    return f"../notebooks/{page}.ipynb" + (f"#{anchor}" if anchor else "")


def data_address(path: Path) -> str:
    """The address of a recorded table, seen from a page; the book makes it its own."""
    ours = path.is_relative_to(DATA)
    folder = path.parent.relative_to(DATA) if ours else "results"
    return f"../data/{folder}/{path.name}"


# --- what the tables were made with -------------------------------------------------------------


def provenance_table(sections: Iterable[Section], models: Sequence[str]) -> pd.DataFrame:
    """What each recorded table was made with, on what, when, and how to make it again.

    Returns:
        Index: the file; columns `model`, `revision`, `device`, `recorded`, `rows`, `made by`.
    """
    sources = {section.source.name: section.source for section in sections}
    lines = {
        source.path(model).name: _provenance(source, model)
        for source in sources.values()
        if source.manifest is not None
        for model in (models if source.of_model else [NO_MODEL])
    }
    facts = ["model", "revision", "device", "recorded", "rows", "made by"]
    return pd.DataFrame(lines, index=facts).T.fillna("–")


def _provenance(source: Record, model_name: str) -> dict[str, str | None]:
    if not source.recorded(model_name):
        return {"recorded": "not recorded", "made by": source.made_by(model_name)}
    table, manifest = source.read(model_name)
    model = manifest.get("model")
    of_study = model if isinstance(model, dict) else {}
    return {
        "model": made_with(source, model_name),
        "revision": of_study.get("revision") or manifest.get("model_revision"),
        # of a benchmark the processor that it ran on
        "device": of_study.get("device") or manifest.get("device") or manifest["cpu"],
        "recorded": recording_day(manifest).replace("-", "\u2011"),  # where no line is broken
        "rows": str(len(table)),
        "made by": source.made_by(model_name),
    }
