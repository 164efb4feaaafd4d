"""The claims: each is a sentence with a finding, a place on its page, and a recorded table."""

import re
from pathlib import Path

import pandas as pd
import pytest
from docutils.nodes import make_id

from embedding_geometry.ground.places import EMBEDDED, RESULTS
from embedding_geometry.ground.records import DOSE, RETIMING, STUDY
from embedding_geometry.ground.records import ORDER as ORDER_RECORD
from embedding_geometry.pages import findings
from embedding_geometry.pages.claims import SECTIONS
from embedding_geometry.pages.ledger import ledger

GRIDS = pd.DataFrame(
    {"shape": ["triangle", "square"], "barycenter": [0.5, 0.5], "mean_of_rows": [2.0, 3.0]}
)
NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
ORDER = pd.DataFrame({"by_order": [1e-6, 3e-6], "by_text": [0.7, 0.9]})


@pytest.fixture(scope="module")
def entries():
    """The ledger of the recorded tables."""
    computed = {"order": dict.fromkeys(EMBEDDED, ORDER), "grids": dict.fromkeys(EMBEDDED, GRIDS)}
    return ledger(SECTIONS, tuple(EMBEDDED), computed)


def test_every_claim_has_one_name_and_a_finding(entries):
    names = [entry.claim.identifier for entry in entries]
    assert len(set(names)) == len(names)
    assert [e.claim.identifier for e in entries if None in e.found.values()] == []


@pytest.mark.parametrize("find", [findings.coupling_findings, findings.retiming_findings])
def test_all_that_is_tested_together_is_claimed(find):
    """Else the ledger would correct for tests that it does not show."""
    sections = [section for section in SECTIONS if section.find is find]
    found = find(sections[0].source.rows(), {})
    assert list(found) == [claim.identifier for each in sections for claim in each.claims]


def test_a_name_with_braces_stands_for_many_claims():
    statements = {claim.identifier: claim.statement for s in SECTIONS for claim in s.claims}
    assert statements["tempo-after-gini"] == (
        "At equal steps, the Gini coefficient of the steps is lower along the optimal coupling "
        "than in row order."
    )
    assert statements["ways-words-against-row"] == "The way words has a lower PPL than row order."
    assert "{" not in "".join([*statements, *statements.values()])


def test_the_posters_claims_come_first_and_then_the_pages_in_their_order(entries):
    assert [e.claim.identifier for e in entries[:3]] == ["poster-1", "poster-2", "poster-3"]
    later = [entry.section.page for entry in entries[3:]]
    assert later == sorted(later)


def test_statements_are_sentences(entries):
    for entry in entries:
        assert entry.claim.statement.endswith(".")
        assert entry.claim.statement[0].isupper()


def places(page):
    """Where a page can be linked to: its labels, headings and figures."""
    text = (NOTEBOOKS / f"{page}.md").read_text()
    headings = re.findall(r"^#+ (.*)", text, flags=re.MULTILINE)
    labels = re.findall(r"^\(([\w-]+)\)=|^    name: ([\w-]+)", text, flags=re.MULTILINE)
    return {make_id(heading) for heading in headings} | {a or b for a, b in labels}


def test_every_claim_is_shown_at_a_place_that_exists(entries):
    missing = [
        (entry.section.page, entry.claim.anchor)
        for entry in entries
        if entry.claim.anchor not in places(entry.section.page)
    ]
    assert missing == []


def test_titles_are_those_of_the_pages():
    for section in SECTIONS:
        title = re.search(r"^# (.*)", (NOTEBOOKS / f"{section.page}.md").read_text(), re.MULTILINE)
        assert section.title in (title[1], "The poster's claims")


@pytest.mark.parametrize("model", EMBEDDED)
def test_tables_and_manifests_exist_for_every_embedded_model(model):
    for source in {section.source.name: section.source for section in SECTIONS}.values():
        assert source.path(model).is_file(), source.made_by(model)
        assert source.manifest is None or source.file(source.manifest, model).is_file()


def test_another_models_claims_wait_for_its_study():
    waiting = ledger(SECTIONS, ["some/stable-diffusion"], {})
    status = {e.section.source.name: [*e.statuses.values()] for e in waiting}
    for source in (ORDER_RECORD, STUDY, DOSE, RETIMING):
        assert status[source.name] == ["not recorded"]
    assert ["not recorded"] not in (status["atlas"], status["benchmark_study"])


def test_the_ledger_reads_pockets_study_where_other_results_are_kept_elsewhere(
    tmp_path, monkeypatch
):
    """As pages 5 and 6 do: it comes with the book. Another model's is in the results folder."""
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    for ending in ("_study.csv", "_manifest.json"):
        assert STUDY.file(ending, "pocket").parent == RESULTS
        assert STUDY.file(ending, "some/model").parent == tmp_path
