"""What a batch of frames reads: a text for each, or a rule that mixes texts.

The rules are those of `transport.rules`, with texts for their parts. How the sampler carries one
out stands here: which frames go together (`batches`), how the UNet is called for them in each step
(`unet_calls`), how many rows that takes (`unet_rows`), how finished latents and images are mixed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import Any, TypeGuard

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from embedding_geometry.diffusion.clouds import Texts
from embedding_geometry.diffusion.inputs import as_tensor, beside_clouds, check_texts
from embedding_geometry.diffusion.loading import TextToImageModel
from embedding_geometry.diffusion.mixing import (
    average_outputs,
    fuse,
    log_densities,
    read_measure,
    share_out,
)
from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.transport.curves import great_circle
from embedding_geometry.transport.rules import (
    Fused,
    Mixture,
    Rule,
    at_frames,
    some_frames,
    step_weights,
)

Readings = Texts | Rule
Mixing = Callable[[int], dict[str, Any]]  # what the UNet is given at a step besides the clouds


def check_readings(model: TextToImageModel, frames: Readings) -> None:
    """Raise a ValueError for texts that are not what the model reads, or are none."""
    own = [frames.own] if isinstance(frames, Fused) else []
    for texts in [frames] if isinstance(frames, Texts) else [*frames.parts, *own]:
        if not isinstance(texts, Texts):
            raise ValueError(
                f"a rule that is rendered mixes texts, not a {type(texts).__name__}: "
                "texts.along(rule, times) makes them of clouds"
            )
        check_texts(model, texts)


def batches(frames: Readings, size: int) -> list[Readings]:
    """Return what is denoised together, so many frames at most.

    The ends of a path go with the frames between them, though one text makes each: a batch of
    their own would take longer than their rows do here.
    """
    take: Callable[..., Readings] = at_frames if isinstance(frames, Texts) else some_frames
    places = list(range(len(frames)))
    return [take(frames, places[start : start + size]) for start in places[::size]]


def images(batch: Readings) -> int:
    """Return how many images are denoised together: the frames, and AID's two ends before them."""
    return len(batch) + 2 * isinstance(batch, Fused)


def unet_rows(model: TextToImageModel, frames: Readings, settings: RenderSettings) -> int:
    """Return how many rows the UNet computes in a denoising step, for all frames together.

    A frame takes a row, and one for the negative prompt where guidance is on; of mixed predictions
    a row for each text and that one. AID's ends are denoised once beside each batch. Latents and
    images are mixed of those of the texts, whatever the number of frames.

    Examples:
        >>> texts = eg.encode(model, ["a cat on the beach", "a panda in the snow"])
        >>> eg.unet_rows(model, texts, eg.default_settings(model))
        4
    """
    settings = settings.resolve(model)
    if isinstance(frames, Mixture) and frames.place in ("latent", "image"):
        return sum(unet_rows(model, part, settings) for part in frames.parts)
    guided, rows = settings.guidance_scale != 1, 0
    for batch in batches(frames, settings.batch_size):
        read = len(batch.parts) if _averages_predictions(batch) else 1
        rows += images(batch) * (read + guided)
    return rows


def _averages_predictions(batch: Readings) -> TypeGuard[Mixture]:
    return isinstance(batch, Mixture) and batch.place == "prediction"


def _unmixed(step: int) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Call:
    """A call of the UNet in every step of a batch.

    Attributes:
        texts: what it reads, a text for each row; or one for all, where attention shares it out.
        predictions: how many it makes of each image, one after the other.
        mixing: what it is given besides.
    """

    texts: Texts
    predictions: int = 1
    mixing: Mixing = _unmixed


def unet_calls(
    model: TextToImageModel,
    batch: Readings,
    negative: Texts | None,
    latent: Float[Tensor, "1 c h w"],
    steps: int,
) -> list[Call]:
    """Return the calls that predict the noise of a batch; that of the negative prompt comes first.

    Its text is None where guidance is off. One call does, unless the clouds of the negative prompt
    and of the texts have different numbers of tokens.
    """
    if isinstance(batch, Mixture) and not _averages_predictions(batch):
        return [_mixed_call(model, batch, negative, latent, steps)]
    mixing: Mixing = _unmixed
    if isinstance(batch, Texts):
        texts = [batch]
    elif isinstance(batch, Fused):
        texts, mixing = [reduce(add, (*batch.parts, batch.own))], _fused(model, batch, steps)
    else:
        texts = [at_frames(part, range(len(batch))) for part in batch.parts]
    if negative is not None:
        texts = [negative[[0] * images(batch)], *texts]
    if len({each.clouds.shape for each in texts}) == 1:
        return [Call(reduce(add, texts), len(texts), mixing)]
    unmixed, read = (texts[:1], texts[1:]) if negative is not None else ([], texts)
    return [*map(Call, unmixed), *(Call(each, mixing=mixing) for each in read)]


def _fused(model: TextToImageModel, batch: Fused, steps: int) -> Mixing:
    mix = partial(fuse, weights=as_tensor(model, batch.weights), kind=batch.kind)
    fused = {"cross_attention_kwargs": {"mix": mix, "everywhere": True}}
    return lambda step: fused if step < batch.share * steps else {}


def _mixed_call(
    model: TextToImageModel,
    batch: Mixture,
    negative: Texts | None,
    latent: Float[Tensor, "1 c h w"],
    steps: int,
) -> Call:
    """Return the call that mixes texts in attention, all their tokens one after the other.

    The negative prompt's come first. Keys and values of a text that all frames read are made once.
    """
    before = [] if negative is None else [negative]
    texts, count = [*before, *batch.parts], max(map(len, batch.parts))
    clouds = np.concatenate([at_frames(text, range(count)).clouds for text in texts], axis=1)
    sizes = [part.clouds.shape[1] for part in batch.parts]
    weights, apart = step_weights(batch, steps), clouds.shape[1] - sum(sizes)
    averages = batch.place == "attention"
    # to the model in one piece: it would look for its dtype in all its modules at each step
    read = as_tensor(model, weights if averages else log_densities(weights, sizes))
    beside = _averaged_vectors(model, before, batch, weights, latent)

    def given(step: int) -> dict[str, Any]:
        if averages:
            mix = partial(average_outputs, weights=read[step], sizes=sizes)
        else:
            mix = partial(read_measure, log_density=read[step])
        mixed = {"cross_attention_kwargs": {"mix": partial(share_out, apart=apart, mix=mix)}}
        vectors = {name: of_steps[step] for name, of_steps in beside.items()}
        return mixed | ({"added_cond_kwargs": vectors} if vectors else {})

    return Call(Texts(clouds), 1 + len(before), given)


def _averaged_vectors(
    model: TextToImageModel,
    before: list[Texts],
    batch: Mixture,
    weights: Float[np.ndarray, "s t b"],
    latent: Float[Tensor, "1 c h w"],
) -> dict[str, Float[Tensor, "s r _"]]:
    """Return what is read beside the clouds in each step: the negative prompt's, then averages."""
    vectors = [at_frames(text, range(len(batch))).pooled for text in (*before, *batch.parts)]
    if vectors[0] is None:
        return {}
    read = np.einsum("stb,btp->stp", weights, vectors[len(before) :])
    rows = [np.concatenate([*vectors[: len(before)], of_step]) for of_step in read]
    beside = beside_clouds(model, np.concatenate(rows), latent) or {}
    return {name: each.unflatten(0, (len(rows), -1)) for name, each in beside.items()}


def averaging(
    model: TextToImageModel, batch: Readings
) -> Callable[[Sequence[Float[Tensor, "t ..."]]], Float[Tensor, "t ..."]]:
    """Return what makes one prediction of those for the texts, with the weights of each frame."""
    if not _averages_predictions(batch):
        return lambda predicted: predicted[0]
    weights = as_tensor(model, batch.weights.T[..., None, None, None])

    def average(predicted: Sequence[Tensor]) -> Tensor:
        return reduce(add, (w * part for w, part in zip(weights, predicted, strict=True)))

    return average


def mixed_latents(
    rule: Mixture, sample: Callable[[Texts], Float[Tensor, "t c h w"]]
) -> Float[Tensor, "t c h w"]:
    """Return latents between those of the texts of a rule, which ``sample`` makes."""
    sampled = [sample(each) for each in _one_after_other(rule.parts)]
    x, y = torch.cat(sampled).split([*map(len, rule.parts)])
    return _great_circles(x, y, rule.weights[:, 1])


def mixed_images(
    rule: Mixture, make: Callable[[Texts], Float[np.ndarray, "t height width 3"]]
) -> Float[np.ndarray, "t height width 3"]:
    """Return weighted means of the images of the texts of a rule, which ``make`` makes."""
    of_parts = np.concatenate([make(each) for each in _one_after_other(rule.parts)])
    parts = np.split(of_parts, np.cumsum([*map(len, rule.parts)])[:-1])
    weights = rule.weights.T[..., None, None, None]
    return sum(w * part for w, part in zip(weights, parts, strict=True))


def _one_after_other(parts: Sequence[Texts]) -> list[Texts]:
    """Return the texts of all parts as one, or part by part where not all have as many tokens."""
    alike = len({part.clouds.shape[1:] for part in parts}) == 1
    return [reduce(add, parts)] if alike else [*parts]


def _great_circles(x: Tensor, y: Tensor, shares: np.ndarray) -> Tensor:
    """Return latents on great circles from x to y, each one vector; the ends as they are."""

    def between(a: Tensor, b: Tensor, share: float) -> Tensor:
        if share in (0, 1):
            return b if share else a
        u, v = (each.cpu().double().numpy().reshape(1, -1) for each in (a, b))
        found = great_circle(u, v, np.array([share]))
        return torch.from_numpy(found).reshape(a.shape).to(a)

    t = len(shares)
    pairs = zip(x.expand(t, -1, -1, -1), y.expand(t, -1, -1, -1), shares, strict=True)
    return torch.stack([between(*each) for each in pairs])
