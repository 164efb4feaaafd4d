"""A pair of prompts that a reader may try: from the cell that drew it to the laboratory.

Like the frames of twin sliders it travels in the metadata of the output. So a notebook and paper
have no link that leads nowhere; where the book has a laboratory, it makes one of it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedding_geometry.diffusion.loading import TextToImageModel
    from embedding_geometry.study.prompts import PromptPair

KEY = "tried_pair"  # of the metadata


def pair_metadata(model: "TextToImageModel", pair: "PromptPair", seed: int) -> dict[str, Any]:
    """What the laboratory is asked to draw, and the revision of the model that drew it here."""
    asked = {"source": pair.source, "target": pair.target, "seed": seed}
    return {KEY: {"revision": model.provenance.revision, "asked": asked}}
