"""The evaluator: measures of paths on disk, and their frames held against pictures."""

import shutil

import numpy as np
import planted_paths
import pytest
from PIL import Image
from planted_paths import held_against, noise, planted

from embedding_geometry.perception.evaluation import (
    RepeatedFramesWarning,
    measure_path,
    measure_paths,
    path_fidelity,
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
from embedding_geometry.perception.path_length import perceptual_path_length
from embedding_geometry.perception.tables import fidelity_table, path_table
from embedding_geometry.statistics.estimates import median_interval


@pytest.fixture
def references(tmp_path):
    return planted_paths.references(tmp_path)


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


# --- fidelity -----------------------------------------------------------------------------------


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
