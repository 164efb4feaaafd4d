"""The verdicts of the first study beside those of now.

The first study was of pocket alone, measured with a network that was trained here; `FIRST_LEDGER`
has what it found about every claim that the book made then.
"""

from collections.abc import Sequence

import pandas as pd

from embedding_geometry.pages.findings import Finding
from embedding_geometry.pages.ledger import Entry
from embedding_geometry.pages.texts import effect_interval, effect_text

CHANGED, SAME, MISSING, GONE = "another one now", "the same", "none recorded", "none any more"


def then_and_now(first: pd.DataFrame, entries: Sequence[Entry], model_name: str) -> pd.DataFrame:
    """Every claim of the first study, with its verdict then and now on the same model.

    Args:
        first: the record, a row for each claim: its name `claim`, `kind`, `estimate`, `low`,
            `high`, `n`, `unit` and `verdict`.
        entries: the ledger of now.
        model_name: under which the model stands in it.

    Returns:
        Index: the names of the claims; columns `claim`, the sentence, `then` and `now`, verdicts
        with effects and intervals where they have some, and `change`, what became of the verdict.
    """
    entry_of = {entry.claim.identifier: entry for entry in entries}
    rows = {}
    for row in first.to_dict("records"):
        interval = None if pd.isna(row["low"]) else (row["low"], row["high"])
        then = Finding(
            row["kind"], row["estimate"], interval, "", row["n"], row["unit"], row["verdict"]
        )
        entry = entry_of.get(row["claim"])
        now = entry.found[model_name] if entry else None
        sentence = entry.claim.statement if entry else row["claim"]
        rows[row["claim"]] = sentence, _said(then), _said(now), _change(then, now, entry is None)
    return pd.DataFrame.from_dict(rows, "index", columns=["claim", "then", "now", "change"])


def _said(found: Finding | None) -> str:
    if found is None:
        return "–"
    effect = f": {effect_text(found)} [{effect_interval(found)}]" if found.interval else ""
    return found.verdict + effect


def _change(then: Finding, now: Finding | None, gone: bool) -> str:
    if now is None:
        return GONE if gone else MISSING
    return SAME if now.verdict == then.verdict else CHANGED


def change_text(verdicts: pd.DataFrame) -> str:
    """How many claims of `then_and_now` have another verdict now, for a sentence."""
    counts = (
        verdicts["change"].value_counts().reindex([CHANGED, SAME, MISSING, GONE], fill_value=0)
    )
    parts = [
        f"{count} {'has' if count == 1 else 'have'} {change}"
        for change, count in counts.items()
        if count or change == CHANGED
    ]
    return f"of the {len(verdicts)} claims that had a verdict then, {', '.join(parts)}"
