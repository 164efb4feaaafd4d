"""What a page says of a text encoder is what its model was trained by."""

import json

import pytest

from embedding_geometry.ground.places import EMBEDDED
from embedding_geometry.pages.encoders import encoder_text


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_encoder_without_a_stage_of_its_own_has_not_clips_training(name):
    stages = json.loads((EMBEDDED[name] / "training.json").read_text())
    told = encoder_text(str(EMBEDDED[name]))
    assert told.startswith(f"The text encoder of {name} ")
    assert ("as CLIP's was" in told) == ("text" in stages)
    assert ("not CLIP's training" in told) == ("text" not in stages)


def test_of_another_model_is_said_what_was_published():
    assert encoder_text("owner/model").startswith("Stable Diffusion as it was published takes")
