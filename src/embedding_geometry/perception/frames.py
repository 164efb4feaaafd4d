"""Frames on disk: folders of images, animations and films, read, and written with their settings.

A path of frames lies on disk in one of three forms: a folder of images, in natural order (2 before
10); an animation (GIF, WebP, APNG), which Pillow reads; or a film (MP4 and its kin), which PyAV
reads. PNG and lossless WebP keep every byte. GIF keeps 256 colours a frame and films half the
resolution of colour, so distances measured on them contain the compression. Films have no
checksums: damage that the decoder can make sense of goes unnoticed.

Every written file says how its frames came about, as one JSON object in the place that its format
has for a description: the PNG text chunk ``Description``, the comment of GIF and MP4, the EXIF tag
``ImageDescription`` of WebP.
"""

import contextlib
import io
import itertools
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from jaxtyping import UInt8
from natsort import natsorted
from PIL import ExifTags, Image, ImageSequence
from PIL.PngImagePlugin import PngInfo

from embedding_geometry.ground.disk import naming, write_whole, writing
from embedding_geometry.ground.types import Frames

IMAGES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
ANIMATIONS = {".apng", ".gif", ".webp"}
FILMS = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"}
STILLS = (".png", ".webp")  # single frames are written as these
TOO_DEEP = ("I", "F")  # modes of more than 8 bits, which Pillow would clip to 255
FRAMES_PER_SECOND = 10
DESCRIPTION = ExifTags.Base.ImageDescription


class HeldFramesWarning(UserWarning):
    """An animation shows some frames longer than others; each counts once."""


class MissingFramesWarning(UserWarning):
    """A film holds fewer frames than it announces."""


# --- reading ------------------------------------------------------------------------------------


def frame_files(path: str | Path) -> list[Path]:
    """Return the files that hold the frames: a folder's images in natural order, or the one file.

    Raises:
        FileNotFoundError: neither a folder nor a file.
        ValueError: a folder of fewer than two images, a file of another kind.
    """
    path = Path(path)
    if path.is_file():
        if path.suffix.lower() not in ANIMATIONS | FILMS:
            kinds = ", ".join(sorted(ANIMATIONS | FILMS))
            raise ValueError(f"{path} is neither a folder of images nor one of {kinds}")
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path.absolute()} is not a folder of images, nor an animation or a film"
        )
    files = [file for file in path.iterdir() if is_named(file, IMAGES)]
    if len(files) < 2:
        raise ValueError(
            f"{path} holds {len(files)} images ({', '.join(sorted(IMAGES))}); a path has at least "
            "two. Where each file is a path of its own, name the files"
        )
    return natsorted(files, key=lambda file: file.name)


def is_named(file: Path, suffixes: set[str]) -> bool:
    """Whether the file's suffix is one of these, and the file is not hidden."""
    return file.suffix.lower() in suffixes and not file.name.startswith(".")


def read_frames(path: str | Path) -> Frames:
    """Read the frames of a folder of images, an animation (GIF, WebP, APNG) or a film (MP4 ...).

    Raises:
        FileNotFoundError: neither a folder nor a file.
        ValueError: fewer than two frames, frames of different sizes, a file that is damaged, of
            another kind, or of more than 8 bits a channel.
    """
    return np.stack(list(_frames(Path(path))))


def frame_batches(path: str | Path, size: int = 16) -> Iterator[Frames]:
    """Yield the same frames in batches, so that a long path needs little memory.

    Raises:
        FileNotFoundError: as `read_frames`.
        ValueError: as `read_frames`, when the reading has come to what is wrong.
    """
    frames = _frames(Path(path))
    while batch := list(itertools.islice(frames, size)):
        yield np.stack(batch)


def _frames(path: Path) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yield the frames, and raise a ValueError for the first that cannot belong to the path."""
    count, first_name, size = 0, "", ""
    for count, (name, frame) in enumerate(_named_frames(path), start=1):
        if count == 1:
            first_name, size = name, _size(frame)
        if _size(frame) != size:
            raise ValueError(
                f"frames of one path have one size, but {first_name} has {size} and {name} has "
                f"{_size(frame)} pixels in {path}"
            )
        yield frame
    if count < 2:
        raise ValueError(f"{path} holds {count} frames; a path has at least two")


def _named_frames(path: Path) -> Iterator[tuple[str, UInt8[np.ndarray, "h w 3"]]]:
    """Yield each frame with what it is called in a message."""
    files = frame_files(path)
    if path.is_dir():
        for file in files:
            yield file.name, _read_image(file)
    else:
        frames = _read_film(path) if path.suffix.lower() in FILMS else _read_animation(path)
        for number, frame in enumerate(frames, start=1):
            yield f"frame {number}", frame


def _read_image(file: Path) -> UInt8[np.ndarray, "h w 3"]:
    with _opened(file) as image:
        count = getattr(image, "n_frames", 1)
        if count > 1 and file.suffix.lower() in ANIMATIONS:
            raise ValueError(f"{file} is an animation of {count} frames; name it itself")
        return _rgb(image, file)


def _read_animation(file: Path) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    durations = set()
    with _opened(file) as image:
        for frame in ImageSequence.Iterator(image):
            yield _rgb(frame, file)
            durations.add(frame.info.get("duration"))
    if len(durations) > 1:
        warnings.warn(
            f"{file} shows some frames longer than others, and each counts once; the writer of an "
            "animation joins equal neighbours, which as frames of a path are steps of length 0",
            HeldFramesWarning,
            stacklevel=2,
        )


def _read_film(file: Path) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    # PyAV may find damage at any frame; "a:b.mp4" alone would be an address to it
    problem = naming(f"{file} is not a film that can be read", FFmpegError)
    with problem, av.open(str(file.absolute())) as film:
        if not film.streams.video:
            raise ValueError(f"{file} is a film without pictures")
        # by default the decoder paints over what is damaged and says nothing
        stream = film.streams.video[0]
        stream.codec_context.options = {"err_detect": "explode"}
        count = 0
        for frame in film.decode(stream):
            yield frame.to_ndarray(format="rgb24")
            count += 1
        announced = _announced_frames(film)
    if count < announced:
        warnings.warn(
            f"{file} announces {announced} frames and {count} of them are there; unless it was "
            "trimmed without being written anew, it is cut off",
            MissingFramesWarning,
            stacklevel=2,
        )


def _announced_frames(film: InputContainer) -> int:
    """How many frames a film says that it has; 0 where it does not say.

    Matroska and WebM name their length alone, which is that of the pictures if nothing else is in.
    """
    stream = film.streams.video[0]
    if stream.frames or len(film.streams) > 1 or not (film.duration and stream.average_rate):
        return stream.frames
    return round(film.duration / av.time_base * stream.average_rate)


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    """Open an image with Pillow; whatever it says about damage, then or later, is a ValueError."""
    damage = (OSError, SyntaxError, EOFError, Image.DecompressionBombError)
    with naming(f"{file} is not an image that can be read", *damage), Image.open(file) as image:
        yield image


def _rgb(image: Image.Image, file: Path) -> UInt8[np.ndarray, "h w 3"]:
    stored = str(getattr(image, "tile", ""))  # Pillow opens colours of 16 bits as if they had 8
    if image.mode.startswith(TOO_DEEP) or ";16" in stored:
        raise ValueError(
            f"{file} has more than 8 bits a channel; convert it to 8 bits, so that its range is "
            "your choice"
        )
    return np.asarray(image.convert("RGB"))


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


# --- writing ------------------------------------------------------------------------------------


def write_frames(
    frames: Frames, folder: str | Path, settings: Mapping[str, object], suffix: str = ".png"
) -> None:
    """Write `frame_000.png`, `frame_001.png` ... in place of those of an earlier path.

    The folder is created where it does not exist. The settings are JSON values that say how the
    frames came about; both suffixes, .png and .webp, are lossless.

    Raises:
        ValueError: another suffix.
        ResultsFolderError: a file cannot be written.
    """
    if suffix not in STILLS:
        raise ValueError(f"frames can be written as {' or '.join(STILLS)}, not as {suffix!r}")
    folder = Path(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for earlier in folder.glob("frame_[0-9][0-9][0-9]*"):
            if earlier.suffix in STILLS and earlier.stem.removeprefix("frame_").isdigit():
                earlier.unlink()
    for index, frame in enumerate(frames):
        write_whole(folder / f"frame_{index:03}{suffix}", _encoded(frame[None], suffix, settings))


def write_animation(frames: Frames, path: str | Path, settings: Mapping[str, object]) -> None:
    """Write an animation at ten frames a second, endless in GIF and WebP: the suffix decides.

    WebP is lossless, MP4 (H.264) nearly so but for its colours, GIF has 256 colours a frame. GIF
    and WebP join equal neighbours into one frame that is shown longer.

    Raises:
        ValueError: another suffix than .gif, .webp or .mp4; an MP4 of odd width or height.
        ResultsFolderError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix == ".mp4":
        content = _encoded_film(frames, path, json.dumps(settings))
    elif path.suffix in (".gif", ".webp"):
        content = _encoded(frames, path.suffix, settings)
    else:
        raise ValueError(f"{path} is to be an animation; .gif, .webp and .mp4 can be written")
    write_whole(path, content)


def _encoded(frames: Frames, suffix: str, settings: Mapping[str, object]) -> bytes:
    """One image, or an animation of several, as the content of a file."""
    text = json.dumps(settings)
    options: dict[str, Any]
    if suffix == ".png":
        chunks = PngInfo()
        chunks.add_text("Description", text)
        options = {"pnginfo": chunks}
    elif suffix == ".webp":
        exif = Image.Exif()
        exif[DESCRIPTION] = text
        options = {"exif": exif, "lossless": True}
    else:
        options = {"comment": text.encode()}
    first, *others = [Image.fromarray(frame) for frame in frames]
    if others:
        duration = 1000 // FRAMES_PER_SECOND
        options |= {"save_all": True, "append_images": others, "duration": duration, "loop": 0}
    buffer = io.BytesIO()
    first.save(buffer, format=suffix.removeprefix("."), **options)
    return buffer.getvalue()


def _encoded_film(frames: Frames, path: Path, comment: str) -> bytes:
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        raise ValueError(
            f"{path}: an MP4 has an even width and height, the frames have {_size(frames[0])}; "
            "write WebP, which keeps every pixel"
        )
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as film:
        film.metadata["comment"] = comment
        stream = film.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        film.mux(stream.encode(None))
    return buffer.getvalue()
