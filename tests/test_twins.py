"""Twin sliders: the frames that travel along, and the figure made of them."""

import io
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from embedding_geometry.pages import twins

COLOURS = {"row": [(250, 0, 0), (0, 250, 0), (0, 0, 250)],
           "optimal": [(250, 250, 0), (0, 250, 250), (250, 0, 250)]}  # fmt: skip
DISTANCES = {"optimal": np.array([0.1, 0.0]), "row": np.array([0.2, 0.4])}


def frames(size=(16, 32)):
    """Three frames of one colour each for two couplings."""
    shape = (3, *size, 3)
    return {
        name: np.broadcast_to(np.array(colours, np.uint8)[:, None, None], shape).copy()
        for name, colours in COLOURS.items()
    }


def metadata():
    return twins.twin_metadata(frames(), DISTANCES)[twins.KEY]


def html(about=None):
    text = twins.twin_sliders(about or metadata(), "a/b.webp")
    # "hidden" has no value, and an input no end: well-formed once they are given one
    text = text.replace(" hidden>", ' hidden="">').replace('step="1">', 'step="1"/>')
    return ElementTree.fromstring(text)


def test_sprite_has_a_row_for_each_coupling_and_a_column_for_each_frame():
    sheet = np.asarray(Image.open(io.BytesIO(twins.sprite(frames()))).convert("RGB")).astype(int)
    assert sheet.shape == (2 * 16, 3 * 32, 3)
    for row, colours in enumerate(COLOURS.values()):
        for column, colour in enumerate(colours):
            middle = sheet[16 * row + 8, 32 * column + 16]
            np.testing.assert_allclose(middle, colour, atol=40)  # WebP is lossy


def test_large_frames_are_reduced_and_keep_their_shape():
    sheet = Image.open(io.BytesIO(twins.sprite(frames((256, 512)))))
    assert sheet.size == (3 * twins.LARGEST, 2 * twins.LARGEST // 2)


def test_metadata_is_json_and_brings_the_picture_back():
    about = json.loads(json.dumps(metadata(), sort_keys=True))  # as notebooks are stored
    assert (about["frames"], about["width"], about["height"]) == (3, 32, 16)
    assert about["couplings"] == ["row", "optimal"]
    assert about["distances"] == [[0.2, 0.4], [0.1, 0.0]]
    assert twins.sprite_of(about) == twins.sprite(frames())


def test_couplings_of_unequal_frames_are_an_error():
    shorter = frames() | {"optimal": frames()["optimal"][:2]}
    with pytest.raises(ValueError, match=r"one shape.*'optimal': \(2, 16, 32, 3\)"):
        twins.twin_metadata(shorter, DISTANCES)


def test_a_missing_distance_is_an_error():
    with pytest.raises(ValueError, match=r"3 frames have 2 steps.*'optimal': 1"):
        twins.twin_metadata(frames(), DISTANCES | {"optimal": np.array([0.1])})


def test_slider_is_a_labelled_range_with_a_stop_for_each_frame():
    label = html().find("label")
    slider = label.find("input")
    assert (slider.get("type"), slider.get("min"), slider.get("max")) == ("range", "1", "3")
    assert "".join(label.itertext()).startswith("Frame")
    # an output would take the label for itself
    assert label.find(".//output") is None


def test_sliders_stay_hidden_where_no_script_moves_them():
    assert html().get("hidden") is not None


def test_each_coupling_shows_its_own_row_of_the_sprite():
    root = html()
    assert "--frames: 3; --rows: 2; --shape: 32 / 16; --sprite: url('a/b.webp')" in root.get(
        "style"
    )
    shown = {f.get("data-coupling"): f.get("style") for f in root.iter("div") if f.get("role")}
    assert shown == {"row": "--row: 0", "optimal": "--row: 1"}


def points(group):
    line = group.find("path[@class='line']").get("d")
    return [tuple(map(float, place.split())) for place in re.split("[ML]", line)[1:]]


def test_curves_lie_between_the_frames_that_they_compare_and_the_highest_is_on_top():
    curves = {g.get("class"): points(g) for g in html().iter("g")}
    row, optimal = curves["coupling-row"], curves["coupling-optimal"]
    assert [x for x, _ in row] == [x for x, _ in optimal] == [0.5, 1.5]
    depth = [twins.HEIGHT - y for _, y in row + optimal]
    np.testing.assert_allclose(np.array(depth) / depth[1], [0.5, 1, 0.25, 0])


def test_curves_are_described_in_words():
    drawing = next(html().iter("svg"))
    assert drawing.get("role") == "img"
    assert "row: 0.2, 0.4; optimal: 0.1, 0" in drawing.get("aria-label")


def test_path_on_which_nothing_changes_can_be_drawn():
    still = metadata() | {"distances": [[0.0, 0.0], [0.0, 0.0]]}
    assert {y for g in html(still).iter("g") for _, y in points(g)} == {float(twins.HEIGHT)}
