"""Pictures as they are meant to be seen: whatever a file holds, as RGB of 8 bits a channel.

What a file is, is decided by its content: images and animations are those that Pillow knows under
the names of `IMAGES`, films those that FFmpeg knows under the names of `FILMS`; the suffix is of
no account. What a file says about its display is applied or refused, never dropped: orientation,
colour profile, transparency, depth, the shape of its pixels.
"""

import contextlib
import functools
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream
from jaxtyping import UInt8
from PIL import Image, ImageCms, ImageColor, ImageOps, ImageSequence, UnidentifiedImageError

from embedding_geometry.ground.disk import naming

IMAGES = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
FILMS = ("avi", "matroska", "mov")  # FFmpeg's names; WebM is Matroska, MP4 and M4V are MOV
DAMAGE = (OSError, SyntaxError, EOFError, Image.DecompressionBombError)
TOO_DEEP = ("I", "F")  # Pillow's modes of more than 8 bits, which it would clip to 255
PLAIN_COLOURS = {1, 2, 4, 5, 6, 7, 13}  # primaries and curves of BT.709, BT.601, sRGB; 2: unsaid
SRGB_GAMMA = 0.45455
SRGB_PLACES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # of white, red, green and blue
HELD = 1.5  # times the shortest: centiseconds make 24 frames a second 40 and 50 milliseconds

Kind = Literal["image", "animation", "film", "unknown"]
Picture = UInt8[np.ndarray, "h w 3"]


class HeldFramesWarning(UserWarning):
    """Some frames are shown longer than others; each counts once."""


class MissingFramesWarning(UserWarning):
    """A film holds fewer frames than it announces."""


def kind_of(file: Path) -> Kind:
    """Say what a file holds by its content: one image, an animation of several, or a film."""
    try:
        with Image.open(file, formats=IMAGES) as image:
            several = getattr(image, "n_frames", 1) > 1 and image.format != "MPO"
            return "animation" if several else "image"
    except UnidentifiedImageError:
        with contextlib.suppress(FFmpegError), _film(file):
            return "film"
        return "unknown"
    except DAMAGE:
        return "image"  # whoever reads it will be told what is wrong


def pictures(file: Path) -> Iterator[Image.Image]:
    """Yield the pictures of an image, an animation or a film, to be given to `displayed` at once.

    Raises:
        ValueError: the file is damaged, of another kind, or says what cannot be applied.
    """
    return _film_pictures(file) if kind_of(file) == "film" else _image_pictures(file)


def displayed(
    image: Image.Image, name: object, background: str | None, size: tuple[int, int] | None
) -> Picture:
    """Return a picture of `pictures` as it is meant to be seen.

    Args:
        image: the picture.
        name: what it is called in an error.
        background: colour, as Pillow names it, behind what is transparent; None refuses that.
        size: width and height to which it is resized, by bicubic interpolation.

    Raises:
        ValueError: more than 8 bits a channel, transparency without a background, or colours that
            cannot be converted to sRGB.
    """
    stored = str(getattr(image, "tile", ""))  # Pillow opens colours of 16 bits as if they had 8
    _check_depth(image.mode.startswith(TOO_DEEP) or ";16" in stored, name)
    with naming(f"{name} is not an image that can be read", *DAMAGE):
        image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
    image = _in_srgb(image, name)
    if image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255):
        if background is None:
            raise ValueError(
                f"{name} is transparent in places, and what is seen there depends on the "
                "background; name its colour (--background white, background='white')"
            )
        behind = Image.new("RGBA", image.size, (*ImageColor.getrgb(background)[:3], 255))
        image = Image.alpha_composite(behind, image)
    image = image.convert("RGB")
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC) if size else image)


def _check_depth(deep: bool, name: object) -> None:
    if deep:
        raise ValueError(
            f"{name} has more than 8 bits a channel; convert it to 8 bits, so that its range is "
            "your choice"
        )


# --- colours ------------------------------------------------------------------------------------


def _in_srgb(image: Image.Image, name: object) -> Image.Image:
    """Convert from the colour profile that is in the file, if any; without one it is sRGB."""
    about = image.info
    if "icc_profile" not in about:
        stated = (about.get("gamma", SRGB_GAMMA), *about.get("chromaticity", SRGB_PLACES))
        if "srgb" not in about and not np.allclose(stated, (SRGB_GAMMA, *SRGB_PLACES), atol=0.005):
            raise ValueError(f"{name} states colours other than sRGB; convert it to sRGB")
        return image
    profile = about["icc_profile"]
    # a profile of colours may have stayed in an image that was made grey
    if image.mode not in (("L",) if profile[16:20] == b"GRAY" else ("RGB", "RGBA", "CMYK")):
        image = image.convert("RGB")
    problem = f"{name} has a colour profile that cannot be applied"
    with naming(problem, ImageCms.PyCMSError, OSError):
        transform = _to_srgb(profile, image.mode)
        return transform.apply(image)


@functools.lru_cache(maxsize=8)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    target = "RGBA" if mode == "RGBA" else "RGB"
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, target)


# --- images and animations ----------------------------------------------------------------------


def _image_pictures(file: Path) -> Iterator[Image.Image]:
    durations = []
    damaged = naming(f"{file} is not an image that can be read", *DAMAGE)
    with damaged, Image.open(file, formats=IMAGES) as image:
        for number, frame in enumerate(ImageSequence.Iterator(image)):
            if number == 0 and image.info.get("default_image"):
                continue  # a PNG's picture for those who know no animations
            yield frame
            durations.append(frame.info.get("duration") or 0)
            if image.format == "MPO":
                break  # what follows is the camera's business
    if max(durations, default=0) >= HELD * min(durations, default=0) > 0:
        warnings.warn(
            f"{file} shows some frames longer than others, and each counts once; the writer of an "
            "animation joins equal neighbours, which as frames of a path are steps of length 0",
            HeldFramesWarning,
            stacklevel=2,
        )


# --- films --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _film(file: Path) -> Iterator[InputContainer]:
    # a file object, for to FFmpeg "a:b.mp4" alone is an address, and names are UTF-8
    options = {"format_whitelist": ",".join(FILMS)}
    with file.open("rb") as content, av.open(content, "r", options=options) as film:
        yield film


def _film_pictures(file: Path) -> Iterator[Image.Image]:
    # PyAV may find damage at any frame
    with naming(f"{file} is not a film that can be read", FFmpegError), _film(file) as film:
        stream = _only_stream(film, file)
        # by default the decoder paints over what is damaged and says nothing
        stream.codec_context.options = {"err_detect": "explode"}
        ends = [0.0]
        for frame in film.decode(stream):
            yield _film_picture(frame, file)
            ends.append(float(stream.time_base or 0) * ((frame.pts or 0) + (frame.duration or 0)))
        _report_missing(film, stream, ends, file)


def _only_stream(film: InputContainer, file: Path) -> VideoStream:
    """Return the one stream of pictures, whose display is found to be plain."""
    streams = [s for s in film.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise ValueError(f"{file} is a film without pictures")
    if len(streams) > 1:
        raise ValueError(f"{file} holds {len(streams)} tracks of pictures; write one alone")
    [stream] = streams
    shape, context = stream.sample_aspect_ratio, stream.codec_context
    if {context.color_primaries, context.color_trc} - PLAIN_COLOURS:
        raise ValueError(f"{file} has colours of a wide or deep range; convert it to BT.709")
    if shape and abs(shape.numerator - shape.denominator) > 0.01 * shape.denominator:
        raise ValueError(f"{file} has pixels of shape {shape}; scale it to square ones")
    if {key.lower(): value for key, value in stream.metadata.items()}.get("alpha_mode") == "1":
        raise ValueError(f"{file} is transparent in places, which its decoder drops; flatten it")
    return stream


def _film_picture(frame: av.VideoFrame, file: Path) -> Image.Image:
    channels = frame.format.components
    _check_depth(max(channel.bits for channel in channels) > 8, file)
    alpha = frame.format.name == "pal8" or any(channel.is_alpha for channel in channels)
    pixels = frame.to_ndarray(format="rgba" if alpha else "rgb24")
    about: Any = frame.side_data
    matrix, profile = about.get("DISPLAYMATRIX"), about.get("ICC_PROFILE")
    image = Image.fromarray(pixels if matrix is None else _turned(pixels, bytes(matrix), file))
    if profile is not None:
        image.info["icc_profile"] = bytes(profile)
    return image


def _turned(pixels: np.ndarray, matrix: bytes, file: Path) -> np.ndarray:
    """Turn and mirror a frame by FFmpeg's matrix, which maps (x, y, 1) from the left."""
    a, b, _, c, d, *_ = np.frombuffer(matrix, np.int32) / 2**16
    if {abs(a), abs(d)} == {0} and {abs(b), abs(c)} == {1}:
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    elif {abs(a), abs(d)} != {1} or {abs(b), abs(c)} != {0}:
        raise ValueError(f"{file} is shown turned by part of a right angle; write it as shown")
    return np.ascontiguousarray(pixels[:: int(d), :: int(a)])


def _report_missing(
    film: InputContainer, stream: VideoStream, ends: list[float], file: Path
) -> None:
    """Warn of a film that ends before its time, by the count of its frames or by their times.

    Matroska and WebM name their length alone, which is that of the pictures if nothing else is in.
    """
    found, longest = len(ends) - 1, max(np.diff(ends), default=0.0)
    announced = film.duration / av.time_base if film.duration and len(film.streams) == 1 else 0.0
    if stream.frames:
        missing = f"announces {stream.frames} frames and {found} of them are there"
    else:
        missing = f"announces {announced:.3g} s of pictures and {ends[-1]:.3g} s are there"
    if found < stream.frames or (not stream.frames and announced > ends[-1] + longest):
        warnings.warn(
            f"{file} {missing}; unless it was trimmed without being written anew, it is cut off",
            MissingFramesWarning,
            stacklevel=2,
        )
