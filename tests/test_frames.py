"""Frames on disk: what comes back from each form, the settings inside, files that are wrong."""

import struct
import zlib

import av
import numpy as np
import pytest
from embedded import embedded_settings
from PIL import Image

from embedding_geometry.perception.frames import (
    HeldFramesWarning,
    MissingFramesWarning,
    frame_batches,
    read_frames,
    write_animation,
    write_frames,
)

SETTINGS = {"source": 'a "Kätzchen", 猫', "seed": 3, "guidance_scale": 7.5, "model": {"name": "m"}}


def drifting_frames(count=5, height=64, width=48):
    """Smooth frames that change a little from one to the next."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 255, (2, 2, 2, 3))
    rows, columns = np.linspace(0, 1, height), np.linspace(0, 1, width)
    across = np.stack([1 - rows, rows]), np.stack([1 - columns, columns])
    ends = np.einsum("ah,bw,eabc->ehwc", *across, corners)
    times = np.linspace(0, 1, count)[:, None, None, None]
    return ((1 - times) * ends[0] + times * ends[1]).round().astype(np.uint8)


def write_images(folder, frames, name="{}.png"):
    folder.mkdir(exist_ok=True)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / name.format(index))


# --- there and back -----------------------------------------------------------------------------


def test_written_frames_are_read_back_with_their_settings(tmp_path):
    frames = drifting_frames()
    write_frames(drifting_frames(8), tmp_path / "new/path", SETTINGS)
    write_frames(frames, tmp_path / "new/path", SETTINGS)
    np.testing.assert_array_equal(read_frames(tmp_path / "new/path"), frames)
    assert embedded_settings(tmp_path / "new/path/frame_003.png") == SETTINGS


def test_single_frames_as_webp_take_the_place_of_those_as_png(tmp_path):
    frames = drifting_frames()
    write_frames(drifting_frames(8), tmp_path, SETTINGS)
    write_frames(frames, tmp_path, SETTINGS, ".webp")
    np.testing.assert_array_equal(read_frames(tmp_path), frames)
    assert embedded_settings(tmp_path / "frame_003.webp") == SETTINGS
    with pytest.raises(ValueError, match=r"\.png or \.webp, not as '\.jpg'"):
        write_frames(frames, tmp_path, SETTINGS, ".jpg")
    assert len(list(tmp_path.iterdir())) == len(frames)


@pytest.mark.parametrize(("suffix", "error"), [(".webp", 0), (".gif", 6), (".mp4", 4)])
def test_an_animation_is_read_back_with_its_settings(suffix, error, tmp_path):
    """The error in levels of 255: WebP is lossless, GIF has a palette, MP4 coarse colours."""
    frames = drifting_frames()
    path = tmp_path / f"path{suffix}"
    write_animation(frames, path, SETTINGS)
    found = read_frames(path)
    assert found.shape == frames.shape
    assert np.abs(found.astype(int) - frames).mean() <= error
    assert embedded_settings(path) == SETTINGS


def test_long_settings_fit_into_every_format(tmp_path):
    settings = {"negative_prompt": "blurred, " * 500}
    for suffix in (".webp", ".gif", ".mp4"):
        write_animation(drifting_frames(2), tmp_path / f"path{suffix}", settings)
        assert embedded_settings(tmp_path / f"path{suffix}") == settings


def test_a_film_keeps_equal_neighbours(tmp_path):
    frames = drifting_frames(3).repeat(2, axis=0)
    write_animation(frames, tmp_path / "path.mp4", SETTINGS)
    assert len(read_frames(tmp_path / "path.mp4")) == 6


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_joined_neighbours_of_an_animation_are_reported(suffix, tmp_path):
    frames = drifting_frames(3)[[0, 1, 1, 2]]
    path = tmp_path / f"path{suffix}"
    write_animation(frames, path, SETTINGS)
    with pytest.warns(HeldFramesWarning, match="some frames longer than others"):
        assert len(read_frames(path)) == 3


@pytest.mark.parametrize(("suffix", "format"), [(".mp4", "mp4"), (".mkv", "matroska")])
def test_a_film_that_is_cut_off_is_reported(suffix, format, tmp_path):
    """Cut where a packet ends, which the decoder takes for the end of the film."""
    path, whole = tmp_path / f"cut{suffix}", tmp_path / f"whole{suffix}"
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    with av.open(str(whole), "w", format=format, options=options) as film:
        stream = film.add_stream("libx264", rate=10, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 48, 64, "yuv420p"
        for frame in drifting_frames(12):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        film.mux(stream.encode(None))
    with av.open(str(whole)) as film:
        starts = [packet.pos for packet in film.demux(video=0) if packet.pos is not None]
    assert len(read_frames(whole)) == 12
    path.write_bytes(whole.read_bytes()[: sorted(starts)[7]])
    with pytest.warns(MissingFramesWarning, match="announces 12 frames and 7 of them are there"):
        assert len(read_frames(path)) == 7


def test_batches_are_the_same_frames(tmp_path):
    frames = drifting_frames(7)
    write_frames(frames, tmp_path / "path", SETTINGS)
    batches = list(frame_batches(tmp_path / "path", size=3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(batches), frames)


def test_images_are_read_in_natural_order(tmp_path):
    frames = drifting_frames(12)
    write_images(tmp_path, frames)
    (tmp_path / "settings.json").write_text("{}")
    (tmp_path / "._1.png").write_bytes(b"what a Macintosh leaves behind")
    np.testing.assert_array_equal(read_frames(tmp_path), frames)


def test_grey_and_transparent_images_become_rgb(tmp_path):
    grey = Image.new("L", (40, 32), 7)
    grey.save(tmp_path / "a.PNG")
    grey.convert("RGBA").save(tmp_path / "b.png")
    assert read_frames(tmp_path).shape == (2, 32, 40, 3)
    assert (read_frames(tmp_path) == 7).all()


# --- what is wrong ------------------------------------------------------------------------------


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder of images, nor"):
        read_frames(tmp_path / "nowhere")


@pytest.mark.parametrize("count", [0, 1])
def test_a_folder_of_too_few_images(tmp_path, count):
    write_images(tmp_path, drifting_frames(2)[:count])
    with pytest.raises(ValueError, match=rf"holds {count} images .*at least two"):
        read_frames(tmp_path)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mp4"])
def test_a_file_of_one_frame(tmp_path, suffix):
    write_animation(drifting_frames(2)[:1], tmp_path / f"one{suffix}", SETTINGS)
    with pytest.raises(ValueError, match=rf"one\{suffix} holds 1 frames; .*at least two"):
        read_frames(tmp_path / f"one{suffix}")


def test_images_of_two_sizes_are_named(tmp_path):
    write_images(tmp_path, drifting_frames(2))
    write_images(tmp_path, drifting_frames(2, height=72)[:1], name="odd.png")
    with pytest.raises(ValueError, match=r"0\.png has 48x64 and odd\.png has 48x72"):
        read_frames(tmp_path)


@pytest.mark.parametrize("keep", [0, 60, 1000])
def test_a_corrupt_image_is_named(tmp_path, keep):
    write_images(tmp_path, drifting_frames(3))
    file = tmp_path / "1.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"1\.png is not an image that can be read"):
        read_frames(tmp_path)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mp4"])
def test_a_text_with_the_name_of_an_animation(tmp_path, suffix):
    path = tmp_path / f"notes{suffix}"
    path.write_text("These are not the frames you are looking for.")
    with pytest.raises(ValueError, match=rf"notes\{suffix} is not an? \w+ that can be read"):
        read_frames(path)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mp4"])
def test_half_an_animation(tmp_path, suffix):
    path = tmp_path / f"half{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (4, 64, 48, 3), dtype=np.uint8)
    write_animation(noise, path, SETTINGS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"half\{suffix} is not an? \w+ that can be read"):
        read_frames(path)


def test_a_film_damaged_in_the_middle(tmp_path):
    path = tmp_path / "film.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (6, 64, 48, 3), dtype=np.uint8)
    write_animation(noise, path, SETTINGS)
    content = bytearray(path.read_bytes())
    content[len(content) // 4 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 4)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"film\.mp4 is not a film that can be read"):
        read_frames(path)


def test_a_film_without_pictures(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as film:
        stream = film.add_stream("aac", rate=8000)
        silence = np.zeros((1, 1024), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 8000
        film.mux([*stream.encode(frame), *stream.encode(None)])
    with pytest.raises(ValueError, match=r"sound\.mp4 is a film without pictures"):
        read_frames(path)


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "frames.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"frames\.zip is neither a folder .*\.gif"):
        read_frames(tmp_path / "frames.zip")


def test_an_animation_among_the_images_of_a_folder(tmp_path):
    write_images(tmp_path, drifting_frames(2))
    write_animation(drifting_frames(3), tmp_path / "2.webp", SETTINGS)
    with pytest.raises(ValueError, match=r"2\.webp is an animation of 3 frames"):
        read_frames(tmp_path)


def test_colours_of_16_bits_are_refused_too(tmp_path):
    """Pillow opens them, and drops half of the bits."""
    for name in "ab":
        write_deep_png(tmp_path / f"{name}.png", np.full((40, 32, 3), 40_000, ">u2"))
    with pytest.raises(ValueError, match=r"a\.png has more than 8 bits a channel"):
        read_frames(tmp_path)


def write_deep_png(path, pixels):
    """Write 16 bits a channel, which Pillow cannot."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0),
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for name, data in chunks.items():
            checksum = struct.pack(">I", zlib.crc32(name + data))
            file.write(struct.pack(">I", len(data)) + name + data + checksum)


def test_an_image_too_large_to_be_meant_is_named(tmp_path, monkeypatch):
    write_images(tmp_path, drifting_frames(2))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"0\.png is not an image that can be read: .*exceeds"):
        read_frames(tmp_path)


def test_images_of_16_bits_are_refused_and_not_clipped(tmp_path):
    deep = np.full((40, 32), 40_000, np.uint16)
    for name in "ab":
        Image.fromarray(deep).save(tmp_path / f"{name}.png")
    with pytest.raises(ValueError, match=r"a\.png has more than 8 bits a channel"):
        read_frames(tmp_path)


def test_an_mp4_of_odd_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="even width and height, the frames have 48x63"):
        write_animation(drifting_frames(height=63), tmp_path / "odd.mp4", SETTINGS)


def test_an_animation_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.gif, \.webp and \.mp4 can be written"):
        write_animation(drifting_frames(), tmp_path / "path.avi", SETTINGS)


def test_frames_of_a_path_of_thousands_are_removed_by_a_shorter_one(tmp_path):
    for name in ("frame_003.png", "frame_1000.png", "frame_12345.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "frame_001_mine.png").touch()
    write_frames(np.zeros((2, 8, 8, 3), np.uint8), tmp_path, {})
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["frame_000.png", "frame_001.png", "frame_001_mine.png"]
