r"""From a path of token clouds to frames, with the initial latent fixed.

One frame is one run of a deterministic sampler: DDIM (Song et al., ICLR 2021, eq. 12 with sigma =
0), DPM-Solver++ of second order (Lu et al., 2022) or Euler's method (Karras et al., NeurIPS 2022).
None draws anything after the initial latent $L_T$: the image is a function of ($L_T$, cloud). At
each time the UNet predicts twice, with the frame's cloud and with the cloud of the negative
prompt, and classifier-free guidance (Ho and Salimans, 2022) extrapolates from the second to the
first:

$$\epsilon = \epsilon_\emptyset + w\,(\epsilon_{\text{cloud}} - \epsilon_\emptyset).$$

The last latent is decoded to pixels by the autoencoder.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from embedding_geometry.diffusion.clouds import (
    conditions_beside,
    encode_pooled,
    encode_prompts,
)
from embedding_geometry.diffusion.keys_and_values import projected_once
from embedding_geometry.diffusion.loading import TextToImageModel
from embedding_geometry.ground.types import SchedulerName, check_seed

SCHEDULERS = {
    "ddim": DDIMScheduler,
    "dpm": DPMSolverMultistepScheduler,
    "euler": EulerDiscreteScheduler,
}
Predictor = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class RenderSettings:
    """How frames are made.

    Attributes:
        steps: number of denoising steps.
        guidance_scale: w above; 1 leaves out the unconditional half, and with it half the time.
        negative_prompt: the text of the unconditional half. Where the model was trained with
            zeros for the empty prompt, as SDXL's base model was, empty means zeros.
        batch_size: number of frames in one pass of the networks; changes images by rounding only.
        scheduler: ddim, dpm (DPM-Solver++, second order) or euler; dpm and euler step in float32
            whatever the model computes in.
        height: of the images in pixels, a multiple of 8; None for what the model was trained for.
        width: likewise.
    """

    steps: int
    guidance_scale: float
    negative_prompt: str = ""
    batch_size: int = 16
    scheduler: SchedulerName = "ddim"
    height: int | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.steps < 1 or self.batch_size < 1:
            raise ValueError(f"steps and batch_size must be at least 1: {self}")
        if not np.isfinite(self.guidance_scale):
            raise ValueError(f"guidance_scale must be a finite number: {self}")
        if self.scheduler not in SCHEDULERS:
            raise ValueError(f"scheduler must be one of {', '.join(SCHEDULERS)}: {self}")
        if any(side is not None and (side < 8 or side % 8) for side in (self.height, self.width)):
            raise ValueError(f"height and width must be multiples of 8 pixels: {self}")


def default_settings(model: TextToImageModel) -> RenderSettings:
    """Return the steps and the guidance scale that the model was made for."""
    return RenderSettings(steps=model.default_steps, guidance_scale=model.default_guidance_scale)


def initial_latent(
    model: TextToImageModel, seed: int, settings: RenderSettings | None = None
) -> Float[Tensor, "1 c h w"]:
    """Return standard normal noise L_T, the same for a seed on every device and in every dtype.

    It is drawn on the CPU in float32; each device would otherwise draw its own. The settings are
    needed only where they ask for another size than the model's.

    Raises:
        ValueError: the seed is negative or over 2^63 - 1.
    """
    check_seed(seed)
    shape = model.latent_shape if settings is None else _latent_shape(model, settings)
    generator = torch.Generator("cpu").manual_seed(seed)
    noise = torch.randn((1, *shape), generator=generator, dtype=torch.float32)
    return noise.to(model.device, model.dtype)


@torch.no_grad()
def sample_latents(
    model: TextToImageModel,
    clouds: Float[np.ndarray, "t n d"],
    latent: Float[Tensor, "1 c h w"],
    settings: RenderSettings,
    pooled: Float[np.ndarray, "t p"] | None = None,
    progress: bool = False,
) -> Float[Tensor, "t c h w"]:
    """Denoise one initial latent under each cloud of a path, frames of a batch together.

    Args:
        model: the model.
        clouds: t >= 1 token clouds of the model's width. The number of tokens n is free: attention
            reads the text as a measure, so that a cloud with every token doubled gives the same
            latent.
        latent: the initial latent, the same for every frame.
        settings: steps, guidance, batch size, scheduler, size.
        pooled: a pooled vector beside each cloud for a model that reads one (SDXL), as
            ``encode_pooled`` and ``interpolate_pooled`` make them; None for any other.
        progress: show a progress bar over all denoising steps.

    Returns:
        The denoised latents in the model's dtype, on its device.

    Raises:
        ValueError: no cloud, a cloud that is not finite or of another width, pooled vectors that
            are missing or do not fit, a latent of another shape, more steps than the model was
            trained with.
    """
    _check_clouds(model, clouds)
    if pooled is not None and len(pooled) != len(clouds):
        raise ValueError(f"{len(pooled)} pooled vectors stand beside {len(clouds)} clouds")
    _check_latent(model, latent, settings)
    check_steps(model, settings)
    batches = _Texts.of(model, clouds, pooled).split(settings.batch_size)
    negative = _negative_text(model, settings)
    steps = len(batches) * settings.steps
    with (
        projected_once(model.unet),
        tqdm(total=steps, desc="denoising", disable=not progress) as progress_bar,
    ):
        frames = [
            _denoise(model, latent, batch, negative, settings, progress_bar) for batch in batches
        ]
    return torch.cat(frames)


@torch.no_grad()
def decode_latents(
    model: TextToImageModel, latents: Float[Tensor, "t c h w"], batch_size: int = 16
) -> Float[np.ndarray, "t height width 3"]:
    """Return the pictures of denoised latents, float32 in [0, 1].

    Raises:
        ValueError: the pictures are not finite: the autoencoder overflowed, as some do in float16,
            or the weights hold NaN.
    """
    scaled = latents.to(model.vae.dtype) / model.vae.config.scaling_factor
    pixels = torch.cat([model.vae.decode(batch).sample for batch in scaled.split(batch_size)])
    if not torch.isfinite(pixels).all():
        remedy = f"the weights of {model.provenance.name} are damaged, or the latents are"
        if model.dtype == torch.float16:
            remedy = "load the model with dtype='float32' or 'bfloat16'"
        raise ValueError(
            f"the decoded pictures hold NaN or infinity in {model.provenance.dtype}; {remedy}"
        )
    pictures = (pixels.float() / 2 + 0.5).clamp(0, 1)
    return pictures.permute(0, 2, 3, 1).cpu().numpy()


def render(
    model: TextToImageModel,
    clouds: Float[np.ndarray, "t n d"],
    latent: Float[Tensor, "1 c h w"],
    settings: RenderSettings,
    pooled: Float[np.ndarray, "t p"] | None = None,
    progress: bool = False,
) -> UInt8[np.ndarray, "t height width 3"]:
    """Return the frames of a path of clouds: ``sample_latents``, decoded and rounded to bytes.

    Frames of equal clouds, as the ends of two paths are, agree between calls to rounding: a last
    bit of the networks may move a byte by one. Compare paths at equal batch shapes.

    Raises:
        ValueError: as ``sample_latents`` and ``decode_latents``.
    """
    latents = sample_latents(model, clouds, latent, settings, pooled, progress)
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


def _check_latent(model: TextToImageModel, latent: Tensor, settings: RenderSettings) -> None:
    wanted = (1, *_latent_shape(model, settings))
    if tuple(latent.shape) != wanted:
        raise ValueError(f"the latent has shape {tuple(latent.shape)}; {wanted} is wanted")


def _latent_shape(model: TextToImageModel, settings: RenderSettings) -> tuple[int, int, int]:
    channels, height, width = model.latent_shape
    factor = model.vae_scale_factor
    return (
        channels,
        height if settings.height is None else settings.height // factor,
        width if settings.width is None else settings.width // factor,
    )


def check_steps(model: TextToImageModel, settings: RenderSettings) -> None:
    """Raise a ValueError for more denoising steps than the model was trained with.

    Samplers begin at a time that depends on the number of steps, and on Stable Diffusion 1 it is
    one too late where all 1,000 are asked for.
    """
    trained = model.scheduler.config.num_train_timesteps
    if settings.steps > trained:
        raise ValueError(f"steps is {settings.steps}; the model was trained with {trained}")
    first = float(_fresh_scheduler(model, settings).timesteps.max())
    if first >= trained:
        raise ValueError(
            f"steps is {settings.steps}, for which {settings.scheduler} begins at time {first:g}; "
            f"the model was trained with times up to {trained - 1}, so use fewer steps"
        )


@dataclass(frozen=True)
class _Texts:
    """What the UNet reads of b texts: clouds (b, n, d) and, for SDXL, pooled vectors (b, p)."""

    clouds: Tensor
    pooled: Tensor | None

    @classmethod
    def of(
        cls, model: TextToImageModel, clouds: np.ndarray, pooled: np.ndarray | None
    ) -> "_Texts":
        beside = None if pooled is None else _as_tensor(model, pooled)
        return cls(_as_tensor(model, clouds), beside)

    def split(self, size: int) -> "list[_Texts]":
        clouds = self.clouds.split(size)
        pooled: Sequence[Tensor | None] = [None] * len(clouds)
        if self.pooled is not None:
            pooled = self.pooled.split(size)
        return [_Texts(*batch) for batch in zip(clouds, pooled, strict=True)]

    def expand(self, count: int) -> "_Texts":
        pooled = None if self.pooled is None else self.pooled.expand(count, -1)
        return _Texts(self.clouds.expand(count, -1, -1), pooled)

    def __add__(self, other: "_Texts") -> "_Texts":
        clouds = torch.cat([self.clouds, other.clouds])
        if self.pooled is None or other.pooled is None:
            return _Texts(clouds, None)
        return _Texts(clouds, torch.cat([self.pooled, other.pooled]))


def _as_tensor(model: TextToImageModel, array: np.ndarray) -> Tensor:
    # rounded before it is moved: not every device has float64
    return torch.from_numpy(array).to(model.dtype).to(model.device)


def _negative_text(model: TextToImageModel, settings: RenderSettings) -> _Texts | None:
    """Return the text of the unconditional half, or None where guidance is off."""
    if settings.guidance_scale == 1:
        return None
    text = [settings.negative_prompt]
    cloud, pooled = encode_prompts(model, text), encode_pooled(model, text)
    if text == [""] and model.force_zeros_for_empty_prompt and pooled is not None:
        cloud, pooled = np.zeros_like(cloud), np.zeros_like(pooled)
    return _Texts.of(model, cloud, pooled)


def _denoise(
    model: TextToImageModel,
    latent: Tensor,
    texts: _Texts,
    negative: _Texts | None,
    settings: RenderSettings,
    progress_bar: tqdm,
) -> Tensor:
    """Run the sampler from the latent, for a batch of texts at once."""
    scheduler = _fresh_scheduler(model, settings)
    predict = _predictor(model, latent, texts, negative, settings.guidance_scale)
    x = (latent * scheduler.init_noise_sigma).to(texts.clouds)
    x = x.expand(len(texts.clouds), -1, -1, -1)
    # all times go to the device at once: a copy at each step would make the device wait
    for time, on_device in zip(scheduler.timesteps, scheduler.timesteps.to(x.device), strict=True):
        predicted = predict(scheduler.scale_model_input(x, time), on_device)
        x = scheduler.step(predicted, time, x).prev_sample
        progress_bar.update()
    return x


def _fresh_scheduler(
    model: TextToImageModel, settings: RenderSettings
) -> DDIMScheduler | DPMSolverMultistepScheduler | EulerDiscreteScheduler:
    """Return a scheduler of one batch's own: stepping changes it.

    It takes over the noise schedule, and the folder's choices as far as they apply to it; a DPM
    folder's may be the stochastic variant or another order, which do not.
    """
    config = {**model.scheduler.config, "algorithm_type": "dpmsolver++", "solver_order": 2}
    with warnings.catch_warnings():
        # diffusers gives numpy a tensor, which numpy 2 converts but complains of
        warnings.filterwarnings("ignore", message="__array__ implementation doesn't accept")
        scheduler = SCHEDULERS[settings.scheduler].from_config(config)
        scheduler.set_timesteps(settings.steps)
    return scheduler


def _predictor(
    model: TextToImageModel, latent: Tensor, texts: _Texts, negative: _Texts | None, scale: float
) -> Predictor:
    """Return the prediction as a function of latents and time, under classifier-free guidance."""
    with_text = _unet(model, latent, texts)
    if negative is None:
        return with_text
    negative = negative.expand(len(texts.clouds))
    if negative.clouds.shape == texts.clouds.shape:
        both = _unet(model, latent, negative + texts)

        def halves(x: Tensor, time: Tensor) -> tuple[Tensor, ...]:
            return both(torch.cat([x, x]), time).chunk(2)

    else:  # clouds of another number of tokens do not fit into one batch
        without_text = _unet(model, latent, negative)

        def halves(x: Tensor, time: Tensor) -> tuple[Tensor, ...]:
            return without_text(x, time), with_text(x, time)

    def guided(x: Tensor, time: Tensor) -> Tensor:
        without, with_ = halves(x, time)
        return without + scale * (with_ - without)

    return guided


def _unet(model: TextToImageModel, latent: Tensor, texts: _Texts) -> Predictor:
    """Return the UNet as a function of latents and time; what it reads beside is made once."""
    height, width = (model.vae_scale_factor * side for side in latent.shape[-2:])
    beside = conditions_beside(model, texts.pooled, height, width)
    return lambda x, time: model.unet(x, time, texts.clouds, added_cond_kwargs=beside).sample


def rendering_settings(
    model: TextToImageModel,
    steps: int | None,
    guidance_scale: float | None,
    negative_prompt: str,
    batch_size: int,
    scheduler: SchedulerName,
    size: tuple[int | None, int | None],
) -> RenderSettings:
    """The given settings, with the model's own where steps, guidance scale or a side are None."""
    defaults = default_settings(model)
    height, width = (
        own if given is None else given for own, given in zip(model.image_size, size, strict=True)
    )
    return RenderSettings(
        steps=defaults.steps if steps is None else steps,
        guidance_scale=defaults.guidance_scale if guidance_scale is None else guidance_scale,
        negative_prompt=negative_prompt,
        batch_size=batch_size,
        scheduler=scheduler,
        height=height,
        width=width,
    )
