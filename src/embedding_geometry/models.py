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
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.utils import logging as transformers_logging

POCKET_FOLDER = Path(__file__).resolve().parents[2] / "data" / "pocket"

NETWORKS = {
    "text_encoder": CLIPTextModel,
    "text_encoder_2": CLIPTextModelWithProjection,
    "unet": UNet2DConditionModel,
    "vae": AutoencoderKL,
}
WEIGHTS = {
    "text_encoder": "text_encoder/model.safetensors",
    "text_encoder_2": "text_encoder_2/model.safetensors",
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "vae": "vae/diffusion_pytorch_model.safetensors",
}
INDEX = "model_index.json"
SCHEDULER = "scheduler/scheduler_config.json"
# a tokenizer comes as one file (new) or as two (as Stable Diffusion was published)
TOKENIZER_FILES = [("tokenizer.json",), ("vocab.json", "merges.txt")]
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class ModelNotFoundError(FileNotFoundError):
    """A model, or a part of it, is not where it was looked for."""


@dataclass(frozen=True)
class Family:
    """The parts of a pipeline of diffusers, and the guidance scale it has there by default."""

    tokenizers: tuple[str, ...]
    networks: tuple[str, ...]
    guidance_scale: float


SD = Family(("tokenizer",), ("text_encoder", "unet", "vae"), 7.5)
SDXL = Family(("tokenizer", "tokenizer_2"), ("text_encoder", "text_encoder_2", "unet", "vae"), 5.0)
FAMILIES = {"StableDiffusionPipeline": SD, "StableDiffusionXLPipeline": SDXL}


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
    """The parts of Stable Diffusion, where they came from, and the sampler's defaults.

    The second tokenizer and text encoder are SDXL's, None for the others. Where an SDXL was
    trained with zeros for the empty prompt, ``force_zeros_for_empty_prompt`` says so.
    """

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    scheduler: DDIMScheduler
    provenance: Provenance
    default_steps: int
    default_guidance_scale: float
    tokenizer_2: CLIPTokenizer | None = None
    text_encoder_2: CLIPTextModelWithProjection | None = None
    force_zeros_for_empty_prompt: bool = False

    @property
    def n_tokens(self) -> int:
        """Number of rows of a token cloud, 77 for every CLIP."""
        return self.text_encoder.config.max_position_embeddings

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


def configured_model() -> str:
    """Return the model that pages and commands use: ``EMBEDDING_GEOMETRY_MODEL`` or the pocket."""
    return os.environ.get("EMBEDDING_GEOMETRY_MODEL") or "pocket"


def load_model(
    name: str = "pocket",
    device: str | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
) -> TextToImageModel:
    """Load a text-to-image model of the Stable Diffusion 1, 2 or XL architecture.

    Args:
        name: ``"pocket"``, a local folder in the diffusers format, or a hub id ``owner/name``.
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
    """
    where = find_device(device)
    precision = _parse_dtype(dtype)
    folder, commit = _find_folder(name, revision)
    family = _check_folder(folder)
    steps, guidance_scale = _read_defaults(folder, family)
    with _quiet_loading():
        parts = {part: CLIPTokenizer.from_pretrained(folder / part) for part in family.tokenizers}
        parts |= {
            part: _load_part(folder, part, where, _part_dtype(folder, part, family, precision))
            for part in family.networks
        }
        model = TextToImageModel(
            **parts,
            scheduler=_load_scheduler(folder),
            provenance=Provenance(
                name=name,
                revision=commit or _content_hash(folder, family),
                device=_device_name(where),
                dtype=str(precision).removeprefix("torch."),
                versions=library_versions("torch", "diffusers", "transformers"),
            ),
            default_steps=steps,
            default_guidance_scale=guidance_scale,
            force_zeros_for_empty_prompt=_zeros_for_empty_prompt(folder, family),
        )
    _check_fit(model, folder)
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
    if found not in DTYPES:
        raise ValueError(f"dtype {dtype!r} is not one of float16, bfloat16, float32, float64")
    return found


def _find_folder(name: str, revision: str | None) -> tuple[Path, str | None]:
    """Return the model's folder and, for a hub id, the commit it was taken from."""
    folder = POCKET_FOLDER if name == "pocket" else Path(name)
    if name == "pocket" and not folder.is_dir():
        raise ModelNotFoundError(
            f"the pocket model is not at {POCKET_FOLDER}: it ships with the repository, so "
            "install the package from a clone with `pip install -e .`"
        )
    if folder.is_dir():
        if revision is not None:
            raise ValueError(
                f"revision {revision!r} of {name!r}: only a hub id has revisions, a folder is "
                "known by the hash of its files; leave the revision out"
            )
        return folder, None
    if HUB_ID.fullmatch(name) and not folder.is_file():
        snapshot = _fetch_from_hub(name, revision)
        return snapshot, snapshot.name[:12]
    raise ModelNotFoundError(
        f"model {name!r} is neither 'pocket', nor a folder here ({folder.absolute()} "
        f"{'is a single file' if folder.is_file() else 'does not exist'}), nor a hub id of the "
        "form owner/name"
    )


def _fetch_from_hub(name: str, revision: str | None) -> Path:
    """Return the hub's snapshot from the local cache, downloading what is missing of it."""
    wanted = [INDEX, "config.json", "generation.json", SCHEDULER, "tokenizer*/*"]
    for part, file in WEIGHTS.items():
        shards = file.replace(".safetensors", "-*.safetensors")
        wanted += [f"{part}/config.json", file, f"{file}.index.json", shards]
    try:
        snapshot = Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
        if half := _parts_in_half_precision_only(snapshot):
            snapshot_download(name, revision=revision, allow_patterns=half)
    # no network, no such repository, no permission: the hub client has a class for each
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).split("\n")[0]
        of_revision = "" if revision is None else f" of revision {revision!r}"
        raise ModelNotFoundError(
            f"model {name!r}{of_revision} is not a folder here ({Path(name).absolute()}), not in "
            f"the hub cache ({constants.HF_HUB_CACHE}), and could not be downloaded "
            f"({type(error).__name__}: {reason}). Either name a local folder in the diffusers "
            "format, or go online and, where the model asks for it, log in with `hf auth login`"
        ) from error
    return snapshot


def _parts_in_half_precision_only(snapshot: Path) -> list[str]:
    """Return the float16 files to ask the hub for: those of parts without other weights."""
    parts = [part for part in WEIGHTS if (snapshot / part / "config.json").is_file()]
    return [
        str(Path(WEIGHTS[part]).with_suffix(".fp16.safetensors"))
        for part in parts
        if not all(file.is_file() for file in _weight_files(snapshot, part))
    ]


def _weight_files(folder: Path, part: str) -> list[Path]:
    """Return the files that should hold a part's weights: one, its shards, or the fp16 variant."""
    whole = folder / WEIGHTS[part]
    shards = whole.with_name(f"{whole.name}.index.json")
    half = whole.with_suffix(".fp16.safetensors")
    if not whole.is_file() and shards.is_file():
        weight_map = _read_json(shards).get("weight_map", {})
        return [whole.with_name(name) for name in sorted(set(weight_map.values()))] or [whole]
    return [half] if half.is_file() and not whole.is_file() else [whole]


def _check_folder(folder: Path) -> Family:
    """Return the folder's family; raise unless it holds every part, readable."""
    family = _find_family(folder)
    weights = {part: _weight_files(folder, part) for part in family.networks}
    wanted = {part: [folder / part / "config.json", *weights[part]] for part in family.networks}
    wanted["scheduler"] = [folder / SCHEDULER]
    missing = [
        f"{part} ({file.relative_to(folder)})"
        for part, files in wanted.items()
        for file in files
        if not file.is_file()
    ]
    for part in family.tokenizers:
        if not any(all((folder / part / name).is_file() for name in n) for n in TOKENIZER_FILES):
            missing.append(f"{part} ({part}/tokenizer.json, or vocab.json and merges.txt)")
    if missing:
        raise _incomplete(folder, missing)
    for files in wanted.values():
        _read_json(files[0])
    for file in (file for files in weights.values() for file in files):
        _check_weights(file)
    return family


def _find_family(folder: Path) -> Family:
    index, config = folder / INDEX, folder / "config.json"
    if index.is_file():
        file, found = index, str(_read_json(index).get("_class_name"))
    elif config.is_file():  # a single network, such as a language model
        content = _read_json(config)
        names = content.get("architectures") or [content.get("_class_name")]
        file, found = config, ", ".join(map(str, names))
    else:
        raise _incomplete(folder, [f"index ({INDEX})"])
    if found not in FAMILIES:
        raise ValueError(
            f"{file} describes a {found}; only StableDiffusionPipeline (Stable Diffusion 1 and 2) "
            "and StableDiffusionXLPipeline can be loaded"
        )
    return FAMILIES[found]


def _incomplete(folder: Path, missing: list[str]) -> ModelNotFoundError:
    return ModelNotFoundError(
        f"the model folder {folder} lacks its {', '.join(missing)}; a complete Stable Diffusion "
        "in the diffusers format, with safetensors weights, is needed. Complete the folder, or "
        "name the model by its hub id while online (where it asks for it, log in with "
        "`hf auth login`)"
    )


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


def _read_defaults(folder: Path, family: Family) -> tuple[int, float]:
    """Return steps and guidance scale: the folder's own, else those of its family."""
    file = folder / "generation.json"
    defaults = _read_json(file) if file.is_file() else {}
    scale = defaults.get("guidance_scale", family.guidance_scale)
    return int(defaults.get("steps", 50)), float(scale)


def _zeros_for_empty_prompt(folder: Path, family: Family) -> bool:
    return family is SDXL and _read_json(folder / INDEX).get("force_zeros_for_empty_prompt", True)


def _part_dtype(folder: Path, part: str, family: Family, dtype: torch.dtype) -> torch.dtype:
    """Return the precision of a part: the model's, but float32 where float16 would overflow."""
    if part == "vae" and family is SDXL and dtype == torch.float16:
        upcast = _read_json(folder / "vae/config.json").get("force_upcast", True)
        return torch.float32 if upcast else dtype
    return dtype


def _load_part(folder: Path, part: str, device: torch.device, dtype: torch.dtype) -> Any:
    """Return one network in evaluation mode, without gradients."""
    network_class = NETWORKS[part]
    half = ".fp16." in _weight_files(folder, part)[0].name
    try:
        network, report = network_class.from_pretrained(
            folder / part,
            dtype=dtype,
            use_safetensors=True,
            variant="fp16" if half else None,
            output_loading_info=True,
        )
    except RuntimeError as error:
        message = f"the weights in {folder / part} do not fit its config: {error}"
        raise ValueError(message) from error
    if report["missing_keys"]:
        names = ", ".join(sorted(report["missing_keys"])[:3])
        raise ValueError(
            f"the weights in {folder / part} lack {names}: not a {network_class.__name__} as named"
        )
    # convolutions then need not rearrange what they read; nobody has tried it on MPS
    layout = torch.preserve_format if device.type == "mps" else torch.channels_last
    return network.to(device, memory_format=layout).eval().requires_grad_(False)


def _load_scheduler(folder: Path) -> DDIMScheduler:
    """Return DDIM on the noise schedule of whatever sampler the folder names.

    Raises:
        ValueError: a model of another kind of noise (EDM, flow matching), which has no betas.
    """
    config = DDIMScheduler.load_config(folder / "scheduler")
    if "beta_schedule" not in config:
        raise ValueError(
            f"{folder / SCHEDULER} describes a {config.get('_class_name')} without a "
            "beta_schedule; only models trained on the noise of DDPM can be sampled"
        )
    # DDIM's own default would clip the sample to [-1, 1], which holds for pixels, not for latents
    return DDIMScheduler.from_config(config, clip_sample=False)


def _check_fit(model: TextToImageModel, folder: Path) -> None:
    """Raise where the parts cannot work together, or want an input that they would not get."""
    unet = model.unet.config
    if unet.cross_attention_dim != model.text_width:
        raise ValueError(
            f"the UNet in {folder} attends to tokens of width {unet.cross_attention_dim}, but its "
            f"text encoder makes tokens of width {model.text_width}"
        )
    if unet.in_channels != model.vae.config.latent_channels or unet.time_cond_proj_dim is not None:
        raise ValueError(
            f"the UNet in {folder} wants more than a latent, a time and a text: it was made for "
            "inpainting or distilled to read the guidance scale; only plain models can be sampled"
        )
    if model.pooled_width is not None:
        beside = unet.projection_class_embeddings_input_dim - 6 * unet.addition_time_embed_dim
        if beside != model.pooled_width:
            raise ValueError(
                f"the UNet in {folder} reads a pooled vector of width {beside}, but its second "
                f"text encoder makes one of width {model.pooled_width}"
            )


def _content_hash(folder: Path, family: Family) -> str:
    """Return 12 hex digits that change with any file that determines an image."""
    files = sorted(
        path
        for part in (*family.tokenizers, *family.networks, "scheduler")
        for path in (folder / part).iterdir()
        if path.suffix in {".safetensors", ".json", ".txt"}
    )
    if family is SDXL:  # says what an empty prompt stands for
        files.append(folder / INDEX)
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
