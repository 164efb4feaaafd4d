"""A pipeline of diffusers that is loaded already, as a model."""

import hashlib
import json
from typing import Any

import torch
from diffusers import DiffusionPipeline

from embedding_geometry.diffusion.folders import FAMILIES, FUSE, check_descriptions
from embedding_geometry.diffusion.loading import TextToImageModel, model_of
from embedding_geometry.ground.devices import use_full_float32


def wrap_pipeline(pipeline: DiffusionPipeline) -> TextToImageModel:
    """Use a pipeline of diffusers that is loaded already, such as one whose LoRA is fused.

    Its networks are shared, not copied, and nothing in it is changed: device, precision and
    weights are the pipeline's. The revision is a hash of weights, descriptions and words. Like
    ``load_model`` it switches TF32 off for the whole process.

    Raises:
        ValueError: not a pipeline of Stable Diffusion 1, 2 or XL, a LoRA that is not fused, parts
            that are missing, off-loaded or in training mode, or as ``load_model``.
    """
    kind = type(pipeline).__name__
    if kind not in FAMILIES:
        raise ValueError(f"a {kind} cannot be used; {' or '.join(FAMILIES)} can")
    family, name = FAMILIES[kind], str(pipeline.config.get("_name_or_path") or kind)
    networks = {part: getattr(pipeline, part) for part in family.networks}
    for part, network in networks.items():
        if network is None or network.training or hasattr(network, "_hf_hook"):
            raise ValueError(
                f"the {part} of {name} is missing, in training mode (call its eval()) or off-"
                "loaded (call remove_all_hooks() of the pipeline, then to(device))"
            )
        if any("lora_" in module for module, _ in network.named_modules()):
            raise ValueError(f"the {part} of {name} holds a LoRA that is not fused: {FUSE}")
    parts = networks | {"scheduler": pipeline.scheduler}
    descriptions = {part: vars(each.config) for part, each in parts.items()}
    check_descriptions(descriptions, family, name)
    use_full_float32()
    said = [
        # what begins with an underscore is where a file was, or which version wrote it
        {entry: value for entry, value in description.items() if entry[0] != "_"}
        for description in descriptions.values()
    ]
    for part in family.tokenizers:
        tokenizer = getattr(pipeline, part)
        said.append({"words": tokenizer.get_vocab(), "padding": tokenizer.pad_token})
    return model_of(pipeline, family, name, _hash(said, [*networks.values()]), {})


def _hash(said: list[dict[str, Any]], networks: list[torch.nn.Module]) -> str:
    """Return 12 hex digits that change with any entry and any weight."""
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode())
    for network in networks:
        for name, weight in network.state_dict().items():
            digest.update(name.encode())
            digest.update(weight.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:12]
