"""Recorded studies are found, or refused with the remedy."""

import json
import subprocess
import tomllib

import pandas as pd
import pytest
from study_tables import MANIFEST, study_table, whole_study

from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.ground import records
from embedding_geometry.ground.disk import digest
from embedding_geometry.ground.places import STUDIES
from embedding_geometry.ground.records import (
    DOSE,
    POCKET,
    RECORDS,
    REPEAT,
    RETIMING,
    SECOND,
    WAYS,
    RecordError,
)
from embedding_geometry.study import recorded
from embedding_geometry.study.prompts import PromptPair, read_prompt_pairs, write_prompt_pairs
from embedding_geometry.study.settings import StudySettingsError


def test_missing_study_is_one_error_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    with pytest.raises(
        recorded.StudyNotRecordedError, match=r"some/model.*model_study\.csv.*study --help"
    ):
        recorded.recorded_study("some/model")


@pytest.mark.parametrize("text", ["", "pair_id,seed,coupling,ppl\n"])
def test_a_study_without_rows_is_one_error_with_the_remedy(text, tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    (tmp_path / "model_study.csv").write_text(text)
    with pytest.raises(RecordError, match=r"model_study\.csv has no rows.*study --publish"):
        recorded.recorded_study("some/model")


def test_the_studies_that_come_with_the_book_are_read_with_their_manifests():
    for record in (POCKET, REPEAT, DOSE, WAYS, *SECOND):
        study, manifest = record.read()
        assert len(study) == manifest["cells"]


def test_a_manifest_that_says_nothing_is_one_error(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    (tmp_path / "model_manifest.json").write_text('{"model": {}, "ended": ""}')
    with pytest.raises(
        RecordError, match=r"model_manifest\.json does not say metric, settings; `"
    ):
        recorded.recorded_commit("some/model")


def test_a_recorded_studys_images_are_made_again_with_its_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    settings = {"steps": 3, "guidance_scale": 2.0, "height": 64, "frames": 11, "dtype": "float16"}
    (tmp_path / "model_manifest.json").write_text(json.dumps(MANIFEST | {"settings": settings}))
    assert recorded.recorded_rendering("model") == RenderSettings(3, 2.0, height=64)


def test_recorded_files_are_found_by_the_short_name(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    whole_study({"a": (0.4, 0.3)}).to_csv(tmp_path / "model_study.csv", index=False)
    pd.DataFrame({"step": [0]}).to_parquet(tmp_path / "model_steps.parquet")
    (tmp_path / "model_manifest.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
    assert len(recorded.recorded_study("some/model")) == 8
    assert recorded.recorded_steps("some/model")["step"].tolist() == [0]
    assert recorded.recorded_manifest("some/model") == MANIFEST


def test_a_study_without_the_couplings_that_are_compared_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    study_table({"a": (0.4, 0.3)}).to_csv(tmp_path / "model_study.csv", index=False)
    with pytest.raises(recorded.StudyNotRecordedError, match=r"\.csv .* random, worst, which"):
        recorded.recorded_study("model")


def test_a_study_is_read_with_the_pairs_published_beside_it(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    whole_study({"a": (0.4, 0.3)}).to_csv(tmp_path / "model_study.csv", index=False)
    with pytest.raises(
        recorded.StudyNotRecordedError,
        match=r"1 prompt pairs of .*model_study\.csv are not in .*pairs\.csv, such as a; put",
    ):
        recorded.studied_pairs("some/model")
    own = [PromptPair("a", "one", "two", 5.0), PromptPair("b", "three", "four", 0.3)]
    write_prompt_pairs(tmp_path / "model_pairs.csv", own)
    assert recorded.studied_pairs("some/model") == own


@pytest.mark.parametrize("record", [POCKET, DOSE, WAYS, *SECOND], ids=lambda record: record.name)
def test_the_recorded_pairs_are_those_that_the_study_took(record):
    texts = [
        [pair.pair_id, pair.source, pair.target]
        for pair in read_prompt_pairs(record.file("_pairs.csv"))
    ]
    assert digest(texts) == record.facts()["settings"]["pairs"]


@pytest.mark.parametrize(
    ("name", "revision", "commit"),
    [
        ("some/model", "0123456789abcdef" * 2 + "01234567", True),
        ("copies/model", "0123456789abcdef" * 2 + "01234567", False),  # a folder of that name
        ("some/model", "0123456789ab", False),  # the hash of a folder
    ],
)
def test_the_commit_of_a_study_is_known_where_it_came_from_the_hub(
    name, revision, commit, tmp_path, monkeypatch
):
    monkeypatch.setenv("EMBEDDING_GEOMETRY_RESULTS", str(tmp_path))
    manifest = MANIFEST | {"model": {"name": "some/model", "revision": revision}}
    (tmp_path / "model_manifest.json").write_text(json.dumps(manifest))
    assert recorded.recorded_commit(name) == (revision if commit else None)


# --- the studies of the book --------------------------------------------------------------------

NAMED = {record.name: record for record in (POCKET, REPEAT, DOSE, WAYS, *SECOND, RETIMING)}


def entries():
    """The studies that the file names, each after its command."""
    groups = tomllib.loads(STUDIES.read_text())
    return {name: command for command, group in groups.items() for name in group}


def test_the_registry_has_the_studies_that_the_file_names():
    assert {
        record.name for record in RECORDS.values() if f"{records.NAMED} " in record.command
    } == {*NAMED}
    assert entries().keys() == NAMED.keys()
    for name, record in NAMED.items():
        assert record.command == f"python -m embedding_geometry record {name}"


@pytest.mark.parametrize("name", NAMED)
def test_a_named_study_is_the_one_that_was_recorded(name):
    command, settings = recorded.named_study(name)
    settings.check()
    made = NAMED[name].facts()
    assert command == entries()[name]
    assert settings.pairs.name == made["pairs"]["file"]
    assert (settings.loading.model, settings.net) == (made["model"]["name"], made["metric"]["net"])
    assert (settings.loading.device, settings.frames) == ("cpu", made["settings"]["frames"])
    table = NAMED[name].rows()
    for seed, rows in table.groupby("seed"):
        assert set(settings.couplings_of(seed)) == set(rows["coupling"])
    assert set(settings.seeds) == set(table["seed"])


@pytest.mark.parametrize("name", [r.name for r in (POCKET, DOSE, WAYS, *SECOND)])
def test_a_named_study_has_the_couplings_in_the_recorded_order(name):
    _, settings = recorded.named_study(name)
    made = NAMED[name].facts()["settings"]
    for field in ("couplings", "extra_couplings_first_seed", "seeds"):
        assert list(getattr(settings, field)) == made[field]


def test_make_study_records_all_but_the_repeat_which_is_for_another_processor():
    done = subprocess.run(
        ["make", "-n", "study"], cwd=STUDIES.parents[1], capture_output=True, text=True, check=True
    )
    [line] = [line for line in done.stdout.splitlines() if "embedding_geometry record" in line]
    assert line.partition(" record ")[2].split() == [n for n in NAMED if n != REPEAT.name]


def test_an_unknown_study_is_refused_with_the_names_of_all():
    with pytest.raises(StudySettingsError, match=f"'nosuch'; there are {', '.join(NAMED)}$"):
        recorded.named_study("nosuch")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[study.a", "damaged"),
        ("study = 1", "damaged"),
        ("[study.a]\nmodel = 'pocket'", "damaged .'pairs'"),
        ("[study.a]\npairs = 'a.csv'\nloading = {}\ncolour = 'red'", "damaged .*'colour'"),
    ],
)
def test_a_damaged_file_of_studies_is_one_error(text, message, tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "STUDIES", tmp_path / "studies.toml")
    (tmp_path / "studies.toml").write_text(text)
    with pytest.raises(StudySettingsError, match=rf"studies\.toml is {message}"):
        recorded.named_study("a")


def test_both_tables_of_a_named_study_are_among_the_prompts(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "STUDIES", tmp_path / "studies.toml")
    monkeypatch.setattr(recorded, "PROMPTS", tmp_path / "prompts")
    tables = 'pairs = "a.csv"\nreference = "b.csv"\nnets_beside = ["vgg"]'
    (tmp_path / "studies.toml").write_text(f"[study.a]\n{tables}\nloading = {{}}")
    _, settings = recorded.named_study("a")
    assert settings.pairs == tmp_path / "prompts/a.csv"
    assert settings.reference == tmp_path / "prompts/b.csv"
    settings.check()


def test_without_the_repository_only_a_named_study_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "STUDIES", tmp_path / "data/studies.toml")
    with pytest.raises(FileNotFoundError, match=r"data/studies\.toml: they are part of the repos"):
        recorded.named_study("pocket")
