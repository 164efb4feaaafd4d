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
from huggingface_hub.errors import RevisionNotFoundError
from safetensors import SafetensorError, safe_open

from embedding_geometry.ground.disk import naming
from embedding_geometry.ground.places import EMBEDDED, MODELS

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
LFS = b"version https://git-lfs"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class ModelNotFoundError(FileNotFoundError):
    """A model, or a part of it, is not where it was looked for."""


@dataclass(frozen=True)
class Family:
    """The parts of a pipeline of diffusers, and the guidance scale it has there by default.

    It passes over some entries of descriptions, named ``part.entry``, that others honour.
    """

    tokenizers: tuple[str, ...]
    networks: tuple[str, ...]
    guidance_scale: float
    passed_over: tuple[str, ...]


SD = Family(
    ("tokenizer",),
    ("text_encoder", "unet", "vae"),
    7.5,
    ("vae.latents_mean", "vae.latents_std", "vae.shift_factor"),
)
SDXL = Family(
    ("tokenizer", "tokenizer_2"),
    ("text_encoder", "text_encoder_2", "unet", "vae"),
    5.0,
    ("text_encoder.use_attention_mask", "text_encoder_2.use_attention_mask", "vae.shift_factor"),
)
FAMILIES = {  # a folder made for pictures from pictures holds the same parts
    "StableDiffusionPipeline": SD,
    "StableDiffusionImg2ImgPipeline": SD,
    "StableDiffusionXLPipeline": SDXL,
    "StableDiffusionXLImg2ImgPipeline": SDXL,
}
# entries that make an image depend on more than a latent, a time and a text, but for these values
UNDERSTOOD: dict[str, tuple[str, ...]] = {
    "unet.addition_embed_type": ("text_time",),
    "unet.class_embed_type": (),
    "unet.num_class_embeds": (),
    "unet.encoder_hid_dim": (),
    "unet.encoder_hid_dim_type": (),
    "unet.time_cond_proj_dim": (),
    "scheduler.prediction_type": ("epsilon", "v_prediction", "sample"),
    "scheduler.use_flow_sigmas": (),
}
# the ways out, in Python with diffusers
FUSE = (
    "pipe.load_lora_weights(LORA); pipe.fuse_lora(); pipe.unload_lora_weights(); then "
    "pipe.save_pretrained(FOLDER), or embedding_geometry.wrap_pipeline(pipe)"
)
CONVERT = "DiffusionPipeline.from_pretrained({!r}).save_pretrained(FOLDER)"
REINSTALL = (
    f"no model is at {MODELS}; they ship with the package, so install that again, from a wheel or "
    "from a whole clone"
)
FROM_FILE = "StableDiffusion[XL]Pipeline.from_single_file({!r}).save_pretrained(FOLDER)"


def find_folder(name: str, revision: str | None, *, half: bool = False) -> tuple[Path, str | None]:
    """Return the model's folder and, for a hub id, the commit it was taken from.

    Args:
        name: an embedded model such as ``"pocket"``, a local folder, or a hub id ``owner/name``,
            looked for in this order. A folder of the hub's cache stands for its hub id.
        revision: branch, tag or commit of a hub id; by default its main branch.
        half: fetch weights in float16 where the hub has them.

    Raises:
        ModelNotFoundError: no such model, or no network to fetch it.
        ValueError: a revision of what is not a hub id, or a hub id of another architecture.
    """
    if not name:
        raise ModelNotFoundError(
            "the model's name is empty; name an embedded one, a folder or a hub id"
        )
    folder = EMBEDDED.get(name, Path(name))
    if (folder / "snapshots").is_dir():
        return _cached_snapshot(folder, revision)
    if folder.is_dir():
        if revision is not None:
            raise ValueError(
                f"revision {revision!r} of {name!r}: only a hub id has revisions, a folder is "
                "known by the hash of its files; leave the revision out"
            )
        return folder, None
    if HUB_ID.fullmatch(name) and not folder.is_file():
        snapshot = _fetch_from_hub(name, revision, half)
        return snapshot, snapshot.name
    what = "does not exist"
    if folder.is_file():
        what = f"is a single file; convert it with diffusers: {FROM_FILE.format(name)}"
    raise ModelNotFoundError(
        f"model {name!r} is neither embedded ({', '.join(EMBEDDED) or REINSTALL}), nor a hub id "
        f"of the form owner/name, nor a folder here: {folder.absolute()} {what}"
    )


def _cached_snapshot(repository: Path, revision: str | None) -> tuple[Path, str]:
    """Return the files of a revision in a repository's folder of the hub's cache."""
    ref = repository / "refs" / (revision or "main")
    commit = ref.read_text(encoding="utf-8").strip() if ref.is_file() else revision
    held = sorted(path.name for path in (repository / "snapshots").iterdir())
    if commit not in held:
        raise ModelNotFoundError(
            f"{repository} of the hub's cache has no revision {revision or 'main'!r}, only "
            f"{', '.join(held) or 'none'}"
        )
    return repository / "snapshots" / commit, commit


def _fetch_from_hub(name: str, revision: str | None, half: bool) -> Path:
    """Return the hub's snapshot from the local cache, downloading what is missing of it.

    Descriptions come first: what they rule out is not fetched. Weights come in one precision, the
    other where a part has no such files.
    """
    snapshot = _fetch(name, revision, [INDEX, "*config.json", "generation.json", "tokenizer*/*"])
    family = _find_family(snapshot)
    check_descriptions(read_descriptions(snapshot, family), family, snapshot)

    for variant in (".fp16", "") if half else ("", ".fp16"):
        halves_do = half or variant == ".fp16"
        wanted = []
        for part in family.networks:
            files = weight_files(snapshot, part)
            if not all(f.is_file() and (halves_do or ".fp16" not in f.name) for f in files):
                stem = WEIGHTS[part].removesuffix(".safetensors")
                wanted += [f"{stem}{variant}.safetensors", f"{stem}{variant}-*.safetensors"]
                wanted += [f"{stem}.safetensors.index{variant}.json"]
        if wanted:
            _fetch(name, revision, wanted)
    return snapshot


def _fetch(name: str, revision: str | None, wanted: list[str]) -> Path:
    """Return the folder of the snapshot, with the files whose names have one of the forms."""
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    except RevisionNotFoundError as error:
        raise ModelNotFoundError(
            f"the hub has no branch, tag or commit {revision!r} of {name!r}; leave the revision "
            "out to take the main branch (weights in float16 are found without it)"
        ) from error
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


def weight_files(folder: Path, part: str) -> list[Path]:
    """Return the files that should hold a part's weights: one or its shards, else in float16."""
    whole = folder / WEIGHTS[part]
    for variant in ("", ".fp16"):
        file = whole.with_suffix(f"{variant}.safetensors")
        shards = whole.with_name(f"{whole.name}.index{variant}.json")
        if file.is_file():
            return [file]
        if shards.is_file():
            weight_map = read_json(shards).get("weight_map", {})
            return [whole.with_name(name) for name in sorted(set(weight_map.values()))] or [whole]
    return [whole]


def check_folder(folder: Path) -> Family:
    """Return the family of a folder that holds every part, readable and understood.

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
    check_descriptions(read_descriptions(folder, family), family, folder)
    return family


def read_descriptions(folder: Path, family: Family) -> dict[str, dict]:
    """Return what the networks and the sampler that are there say about themselves."""
    files = {part: folder / part / "config.json" for part in family.networks}
    files["scheduler"] = folder / SCHEDULER
    return {part: read_json(file) for part, file in files.items() if file.is_file()}


def check_descriptions(descriptions: dict[str, dict], family: Family, where: object) -> None:
    """Raise a ValueError for what changes images and cannot be honoured."""
    for name, allowed in (UNDERSTOOD | dict.fromkeys(family.passed_over, ())).items():
        part, entry = name.split(".")
        said = descriptions.get(part, {}).get(entry)
        if said not in (None, False, *allowed):
            raise ValueError(
                f"the {part} of {where} says {entry} = {said}, which would change images and "
                f"cannot be honoured here; {' or '.join(map(str, allowed)) or None} can"
            )
    noise = descriptions.get("scheduler", {"beta_schedule": None})
    if "beta_schedule" not in noise:
        raise ValueError(
            f"the scheduler of {where} is a {noise.get('_class_name')} without a beta_schedule; "
            "only models trained on the noise of DDPM can be sampled"
        )


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
    remedy = (
        "Complete the folder, or name the model by its hub id while online (where it asks for it, "
        "log in with `hf auth login`)"
    )
    if any(folder.glob("pytorch_lora_weights.*")) or (folder / "adapter_config.json").is_file():
        remedy = f"It holds a LoRA, which is part of a model once it is fused: {FUSE}"
    elif any(folder.glob("*/*.bin")):
        remedy = f"It holds pickled weights; convert it once: {CONVERT.format(str(folder))}"
    elif files := sorted([*folder.glob("*.safetensors"), *folder.glob("*.ckpt")]):
        remedy = f"It holds single files; convert one: {FROM_FILE.format(str(files[0]))}"
    return ModelNotFoundError(
        f"the model folder {folder} lacks its {', '.join(missing)}; a complete Stable Diffusion "
        f"in the diffusers format, with safetensors weights, is needed. {remedy}"
    )


def read_json(file: Path) -> dict:
    """Return the JSON object that a file holds.

    Raises:
        ValueError: it is not JSON, or no object.
    """
    _check_fetched(file)
    with naming(f"{file} is damaged, not valid JSON", ValueError):
        content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{file} is damaged: a JSON object is wanted, not {str(content)[:40]!r}")
    return content


def _check_weights(file: Path) -> None:
    """Raise unless the file is complete: its header states how many bytes must follow."""
    _check_fetched(file)
    problem = f"{file} is damaged or half-written, fetch or write it again"
    with naming(problem, SafetensorError), safe_open(file, framework="np") as weights:
        unfused = any("lora_" in name for name in weights.keys())  # noqa: SIM118 - no mapping
    if unfused:
        raise ValueError(f"{file} holds a LoRA beside the weights; load it as pipe, then: {FUSE}")


def _check_fetched(file: Path) -> None:
    """Raise where git has put a pointer to a large file in the place of the file."""
    with file.open("rb") as stream:
        if stream.read(len(LFS)) == LFS:
            raise ValueError(
                f"{file} is a pointer of Git LFS to a file that is not fetched; run "
                f"`git lfs pull` in {file.parent.parent}"
            )


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
