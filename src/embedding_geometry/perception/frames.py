"""Frames on disk: folders of images, animations and films, read, and written with their settings.

A path of frames lies on disk in one of three forms: a folder of images, in the order of the
numbers in their names (2 before 10, 0.25 before 0.5); an animation (GIF, WebP, PNG, TIFF); or a
film (MP4 and its kin). PNG and lossless WebP keep every byte. GIF keeps 256 colours a frame and
films half the resolution of colour, so distances measured on them contain the compression. Films
have no checksums: damage that the decoder can make sense of goes unnoticed. `pictures` says how a
file becomes what is seen.

Every written file says how its frames came about, as one JSON object in the place that its format
has for a description: the PNG text chunk ``Description``, the comment of GIF and MP4, the EXIF tag
``ImageDescription`` of WebP.
"""

import codecs
import io
import itertools
import json
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import av
import numpy as np
from natsort import natsorted, ns
from PIL import ExifTags, Image, ImageColor
from PIL.PngImagePlugin import PngInfo

from embedding_geometry.ground.disk import write_whole, writing
from embedding_geometry.ground.types import Frames
from embedding_geometry.perception.pictures import Picture, displayed, kind_of, pictures

IMAGES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}  # meant as such, if damaged
STILLS = (".png", ".webp")  # single frames are written as these
NAMED = 10  # as many files are named in a warning
FRAMES_PER_SECOND = 10
DESCRIPTION = ExifTags.Base.ImageDescription
# a hyphen behind a letter or a digit is no sign: frame-2, 2026-01-31
NUMBER = re.compile(r"((?:(?<![^\W_])[-+])?\d+(?:\.\d+)?(?:[eE][-+]?\d{1,3}(?![^\W_]))?)")


class OrderWarning(UserWarning):
    """The names of a folder have another order by their numbers than by their digits."""


class LeftOutFilesWarning(UserWarning):
    """Files of a folder that are not measured."""


@dataclass(frozen=True)
class ReadSettings:
    """How the frames of a path are read; None leaves what is stored.

    Attributes:
        frames: As many equally spaced frames of each path, its ends included.
        resize: Width and height of every frame, by bicubic interpolation.
        background: Colour, as Pillow names it, behind what is transparent; None refuses that.
    """

    frames: int | None = None
    resize: tuple[int, int] | None = None
    background: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, before anything is read."""
        if self.frames is not None and self.frames < 2:
            raise ValueError(f"frames is {self.frames}; a path has at least two")
        if self.resize is not None and min(self.resize) < 1:
            raise ValueError(f"resize is {self.resize}; a width and a height in pixels are wanted")
        if self.background is not None:
            ImageColor.getrgb(self.background)  # a ValueError that names it


AS_STORED = ReadSettings()

# --- reading ------------------------------------------------------------------------------------


class StoredPath:
    """The frames of one path on disk, read one after the other, so that a long one needs no room.

    Attributes:
        path: the folder or file.
        files: the files that hold the frames: images of a folder in their order, or the one file.
        count: how many frames there are; None for a file, which does not say so reliably.
    """

    def __init__(self, path: str | Path, settings: ReadSettings = AS_STORED) -> None:
        """Find the files.

        Raises:
            FileNotFoundError: neither a folder nor a file.
            ValueError: a folder of fewer than two images or with one in two formats, a file of
                another kind, or a number of frames that is not a grid of those that are there.
        """
        self.path, self._settings, self._step = Path(path), settings, 1
        folder = self.path.is_dir()
        self.files = _path_images(self.path) if folder else [_known_file(self.path)]
        self.count = len(self.files) if folder else None
        if settings.frames is not None:
            count = self.count or sum(1 for _ in self._frames())
            self._step = _grid_step(self.path, count, settings.frames)
            self.count = settings.frames
        if folder:
            self.files = self.files[:: self._step]

    def batches(self, size: int = 16) -> Iterator[Frames]:
        """Yield the frames in batches.

        Raises:
            ValueError: fewer than two frames, frames of different sizes, or what `pictures` and
                `displayed` refuse, when the reading has come to what is wrong.
        """
        frames = itertools.islice(self._frames(), 0, None, 1 if self.path.is_dir() else self._step)
        while batch := list(itertools.islice(frames, size)):
            yield np.stack(batch)

    def _frames(self) -> Iterator[Picture]:
        """Yield the frames; raise a ValueError for the first that cannot belong to the path."""
        count, first_name, size, folder = 0, "", "", self.path.is_dir()
        read = displayed_pictures(self.files, self._settings)
        for count, (file, number, frame) in enumerate(read, start=1):
            name = file.name if folder else f"frame {number}"
            if count == 1:
                first_name, size = name, size_text(frame)
            if size_text(frame) != size:
                raise ValueError(
                    f"frames of one path have one size, but {first_name} has {size} and {name} "
                    f"has {size_text(frame)} pixels in {self.path}; resize them (--resize)"
                )
            yield frame
        if count < 2:
            raise ValueError(f"{self.path} holds {count} frames; a path has at least two")


def read_frames(path: str | Path, settings: ReadSettings = AS_STORED) -> Frames:
    """Read the frames of a folder of images, an animation (GIF, WebP, PNG) or a film (MP4 ...).

    Raises:
        FileNotFoundError: neither a folder nor a file.
        ValueError: fewer than two frames, frames of different sizes, a file that is damaged, of
            another kind, or of more than 8 bits a channel; see `StoredPath`.
    """
    return np.concatenate(list(StoredPath(path, settings).batches()))


def displayed_pictures(
    files: Iterable[Path], settings: ReadSettings
) -> Iterator[tuple[Path, int, Picture]]:
    """Yield the pictures of some files as they are seen, each with its file and its number there.

    Raises:
        ValueError: what `pictures` and `displayed` refuse.
    """
    for file in files:
        for number, picture in enumerate(pictures(file), start=1):
            yield file, number, displayed(picture, file, settings.background, settings.resize)


def folder_images(folder: Path, least: int, remedy: str) -> list[Path]:
    """Return a folder's images, and warn of what else is left out.

    Raises:
        ValueError: fewer than `least`; `remedy` says what to do.
    """
    images, others = [], []
    for file in sorted(folder.iterdir()):
        if file.name.startswith(".") or not file.is_file():
            continue
        kind = kind_of(file)
        if kind == "image" or (kind == "unknown" and file.suffix.lower() in IMAGES):
            images.append(file)
        elif kind != "unknown" or not _is_text(file):
            others.append(file)
    left_out = f"left out of {folder}, being no images: {names_text(others)}" if others else ""
    if len(images) < least:
        kinds = ", ".join(sorted(IMAGES))
        raise ValueError(f"{folder} holds {len(images)} images ({kinds}); {remedy}. {left_out}")
    if left_out:
        warnings.warn(left_out, LeftOutFilesWarning, stacklevel=4)
    return images


def is_path(entry: Path) -> bool:
    """Whether something in a folder is to be a path of frames: neither an image nor a text."""
    if entry.name.startswith(".") or not entry.is_file():
        return entry.is_dir() and not entry.name.startswith(".")
    kind = kind_of(entry)
    return kind != "image" and (kind != "unknown" or not _is_text(entry))


def shown_name(path: str | Path) -> str:
    """Return a path as text that can be printed and written, whatever bytes its name has."""
    return os.fsencode(path).decode(errors="backslashreplace")


def names_text(files: Sequence[Path | str]) -> str:
    """The names of the first of some files, as they can be printed."""
    names = ", ".join(shown_name(Path(file).name) for file in files[:NAMED])
    return names + (" ..." if len(files) > NAMED else "")


def size_text(pictures: np.ndarray) -> str:
    """Width and height of a picture (h, w, 3), or of several of one size, as in 640x480."""
    return f"{pictures.shape[-2]}x{pictures.shape[-3]}"


def _known_file(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path.absolute()} is not a folder of images, nor an animation or a film"
        )
    if kind_of(path) == "unknown":
        raise ValueError(
            f"{path} is neither a folder of images nor an animation (.gif, .webp, .png, .tiff) or "
            "a film (.avi, .m4v, .mkv, .mov, .mp4, .webm) that can be read"
        )
    return path


def _path_images(folder: Path) -> list[Path]:
    """Return a folder's images in the order of a path."""
    remedy = "a path has at least two. Where each file is a path of its own, name the files"
    images = folder_images(folder, 2, remedy)
    stems = Counter(file.stem for file in images)
    if twice := [file for file in images if stems[file.stem] > 1]:
        raise ValueError(
            f"{folder} holds frames twice: {names_text(twice)}; keep one format of each"
        )
    return _ordered(images)


def _ordered(files: list[Path]) -> list[Path]:
    """Sort by the numbers in the names; say so where the digits alone would order otherwise."""
    found = sorted(files, key=lambda file: (_name_key(file.stem), file.name))
    natural = natsorted(files, key=lambda file: file.stem, alg=ns.IGNORECASE)
    if [file.stem for file in found] != [file.stem for file in natural]:
        warnings.warn(
            f"{files[0].parent} is read in the order of the numbers in its names, their points "
            f"and signs included: {names_text(found)}",
            OrderWarning,
            stacklevel=4,
        )
    return found


def _name_key(stem: str) -> list[str | Decimal]:
    """Return the texts of a name and, in turn with them, its numbers."""
    parts = NUMBER.split(stem.casefold())
    return [Decimal(part) if place % 2 else part for place, part in enumerate(parts)]


def _is_text(file: Path) -> bool:
    with file.open("rb") as content:
        beginning = content.read(4096)
    try:  # incrementally, for the beginning may end within a character
        return "\0" not in codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError:
        return False


def _grid_step(path: Path, count: int, wanted: int) -> int:
    """Return the step at which `wanted` of `count` frames are equally spaced, ends included."""
    steps = count - 1
    if steps % (wanted - 1):
        possible = ", ".join(str(steps // k + 1) for k in range(steps, 0, -1) if steps % k == 0)
        raise ValueError(
            f"frames is {wanted}; of the {count} frames of {path}, {possible} can be taken at "
            "equal distances"
        )
    return steps // (wanted - 1)


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
            f"{path}: an MP4 has an even width and height, the frames have {size_text(frames)}; "
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
