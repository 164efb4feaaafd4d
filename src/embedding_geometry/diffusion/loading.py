"""The text-to-image model: a latent diffusion model whose one input that varies is the text.

Stable Diffusion (Rombach et al., CVPR 2022) is five parts in a diffusers folder, one folder each:

    tokenizer     text -> n = 77 token ids
    text_encoder  token ids -> the token cloud, n rows of width d
    unet          (latent, time, cloud) -> the noise in the latent, or its velocity
    vae           latent -> pixels
    scheduler     how far each denoising step goes: DDIM (Song et al., ICLR 2021), deterministic

Stable Diffusion 1 and 2 differ in the width of the cloud (768 and 1024), in the text encoder and
in what the UNet predicts; all of it stands in the folder's configs. SDXL (Podell et al., ICLR
2024) has a second tokenizer and text encoder: its cloud is both encoders' side by side (768 +
1280), and one pooled vector of the second travels beside it.

The same code loads the models that ship with this project, a local folder, and a hub id,
which ``folders`` finds and checks. Weights come from safetensors files only; none is replaced.
"""

import contextlib
import copy
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.utils import logging as diffusers_logging
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from embedding_geometry.diffusion.folders import (
    INDEX,
    SCHEDULER,
    SD,
    SDXL,
    Family,
    check_folder,
    content_hash,
    find_folder,
    read_json,
    weight_files,
)
from embedding_geometry.diffusion.samplers import as_ddim, default_sampler, load_scheduler
from embedding_geometry.ground.devices import find_device, use_full_float32
from embedding_geometry.ground.machine import library_versions
from embedding_geometry.ground.places import DEFAULT
from embedding_geometry.ground.types import SchedulerName

NETWORKS = {
    "text_encoder": CLIPTextModel,
    "text_encoder_2": CLIPTextModelWithProjection,
    "unet": UNet2DConditionModel,
    "vae": AutoencoderKL,
}
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Provenance:
    """What has to be said about a model so that a result can be reproduced.

    ``revision`` is the hub's commit, 40 hex digits, by which the same files can be had again;
    where there is none, the first 12 hex digits of the SHA-256 of the folder's files.
    """

    name: str
    revision: str
    device: str
    dtype: str
    versions: dict[str, str]


@dataclass(frozen=True)
class TextToImageModel:
    """The parts of Stable Diffusion, where they came from, and the sampler's defaults.

    The second tokenizer and text encoder are SDXL's, None for the others. Where an SDXL was
    trained with zeros for the empty prompt, ``force_zeros_for_empty_prompt`` says so. Texts that
    are too long are refused unless ``truncate`` has them cut.
    """

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    scheduler: DDIMScheduler
    provenance: Provenance
    default_steps: int
    default_guidance_scale: float
    default_scheduler: SchedulerName = "ddim"
    tokenizer_2: CLIPTokenizer | None = None
    text_encoder_2: CLIPTextModelWithProjection | None = None
    force_zeros_for_empty_prompt: bool = False
    truncate: bool = False

    @property
    def n_tokens(self) -> int:
        """Number of rows of a token cloud, 77 for every CLIP, or what its tokenizer pads to."""
        places = self.text_encoder.config.max_position_embeddings
        return min(places, self.tokenizer.model_max_length)

    @property
    def text_width(self) -> int:
        """Width d of a token cloud; SDXL's is that of both encoders together."""
        encoders = filter(None, (self.text_encoder, self.text_encoder_2))
        return sum(encoder.config.hidden_size for encoder in encoders)

    @property
    def pooled_width(self) -> int | None:
        """Width of the pooled vector that SDXL reads beside the cloud; None for the others."""
        second = self.text_encoder_2
        return None if second is None else second.config.projection_dim

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one latent at the size the UNet was trained for."""
        size = self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return (self.unet.config.in_channels, height, width)

    @property
    def vae_scale_factor(self) -> int:
        """Side of the square of pixels that one place of a latent becomes, 8 in practice."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels of the images the UNet was trained for."""
        _, height, width = self.latent_shape
        return (self.vae_scale_factor * height, self.vae_scale_factor * width)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.unet.device

    @property
    def dtype(self) -> torch.dtype:
        """In what precision the model computes."""
        return self.unet.dtype


def load_model(
    name: str = DEFAULT,
    device: str | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
) -> TextToImageModel:
    """Load a text-to-image model of the Stable Diffusion 1, 2 or XL architecture.

    Like ``load_metric`` it switches TF32 off for the whole process, see ``use_full_float32``.

    Args:
        name: an embedded model such as ``"pocket"``, a local folder in the diffusers format, or a
            hub id ``owner/name``.
        device: a torch device; by default the first of CUDA, MPS and CPU that is there.
        dtype: float16, bfloat16, float32 or float64, as torch's or by name; by default float32 on
            every device, because in half precision rounding hides the invariance under
            permutations that is measured here. SDXL's autoencoder overflows in float16 and is
            kept in float32 where its config says so (``force_upcast``), as diffusers does.
        revision: branch, tag or commit of a hub id; by default its main branch.

    Raises:
        ModelNotFoundError: no such model, no network to fetch it, or a part of it is missing.
        ValueError: a damaged file, a folder of another architecture, an unknown device or dtype,
            a revision of what is not a hub id.

    Examples:
        >>> model = eg.load_model("pocket", device="cpu")
        >>> model.n_tokens, model.text_width, model.image_size
        (77, 128, (64, 64))
    """
    where = find_device(device)
    use_full_float32()
    precision = _parse_dtype(dtype, where)
    folder, commit = find_folder(name, revision, half=precision == torch.float16)
    family = check_folder(folder)
    given = _read_defaults(folder / "generation.json")
    with _quiet_loading():
        pipeline = _load_pipeline(folder, family, where, precision)
    return model_of(pipeline, family, name, commit or content_hash(folder, family), given)


def model_of(
    pipeline: DiffusionPipeline, family: Family, name: str, revision: str, given: dict[str, Any]
) -> TextToImageModel:
    """Return the model that a pipeline's parts make, with the defaults given or else its own.

    Raises:
        ValueError: its sampler cannot be replaced, or the parts cannot work together.
    """
    sampler, own = default_sampler(pipeline.scheduler, name)
    defaults = {"steps": 50, "guidance_scale": family.guidance_scale} | own | given
    parts = {part: getattr(pipeline, part) for part in (*family.tokenizers, *family.networks)}
    if family is SDXL and parts["vae"].dtype == torch.float16 and parts["vae"].config.force_upcast:
        parts["vae"] = copy.deepcopy(parts["vae"]).float()
    device = pipeline.unet.device
    card = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    model = TextToImageModel(
        **parts,
        scheduler=as_ddim(pipeline.scheduler),
        provenance=Provenance(
            name=name,
            revision=revision,
            device=f"{device}{card}",
            dtype=str(pipeline.unet.dtype).removeprefix("torch."),
            versions=library_versions("torch", "diffusers", "transformers"),
        ),
        default_steps=int(defaults["steps"]),
        default_guidance_scale=float(defaults["guidance_scale"]),
        default_scheduler=sampler,
        force_zeros_for_empty_prompt=bool(pipeline.config.get("force_zeros_for_empty_prompt")),
    )
    _check_fit(model)
    return model


def _parse_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype or torch.float32
    if found not in DTYPES:
        raise ValueError(f"dtype {dtype!r} is not one of float16, bfloat16, float32, float64")
    if device.type == "mps" and found == torch.float64:
        raise ValueError("device 'mps' has no float64; use dtype='float32', or the device 'cpu'")
    return found


def _read_defaults(file: Path) -> dict[str, Any]:
    """Return the steps and the guidance scale that a folder gives for itself, if it does."""
    given = read_json(file) if file.is_file() else {}
    kinds = {"steps": (int, 1), "guidance_scale": (float, 0)}
    defaults = {}
    for name in kinds & given.keys():
        kind, least = kinds[name]
        with contextlib.suppress(OverflowError, TypeError, ValueError):
            defaults[name] = kind(given[name])
        if not least <= defaults.get(name, math.nan) < math.inf:
            raise ValueError(
                f"{file}: {name} is {given[name]!r}; a finite number from {least} is wanted"
            )
    return defaults


def _load_pipeline(
    folder: Path, family: Family, device: torch.device, dtype: torch.dtype
) -> DiffusionPipeline:
    """Return the pipeline of diffusers, which corrects descriptions of old as it is built."""
    parts: dict[str, Any] = {}
    for part in family.tokenizers:
        with _named(f"the tokenizer in {folder / part} is damaged"):
            parts[part] = CLIPTokenizer.from_pretrained(folder / part)
    for part in family.networks:
        parts[part] = _load_network(folder, part, device, dtype)
    with _named(f"{folder / SCHEDULER} cannot be used"):
        parts["scheduler"] = load_scheduler(folder)
    if family is SD:
        return StableDiffusionPipeline(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
    zeros = read_json(folder / INDEX).get("force_zeros_for_empty_prompt", True)
    return StableDiffusionXLPipeline(
        **parts, force_zeros_for_empty_prompt=zeros, add_watermarker=False
    )


def _load_network(folder: Path, part: str, device: torch.device, dtype: torch.dtype) -> Any:
    """Return one network in evaluation mode, without gradients."""
    network_class, where = NETWORKS[part], f"the weights in {folder / part}"
    name = network_class.__name__
    half = ".fp16" in weight_files(folder, part)[0].name
    with _named(f"{where} do not fit its config.json, or that describes no {name}"):
        network, report = network_class.from_pretrained(
            folder / part,
            dtype=dtype,
            use_safetensors=True,
            variant="fp16" if half else None,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they are reported, and refused below
        )
    if report["mismatched_keys"]:
        key, found, wanted = min(report["mismatched_keys"])
        shapes = f"{tuple(found)}, not {tuple(wanted)}"
        raise ValueError(f"{where} do not fit its config.json: {key} is {shapes}")
    if report["missing_keys"]:
        keys = ", ".join(sorted(report["missing_keys"])[:3])
        raise ValueError(f"{where} lack {keys}: not a {name} as named")
    # convolutions then need not rearrange what they read; nobody has tried it on MPS
    layout = torch.preserve_format if device.type == "mps" else torch.channels_last
    return network.to(device, memory_format=layout).eval().requires_grad_(False)


@contextlib.contextmanager
def _named(problem: str) -> Iterator[None]:
    """Name what a library could not load; it raises errors of all kinds and lists all tensors."""
    try:
        yield
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        dots = " ..." if len(text) > 300 else ""
        raise ValueError(f"{problem}: {text[:300]}{dots}") from error


def _check_fit(model: TextToImageModel) -> None:
    """Raise where the parts cannot work together, or want an input that they would not get."""
    unet, vae = model.unet.config, model.vae.config
    widths, pooled = unet.cross_attention_dim, None
    widths = {*widths} if isinstance(widths, list | tuple) else {widths}
    if unet.addition_embed_type == "text_time":
        pooled = unet.projection_class_embeddings_input_dim - 6 * unet.addition_time_embed_dim
    problems = {
        f"sample_size of its UNet is {unet.sample_size} and scaling_factor of its autoencoder "
        f"{vae.scaling_factor}; numbers are wanted": None
        in (unet.sample_size, vae.scaling_factor),
        f"its UNet attends to tokens of width {', '.join(map(str, widths))}, but its text encoder "
        f"makes tokens of width {model.text_width}": widths != {model.text_width},
        f"its UNet reads {unet.in_channels} channels, but its latents have {vae.latent_channels}: "
        "only plain models, not those made for inpainting, can be sampled": (
            unet.in_channels != vae.latent_channels
        ),
        f"its UNet reads a pooled vector of width {pooled}, but its text encoders make one of "
        f"width {model.pooled_width}": pooled != model.pooled_width,
    }
    for problem, found in problems.items():
        if found:
            raise ValueError(f"{model.provenance.name} cannot be used: {problem}")


@contextlib.contextmanager
def _quiet_loading() -> Iterator[None]:
    """Silence the libraries' progress bars and advice while the parts load.

    Published text encoders hold a buffer that current versions no longer have, and each library
    would print a paragraph about it, or about what a pipeline corrects in old descriptions;
    missing weights are reported by this module as errors.
    """
    with contextlib.ExitStack() as restored, warnings.catch_warnings():
        for kind in (FutureWarning, DeprecationWarning):
            warnings.simplefilter("ignore", kind)
        for log in (diffusers_logging, transformers_logging):
            restored.callback(log.set_verbosity, log.get_verbosity())
            log.set_verbosity_error()
            if log.is_progress_bar_enabled():
                restored.callback(log.enable_progress_bar)
                log.disable_progress_bar()
        yield


def not_finite(model: TextToImageModel, what: str) -> ValueError:
    """Return the error about NaN or infinity in what a network has made, with its remedy."""
    remedy = f"the weights of {model.provenance.name} are damaged, or what they were given is"
    if model.dtype == torch.float16:
        remedy = "load the model with dtype='float32' or 'bfloat16'"
    return ValueError(f"{what} hold NaN or infinity in {model.provenance.dtype}; {remedy}")
