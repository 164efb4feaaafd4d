import numpy as np
import pytest

from embedding_geometry.pocket.pictographs import pictures
from embedding_geometry.pocket.pictographs.pictures import FONT, picture, pixels
from embedding_geometry.pocket.pictographs.scenes import OBJECTS, Scene

needs_font = pytest.mark.skipif(
    not FONT.exists(), reason="drawing the world needs the Debian package fonts-noto-color-emoji"
)
CAT = Scene("cat", "large", "left", "meadow", "day")


@needs_font
def test_the_object_stands_on_the_side_that_the_scene_says() -> None:
    left = picture(CAT, np.random.default_rng(0)).astype(int)
    right = picture(
        Scene("cat", "large", "right", "meadow", "day"), np.random.default_rng(0)
    ).astype(int)
    changed_columns = np.abs(left - right).sum((0, 2))
    mean_left, mean_right = left[30:58, :25].mean((0, 1)), right[30:58, :25].mean((0, 1))
    assert changed_columns[0] == 0  # nothing happens at the rim
    assert mean_left[0] > mean_right[0] + 30  # an orange face instead of green grass


@needs_font
def test_the_same_generator_draws_the_same_picture_and_night_is_darker() -> None:
    day = picture(CAT, np.random.default_rng(3))
    again = picture(CAT, np.random.default_rng(3))
    night = picture(Scene("cat", "large", "left", "meadow", "night"), np.random.default_rng(3))
    np.testing.assert_array_equal(day, again)
    assert day.shape == (64, 64, 3)
    assert night.mean() < 0.5 * day.mean()


@needs_font
def test_every_object_looks_different() -> None:
    glyphs = {name: pictures._glyph(name, 24).tobytes() for name in OBJECTS}
    assert len(set(glyphs.values())) == len(OBJECTS)
    coverage = [pictures._glyph(name, 24)[..., 3].mean() for name in OBJECTS]
    assert min(coverage) > 0.2


def test_without_the_font_the_error_names_the_package(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(pictures, "FONT", tmp_path / "none.ttf")
    pictures._glyph.cache_clear()
    with pytest.raises(FileNotFoundError, match="fonts-noto-color-emoji"):
        picture(CAT, np.random.default_rng(0))


def test_pixels_run_from_minus_one_to_one() -> None:
    out = pixels([np.array([[[0, 128, 255]]], np.uint8).repeat(64, 0).repeat(64, 1)])
    assert out.shape == (1, 3, 64, 64)
    assert out[0, :, 0, 0].tolist() == pytest.approx([-1, 128 / 127.5 - 1, 1], abs=1e-6)
