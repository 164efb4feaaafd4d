"""The folder of a text-to-image model: where it is, whether it is whole, and what it holds.

A model is named by ``"pocket"``, by a folder in the format of diffusers or by a hub id, which is a
folder too once it is fetched. Everything here is about files: no network is built and no weight
read. A part that is missing or damaged is one error, which names it and the ways out.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from safetensors import SafetensorError, safe_open

from embedding_geometry.ground.disk import naming
from embedding_geometry.ground.places import POCKET_FOLDER

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


def find_folder(name: str, revision: str | None) -> tuple[Path, str | None]:
    """Return the model's folder and, for a hub id, the commit it was taken from.

    Args:
        name: ``"pocket"``, a local folder, or a hub id ``owner/name``, looked for in this order.
        revision: branch, tag or commit of a hub id; by default its main branch.

    Raises:
        ModelNotFoundError: no such model, or no network to fetch it.
        ValueError: a revision of what is not a hub id.
    """
    if not name:
        raise ModelNotFoundError("the model's name is empty; name pocket, a folder or a hub id")
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
        return snapshot, snapshot.name
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
    # no network, no such repository, no permission, a proxy: the hub's client has a class for each
    except Exception as error:
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
        if not all(file.is_file() for file in weight_files(snapshot, part))
    ]


def weight_files(folder: Path, part: str) -> list[Path]:
    """Return the files that should hold a part's weights: one, its shards, or the fp16 variant."""
    whole = folder / WEIGHTS[part]
    shards = whole.with_name(f"{whole.name}.index.json")
    half = whole.with_suffix(".fp16.safetensors")
    if not whole.is_file() and shards.is_file():
        weight_map = read_json(shards).get("weight_map", {})
        return [whole.with_name(name) for name in sorted(set(weight_map.values()))] or [whole]
    return [half] if half.is_file() and not whole.is_file() else [whole]


def check_folder(folder: Path) -> Family:
    """Return the family of a folder that holds every part, readable.

    Raises:
        ModelNotFoundError: a part is missing.
        ValueError: a damaged file, or a folder of another architecture.
    """
    family = _find_family(folder)
    wanted = [
        (part, file)
        for part in family.networks
        for file in (folder / part / "config.json", *weight_files(folder, part))
    ]
    wanted.append(("scheduler", folder / SCHEDULER))
    missing = [f"{p} ({file.relative_to(folder)})" for p, file in wanted if not file.is_file()]
    for part in family.tokenizers:
        if not any(all((folder / part / name).is_file() for name in n) for n in TOKENIZER_FILES):
            missing.append(f"{part} ({part}/tokenizer.json, or vocab.json and merges.txt)")
        wanted += [(part, file) for file in (folder / part).glob("*.json")]
    if missing:
        raise _incomplete(folder, missing)
    for _, file in wanted:
        _check_weights(file) if file.suffix == ".safetensors" else read_json(file)
    return family


def _find_family(folder: Path) -> Family:
    index, config = folder / INDEX, folder / "config.json"
    if index.is_file():
        file, found = index, str(read_json(index).get("_class_name"))
    elif config.is_file():  # a single network, such as a language model
        content = read_json(config)
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


def read_json(file: Path) -> dict:
    """Return the JSON object that a file holds.

    Raises:
        ValueError: it is not JSON, or no object.
    """
    with naming(f"{file} is damaged, not valid JSON", ValueError):
        content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{file} is damaged: a JSON object is wanted, not {str(content)[:40]!r}")
    return content


def _check_weights(file: Path) -> None:
    """Raise unless the file is complete: its header states how many bytes must follow."""
    problem = f"{file} is damaged or half-written, fetch or write it again"
    with naming(problem, SafetensorError), safe_open(file, framework="np"):
        pass


def content_hash(folder: Path, family: Family) -> str:
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
