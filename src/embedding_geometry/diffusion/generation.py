r"""From a path of token clouds to frames, with the initial latent fixed.

One frame is one run of a deterministic sampler: DDIM (Song et al., ICLR 2021, eq. 12 with sigma =
0), DPM-Solver++ of second order (Lu et al., 2022) or Euler's method (Karras et al., NeurIPS 2022).
None draws anything after the initial latent $L_T$: the image is a function of ($L_T$, cloud). At
each time the UNet predicts twice, with the frame's cloud and with the cloud of the negative
prompt, and classifier-free guidance (Ho and Salimans, 2022) extrapolates from the second to the
first:

$$\epsilon = \epsilon_\emptyset + w\,(\epsilon_{\text{cloud}} - \epsilon_\emptyset).$$

The last latent is decoded to pixels by the autoencoder. A frame may also be a rule that averages
several texts somewhere on this way, see `transport.rules`.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from embedding_geometry.diffusion.clouds import Texts, encode
from embedding_geometry.diffusion.inputs import as_tensor, beside_clouds
from embedding_geometry.diffusion.keys_and_values import projected_once
from embedding_geometry.diffusion.loading import TextToImageModel, not_finite
from embedding_geometry.diffusion.mixing import mixed_attention
from embedding_geometry.diffusion.readings import (
    Call,
    Readings,
    averaging,
    batches,
    check_readings,
    images,
    mixed_images,
    mixed_latents,
    unet_calls,
)
from embedding_geometry.diffusion.schedules import fresh_scheduler
from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.ground.types import CloudPath, check_seed
from embedding_geometry.transport.rules import Mixture


def default_settings(model: TextToImageModel) -> RenderSettings:
    """Return the steps, the guidance scale and the size that the model was made for.

    Examples:
        >>> settings = eg.default_settings(model)
        >>> settings.steps, settings.guidance_scale
        (16, 9.0)
    """
    return RenderSettings().resolve(model)


def initial_latent(
    model: TextToImageModel, seed: int, settings: RenderSettings | None = None
) -> Float[Tensor, "1 c h w"]:
    """Return standard normal noise L_T, the same for a seed on every device and in every dtype.

    It is drawn on the CPU in float32; each device would otherwise draw its own. The settings are
    needed only where they ask for another size than the model's.

    Raises:
        ValueError: the seed is negative or over 2^63 - 1, or settings that cannot be used.

    Examples:
        >>> eg.initial_latent(model, seed=0).shape
        torch.Size([1, 12, 8, 8])
    """
    check_seed(seed)
    shape = _latent_shape(model, settings or RenderSettings())
    generator = torch.Generator("cpu").manual_seed(seed)
    noise = torch.randn(shape, generator=generator, dtype=torch.float32)
    return noise.to(model.device, model.dtype)


@torch.no_grad()
def sample_latents(
    model: TextToImageModel,
    texts: Readings | CloudPath | Float[Tensor, "t n d"],
    latent: Float[Tensor, "1 c h w"],
    settings: RenderSettings,
    progress: bool = False,
) -> Float[Tensor, "t c h w"]:
    """Denoise one initial latent under each text of a path, frames of a batch together.

    The texts are what the UNet reads of each of t >= 1 frames, as `encode` and `interpolate` make
    it, or `Texts.of` of embeddings from elsewhere; or a rule that mixes such texts. Of models that
    read clouds alone, all but SDXL, the clouds (t, n, d) do. The number of tokens n is free:
    attention reads the text as a measure, so that a cloud with every token doubled gives the same
    latent. Progress is a bar over all denoising steps.

    Returns:
        The denoised latents in the model's dtype, on its device.

    Raises:
        ValueError: no cloud, a cloud that is not finite or of another width, pooled vectors that
            are missing or do not fit, a latent of another shape, settings that cannot be used, or
            a rule that mixes images, which have no latents.
    """
    frames = texts if isinstance(texts, Readings) else Texts.of(texts)
    settings = settings.resolve(model)
    check_readings(model, frames)
    if tuple(latent.shape) != (wanted := _latent_shape(model, settings)):
        raise ValueError(f"the latent has shape {tuple(latent.shape)}; {wanted} is wanted")
    if isinstance(frames, Mixture) and frames.place == "image":
        raise ValueError("images are mixed when they are decoded: render makes frames of this")
    if isinstance(frames, Mixture) and frames.place == "latent":
        return mixed_latents(
            frames, lambda part: sample_latents(model, part, latent, settings, progress)
        )
    negative = _negative_text(model, settings)
    together = batches(frames, settings.batch_size)
    steps = len(together) * len(fresh_scheduler(model, settings).timesteps)
    with tqdm(total=steps, desc="denoising", disable=not progress) as progress_bar:
        latents = [
            _denoise(model, latent, batch, negative, settings, progress_bar) for batch in together
        ]
    return torch.cat(latents)


@torch.no_grad()
def decode_latents(
    model: TextToImageModel, latents: Float[Tensor, "t c h w"], batch_size: int = 16
) -> Float[np.ndarray, "t height width 3"]:
    """Return the pictures of denoised latents, float32 in [0, 1].

    Raises:
        ValueError: the pictures are not finite: the autoencoder overflowed, as some do in float16,
            or the weights hold NaN.
    """
    config = model.vae.config
    scaled = latents.to(model.vae.dtype) / config.scaling_factor
    if config.latents_mean is not None and config.latents_std is not None:  # of some SDXLs
        of_channels = (config.latents_mean, config.latents_std)
        mean, std = (torch.tensor(each).to(scaled).view(1, -1, 1, 1) for each in of_channels)
        scaled = scaled * std + mean
    pixels = torch.cat([model.vae.decode(batch).sample for batch in scaled.split(batch_size)])
    if not torch.isfinite(pixels).all():
        raise not_finite(model, "the decoded pictures")
    pictures = (pixels.float() / 2 + 0.5).clamp(0, 1)
    return pictures.permute(0, 2, 3, 1).cpu().numpy()


def render(
    model: TextToImageModel,
    texts: Readings | CloudPath | Float[Tensor, "t n d"],
    latent: Float[Tensor, "1 c h w"],
    settings: RenderSettings,
    progress: bool = False,
) -> UInt8[np.ndarray, "t height width 3"]:
    """Return the frames of a path of texts: ``sample_latents``, decoded and rounded to bytes.

    Frames of equal clouds, as the ends of two paths are, agree between calls to rounding: a last
    bit of the networks may move a byte by one. Compare paths at equal batch shapes.

    Raises:
        ValueError: as ``sample_latents`` and ``decode_latents``.

    Examples:
        >>> ends = eg.encode(model, ["a cat on the beach", "a panda in the snow"])
        >>> latent, settings = eg.initial_latent(model, seed=0), eg.default_settings(model)
        >>> frames = eg.render(model, ends, latent, settings)
        >>> frames.shape, frames.dtype
        ((2, 64, 64, 3), dtype('uint8'))
    """

    def pictures(part: Any) -> Float[np.ndarray, "t height width 3"]:
        latents = sample_latents(model, part, latent, settings, progress)
        return decode_latents(model, latents, settings.batch_size)

    if isinstance(texts, Mixture) and texts.place == "image":
        check_readings(model, texts)
        found = mixed_images(texts, pictures)
    else:
        found = pictures(texts)
    return (found * 255).round().astype(np.uint8)


def _latent_shape(model: TextToImageModel, settings: RenderSettings) -> tuple[int, int, int, int]:
    resolved = settings.resolve(model)
    height, width = cast(int, resolved.height), cast(int, resolved.width)
    factor = model.vae_scale_factor
    return (1, model.latent_shape[0], height // factor, width // factor)


def _negative_text(model: TextToImageModel, settings: RenderSettings) -> Texts | None:
    """Return the text of the unconditional half, or None where guidance is off."""
    if settings.guidance_scale == 1:
        return None
    text = encode(model, [settings.negative_prompt])
    if settings.negative_prompt == "" and model.force_zeros_for_empty_prompt:
        return text.mixed(np.zeros_like(text.clouds), np.zeros((1, 1)))
    return text


def _denoise(
    model: TextToImageModel,
    latent: Tensor,
    frames: Readings,
    negative: Texts | None,
    settings: RenderSettings,
    progress_bar: tqdm,
) -> Tensor:
    """Run the sampler from the latent, under classifier-free guidance, for a batch at once."""
    scheduler = fresh_scheduler(model, settings)
    calls = unet_calls(model, frames, negative, latent, len(scheduler.timesteps))
    networks, average = [_unet(model, latent, call) for call in calls], averaging(model, frames)
    scale = cast(float, settings.guidance_scale)

    def predict(x: Tensor, time: Tensor, step: int) -> Tensor:
        predicted = [each for network in networks for each in network(x, time, step)]
        if negative is None:
            return average(predicted)
        without, with_ = predicted[0], average(predicted[1:])
        return without + scale * (with_ - without)

    x = (latent * scheduler.init_noise_sigma).to(model.device, model.dtype)
    x = x.expand(images(frames), -1, -1, -1)
    # all times go to the device at once: a copy at each step would make the device wait
    times = zip(scheduler.timesteps, scheduler.timesteps.to(x.device), strict=True)
    with projected_once(model), mixed_attention(model):
        for step, (time, on_device) in enumerate(times):
            predicted = predict(scheduler.scale_model_input(x, time), on_device, step)
            x = scheduler.step(predicted, time, x).prev_sample
            progress_bar.update()
    return x[-len(frames) :]


def _unet(
    model: TextToImageModel, latent: Tensor, call: Call
) -> Callable[[Tensor, Tensor, int], Sequence[Tensor]]:
    """Return a call of the UNet; what it reads of texts is made once."""
    clouds = as_tensor(model, call.texts.clouds)
    beside = beside_clouds(model, call.texts.pooled, latent)

    def predict(x: Tensor, time: Tensor, step: int) -> Sequence[Tensor]:
        rows = torch.cat([x] * call.predictions) if call.predictions > 1 else x
        given = {"added_cond_kwargs": beside} | call.mixing(step)
        return model.unet(rows, time, clouds, **given).sample.chunk(call.predictions)

    return predict
