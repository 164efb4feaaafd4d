r"""From a path of token clouds to frames, with the initial latent fixed.

One frame is one run of DDIM (Song et al., ICLR 2021, eq. 12 with sigma = 0), which has no
randomness after the initial latent $L_T$: the image is a function of ($L_T$, cloud). At each time
the UNet predicts twice, with the frame's cloud and with the cloud of the negative prompt, and
classifier-free guidance (Ho and Salimans, 2022) extrapolates from the second to the first:

$$\epsilon = \epsilon_\emptyset + w\,(\epsilon_{\text{cloud}} - \epsilon_\emptyset).$$

The last latent is decoded to pixels by the autoencoder.
"""

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DDIMScheduler
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from embedding_geometry.clouds import encode_prompts
from embedding_geometry.models import TextToImageModel


@dataclass(frozen=True)
class RenderSettings:
    """How frames are made.

    Attributes:
        steps: number of DDIM steps.
        guidance_scale: w above; 1 leaves out the unconditional half, and with it half the time.
        negative_prompt: the text of the unconditional half.
        batch_size: number of frames in one pass of the networks; changes images by rounding only.
    """

    steps: int
    guidance_scale: float
    negative_prompt: str = ""
    batch_size: int = 16

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.steps < 1 or self.batch_size < 1:
            raise ValueError(f"steps and batch_size must be at least 1: {self}")
        if not np.isfinite(self.guidance_scale):
            raise ValueError(f"guidance_scale must be a finite number: {self}")


def default_settings(model: TextToImageModel) -> RenderSettings:
    """Return the steps and the guidance scale that the model was made for."""
    return RenderSettings(steps=model.default_steps, guidance_scale=model.default_guidance_scale)


def initial_latent(model: TextToImageModel, seed: int) -> Float[Tensor, "1 c h w"]:
    """Return standard normal noise L_T, the same for a seed on every device and in every dtype.

    It is drawn on the CPU in float32; each device would otherwise draw its own.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    noise = torch.randn((1, *model.latent_shape), generator=generator, dtype=torch.float32)
    return noise.to(model.device, model.dtype)


@torch.no_grad()
def sample_latents(
    model: TextToImageModel,
    clouds: Float[np.ndarray, "t n d"],
    latent: Float[Tensor, "1 c h w"],
    settings: RenderSettings,
    progress: bool = False,
) -> Float[Tensor, "t c h w"]:
    """Denoise one initial latent under each cloud of a path, frames of a batch together.

    Args:
        model: the model.
        clouds: t >= 1 token clouds of the model's width. The number of tokens n is free: attention
            reads the text as a measure, so that a cloud with every token doubled gives the same
            latent.
        latent: the initial latent, the same for every frame.
        settings: steps, guidance, batch size.
        progress: show a progress bar over all denoising steps.

    Returns:
        The denoised latents in the model's dtype, on its device.

    Raises:
        ValueError: no cloud, a cloud that is not finite or of another width, a latent of another
            shape, more steps than the model was trained with.
    """
    _check_clouds(model, clouds)
    _check_latent(model, latent)
    scheduler = _fresh_scheduler(model, settings.steps)
    conditional = torch.from_numpy(clouds).to(model.device, model.dtype)
    unconditional = _unconditional(model, settings)
    batches = torch.split(conditional, settings.batch_size)
    with tqdm(
        total=len(batches) * settings.steps, desc="denoising", disable=not progress
    ) as progress_bar:
        frames = [
            _denoise(model, scheduler, latent, batch, unconditional, settings, progress_bar)
            for batch in batches
        ]
    return torch.cat(frames)


@torch.no_grad()
def decode_latents(
    model: TextToImageModel, latents: Float[Tensor, "t c h w"], batch_size: int = 16
) -> Float[np.ndarray, "t height width 3"]:
    """Return the pictures of denoised latents, float32 in [0, 1].

    Raises:
        ValueError: the autoencoder overflowed, as some do in float16.
    """
    scaled = latents / model.vae.config.scaling_factor
    pixels = torch.cat([model.vae.decode(batch).sample for batch in scaled.split(batch_size)])
    if not torch.isfinite(pixels).all():
        raise ValueError(
            f"the decoded pictures hold NaN or infinity in {model.provenance.dtype}; load the "
            "model with dtype='float32' or 'bfloat16'"
        )
    pictures = (pixels.float() / 2 + 0.5).clamp(0, 1)
    return pictures.permute(0, 2, 3, 1).cpu().numpy()


def render(
    model: TextToImageModel,
    clouds: Float[np.ndarray, "t n d"],
    latent: Float[Tensor, "1 c h w"],
    settings: RenderSettings,
    progress: bool = False,
) -> UInt8[np.ndarray, "t height width 3"]:
    """Return the frames of a path of clouds: ``sample_latents``, decoded and rounded to bytes.

    Frames of equal clouds, as the ends of two paths are, agree between calls to rounding: a last
    bit of the networks may move a byte by one. Compare paths at equal batch shapes.

    Raises:
        ValueError: as ``sample_latents`` and ``decode_latents``.
    """
    latents = sample_latents(model, clouds, latent, settings, progress)
    pictures = decode_latents(model, latents, settings.batch_size)
    return (pictures * 255).round().astype(np.uint8)


def _check_clouds(model: TextToImageModel, clouds: np.ndarray) -> None:
    if clouds.ndim != 3 or min(clouds.shape) < 1 or clouds.shape[2] != model.text_width:
        raise ValueError(
            f"clouds have shape {clouds.shape}; {model.provenance.name} reads "
            f"(frames, tokens, {model.text_width}) with at least one frame"
        )
    bad = np.flatnonzero(~np.isfinite(clouds).all(axis=(1, 2)))
    if bad.size:
        raise ValueError(f"clouds {bad.tolist()} of {len(clouds)} hold NaN or infinity")


def _check_latent(model: TextToImageModel, latent: Tensor) -> None:
    wanted = (1, *model.latent_shape)
    if tuple(latent.shape) != wanted:
        raise ValueError(f"the latent has shape {tuple(latent.shape)}; {wanted} is wanted")


def _fresh_scheduler(model: TextToImageModel, steps: int) -> DDIMScheduler:
    """Return a scheduler of this call's own: setting the steps changes a scheduler."""
    scheduler = DDIMScheduler.from_config(model.scheduler.config)
    scheduler.set_timesteps(steps)
    return scheduler


def _unconditional(model: TextToImageModel, settings: RenderSettings) -> Tensor | None:
    """Return the cloud of the negative prompt, (1, n, d), or None where guidance is off."""
    if settings.guidance_scale == 1:
        return None
    cloud = encode_prompts(model, [settings.negative_prompt])
    return torch.from_numpy(cloud).to(model.device, model.dtype)


def _denoise(
    model: TextToImageModel,
    scheduler: DDIMScheduler,
    latent: Tensor,
    clouds: Tensor,
    unconditional: Tensor | None,
    settings: RenderSettings,
    progress_bar: tqdm,
) -> Tensor:
    """Run DDIM from the latent, for a batch of clouds at once."""
    x = (latent * scheduler.init_noise_sigma).to(clouds).expand(len(clouds), -1, -1, -1)
    for time in scheduler.timesteps:
        if unconditional is None:
            predicted = model.unet(x, time, clouds).sample
        else:
            predicted = _guided(model, x, time, clouds, unconditional, settings.guidance_scale)
        x = scheduler.step(predicted, time, x).prev_sample
        progress_bar.update()
    return x


def _guided(
    model: TextToImageModel,
    x: Tensor,
    time: Tensor,
    clouds: Tensor,
    unconditional: Tensor,
    scale: float,
) -> Tensor:
    """Return the prediction under classifier-free guidance, both halves as one batch."""
    negative = unconditional.expand(len(clouds), -1, -1)
    if negative.shape == clouds.shape:
        both = model.unet(torch.cat([x, x]), time, torch.cat([negative, clouds])).sample
        without, with_text = both.chunk(2)
    else:  # clouds of another number of tokens do not fit into one batch
        without = model.unet(x, time, negative).sample
        with_text = model.unet(x, time, clouds).sample
    return without + scale * (with_text - without)
