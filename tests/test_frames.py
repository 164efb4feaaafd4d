"""Frames on disk: what comes back from each form, the settings inside, files that are wrong."""

import os
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from embedded import embedded_settings
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from embedding_geometry.perception.frames import (
    LeftOutFilesWarning,
    OrderWarning,
    ReadSettings,
    StoredPath,
    read_frames,
    shown_name,
    write_animation,
    write_frames,
)
from embedding_geometry.perception.pictures import HeldFramesWarning, MissingFramesWarning

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


def write_film(
    path, frames, codec="libx264", layout="yuv420p", times=None, prepare=None, **options
):
    """Write a film as others might: codec, layout of pixels, times in tenths, what it says."""
    with av.open(str(path), "w", **options) as film:
        stream = film.add_stream(codec, rate=10, options={"bf": "0"} if codec == "libx264" else {})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.codec_context.time_base = layout, Fraction(1, 10)
        if prepare:
            prepare(film, stream)
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, "rgba" if pixels.shape[2] == 4 else "rgb24")
            frame.pts, frame.time_base = (times or range(len(frames)))[index], Fraction(1, 10)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))


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


@pytest.mark.parametrize(
    ("suffix", "format", "message"),
    [
        (".mp4", "mp4", "announces 12 frames and 7 of them are there"),
        (".mkv", "matroska", r"announces 1\.2 s of pictures and 0\.7 s are there"),
    ],
)
def test_a_film_that_is_cut_off_is_reported(suffix, format, message, tmp_path):
    """Cut where a packet ends, which the decoder takes for the end of the film."""
    path, whole = tmp_path / f"cut{suffix}", tmp_path / f"whole{suffix}"
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    write_film(whole, drifting_frames(12), format=format, options=options)
    with av.open(str(whole)) as film:
        starts = [packet.pos for packet in film.demux(video=0) if packet.pos is not None]
    assert len(read_frames(whole)) == 12
    path.write_bytes(whole.read_bytes()[: sorted(starts)[7]])
    with pytest.warns(MissingFramesWarning, match=message):
        assert len(read_frames(path)) == 7


def test_batches_are_the_same_frames(tmp_path):
    frames = drifting_frames(7)
    write_frames(frames, tmp_path / "path", SETTINGS)
    batches = list(StoredPath(tmp_path / "path").batches(size=3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(batches), frames)


@pytest.mark.parametrize(
    "names",
    ["frame-1 frame-2 frame-10", "a_1 A_2 a_10", "img1 img01b img2", "2025-12-31 2026-01-05"],
)
def test_a_hyphen_is_no_sign_and_capitals_have_no_place(names, tmp_path):
    check_order(tmp_path, names.split())


@pytest.mark.parametrize(
    "names",
    ["0 0.25 0.5 0.75 1", "t_-1.5 t_-1 t_0 t_+2", "1e-4 5e-4 2E-3 0.1", "x=-2,1 x=-1,1 x=0,1"],
)
def test_numbers_are_read_whole_where_digits_alone_would_mislead(names, tmp_path):
    with pytest.warns(OrderWarning, match="in the order of the numbers .*: " + names.split()[0]):
        check_order(tmp_path, names.split())


def check_order(folder, names):
    frames = drifting_frames(len(names))
    for name, frame in zip(names, frames, strict=True):
        Image.fromarray(frame).save(folder / f"{name}.png")
    np.testing.assert_array_equal(read_frames(folder), frames)


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


@pytest.mark.parametrize("form", ["folder", ".webp"])
def test_fewer_frames_are_equally_spaced_and_have_the_same_ends(form, tmp_path):
    frames, path = drifting_frames(17), tmp_path / f"path{form if form == '.webp' else ''}"
    write = write_frames if form == "folder" else write_animation
    write(frames, path, SETTINGS)
    for count in (2, 3, 5, 9, 17):
        found = read_frames(path, ReadSettings(frames=count))
        np.testing.assert_array_equal(found, frames[:: 16 // (count - 1)])
    for count in (4, 18):
        with pytest.raises(ValueError, match=f"frames is {count}; of the 17 .*, 2, 3, 5, 9, 17 "):
            read_frames(path, ReadSettings(frames=count))


@pytest.mark.parametrize(
    "settings", [{"frames": 1}, {"resize": (64, 0)}, {"background": "invisible pink"}]
)
def test_settings_that_cannot_be_meant_are_refused(settings):
    with pytest.raises(ValueError, match=r"frames is 1|resize is \(64, 0\)|invisible pink"):
        ReadSettings(**settings)


def test_frames_are_resized_to_one_size(tmp_path):
    write_images(tmp_path, drifting_frames(2))
    write_images(tmp_path, drifting_frames(2, 128, 96)[:1], name="3.png")
    found = read_frames(tmp_path, ReadSettings(resize=(24, 32)))
    assert found.shape == (3, 32, 24, 3)
    assert np.abs(found[0].astype(int) - found[2]).max() <= 3  # the same picture, twice as large


# --- what is shown ------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_they_say(orientation, tmp_path):
    frames = drifting_frames(2, 64, 64)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{index}.png", exif=exif if index else None)
    turns = [lambda x: x, np.fliplr, lambda x: np.rot90(x, 2), np.flipud]
    turns += [lambda x: np.rot90(np.fliplr(x)), lambda x: np.rot90(x, -1)]
    turns += [lambda x: np.rot90(np.flipud(x)), np.rot90]
    expected = [frames[0], turns[orientation - 1](frames[1])]
    np.testing.assert_array_equal(read_frames(tmp_path), expected)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_films_are_turned_as_they_say(degrees, mirrored, tmp_path):
    frames = drifting_frames(2)
    write_film(tmp_path / "as_it_is.mp4", frames)
    write_film(
        tmp_path / "turned.mp4",
        frames,
        prepare=lambda _, stream: stream.set_display_rotation(degrees, mirrored),
    )
    expected = np.rot90(read_frames(tmp_path / "as_it_is.mp4"), degrees // 90, axes=(1, 2))
    expected = expected[:, :, ::-1] if mirrored else expected
    np.testing.assert_array_equal(read_frames(tmp_path / "turned.mp4"), expected)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda _, stream: stream.set_display_rotation(45), "turned by part of a right angle"),
        (
            lambda _, stream: setattr(stream.codec_context, "sample_aspect_ratio", Fraction(4, 3)),
            "has pixels of shape 4/3; scale it",
        ),
        (
            lambda _, stream: setattr(stream.codec_context, "color_primaries", 9),
            "colours of a wide or deep range",
        ),
        (lambda _, stream: stream.metadata.update(alpha_mode="1"), "which its decoder drops"),
        (lambda film, _: film.add_stream("mpeg4", rate=10), "holds 2 tracks of pictures"),
    ],
)
def test_what_a_film_says_and_cannot_be_applied_is_refused(prepare, message, tmp_path):
    write_film(tmp_path / "film.mkv", drifting_frames(2), prepare=prepare)
    with pytest.raises(ValueError, match=rf"film\.mkv .*{message}"):
        read_frames(tmp_path / "film.mkv")


def transparent_frames():
    """The same picture twice, with noise under a hole, and the same on blue."""
    colours = drifting_frames(2)[[0, 0]]
    colours[1, :32] = np.random.default_rng(0).integers(0, 256, (32, 48, 3))
    alpha = np.full((2, 64, 48, 1), 255, np.uint8)
    alpha[:, :32] = 0
    return np.concatenate([colours, alpha], axis=3), np.where(alpha, colours, (0, 0, 255))


@pytest.mark.parametrize("form", ["folder", ".mov", ".webp"])
def test_what_is_transparent_is_shown_on_a_stated_background_or_refused(form, tmp_path):
    frames, on_blue = transparent_frames()
    path = tmp_path / f"path{form if form.startswith('.') else ''}"
    if form == "folder":
        write_images(path, frames)
    elif form == ".mov":
        write_film(path, frames, codec="qtrle", layout="argb")
    else:
        first, second = [Image.fromarray(frame) for frame in frames]
        first.save(path, save_all=True, append_images=[second], lossless=True, exact=True)
    with pytest.raises(ValueError, match=r"is transparent in places, .*--background white"):
        read_frames(path)
    np.testing.assert_array_equal(read_frames(path, ReadSettings(background="blue")), on_blue)


def srgb_profile(swapped=False):
    """The profile of sRGB, as bytes; or with red and blue in each other's place."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tags = profile[128:400]
    if swapped:
        tags = tags.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    return profile[:128] + tags + profile[400:]


def test_colours_are_those_of_the_profile(tmp_path):
    frames = drifting_frames(3)
    for index, swapped in enumerate((None, False, True)):
        profile = None if swapped is None else srgb_profile(swapped)
        pixels = frames[index][:, :, ::-1] if swapped else frames[index]
        Image.fromarray(pixels).save(tmp_path / f"{index}.png", icc_profile=profile)
    found = read_frames(tmp_path).astype(int)
    np.testing.assert_array_equal(found[:2], frames[:2])
    assert np.abs(found[2] - frames[2]).max() <= 2


def test_grey_images_are_shown_by_a_profile_of_colours(tmp_path):
    """Pillow keeps the profile of colours when it makes an image grey."""
    grey = [Image.fromarray(frame).convert("L") for frame in drifting_frames(2)]
    for index, image in enumerate(grey):
        image.save(tmp_path / f"{index}.png", icc_profile=srgb_profile())
    np.testing.assert_array_equal(read_frames(tmp_path), [image.convert("RGB") for image in grey])


def test_a_profile_that_is_none_and_a_linear_gamma_are_refused(tmp_path):
    linear = PngInfo()
    linear.add(b"gAMA", struct.pack(">I", 100_000))
    for name, options in (("a", {"icc_profile": b"none"}), ("b", {"pnginfo": linear})):
        (tmp_path / name).mkdir()
        for index, frame in enumerate(drifting_frames(2)):
            Image.fromarray(frame).save(tmp_path / name / f"{index}.png", **options)
    with pytest.raises(ValueError, match=r"0\.png has a colour profile that cannot be applied"):
        read_frames(tmp_path / "a")
    with pytest.raises(ValueError, match=r"0\.png states colours other than sRGB"):
        read_frames(tmp_path / "b")


def test_a_film_of_ten_bits_is_refused(tmp_path):
    write_film(tmp_path / "deep.mp4", drifting_frames(2), layout="yuv420p10le")
    with pytest.raises(ValueError, match=r"deep\.mp4 has more than 8 bits a channel"):
        read_frames(tmp_path / "deep.mp4")


# --- what a file is -----------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "wrong"), [(".gif", ".mp4"), (".mp4", ".gif"), (".webp", "")])
def test_the_content_decides_what_a_file_is(suffix, wrong, tmp_path):
    write_animation(drifting_frames(), tmp_path / f"right{suffix}", SETTINGS)
    frames = read_frames(tmp_path / f"right{suffix}")
    (tmp_path / f"right{suffix}").rename(tmp_path / f"wrong{wrong}")
    np.testing.assert_array_equal(read_frames(tmp_path / f"wrong{wrong}"), frames)


@pytest.mark.parametrize("outside", [False, True])
def test_an_animated_png_is_an_animation_without_the_picture_outside_of_it(outside, tmp_path):
    frames = drifting_frames(4)
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(tmp_path / "a.png", save_all=True, append_images=others, default_image=outside)
    np.testing.assert_array_equal(read_frames(tmp_path / "a.png"), frames[1 if outside else 0 :])


def test_of_what_a_camera_adds_to_a_photograph_nothing_is_measured(tmp_path):
    first, second = [Image.fromarray(frame) for frame in drifting_frames(2)]
    for name in ("0.jpg", "1.jpg"):
        first.save(tmp_path / name, "MPO", save_all=True, append_images=[second], quality=95)
    found = read_frames(tmp_path)
    assert found.shape == (2, 64, 48, 3)
    assert np.abs(found[0].astype(int) - np.asarray(first)).mean() < 3
    with pytest.raises(ValueError, match=r"0\.jpg holds 1 frames"):
        read_frames(tmp_path / "0.jpg")


def test_animations_in_the_place_of_images_are_named(tmp_path):
    for name in ("0.png", "1.png", "2.png"):
        first, second = [Image.fromarray(frame) for frame in drifting_frames(2)]
        first.save(tmp_path / name, save_all=True, append_images=[second])
    with pytest.raises(ValueError, match="holds 0 images .*left out of .*: 0.png, 1.png, 2.png"):
        read_frames(tmp_path)


def test_what_is_left_out_of_a_folder_is_named(tmp_path):
    frames = drifting_frames(2)
    write_images(tmp_path, frames)
    for name in ("2.webp", "all.mp4"):
        write_animation(frames, tmp_path / name, SETTINGS)
    (tmp_path / "array.npy").write_bytes(b"\x93NUMPY\0")
    (tmp_path / "prompt.txt").write_text("Kätzchen " * 1000)
    with pytest.warns(LeftOutFilesWarning, match="no images: 2.webp, all.mp4, array.npy$"):
        np.testing.assert_array_equal(read_frames(tmp_path), frames)


def test_a_frame_in_two_formats_is_not_counted_twice(tmp_path):
    write_images(tmp_path, drifting_frames(3))
    write_images(tmp_path, drifting_frames(1), name="1.webp")
    with pytest.raises(ValueError, match=r"holds frames twice: 1\.png, 1\.webp; keep one format"):
        read_frames(tmp_path)


@pytest.mark.parametrize("durations", [[40, 50, 40, 40], [0] * 4])
def test_rounded_durations_are_not_reported(durations, tmp_path):
    first, *others = [Image.fromarray(frame) for frame in drifting_frames(4)]
    first.save(tmp_path / "a.gif", save_all=True, append_images=others, duration=durations)
    assert len(read_frames(tmp_path / "a.gif")) == 4


def test_a_film_of_variable_rate_is_not_reported_as_cut_off(tmp_path):
    times = [0, 1, 2, 5, 9, 10, 15]
    write_film(tmp_path / "a.mkv", drifting_frames(7), times=times)
    assert len(read_frames(tmp_path / "a.mkv")) == 7


def test_a_name_that_is_no_text_is_read_and_shown(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4"))
    write_animation(drifting_frames(2), path, SETTINGS)
    assert len(read_frames(path)) == 2
    assert shown_name(path).endswith(r"/\xff.mp4")


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
    with pytest.raises(ValueError, match=rf"notes\{suffix} is neither a folder .*can be read"):
        read_frames(path)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mp4"])
def test_half_an_animation(tmp_path, suffix):
    path = tmp_path / f"half{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (4, 64, 48, 3), dtype=np.uint8)
    write_animation(noise, path, SETTINGS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"half\{suffix} is n.* that can be read"):
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
