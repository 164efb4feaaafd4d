"""The evaluator: measures of paths on disk, matched folders, planted improvements, the files."""

import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from embedding_geometry.perception.evaluation import (
    MeasuredPath,
    RepeatedFramesWarning,
    fidelity_table,
    measure_path,
    measure_paths,
    path_fidelity,
    path_table,
    read_reference,
)
from embedding_geometry.perception.fidelity import (
    Reference,
    kernel_distance,
    picture_features,
    realism,
)
from embedding_geometry.perception.frames import (
    ReadSettings,
    read_frames,
    write_animation,
    write_frames,
)
from embedding_geometry.perception.metric import PathLengthMeter, perceptual_distances
from embedding_geometry.perception.partners import (
    LESS_IS_BETTER,
    LeftOutMeasureWarning,
    MissingPartnersWarning,
    UnlikePartnersWarning,
    compare_paths,
    comparison_record,
    match_partners,
    measured_pairs,
)
from embedding_geometry.perception.path_length import perceptual_path_length
from embedding_geometry.perception.reports import (
    check_outputs,
    provenance,
    write_csv,
    write_json,
)
from embedding_geometry.statistics.paired import median_interval, paired_comparison


def noise(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def planted(distances, end_distance=0.1, name="planted"):
    """A measured path with these distances."""
    length = perceptual_path_length(np.array(distances, dtype=float))
    files, distinct = ["0.png"], len(distances) + 1
    return MeasuredPath(
        Path(name), files, list(distances), length, end_distance, 0.5, "8x8", distinct
    )


def planted_folder(seed, factor=1.0, steps=10, count=12):
    """Measured paths whose distances are drawn from the seed and multiplied by the factor."""
    rng = np.random.default_rng(seed)
    return [planted(factor * rng.uniform(0.1, 1, steps)) for _ in range(count)]


# --- measuring ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["folder", ".webp", ".gif", ".mp4"])
def test_a_path_is_measured_as_its_frames_are(form, tiny_metric, tmp_path):
    path = tmp_path / f"path{form if form.startswith('.') else ''}"
    if form == "folder":
        write_frames(noise(4), path, {})
    else:
        write_animation(noise(4), path, {})
    measured = measure_path(tiny_metric, path)
    frames = read_frames(path)
    expected = perceptual_distances(tiny_metric, frames)
    np.testing.assert_allclose(measured.distances, expected, rtol=1e-5)
    assert measured.length == perceptual_path_length(np.array(measured.distances))
    [end] = perceptual_distances(tiny_metric, frames[[0, -1]])
    assert measured.end_distance == pytest.approx(end, rel=1e-5)
    assert measured.directness == pytest.approx(np.sqrt(end) / np.sqrt(expected).sum())
    files = [f"frame_00{k}.png" for k in range(4)] if form == "folder" else [path.name]
    assert measured.files == files
    assert measured.size == "32x32"
    assert measured.distinct == 4


def test_a_path_that_shows_one_picture_and_then_another_shows_two(tiny_metric, tmp_path):
    """In more frames than are read from the disk at once, and as a transparent picture is seen."""
    write_frames(noise(2)[[0] * 20 + [1] * 3], tmp_path, {})
    clear = np.dstack([noise(1)[0], np.full((32, 32), 255, np.uint8)])
    Image.fromarray(clear).save(tmp_path / "frame_005.png")
    assert measure_path(tiny_metric, tmp_path).distinct == 2


def test_a_thinned_and_resized_path_is_measured_as_its_frames_are(tiny_metric, tmp_path):
    write_frames(noise(5), tmp_path, {})
    settings = ReadSettings(frames=3, resize=(48, 40))
    measured = measure_path(tiny_metric, tmp_path, settings)
    expected = perceptual_distances(tiny_metric, read_frames(tmp_path, settings))
    np.testing.assert_allclose(measured.distances, expected, rtol=1e-5)
    assert measured.files == ["frame_000.png", "frame_002.png", "frame_004.png"]
    assert measured.size == "48x40"


def test_a_film_that_shows_each_picture_thrice_is_reported(tiny_metric, tmp_path):
    write_animation(noise(4).repeat(3, axis=0), tmp_path / "a.mp4", {})
    with pytest.warns(RepeatedFramesWarning, match="8 of 11 steps repeat the picture before"):
        measure_path(tiny_metric, tmp_path / "a.mp4")


def test_too_little_memory_for_one_frame_names_what_may_help(tiny_metric, tmp_path, monkeypatch):
    def update(meter, frames):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(PathLengthMeter, "update", update)
    write_frames(noise(2), tmp_path, {})
    with pytest.raises(ValueError, match=r"not enough memory .*\(--resize\).*\(--device\)"):
        measure_path(tiny_metric, tmp_path)


def test_one_pass_of_the_backbone_for_each_frame(tiny_metric, tmp_path):
    """Also for the distance of the ends, and across the batches that are read from the disk."""
    write_frames(noise(35), tmp_path, {})
    seen = []
    hook = tiny_metric.network.net.register_forward_hook(
        lambda module, inputs, output: seen.append(len(inputs[0]))
    )
    try:
        measure_path(tiny_metric, tmp_path)
    finally:
        hook.remove()
    assert sum(seen) <= 1.05 * 35


def test_paths_that_cannot_be_measured_do_not_discard_the_others(tiny_metric, tmp_path):
    paths = [tmp_path / name for name in ("nowhere", "a", "broken", "b")]
    for path in paths[1:]:
        write_frames(noise(2), path, {})
    (paths[2] / "frame_000.png").write_text("no image")
    failed = {}
    measured = measure_paths(tiny_metric, paths, failed=failed)
    assert [path.path for path in measured] == [paths[1], paths[3]]
    assert list(failed) == [paths[0], paths[2]]
    assert "frame_000.png is not an image" in failed[paths[2]]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        measure_paths(tiny_metric, paths)


def test_the_table_holds_every_convention():
    steps = np.array([0.01, 0.04, 0.16])
    [row] = path_table([planted(steps, end_distance=0.3)]).to_dict("records")
    expected = {
        "frames": 4,
        "ppl": 0.07,
        "total": 0.21,
        "scaled_mean": 9 * 0.07,
        "root_sum": 0.1 + 0.2 + 0.4,
        "gini": 2 * (1 * 0.01 + 2 * 0.04 + 3 * 0.16) / (3 * 0.21) - 4 / 3,
        "maximum_step": 0.16,
        "variance": np.var(steps),
        "end_distance": 0.3,
        "directness": 0.5,
    }
    assert row.pop("path") == "planted"
    assert row == pytest.approx(expected)


# --- partners -----------------------------------------------------------------------------------


@pytest.fixture
def two_folders(tmp_path):
    """Folders a and b, each with the sub-folders 1 and 2 and the animation 3.gif."""
    for seed, folder in enumerate("ab"):
        for name in "12":
            write_frames(noise(3, seed), tmp_path / folder / name, {})
        write_animation(noise(3, seed), tmp_path / folder / "3.gif", {})
    return tmp_path / "a", tmp_path / "b"


def test_partners_are_matched_by_name(two_folders):
    a, b = two_folders
    (a / "notes.txt").write_text("not a path")
    (b / ".cache").mkdir()
    write_frames(noise(1), a, {})  # an image is no path
    partners = match_partners(a, b)
    assert partners.names == ["1", "2", "3"]
    assert partners.paths == [folder / name for folder in (a, b) for name in ("1", "2", "3.gif")]


def test_paths_without_a_partner_are_counted_and_named(two_folders):
    a, b = two_folders
    shutil.rmtree(b / "1")
    (b / "3.gif").rename(b / "5.gif")
    (a / "4").mkdir()
    (b / "2b").mkdir()
    (a / "2b").mkdir()
    with pytest.warns(MissingPartnersWarning) as caught:
        partners = match_partners(a, b)
    [message] = [str(warning.message) for warning in caught]
    assert f"3 only in {a}: 1, 3.gif, 4; 1 only in {b}: 5.gif" in message
    assert partners.names == ["2", "2b"]


def test_partners_in_two_formats_are_matched(two_folders):
    a, b = two_folders
    write_animation(noise(3), b / "3.webp", {})
    with pytest.raises(ValueError, match=r"3\.webp and 3\.gif of .*b have one name; keep one"):
        match_partners(a, b)
    (b / "3.gif").unlink()
    assert match_partners(a, b).paths[-1] == b / "3.webp"


def test_a_pair_of_which_one_is_not_measured_is_left_out(two_folders):
    partners = match_partners(*two_folders)
    measured = [planted([0.1], name=path) for path in partners.paths]
    del measured[4]
    treatment, control = measured_pairs(partners, measured)
    assert [path.path.name for path in treatment] == ["1", "3.gif"]
    assert [path.path for path in control] == [two_folders[1] / "1", two_folders[1] / "3.gif"]


def test_no_matching_partner_is_an_error(two_folders, tmp_path):
    a, _ = two_folders
    (tmp_path / "c/else").mkdir(parents=True)
    message = r"0 names are in both .*: 1, 2, 3\.gif; 1 only in .*else"
    with pytest.raises(ValueError, match=message):
        match_partners(a, tmp_path / "c")
    with pytest.raises(FileNotFoundError, match="d is not a folder"):
        match_partners(a, tmp_path / "d")


# --- comparing ----------------------------------------------------------------------------------


def test_a_planted_improvement_is_found():
    table = compare_paths(
        planted_folder(0, factor=0.5), planted_folder(0), np.random.default_rng(0)
    ).set_index("measure")
    assert list(table.index) == list(LESS_IS_BETTER)
    for measure in ("ppl", "total", "scaled_mean", "maximum_step"):
        assert table.loc[measure, "relative_improvement"] == pytest.approx(0.5)
    assert table.loc["root_sum", "relative_improvement"] == pytest.approx(1 - np.sqrt(0.5))
    assert table.loc["variance", "relative_improvement"] == pytest.approx(0.75)
    assert table.loc["gini", "relative_improvement"] == pytest.approx(0, abs=1e-12)
    assert (table.drop("gini")["share_won"] == 1).all()
    assert (table["holm"] >= table["p_value"]).all()


def test_the_comparison_is_that_of_the_statistics_module():
    a, b = planted_folder(1), planted_folder(2)
    table = compare_paths(a, b, np.random.default_rng(7)).set_index("measure")
    means = [np.array([path.length.mean for path in folder]) for folder in (a, b)]
    expected = asdict(paired_comparison(*means, np.random.default_rng(7)))
    assert table.loc["ppl", list(expected)].to_dict() == expected


def test_unequal_numbers_of_frames_are_not_compared():
    a, b = planted_folder(1, steps=10), planted_folder(2, steps=10)
    b[3] = planted([0.1] * 5, name="short")
    message = r"1 of 12 pairs .*such as planted \(11\) and short \(6\)"
    with pytest.raises(ValueError, match=message + r".* take 6 of each \(--frames 6\)"):
        compare_paths(a, b, np.random.default_rng(0))
    b[3] = planted([0.1] * 9, name="short")  # 10 steps and 9 have their ends in common alone
    with pytest.raises(ValueError, match="give both as many$"):
        compare_paths(a, b, np.random.default_rng(0))


@pytest.mark.parametrize("change", [{"path": Path("a.GIF")}, {"size": "9x8"}])
def test_partners_of_two_formats_or_sizes_are_reported(change):
    a, b = planted_folder(1), planted_folder(2)
    b[3] = replace(b[3], **change)
    with pytest.warns(UnlikePartnersWarning, match=r"1 pairs .*planted \(8x8\) and .*; write one"):
        compare_paths(a, b, np.random.default_rng(0))


def test_a_measure_without_relative_improvement_is_left_out():
    even = [planted([0.2, 0.2, 0.2]) for _ in range(12)]  # gini and variance are 0
    with pytest.warns(LeftOutMeasureWarning, match="gini|variance"):
        table = compare_paths(planted_folder(1, steps=3), even, np.random.default_rng(0))
    assert "ppl" in set(table["measure"])
    assert "gini" not in set(table["measure"])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_unequal_numbers_of_paths_or_too_few_cannot_be_compared(count):
    paths = planted_folder(1)
    treatment = paths if count == 3 else paths[:count]
    with pytest.raises(ValueError, match=rf"and {count} paths are to be compared; give two or"):
        compare_paths(treatment, paths[:count], np.random.default_rng(0))


@pytest.mark.filterwarnings("ignore::embedding_geometry.perception.partners.LeftOutMeasureWarning")
def test_a_control_that_stands_still_cannot_be_improved_upon():
    still = [planted([0.0, 0.0]) for _ in range(3)]
    with pytest.raises(ValueError, match="3 pairs of paths can be compared in no measure"):
        compare_paths(planted_folder(1, steps=2, count=3), still, np.random.default_rng(0))


# --- fidelity -----------------------------------------------------------------------------------


@pytest.fixture
def references(tmp_path):
    """A folder of nine pictures whose names are in no order."""
    for index, picture in enumerate(noise(9, seed=9)):
        (tmp_path / "references").mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / f"references/{'third best of all'[index:]}.png")
    return tmp_path / "references"


def held_against(reference, metric, folder, counts):
    """Paths of these numbers of frames of noise, measured with the reference."""
    for seed, count in enumerate(counts):
        write_frames(noise(count, seed), folder / str(seed), {})
    paths = [folder / str(seed) for seed in range(len(counts))]
    return measure_paths(metric, paths, reference=reference)


def test_inner_frames_are_held_against_the_pictures_of_a_folder(tiny_metric, references, tmp_path):
    reference = read_reference(tiny_metric, references)
    measured = held_against(reference, tiny_metric, tmp_path / "paths", [5, 4, 3, 6])
    known = Reference.of(picture_features(tiny_metric, noise(9, seed=9)[::-1]))
    inner = [picture_features(tiny_metric, noise(n, k)[1:-1]) for k, n in enumerate([5, 4, 3, 6])]
    for path, features in zip(measured, inner, strict=True):
        assert path.realism == pytest.approx(realism(features, known))
    medians = [np.median(path.realism) for path in measured]
    assert path_table(measured)["realism"].tolist() == medians
    found = path_fidelity(measured, reference, 3)
    assert found.realism == np.median(medians)
    assert found.realism_interval == median_interval(medians, 3)
    distance = kernel_distance(np.concatenate(inner), known, np.repeat(range(4), [3, 2, 1, 4]))
    assert found.kid == pytest.approx(distance.value)
    assert found.kid_interval == pytest.approx(distance.interval)
    [row] = fidelity_table({"mine": found}).to_dict("records")
    assert row["inner frames of"] == "mine"
    assert (row["kid_low"], row["kid_high"]) == found.kid_interval


def test_a_frame_of_the_reference_is_known_again(tiny_metric, references, tmp_path):
    """To the last bit of its features, so that nothing but what is added keeps it finite."""
    reference = read_reference(tiny_metric, references)
    frames = noise(9, seed=9)
    write_frames(frames, tmp_path / "path", {})
    found = measure_path(tiny_metric, tmp_path / "path", reference=reference).realism
    radii = Reference.of(picture_features(tiny_metric, frames)).radii[1:-1]
    np.testing.assert_allclose(np.array(found)[radii > 0], radii[radii > 0] / 1e-5)


def test_what_takes_several_paths_is_not_given_for_fewer(tiny_metric, references, tmp_path):
    reference = read_reference(tiny_metric, references)
    measured = held_against(reference, tiny_metric, tmp_path / "paths", [3, 3])
    one, two = (path_fidelity(measured[:count], reference, 0) for count in (1, 2))
    assert one.realism_interval is None
    assert two.realism_interval is not None
    assert (one.kid, two.kid, two.kid_interval) == (None, None, None)
    assert fidelity_table({"one": one})[["realism_low", "kid", "kid_high"]].isna().all(axis=None)
    with pytest.raises(ValueError, match="0 of 1 paths were measured with a reference"):
        path_fidelity([planted([0.1])], reference, 0)


def test_realism_is_compared_as_what_is_less_where_frames_are_better():
    better, worse = planted_folder(1), planted_folder(2)
    better, worse = (
        [replace(path, realism=[0.2, score + k / 100, 9.0]) for k, path in enumerate(folder)]
        for folder, score in ((better, 1.2), (worse, 0.9))
    )
    table = compare_paths(better, worse, np.random.default_rng(0)).set_index("measure")
    assert list(table.index) == [*LESS_IS_BETTER, "1/realism"]
    row = table.loc["1/realism"]
    assert row["share_won"] == 1
    gains = [1 - (0.9 + k / 100) / (1.2 + k / 100) for k in range(12)]
    assert row["relative_improvement"] == pytest.approx(np.median(gains))


def test_what_can_be_no_reference_is_refused(tiny_metric, references):
    def refused(message, **settings):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            read_reference(tiny_metric, references, ReadSettings(**settings))

    Image.fromarray(np.zeros((40, 32, 3), np.uint8)).save(references / "z.png")
    refused(r"z.png has 32x40 pixels and others of the reference have 32x32; resize all")
    read_reference(tiny_metric, references, ReadSettings(resize=(32, 32)))
    Image.fromarray(np.zeros((32, 32, 4), np.uint8)).save(references / "z.png")
    refused(r"z.png is transparent in places, .*--background")
    read_reference(tiny_metric, references, ReadSettings(background="white"))
    (references / "z.png").write_bytes(b"\x89PNG")
    refused("z.png is not an image that can be read")
    refused("z.png is not an image that can be read", frames=2)  # all are read
    for file in sorted(references.iterdir())[3:]:
        file.unlink()
    refused(r"references holds 3 images .*; a reference has 4 pictures or more, better a hundred")
    shutil.rmtree(references)
    refused("references is not a folder of reference pictures")


def test_paths_that_do_not_fit_the_reference_are_refused(tiny_metric, references, tmp_path):
    reference = read_reference(tiny_metric, references)
    write_frames(noise(2), tmp_path / "ends", {})
    with pytest.raises(ValueError, match=r"ends has no frame between its ends.* three frames"):
        measure_path(tiny_metric, tmp_path / "ends", reference=reference)
    write_frames(noise(3), tmp_path / "path", {})
    message = r"path: its frames have 48x48 pixels .*references have 32x32; resize both"
    with pytest.raises(ValueError, match=message):
        measure_path(
            tiny_metric, tmp_path / "path", ReadSettings(resize=(48, 48)), reference=reference
        )


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


# --- files --------------------------------------------------------------------------------------


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
    assert (about["net"], about["revision"]) == ("pocket", tiny_metric.revision)
    assert {"measured", "lpips", "torch", "torchvision", "pillow", "av"} <= set(about)
    assert [path["distances"] for path in report["paths"]] == [m.distances for m in measured]
    assert report["paths"][0]["files"] == ["frame_000.png", "frame_001.png", "frame_002.png"]
    assert report["comparison"]["seed"] == 4
    assert report["comparison"]["names"] == ["1", "2", "3"]
    assert report["failed"] == {str(tmp_path / "c"): "is broken"}
    assert [row["measure"] for row in report["comparison"]["measures"]] == list(LESS_IS_BETTER)
    check_outputs(tmp_path / "table.csv", tmp_path / "report.json")  # may be replaced by others


def test_outputs_replace_nothing_but_earlier_outputs(tmp_path):
    file, link, pipe = tmp_path / "a.gif", tmp_path / "link", tmp_path / "pipe"
    write_animation(noise(2), file, {})
    link.symlink_to(tmp_path / "nothing")
    os.mkfifo(pipe)
    for output, message in (
        (file, "a.gif is there and is no earlier output"),
        (link, "link is a link or a pipe"),
        (pipe, "pipe is a link or a pipe"),
        (tmp_path, "is a folder; name the file"),
    ):
        for outputs in ((output, None), (None, output)):
            with pytest.raises(ValueError, match=message):
                check_outputs(*outputs)
    with pytest.raises(ValueError, match="for both the CSV and the JSON"):
        check_outputs(tmp_path / "x", tmp_path / "new/../x")


def test_a_name_that_is_no_text_is_written(tiny_metric, tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    write_frames(noise(2), path, {})
    measured = measure_paths(tiny_metric, [path])
    write_csv(tmp_path / "table.csv", provenance(tiny_metric), measured)
    write_json(tmp_path / "report.json", provenance(tiny_metric), measured)
    assert pd.read_csv(tmp_path / "table.csv")["path"].item().endswith(r"/\xff")
