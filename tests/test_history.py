"""The first study's verdicts beside those of now, planted."""

import numpy as np
import pandas as pd
import pytest

from embedding_geometry.ground.records import FIRST_LEDGER, STUDY
from embedding_geometry.pages.findings import Finding
from embedding_geometry.pages.history import (
    CHANGED,
    GONE,
    MISSING,
    SAME,
    change_text,
    then_and_now,
)
from embedding_geometry.pages.ledger import Claim, Entry, Section

SECTION = Section("Gains", "03_couplings", STUDY, (), lambda table, manifest: {})
FIRST = pd.DataFrame(
    [
        ("kept", "improvement", 0.02, 0.01, 0.03, 9, "pairs", "holds"),
        ("lost", "slope", 1.5, 1.0, 2.0, 9, "pairs", "holds"),
        ("counted", "smoother", 1.0, np.nan, np.nan, 6, "ways", "holds"),
        ("waiting", "count", 9.0, np.nan, np.nan, 9, "pairs", "holds"),
        ("gone", "count", 9.0, np.nan, np.nan, 9, "pairs", "does not hold"),
    ],
    columns=["claim", "kind", "estimate", "low", "high", "n", "unit", "verdict"],
)


def entry(name, on_pocket, on_b):
    return Entry(SECTION, Claim(name, f"Claim {name}.", "x"), {"pocket": on_pocket, "b": on_b})


def finding(verdict, interval=(0.04, 0.06), kind="improvement"):
    return Finding(kind, 0.05, interval, "tested", 9, "pairs", verdict, facts=(0.0,))


@pytest.fixture
def verdicts():
    entries = [
        entry("new", finding("holds"), finding("holds")),
        entry("kept", finding("holds"), finding("does not hold")),
        entry("lost", finding("undecided on this model", (-1.0, 1.0), "slope"), finding("holds")),
        entry("counted", finding("holds", None, "smoother"), None),
        entry("waiting", None, finding("holds")),
    ]
    return then_and_now(FIRST, entries, "pocket")


def test_every_claim_of_then_is_held_against_the_same_model_now(verdicts):
    assert verdicts["change"].to_dict() == {
        "kept": SAME,
        "lost": CHANGED,
        "counted": SAME,
        "waiting": MISSING,
        "gone": GONE,
    }
    assert verdicts.loc["lost", ["claim", "then", "now"]].tolist() == [
        "Claim lost.",
        "holds: slope 1.50 [1.00\u00a0to\u00a02.00]",
        "undecided on this model: slope 0.05 [−1.00\u00a0to\u00a01.00]",
    ]
    assert verdicts.loc["kept", "then"] == "holds: 2.0\u202f% [1.0\u00a0to\u00a03.0\u202f%]"
    assert verdicts.loc["counted", ["then", "now"]].tolist() == ["holds", "holds"]
    assert verdicts.loc["waiting", "now"] == verdicts.loc["gone", "now"] == "–"


def test_the_count_says_what_became_of_all_of_them(verdicts):
    assert change_text(verdicts) == (
        "of the 5 claims that had a verdict then, 1 has another one now, 2 have the same, "
        "1 has none recorded, 1 has none any more"
    )
    kept = verdicts[verdicts["change"] == SAME]
    assert change_text(kept) == (
        "of the 2 claims that had a verdict then, 0 have another one now, 2 have the same"
    )


def test_the_record_of_the_first_study_can_be_read_as_findings():
    first = FIRST_LEDGER.rows()
    verdicts = then_and_now(first, [], "pocket")
    assert verdicts.index.tolist() == first["claim"].tolist()
    assert set(verdicts["change"]) == {GONE}
    assert verdicts.loc["poster-2", "then"] == "holds: 1.7\u202f% [1.0\u00a0to\u00a02.7\u202f%]"
