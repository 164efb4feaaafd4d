"""What was measured as files: numbers and provenance."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import planted_paths
import pytest
from planted_paths import held_against, noise

from embedding_geometry.perception.evaluation import (
    measure_paths,
    path_fidelity,
    read_reference,
)
from embedding_geometry.perception.frames import ReadSettings, write_frames
from embedding_geometry.perception.outputs import check_outputs
from embedding_geometry.perception.partners import (
    LESS_IS_BETTER,
    compare_paths,
    comparison_record,
    match_partners,
)
from embedding_geometry.perception.reports import (
    provenance,
    write_csv,
    write_json,
)
from embedding_geometry.perception.tables import path_table


@pytest.fixture
def two_folders(tmp_path):
    return planted_paths.two_folders(tmp_path)


@pytest.fixture
def references(tmp_path):
    return planted_paths.references(tmp_path)


def test_the_files_hold_numbers_and_provenance(tiny_metric, two_folders, tmp_path):
    partners = match_partners(*two_folders)
    measured = measure_paths(tiny_metric, partners.paths)
    compared = compare_paths(measured[:3], measured[3:], np.random.default_rng(4))
    settings, failed = ReadSettings(background="white"), {tmp_path / "c": "is broken"}
    about, record = provenance(tiny_metric, settings), comparison_record(partners, 4, compared)
    write_csv(tmp_path / "table.csv", about, measured)
    write_json(tmp_path / "report.json", about, measured, failed=failed, comparison=record)
    table = pd.read_csv(tmp_path / "table.csv")
    columns = list(path_table(measured).columns)
    pd.testing.assert_frame_equal(table[columns], path_table(measured))
    assert set(table["revision"]) == {tiny_metric.revision}
    assert set(table["size"] + table["resized"] + table["background"]) == {"32x32nowhite"}
    report = json.loads((tmp_path / "report.json").read_text())
    about = report["provenance"]
    assert (about["net"], about["revision"]) == ("squeeze", tiny_metric.revision)
    assert {"measured", "lpips", "torch", "torchvision", "pillow", "av"} <= set(about)
    assert [path["distances"] for path in report["paths"]] == [m.distances for m in measured]
    assert report["paths"][0]["files"] == ["frame_000.png", "frame_001.png", "frame_002.png"]
    assert report["comparison"]["seed"] == 4
    assert report["comparison"]["names"] == ["1", "2", "3"]
    assert report["failed"] == {str(tmp_path / "c"): "is broken"}
    assert [row["measure"] for row in report["comparison"]["measures"]] == list(LESS_IS_BETTER)
    check_outputs(tmp_path / "table.csv", tmp_path / "report.json")  # may be replaced by others


def test_a_name_that_is_no_text_is_written(tiny_metric, tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    write_frames(noise(2), path, {})
    measured = measure_paths(tiny_metric, [path])
    write_csv(tmp_path / "table.csv", provenance(tiny_metric), measured)
    write_json(tmp_path / "report.json", provenance(tiny_metric), measured)
    assert pd.read_csv(tmp_path / "table.csv")["path"].item().endswith(r"/\xff")


def test_the_files_hold_fidelity_and_what_it_depends_on(tiny_metric, references, tmp_path):
    reference = read_reference(tiny_metric, references)
    measured = held_against(reference, tiny_metric, tmp_path / "paths", [3, 5, 4, 3])
    fidelity = {"mine": path_fidelity(measured[:3], reference, 0)}
    about = provenance(tiny_metric, reference=reference)
    write_csv(tmp_path / "table.csv", about, measured, fidelity=fidelity)
    write_json(tmp_path / "report.json", about, measured, fidelity=fidelity)
    table = pd.read_csv(tmp_path / "table.csv")
    np.testing.assert_allclose(table["realism"], path_table(measured)["realism"])
    kid, (low, high) = fidelity["mine"].kid, fidelity["mine"].kid_interval
    found = table[["kid", "kid_low", "kid_high"]].to_numpy()
    np.testing.assert_allclose(found[:3], [[kid, low, high]] * 3)
    assert np.isnan(found[3]).all()  # the fourth is in no set
    assert set(table["reference"]) == {str(references)}
    assert set(table["reference_pictures"]) == {9}
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["provenance"]["reference_revision"] == tiny_metric.revision
    assert [path["frame_realism"] for path in report["paths"]] == [m.realism for m in measured]
    assert [path["distinct"] for path in report["paths"]] == [3, 5, 4, 3]
    assert report["fidelity"]["mine"]["kid"] == kid
    assert report["fidelity"]["mine"]["paths"] == [str(m.path) for m in measured[:3]]
