"""The ledger keeps every claim: with what its table shows, or with the remedy if it has none."""

import json

import pandas as pd
import pytest

from embedding_geometry.ground import records
from embedding_geometry.ground.records import Record, RecordError
from embedding_geometry.pages import ledger as ledgers
from embedding_geometry.pages.findings import Finding
from embedding_geometry.pages.ledger import (
    Claim,
    LedgerError,
    Section,
    count_text,
    data_address,
    ledger,
    ledger_table,
    provenance_table,
    summary_table,
)

MANIFEST = {
    "model": {"name": "some/pocket", "revision": "0123abcd", "device": "cuda"},
    "ended": "2026-01-02T03:04:05",
}


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A recorded table of three gains, all of one sign or not."""
    folder = tmp_path / "results"
    folder.mkdir()
    monkeypatch.setattr(ledgers, "DATA", tmp_path)
    monkeypatch.setattr(records, "RESULTS", folder)
    pd.DataFrame({"gain": [0.2, 0.1, 0.3]}).to_csv(folder / "made.csv", index=False)
    (folder / "made.json").write_text(json.dumps(MANIFEST))
    return Record("made", "make made", (".csv",), ".json")


@pytest.fixture
def missing():
    return Record("gone", "make it & wait", (".csv",), ".json")


def find(table, manifest):
    """One claim that the planted gains decide, one that they refute."""
    worst = table["gain"].min()
    facts = {"all-gain": worst > 0, "none-gains": worst < 0}
    return {
        name: Finding("slope", worst, (0.0, 1.0), "fitted", len(table), "cases",
                      "holds" if true else "does not hold", p_value=0.25)
        for name, true in facts.items()
    }  # fmt: skip


def section(source, title="Gains", page="03_couplings", names=("all-gain", "none-gains")):
    claims = tuple(Claim(name, f"Claim <{name}>.", "sec-x") for name in names)
    return Section(title, page, source, claims, find)


def test_planted_tables_give_planted_verdicts_in_reading_order(source):
    entries = ledger([section(source, names=("none-gains", "all-gain"))], "pocket", {})
    assert [(e.claim.identifier, e.status) for e in entries] == [
        ("none-gains", "does not hold"),
        ("all-gain", "holds"),
    ]
    assert entries[0].finding.n == 3


def test_a_claim_without_a_table_stays_and_names_the_remedy(source, missing):
    entries = ledger([section(missing), section(source)], "pocket", {})
    assert [e.status for e in entries] == ["not recorded"] * 2 + ["holds", "does not hold"]
    html = ledger_table(entries, "pocket")._repr_html_()
    assert html.count("<code>make it &amp; wait</code>") == 2
    assert 'href="../data/results/gone.csv"' not in html


def test_a_claim_for_which_the_table_has_too_few_cases_is_not_recorded(source):
    entries = ledger([section(source, names=("all-gain", "of-pairs-that-are-not-there"))], "m", {})
    assert [e.status for e in entries] == ["holds", "not recorded"]


@pytest.mark.parametrize("text", ["", "gain\n"])
def test_a_table_without_rows_is_one_error(source, text):
    source.path("pocket").write_text(text)
    with pytest.raises(RecordError, match=r"made\.csv has no rows.*`make made` makes it anew"):
        ledger([section(source)], "pocket", {})


def test_a_table_without_a_column_is_one_error(source):
    source.path("pocket").write_text("loss\n1\n")
    with pytest.raises(LedgerError, match=r"made\.csv .*no 'gain'.*03_couplings.*`make made`"):
        ledger([section(source)], "pocket", {})


def test_a_table_that_a_page_computes_need_not_be_recorded():
    live = Record("live", "make notebooks", (), None)
    assert [e.status for e in ledger([section(live)], "m", {})] == ["not recorded"] * 2
    entries = ledger([section(live)], "m", {"live": pd.DataFrame({"gain": [-1.0]})})
    assert [e.status for e in entries] == ["does not hold", "holds"]
    assert "computed on this page" in ledger_table(entries, "m")._repr_html_()


def test_the_count_is_a_sentence(source, missing):
    one = section(source, names=("all-gain",))
    assert count_text(ledger([one], "m", {})) == "1 of 1 claims holds"
    assert count_text(ledger([one, section(source), section(missing)], "m", {})) == (
        "2 of 5 claims hold; 1 does not hold, 2 are not recorded"
    )


def test_the_summary_counts_by_page_and_links_it(source, missing):
    entries = ledger(
        [section(source), section(missing, "Later & last", "04_paths"), section(source)], "m", {}
    )
    html = summary_table(entries)
    assert html.count("<tr>") == 1 + 2
    assert '<a href="../notebooks/03_couplings.ipynb">Gains</a></td><td>2 hold, 2 do not' in html
    assert "Later &amp; last</a></td><td>2 are not recorded</td>" in html


def test_a_line_tells_everything_and_links_to_page_and_data(source):
    html = ledger_table(ledger([section(source)], "m", {}), "m")._repr_html_()
    line = html[html.index('<tr id="claim-all-gain"') :].partition("</tr>")[0]
    for fact in (
        "Claim &lt;all-gain&gt;.",
        'href="../notebooks/03_couplings.ipynb#sec-x">page 3<',
        '<td class="holds" data-label="verdict">holds</td>',
        "slope 0.10 [0.00\u00a0to\u00a01.00]",
        "fitted; p\u00a0=\u00a00.25",
        "3\u00a0cases",
        'href="../data/results/made.csv">made.csv<',
        ">pocket<",
    ):
        assert fact in line, fact


def test_data_elsewhere_is_addressed_as_if_it_were_here(tmp_path, monkeypatch):
    monkeypatch.setattr(ledgers, "DATA", tmp_path)
    assert data_address(tmp_path / "prompts/x.csv") == "../data/prompts/x.csv"
    assert data_address(tmp_path.parent / "mine/x.csv") == "../data/results/x.csv"


def test_provenance_comes_from_the_manifests(source, missing):
    sections = [section(source), section(missing), section(source)]
    table = provenance_table(sections, "m")
    assert table.loc["made.csv"].to_dict() == {
        "model": "pocket",
        "revision": "0123abcd",
        "device": "cuda",
        "recorded": "2026\u201101\u201102",
        "rows": "3",
        "made by": "make made",
    }
    assert table.loc["gone.csv", ["recorded", "made by"]].tolist() == [
        "not recorded",
        "make it & wait",
    ]
    assert len(table) == 2


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({"model": "pocket", "cpu": "Some CPU", "recorded": "2026-01-02"},
         ["pocket", "–", "Some CPU"]),
        ({"versions": {"diffusers": "0.42"}, "device": "cpu", "ended": "2026-01-02"},
         ["diffusers 0.42, random weights", "–", "cpu"]),
    ],
)  # fmt: skip
def test_benchmarks_and_atlas_have_manifests_of_their_own(source, manifest, expected):
    source.file(".json").write_text(json.dumps(manifest))
    table = provenance_table([section(source)], "m")
    assert table.loc["made.csv", ["model", "revision", "device"]].tolist() == expected
