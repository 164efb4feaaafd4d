"""What a model's text encoder is and is not, in a sentence, by the recipe of an embedded model."""

from embedding_geometry.ground.places import short_name
from embedding_geometry.pocket.recipes import RECIPES

LEARNT = {
    "contrastive": (
        "was trained as CLIP's was, to tell which caption belongs to which picture, and then left "
        "as it was while the UNet learnt to read it"
    ),
    "tuned": (
        "was trained as CLIP's was, to tell which caption belongs to which picture, and then "
        "further together with the UNet, to help it to remove noise"
    ),
    "joint": (
        "has CLIP's architecture and not CLIP's training: it never had to tell which caption "
        "belongs to which picture, and was trained together with the UNet, to help it to remove "
        "noise"
    ),
}
"""By how a recipe makes the encoder."""


def encoder_text(model_name: str) -> str:
    """How the text encoder of a model was trained, as a sentence without its end."""
    recipe = RECIPES.get(short_name(model_name))
    if recipe is None:
        return (
            "Stable Diffusion as it was published takes its text encoders from CLIP models and "
            "leaves them as they were; the card of a model says where its own differs"
        )
    return f"The text encoder of {short_name(model_name)} {LEARNT[recipe.encoder]}"
