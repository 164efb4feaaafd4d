"""What a batch of frames reads: a text for each, or a rule that mixes texts.

The rules are those of `transport.rules`, with texts for their parts. How the sampler carries one
out stands here, a function for each question: which frames go together, whose noise the UNet
predicts, what its attention does at a step, and how many rows that takes.
"""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from operator import add
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from embedding_geometry.diffusion.clouds import Texts, as_tensor, beside_clouds, check_texts
from embedding_geometry.diffusion.loading import TextToImageModel
from embedding_geometry.diffusion.mixing import (
    average_outputs,
    fuse,
    log_densities,
    read_measure,
)
from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.transport.rules import (
    Fused,
    Mixture,
    Rule,
    at_frames,
    only_part,
    some_frames,
    step_weights,
)

Readings = Texts | Rule
Mixing = Callable[[int], dict[str, Any]]  # what the UNet is given at a step besides the clouds


def check_readings(model: TextToImageModel, frames: Readings) -> None:
    """Raise a ValueError for texts that are not what the model reads."""
    own = [frames.own] if isinstance(frames, Fused) else []
    for texts in [frames] if isinstance(frames, Texts) else [*frames.parts, *own]:
        check_texts(model, texts)


def batches(frames: Readings, size: int) -> list[tuple[list[int], Readings]]:
    """Return what is denoised together, so many frames at most, with their places.

    Frames of a rule that one text makes alone are frames of this text.
    """

    def take(kind: int, places: list[int]) -> Readings:
        if isinstance(frames, Texts):
            return at_frames(frames, places)
        if kind == len(frames.parts):
            return some_frames(frames, places)
        return at_frames(frames.parts[kind], places)

    kinds = np.zeros(len(frames), int) if isinstance(frames, Texts) else only_part(frames)
    places = {kind: np.flatnonzero(kinds == kind).tolist() for kind in np.unique(kinds).tolist()}
    return [
        (chunk, take(kind, chunk))
        for kind, alike in places.items()
        for chunk in (alike[start : start + size] for start in range(0, len(alike), size))
    ]


def images(batch: Readings) -> int:
    """Return how many images are denoised together: the frames, and AID's two ends before them."""
    return len(batch) + 2 * isinstance(batch, Fused)


def unet_rows(model: TextToImageModel, frames: Readings, settings: RenderSettings) -> int:
    """Return how many rows the UNet computes in a denoising step, for all frames together.

    A frame of one text takes a row, and one for the negative prompt where guidance is on; a frame
    of mixed predictions a row for each text and that one. AID's ends are denoised once beside each
    batch. Latents and images are mixed of those of the texts, whatever the number of frames.

    Examples:
        >>> texts = eg.encode(model, ["a cat on the beach", "a panda in the snow"])
        >>> eg.unet_rows(model, texts, eg.default_settings(model))
        4
    """
    settings = settings.resolve(model)
    if isinstance(frames, Mixture) and frames.place in ("latent", "image"):
        return sum(unet_rows(model, part, settings) for part in frames.parts)
    guided = settings.guidance_scale != 1
    together = [batch for _, batch in batches(frames, settings.batch_size)]
    return sum(images(batch) * (len(texts_predicted(batch)) + guided) for batch in together)


def texts_predicted(batch: Readings) -> list[Texts]:
    """Return the texts for which noise is predicted, each one for every image of the batch.

    More than one where it is the predictions that are mixed. Texts that are mixed in attention are
    one text with the tokens of all, whose vectors beside the cloud are those of `mixing`.
    """
    if isinstance(batch, Texts):
        return [batch]
    if isinstance(batch, Fused):
        return [reduce(add, (*batch.parts, batch.own))]
    parts = _parts(batch)
    if batch.place == "prediction":
        return parts
    return [Texts(np.concatenate([part.clouds for part in parts], axis=1), parts[0].pooled)]


def mixing(
    model: TextToImageModel, batch: Readings, latent: Float[Tensor, "1 c h w"], steps: int
) -> Mixing:
    """Return what the UNet is given at each of so many steps besides the clouds, to mix them."""
    if isinstance(batch, Texts) or (isinstance(batch, Mixture) and batch.place == "prediction"):
        return unmixed
    if isinstance(batch, Fused):
        mix = partial(fuse, weights=as_tensor(model, batch.weights), kind=batch.kind)
        fused = {"cross_attention_kwargs": {"mix": mix, "everywhere": True}}
        return lambda step: fused if step < batch.share * steps else {}
    parts = _parts(batch)
    sizes = [part.clouds.shape[1] for part in parts]

    def given(weights: Float[np.ndarray, "t b"]) -> dict[str, Any]:
        if batch.place == "attention":
            mix = partial(average_outputs, weights=as_tensor(model, weights), sizes=sizes)
        else:
            densities = as_tensor(model, log_densities(weights, sizes))
            mix = partial(read_measure, log_density=densities)
        pooled = None
        if parts[0].pooled is not None:
            pooled = np.einsum("tb,btp->tp", weights, [part.pooled for part in parts])
        return {
            "cross_attention_kwargs": {"mix": mix},
            "added_cond_kwargs": beside_clouds(model, pooled, latent),
        }

    return [given(weights) for weights in step_weights(batch, steps)].__getitem__


def unmixed(step: int) -> dict[str, Any]:
    """Return that the UNet is given nothing besides the clouds."""
    return {}


def average(batch: Readings, parts: Sequence[Float[Tensor, "t ..."]]) -> Float[Tensor, "t ..."]:
    """Return the averages of the predictions for the texts, with the weights of each frame."""
    if isinstance(batch, Texts) or len(parts) == 1:
        return parts[0]
    weights = torch.from_numpy(batch.weights.T)[..., None, None, None].to(parts[0])
    return reduce(add, (weight * part for weight, part in zip(weights, parts, strict=True)))


def _parts(mixture: Mixture) -> list[Texts]:
    return [at_frames(part, range(len(mixture))) for part in mixture.parts]
