"""The ledger keeps every claim: with what its table shows, or with the remedy if it has none."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from embedding_geometry.ground import records
from embedding_geometry.ground.records import Record, RecordError
from embedding_geometry.pages import ledger as ledgers
from embedding_geometry.pages.findings import Finding
from embedding_geometry.pages.ledger import (
    NO_MODEL,
    Claim,
    Entry,
    LedgerError,
    Section,
    claims_table,
    count_text,
    data_address,
    ledger,
    models_table,
    others_table,
    provenance_table,
    summary_table,
)

BOTH = ("pocket", "menagerie")
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
def of_models(source):
    """Recorded tables of the same kind on two models: gains on one, losses on the other."""
    record = Record("{model}_made", "make mine", (".csv",), ".json")
    for model, sign in {"menagerie": 1, "pocket": -1}.items():
        gains = pd.DataFrame({"gain": [0.2 * sign, 0.1 * sign]})
        gains.to_csv(record.file(".csv", model), index=False)
        record.file(".json", model).write_text(json.dumps(MANIFEST))
    return record


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
    entries = ledger([section(source, names=("none-gains", "all-gain"))], BOTH, {})
    assert [(e.claim.identifier, e.statuses) for e in entries] == [
        ("none-gains", {NO_MODEL: "does not hold"}),
        ("all-gain", {NO_MODEL: "holds"}),
    ]
    assert entries[0].found[NO_MODEL].n == 3


def test_a_claim_about_models_has_a_verdict_on_each(of_models):
    first, second = ledger([section(of_models)], BOTH, {})
    assert first.statuses == {"pocket": "does not hold", "menagerie": "holds"}
    assert second.statuses == {"pocket": "holds", "menagerie": "does not hold"}
    assert first.together == second.together == "models differ"


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        (("holds", "holds"), "models agree"),
        (("does not hold", "does not hold"), "models agree"),
        (("holds", "does not hold"), "models differ"),
        (("holds", "undecided on this model"), "undecided"),
        (("undecided on this model", "undecided on this model"), "undecided"),
        (("holds", None), "not recorded"),
        (("undecided on this model", None), "not recorded"),
    ],
)
def test_two_verdicts_make_one_by_the_rule_of_the_protocol(source, verdicts, together):
    found = {
        model: verdict and Finding("slope", 0.1, None, "fitted", 3, "cases", verdict)
        for model, verdict in zip(BOTH, verdicts, strict=True)
    }
    a_section = section(source)
    assert Entry(a_section, a_section.claims[0], found).together == together


def test_sections_of_one_table_that_share_a_function_ask_it_once(of_models):
    asked = []

    def counted(table, manifest):
        asked.append(manifest)
        return find(table, manifest)

    first, second = section(of_models, names=("all-gain",)), section(of_models, "Others")
    sections = [replace(each, find=counted) for each in (first, second)]
    assert len(ledger(sections, BOTH, {})) == 1 + 2
    assert len(asked) == len(BOTH)


def test_a_claim_without_a_table_stays_and_names_the_remedy(source, missing):
    entries = ledger([section(missing), section(source)], BOTH, {})
    assert [e.statuses[NO_MODEL] for e in entries] == ["not recorded"] * 2 + [
        "holds",
        "does not hold",
    ]
    html = others_table(entries)._repr_html_()
    assert html.count("<code>make it &amp; wait</code>") == 2
    assert 'href="../data/results/gone.csv"' not in html


def test_a_model_without_a_study_names_the_remedy(of_models):
    entries = ledger([section(of_models)], ("some/model", "pocket"), {})
    assert entries[0].together == "not recorded"
    for html in (claims_table(entries), models_table(entries)._repr_html_()):
        assert html.count("<code>make mine</code>") == 2
        assert ">on model<" in html
    of_models.path("pocket").unlink()
    entries = ledger([section(of_models)], BOTH, {})
    assert "<code>python -m embedding_geometry record pocket_made<" in claims_table(entries)


def test_a_claim_for_which_the_table_has_too_few_cases_is_not_recorded(source):
    names = ("all-gain", "of-pairs-that-are-not-there")
    entries = ledger([section(source, names=names)], BOTH, {})
    assert [e.statuses[NO_MODEL] for e in entries] == ["holds", "not recorded"]


@pytest.mark.parametrize("text", ["", "gain\n"])
def test_a_table_without_rows_is_one_error(source, text):
    source.path().write_text(text)
    with pytest.raises(RecordError, match=r"made\.csv has no rows.*`make made` makes it anew"):
        ledger([section(source)], BOTH, {})


def test_a_table_without_a_column_is_one_error(of_models):
    of_models.path("menagerie").write_text("loss\n1\n")
    remedy = r"menagerie_made\.csv .*no 'gain'.*03_couplings.* record menagerie_made`"
    with pytest.raises(LedgerError, match=remedy):
        ledger([section(of_models)], BOTH, {})


def test_a_table_that_a_page_computes_need_not_be_recorded():
    live = section(Record("live", "make notebooks", (), None))
    [first, _] = ledger([live], BOTH, {})
    assert first.statuses == dict.fromkeys(BOTH, "not recorded")
    lost, won = (pd.DataFrame({"gain": [gain]}) for gain in (-1.0, 1.0))
    [first, _] = ledger([live], BOTH, {"live": {"pocket": lost, "menagerie": won}})
    assert first.statuses == {"pocket": "does not hold", "menagerie": "holds"}


def test_the_count_is_a_sentence(source, of_models, missing):
    one = section(source, names=("all-gain",))
    assert count_text(ledger([one], BOTH, {})) == (
        "Of the claims that are not about a model 1 of 1 claims holds"
    )
    assert count_text(ledger([section(of_models), one, section(missing)], BOTH, {})) == (
        "On pocket 1 of 2 claims holds, 1 does not hold; "
        "on menagerie 1 of 2 claims holds, 1 does not hold; "
        "the models agree on 0 and differ on 2; "
        "of the claims that are not about a model 1 of 3 claims holds, 2 are not recorded"
    )


def test_the_summary_counts_by_page_and_links_it(source, of_models, missing):
    later = section(missing, "Later & last", "04_paths")
    html = summary_table(ledger([section(of_models), later, section(source)], BOTH, {}))
    assert html.count("<tr>") == 1 + 2
    both = '<td data-label="on {}">1 holds, 1 does not hold</td>'
    assert '<a href="../notebooks/03_couplings.ipynb">Gains</a></td>' in html
    assert both.format("pocket") + both.format("menagerie") in html
    assert '<td data-label="about no model">1 holds, 1 does not hold</td>' in html
    assert "Later &amp; last</a></td>" in html
    assert '<td data-label="about no model">2 are not recorded</td>' in html


def line_of(html, name):
    return html[html.index(f'<tr id="claim-{name}"') :].partition("</tr>")[0]


def test_a_line_tells_everything_and_links_to_page_and_data(source):
    html = others_table(ledger([section(source)], BOTH, {}))._repr_html_()
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
        assert fact in line_of(html, "all-gain"), fact


def test_a_line_about_models_tells_it_of_each(of_models):
    entries = ledger([section(of_models)], BOTH, {})
    line = line_of(models_table(entries)._repr_html_(), "all-gain")
    on_pocket, on_menagerie = line.split('data-label="on ')[1:]
    for cell, name, effect, verdict in (
        (on_pocket, "pocket", "\u22120.20", "does not hold"),
        (on_menagerie, "menagerie", "0.10", "holds"),
    ):
        assert f"slope {effect} [" in cell
        assert f">{verdict}</span>" in cell
        assert "fitted; p\u00a0=\u00a00.25; 2\u00a0cases" in cell
        assert f'href="../data/results/{name}_made.csv"' in cell
    assert '<td class="models-differ" data-label="together">models differ</td>' in line
    assert "Claim &lt;all-gain&gt;." in claims_table(entries)


def test_data_elsewhere_is_addressed_as_if_it_were_here(tmp_path, monkeypatch):
    monkeypatch.setattr(ledgers, "DATA", tmp_path)
    assert data_address(tmp_path / "prompts/x.csv") == "../data/prompts/x.csv"
    assert data_address(tmp_path.parent / "mine/x.csv") == "../data/results/x.csv"


def test_provenance_comes_from_the_manifests(source, missing):
    sections = [section(source), section(missing), section(source)]
    table = provenance_table(sections, BOTH)
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


def test_provenance_has_a_line_for_the_table_of_each_model(of_models):
    table = provenance_table([section(of_models)], BOTH)
    assert table["made by"].to_dict() == {
        f"{model}_made.csv": f"python -m embedding_geometry record {model}_made" for model in BOTH
    }


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
    table = provenance_table([section(source)], BOTH)
    assert table.loc["made.csv", ["model", "revision", "device"]].tolist() == expected
