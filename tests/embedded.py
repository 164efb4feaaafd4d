"""Settings that a written file holds, read by the libraries that anyone would use for that."""

import json

import av
from PIL import ExifTags, Image


def embedded_settings(path):
    """The JSON object in an image's or a film's place for a description."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as film:
            return json.loads(film.metadata["comment"])
    with Image.open(path) as image:
        text = {
            "PNG": image.info.get("Description"),
            "GIF": image.info.get("comment"),
            "WEBP": image.getexif().get(ExifTags.Base.ImageDescription),
        }
        return json.loads(text[image.format])
