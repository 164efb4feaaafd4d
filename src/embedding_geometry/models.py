"""The text-to-image model: a latent diffusion model whose one input that varies is the text.

Stable Diffusion (Rombach et al., CVPR 2022) is five parts in a diffusers folder, one folder each:

    tokenizer     text -> n = 77 token ids
    text_encoder  token ids -> the token cloud, n rows of width d
    unet          (latent, time, cloud) -> the noise in the latent, or its velocity
    vae           latent -> pixels
    scheduler     how far each denoising step goes: DDIM (Song et al., ICLR 2021), deterministic

The same code loads the pocket model that ships with this project, a local folder, and a hub id.
Weights are read from safetensors files only, and never replaced: a missing part is an error.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError, safe_open
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging as transformers_logging

POCKET_FOLDER = Path(__file__).resolve().parents[2] / "data" / "pocket"

WEIGHTS = {
    "text_encoder": "text_encoder/model.safetensors",
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "vae": "vae/diffusion_pytorch_model.safetensors",
}
CONFIGS = {
    "text_encoder": "text_encoder/config.json",
    "unet": "unet/config.json",
    "vae": "vae/config.json",
    "scheduler": "scheduler/scheduler_config.json",
}
# a tokenizer comes as one file (new) or as two (as Stable Diffusion was published)
TOKENIZERS = [("tokenizer/tokenizer.json",), ("tokenizer/vocab.json", "tokenizer/merges.txt")]

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class ModelNotFoundError(FileNotFoundError):
    """A model, or a part of it, is not where it was looked for."""


@dataclass(frozen=True)
class Provenance:
    """What has to be said about a model so that a result can be reproduced.

    ``revision`` is the first 12 hex digits of the hub's commit hash, or of the SHA-256 of the
    folder's files where there is no commit.
    """

    name: str
    revision: str
    device: str
    dtype: str
    versions: dict[str, str]


@dataclass(frozen=True)
class TextToImageModel:
    """The five parts of Stable Diffusion, where they came from, and the sampler's defaults."""

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    scheduler: DDIMScheduler
    provenance: Provenance
    default_steps: int
    default_guidance_scale: float

    @property
    def n_tokens(self) -> int:
        """Number of rows of a token cloud, 77 for every CLIP."""
        return self.text_encoder.config.max_position_embeddings

    @property
    def text_width(self) -> int:
        """Width d of a token cloud."""
        return self.text_encoder.config.hidden_size

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one latent at the size the UNet was trained for."""
        size = self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return (self.unet.config.in_channels, height, width)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.unet.device

    @property
    def dtype(self) -> torch.dtype:
        """In what precision the model computes."""
        return self.unet.dtype


def configured_model() -> str:
    """Return the model that pages and commands use: ``EMBEDDING_GEOMETRY_MODEL`` or the pocket."""
    return os.environ.get("EMBEDDING_GEOMETRY_MODEL") or "pocket"


def load_model(
    name: str = "pocket", device: str | None = None, dtype: str | torch.dtype | None = None
) -> TextToImageModel:
    """Load a text-to-image model of the Stable Diffusion 1 and 2 architecture.

    Args:
        name: ``"pocket"``, a local folder in the diffusers format, or a hub id ``owner/name``.
        device: a torch device; by default the first of CUDA, MPS and CPU that is there.
        dtype: a floating torch dtype or its name; by default float32 on every device, because in
            half precision rounding hides the invariance under permutations that is measured here.

    Raises:
        ModelNotFoundError: no such model, no network to fetch it, or a part of it is missing.
        ValueError: a damaged file, a folder of another architecture, an unknown device or dtype.
    """
    where = find_device(device)
    precision = _parse_dtype(dtype)
    folder, commit = _find_folder(name)
    _check_folder(folder)
    steps, guidance_scale = _read_defaults(folder)
    with _quiet_loading():
        model = TextToImageModel(
            tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            text_encoder=_load_part(CLIPTextModel, folder / "text_encoder", where, precision),
            unet=_load_part(UNet2DConditionModel, folder / "unet", where, precision),
            vae=_load_part(AutoencoderKL, folder / "vae", where, precision),
            scheduler=_load_scheduler(folder / "scheduler"),
            provenance=Provenance(
                name=name,
                revision=commit or _content_hash(folder),
                device=_device_name(where),
                dtype=str(precision).removeprefix("torch."),
                versions=library_versions("torch", "diffusers", "transformers"),
            ),
            default_steps=steps,
            default_guidance_scale=guidance_scale,
        )
    _check_widths(model, folder)
    return model


def library_versions(*names: str) -> dict[str, str]:
    """Return the installed version of each named distribution."""
    return {name: version(name) for name in names}


def default_device() -> str:
    """Return the first of CUDA, MPS and CPU that this machine has."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def find_device(device: str | None) -> torch.device:
    """Return the named device, by default the first of CUDA, MPS and CPU.

    Raises:
        ValueError: this machine has no such device.
    """
    try:
        return torch.empty(0, device=device or default_device()).device
    except (RuntimeError, AssertionError) as error:
        message = f"device {device!r} is not available here; try {default_device()!r}"
        raise ValueError(message) from error


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


def _parse_dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype or torch.float32
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"dtype {dtype!r} is not one of float16, bfloat16, float32, float64")
    return found


def _find_folder(name: str) -> tuple[Path, str | None]:
    """Return the model's folder and, for a hub id, the commit it was taken from."""
    if name == "pocket":
        if not POCKET_FOLDER.is_dir():
            raise ModelNotFoundError(
                f"the pocket model is not at {POCKET_FOLDER}: it ships with the repository, so "
                "install the package from a clone with `pip install -e .`"
            )
        return POCKET_FOLDER, None
    if Path(name).is_dir():
        return Path(name), None
    if HUB_ID.fullmatch(name):
        snapshot = _fetch_from_hub(name)
        return snapshot, snapshot.name[:12]
    raise ModelNotFoundError(
        f"model {name!r} is neither 'pocket', nor a folder here ({Path(name).absolute()} does "
        "not exist), nor a hub id of the form owner/name"
    )


def _fetch_from_hub(name: str) -> Path:
    """Return the hub's snapshot from the local cache, downloading what is missing of it."""
    wanted = ["model_index.json", "generation.json", "tokenizer/*"]
    wanted += [*WEIGHTS.values(), *CONFIGS.values()]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    # no network, no such repository, no permission: the hub client has a class for each
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise ModelNotFoundError(
            f"model {name!r} is not a folder here ({Path(name).absolute()}), not in the hub cache "
            f"({constants.HF_HUB_CACHE}), and could not be downloaded ({type(error).__name__}: "
            f"{reason}). Either name a local folder in the diffusers format, or go online and, "
            "where the model asks for it, log in with `hf auth login`"
        ) from error


def _check_folder(folder: Path) -> None:
    """Raise unless the folder holds every part, readable and of the right architecture."""
    index = folder / "model_index.json"
    missing = [
        f"{part} ({file})"
        for files in (CONFIGS, WEIGHTS)
        for part, file in files.items()
        if not (folder / file).is_file()
    ]
    if not any(all((folder / file).is_file() for file in files) for files in TOKENIZERS):
        missing.append("tokenizer (tokenizer/tokenizer.json, or vocab.json and merges.txt)")
    if not index.is_file():
        missing.insert(0, "index (model_index.json)")
    if missing:
        raise ModelNotFoundError(
            f"the model folder {folder} lacks its {', '.join(missing)}; a complete Stable "
            "Diffusion in the diffusers format, with safetensors weights, is needed"
        )
    architecture = _read_json(index).get("_class_name")
    if architecture != "StableDiffusionPipeline":
        raise ValueError(
            f"{index} describes a {architecture}; only StableDiffusionPipeline "
            "(Stable Diffusion 1 and 2) can be loaded"
        )
    for file in CONFIGS.values():
        _read_json(folder / file)
    for file in WEIGHTS.values():
        _check_weights(folder / file)


def _read_json(file: Path) -> dict:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is damaged, not valid JSON: {error}") from error


def _check_weights(file: Path) -> None:
    """Raise unless the file is complete: its header states how many bytes must follow."""
    try:
        with safe_open(file, framework="pt"):
            pass
    except SafetensorError as error:
        message = f"{file} is damaged or half-written, fetch or write it again: {error}"
        raise ValueError(message) from error


def _read_defaults(folder: Path) -> tuple[int, float]:
    """Return steps and guidance scale: the folder's own, else those of Stable Diffusion."""
    file = folder / "generation.json"
    defaults = _read_json(file) if file.is_file() else {}
    return int(defaults.get("steps", 50)), float(defaults.get("guidance_scale", 7.5))


def _load_part(part: Any, folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    """Return one network in evaluation mode, without gradients."""
    try:
        network, report = part.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True
        )
    except RuntimeError as error:
        raise ValueError(f"the weights in {folder} do not fit its config: {error}") from error
    if report["missing_keys"]:
        names = ", ".join(sorted(report["missing_keys"])[:3])
        raise ValueError(f"the weights in {folder} lack {names}: not a {part.__name__} as named")
    return network.to(device).eval().requires_grad_(False)


def _load_scheduler(folder: Path) -> DDIMScheduler:
    # whatever sampler the folder names, its noise schedule is kept; DDIM's own default would clip
    # the sample to [-1, 1], which holds for pixels but not for latents
    return DDIMScheduler.from_config(DDIMScheduler.load_config(folder), clip_sample=False)


def _check_widths(model: TextToImageModel, folder: Path) -> None:
    wanted = model.unet.config.cross_attention_dim
    if wanted != model.text_width:
        raise ValueError(
            f"the UNet in {folder} attends to tokens of width {wanted}, but its text encoder "
            f"makes tokens of width {model.text_width}"
        )


def _content_hash(folder: Path) -> str:
    """Return 12 hex digits that change with any file that determines an image."""
    files = sorted(
        path
        for part in ("tokenizer", *CONFIGS)
        for path in (folder / part).iterdir()
        if path.suffix in {".safetensors", ".json", ".txt"}
    )
    digest = hashlib.sha256()
    for file in files:
        status = file.stat()
        digest.update(file.relative_to(folder).as_posix().encode())
        digest.update(_file_hash(file, status.st_size, status.st_mtime_ns))
    return digest.hexdigest()[:12]


@lru_cache(maxsize=256)
def _file_hash(file: Path, size: int, modified: int) -> bytes:
    """Return a file's SHA-256, remembered as long as its size and time of change stay."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


@contextlib.contextmanager
def _quiet_loading() -> Iterator[None]:
    """Silence the libraries' progress bars and advice while the parts load.

    Published text encoders hold a buffer that current versions no longer have, and each library
    would print a paragraph about it; missing weights are reported by this module as errors.
    """
    libraries = (diffusers_logging, transformers_logging)
    before = [(log, log.get_verbosity(), log.is_progress_bar_enabled()) for log in libraries]
    try:
        for log in libraries:
            log.set_verbosity_error()
            log.disable_progress_bar()
        yield
    finally:
        for log, verbosity, progress in before:
            log.set_verbosity(verbosity)
            if progress:
                log.enable_progress_bar()
