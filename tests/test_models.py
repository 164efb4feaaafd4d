"""Loading: pocket, folders and hub ids, and one clear error for everything that can be wrong."""

import json
import logging
import shutil
import socket

import pytest
import torch
from diffusers import StableDiffusionPipeline
from huggingface_hub.utils import filter_repo_objects
from safetensors.torch import load_file, save_file
from tiny_model import write_tiny_model

from embedding_geometry import models
from embedding_geometry.models import ModelNotFoundError, configured_model, load_model


@pytest.fixture
def copy(tiny_folder, tmp_path):
    """Return a copy of the tiny folder that may be damaged."""
    return shutil.copytree(tiny_folder, tmp_path / "copy")


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """Refuse every connection, and look into an empty cache."""

    def refuse(*_, **__):
        raise OSError("network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def load(folder, **options):
    return load_model(str(folder), device="cpu", **options)


def edit_json(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_the_parts_and_their_shapes(tiny_model):
    assert tiny_model.n_tokens == 77
    assert tiny_model.text_width == 32
    assert tiny_model.latent_shape == (4, 8, 8)
    assert (tiny_model.device.type, tiny_model.dtype) == ("cpu", torch.float32)
    assert (tiny_model.default_steps, tiny_model.default_guidance_scale) == (4, 3.0)


def test_networks_are_for_evaluation_only(tiny_model):
    for network in (tiny_model.text_encoder, tiny_model.unet, tiny_model.vae):
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())


def test_every_weight_is_the_files(tiny_folder, tiny_model):
    for part in models.SD.networks:
        stored = load_file(tiny_folder / models.WEIGHTS[part])
        loaded = getattr(tiny_model, part).state_dict()
        assert len(loaded) == len(stored)
        for name, weight in loaded.items():
            torch.testing.assert_close(weight, stored[name], rtol=0, atol=0)


def test_the_tiny_model_has_no_zero_weight(tiny_model):
    for network in (tiny_model.text_encoder, tiny_model.unet, tiny_model.vae):
        assert all((parameter != 0).all() for parameter in network.parameters())


def test_the_tiny_model_is_reproducible(tiny_folder, tmp_path):
    again = write_tiny_model(tmp_path / "again")
    other = write_tiny_model(tmp_path / "other", seed=1)
    files = [models.WEIGHTS[part] for part in models.SD.networks]
    files.append("perceptual/backbone.safetensors")
    for file in files:
        assert (again / file).read_bytes() == (tiny_folder / file).read_bytes()
        assert (other / file).read_bytes() != (tiny_folder / file).read_bytes()
    assert sum(file.stat().st_size for file in again.rglob("*") if file.is_file()) < 3.5e6


def test_the_plain_pipeline_loads_the_same_folder(tiny_folder, tiny_model):
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_folder, safety_checker=None)
    assert type(pipeline.tokenizer) is type(tiny_model.tokenizer)
    assert pipeline.tokenizer("a cat").input_ids == tiny_model.tokenizer("a cat").input_ids
    weights = pipeline.unet.state_dict()
    for name, weight in tiny_model.unet.state_dict().items():
        torch.testing.assert_close(weights[name], weight, rtol=0, atol=0)


def test_files_as_stable_diffusion_was_published(copy, tiny_model):
    """Prefixed names, a buffer that is gone today, two tokenizer files, PNDM, no defaults."""
    file = copy / models.WEIGHTS["text_encoder"]
    weights = {f"text_model.{name}": weight for name, weight in load_file(file).items()}
    weights["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(weights, file, metadata={"format": "pt"})
    (copy / "tokenizer" / "tokenizer.json").unlink()
    (copy / "generation.json").unlink()
    scheduler = {"_class_name": "PNDMScheduler", "prediction_type": "epsilon"}
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    (copy / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler | betas))
    model = load(copy)
    for name, weight in tiny_model.text_encoder.state_dict().items():
        torch.testing.assert_close(model.text_encoder.state_dict()[name], weight)
    text = "A  small cat's beach, zebu"
    assert model.tokenizer(text).input_ids == tiny_model.tokenizer(text).input_ids
    assert (model.default_steps, model.default_guidance_scale) == (50, 7.5)
    assert model.scheduler.config.prediction_type == "epsilon"
    assert model.scheduler.config.beta_end == 0.012
    assert not model.scheduler.config.clip_sample


def test_loading_is_quiet_and_leaves_the_loggers(tiny_folder, capfd):
    logger = logging.getLogger("diffusers")
    before = logger.level
    load(tiny_folder)
    assert capfd.readouterr() == ("", "")
    assert logger.level == before


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("float64", torch.float64), (torch.bfloat16, torch.bfloat16), ("float16", torch.float16)],
)
def test_dtype_is_a_name_or_torchs(tiny_folder, dtype, expected):
    model = load(tiny_folder, dtype=dtype)
    networks = (model.text_encoder, model.unet, model.vae)
    assert {parameter.dtype for part in networks for parameter in part.parameters()} == {expected}
    assert model.provenance.dtype == str(expected).removeprefix("torch.")


@pytest.mark.parametrize("dtype", ["float31", "int64", "nn", torch.int8])
def test_a_wrong_dtype_is_named(tiny_folder, dtype):
    with pytest.raises(ValueError, match="is not one of float16, bfloat16, float32, float64"):
        load(tiny_folder, dtype=dtype)


@pytest.mark.parametrize("device", ["tpu9", "cuda:77"])
def test_a_wrong_device_is_named(tiny_folder, device):
    with pytest.raises(ValueError, match=rf"device '{device}' is not available"):
        load_model(str(tiny_folder), device=device)


def test_provenance_of_a_folder_follows_its_content(tiny_folder, tiny_model, copy):
    provenance = tiny_model.provenance
    assert provenance.name == str(tiny_folder)
    assert provenance.device == "cpu"
    assert set(provenance.versions) == {"torch", "diffusers", "transformers"}
    assert len(provenance.revision) == 12
    assert load(copy).provenance.revision == provenance.revision
    edit_json(copy / "scheduler" / "scheduler_config.json", beta_end=0.011)
    changed = load(copy).provenance.revision
    assert changed != provenance.revision
    file = copy / models.WEIGHTS["unet"]
    weights = load_file(file)
    weights["conv_out.bias"] += 1
    save_file(weights, file, metadata={"format": "pt"})
    assert load(copy).provenance.revision not in {provenance.revision, changed}


def test_the_pocket_is_the_default(tiny_folder, monkeypatch):
    monkeypatch.setattr(models, "POCKET_FOLDER", tiny_folder)
    assert load_model(device="cpu").provenance.name == "pocket"


def test_a_missing_pocket_says_where_it_should_be(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "POCKET_FOLDER", tmp_path / "pocket")
    with pytest.raises(ModelNotFoundError, match=r"not at .*pocket: it ships with the repository"):
        load_model(device="cpu")


def test_the_configured_model(monkeypatch):
    monkeypatch.delenv("EMBEDDING_GEOMETRY_MODEL", raising=False)
    assert configured_model() == "pocket"
    monkeypatch.setenv("EMBEDDING_GEOMETRY_MODEL", "owner/name")
    assert configured_model() == "owner/name"


@pytest.mark.parametrize("name", ["pockett", "/nowhere/at/all", "a/b/c", "a/file"])
def test_an_unknown_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    with pytest.raises(ModelNotFoundError, match="neither 'pocket', nor a folder here"):
        load_model(name, device="cpu")


def test_a_hub_id_without_network(offline):
    with pytest.raises(
        ModelNotFoundError, match=r"'owner/name'.*not in the hub cache.*hub\)"
    ) as e:
        load_model("owner/name", device="cpu")
    assert "local folder" in str(e.value)
    assert "hf auth login" in str(e.value)


def test_a_hub_id_in_offline_mode(offline, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFoundError, match=r"'owner/name' is not a folder"):
        load_model("owner/name", device="cpu")


@pytest.mark.parametrize("mode", [True, False])
def test_a_hub_id_in_the_cache_needs_no_network(offline, tiny_folder, mode, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", mode)
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = offline / "models--owner--name"
    shutil.copytree(tiny_folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    model = load_model("owner/name", device="cpu")
    assert model.provenance.name == "owner/name"
    assert model.provenance.revision == commit[:12]
    if mode:  # else the hub's client tries to reach it for half a minute, and then does the same
        pinned = load_model("owner/name", device="cpu", revision=commit)
        assert pinned.provenance.revision == commit[:12]
    with pytest.raises(ModelNotFoundError, match=r"'owner/name' of revision 'v2' is not a folder"):
        load_model("owner/name", device="cpu", revision="v2")


def test_a_folder_has_no_revisions(tiny_folder):
    with pytest.raises(ValueError, match="only a hub id has revisions"):
        load(tiny_folder, revision="main")


def test_of_the_hub_only_what_is_needed_is_fetched(copy, tmp_path, monkeypatch):
    """The hub's part is played by a folder; a part without other weights comes in float16."""
    whole = copy / models.WEIGHTS["unet"]
    half = whole.with_suffix(".fp16.safetensors")
    save_file({n: w.half() for n, w in load_file(whole).items()}, half, metadata={"format": "pt"})
    whole.unlink()
    spare = (copy / models.WEIGHTS["vae"]).with_suffix(".fp16.safetensors")
    shutil.copy(copy / models.WEIGHTS["vae"], spare)
    (copy / "v1-5-pruned.safetensors").write_bytes(b"of another tool")
    commit = "0123456789abcdef0123456789abcdef01234567"
    fetched = tmp_path / commit

    def fetch(name, revision, allow_patterns):
        assert revision == "fp16"
        names = [str(f.relative_to(copy)) for f in copy.rglob("*") if f.is_file()]
        for each in filter_repo_objects(names, allow_patterns=allow_patterns):
            (fetched / each).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(copy / each, fetched / each)
        return str(fetched)

    monkeypatch.setattr(models, "snapshot_download", fetch)
    model = load_model("owner/name", device="cpu", revision="fp16")
    assert model.provenance.revision == commit[:12]
    assert {str(file.relative_to(fetched)) for file in fetched.rglob("*.safetensors")} == {
        models.WEIGHTS["text_encoder"],
        models.WEIGHTS["vae"],
        str(half.relative_to(copy)),
    }


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("model_index.json", "index"),
        ("unet/diffusion_pytorch_model.safetensors", r"unet \(unet/diffusion_pytorch_model"),
        ("vae/config.json", r"vae \(vae/config.json"),
        ("scheduler/scheduler_config.json", "scheduler"),
        ("text_encoder/model.safetensors", "text_encoder"),
    ],
)
def test_a_missing_file_is_named_with_its_part(copy, file, named):
    (copy / file).unlink()
    with pytest.raises(ModelNotFoundError, match=rf"copy lacks its {named}"):
        load(copy)


def test_a_missing_tokenizer_is_named(copy):
    shutil.rmtree(copy / "tokenizer")
    shutil.rmtree(copy / "vae")
    with pytest.raises(ModelNotFoundError, match=r"lacks its vae .*, vae .*, tokenizer \("):
        load(copy)


@pytest.mark.parametrize("part", ["text_encoder", "unet", "vae"])
@pytest.mark.parametrize("keep", [0, 4, 0.5])
def test_a_half_written_file_is_named(copy, part, keep):
    file = copy / models.WEIGHTS[part]
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * keep) if keep < 1 else keep])
    with pytest.raises(ValueError, match=rf"{models.WEIGHTS[part]} is damaged or half-written"):
        load(copy)


def test_a_damaged_config_is_named(copy):
    file = copy / "unet" / "config.json"
    file.write_text(file.read_text()[:100])
    with pytest.raises(ValueError, match=r"unet/config\.json is damaged, not valid JSON"):
        load(copy)


@pytest.mark.parametrize("part", ["text_encoder", "unet", "vae"])
def test_missing_weights_are_never_replaced_by_random_ones(copy, part):
    file = copy / models.WEIGHTS[part]
    weights = load_file(file)
    name = sorted(weights)[0]
    del weights[name]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"weights in .*{part} lack {name}"):
        load(copy)


@pytest.mark.parametrize("part", ["text_encoder", "unet", "vae"])
def test_weights_of_another_shape_are_refused(copy, part):
    file = copy / models.WEIGHTS[part]
    weights = load_file(file)
    name = sorted(weights)[0]
    weights[name] = torch.ones(3, 5)
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"weights in .*{part} do not fit its config"):
        load(copy)


def test_another_architecture_is_refused(copy):
    edit_json(copy / "model_index.json", _class_name="StableDiffusion3Pipeline")
    shutil.rmtree(copy / "unet")
    with pytest.raises(ValueError, match="describes a StableDiffusion3Pipeline; only"):
        load(copy)


def test_a_folder_of_one_network_is_refused(tmp_path):
    content = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"config\.json describes a LlamaForCausalLM; only"):
        load(tmp_path)


def test_a_unet_that_wants_more_than_a_text_is_refused(copy):
    """Distilled models read the guidance scale as well, inpainting models a picture."""
    edit_json(copy / "unet" / "config.json", time_cond_proj_dim=8)
    file = copy / models.WEIGHTS["unet"]
    weights = load_file(file) | {"time_embedding.cond_proj.weight": torch.ones(16, 8)}
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="distilled to read the guidance scale; only plain"):
        load(copy)


def test_parts_that_do_not_fit_together_are_refused(copy, tmp_path):
    other = write_tiny_model(tmp_path / "other", width=16)
    shutil.rmtree(copy / "text_encoder")
    shutil.copytree(other / "text_encoder", copy / "text_encoder")
    with pytest.raises(ValueError, match=r"tokens of width 32, but .*of width 16"):
        load(copy)
