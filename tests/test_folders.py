"""Finding a model's folder, and one clear error for everything that can be wrong with it."""

import json
import re
import shutil
import socket
from types import SimpleNamespace

import pytest
import torch
from diffusers import DiffusionPipeline
from huggingface_hub.errors import RevisionNotFoundError
from huggingface_hub.utils import filter_repo_objects
from safetensors.torch import load_file, save_file

from embedding_geometry.diffusion import folders
from embedding_geometry.diffusion.folders import ModelNotFoundError
from embedding_geometry.diffusion.loading import load_model


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


def test_where_no_model_is_embedded_the_package_is_to_be_installed_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folders, "EMBEDDED", {})
    message = r"'pocket' is neither embedded \(no model is at .*data; they ship with the package"
    with pytest.raises(ModelNotFoundError, match=message):
        load_model("pocket", device="cpu")


@pytest.mark.parametrize("name", ["pockett", "second", "/nowhere/at/all", "a/b/c", "a/file"])
def test_an_unknown_name_is_told_those_that_are_known(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folders, "EMBEDDED", {"pocket": tmp_path, "third": tmp_path})
    message = rf"'{name}' is neither embedded \(pocket, third\), nor a hub id of the form owner"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    with pytest.raises(ModelNotFoundError, match=message):
        load_model(name, device="cpu")


def test_a_hub_id_without_network(offline):
    with pytest.raises(
        ModelNotFoundError, match=r"'owner/name'.*not in the hub cache.*hub\)"
    ) as e:
        load_model("owner/name", device="cpu")
    assert "local folder" in str(e.value)
    assert "hf auth login" in str(e.value)


def test_a_proxy_that_refuses_is_no_traceback(offline, monkeypatch):
    """The client's errors about connections are neither OSErrors nor its own."""

    class ProxyError(Exception):
        pass

    def refuse(*_, **__):
        raise ProxyError("407 Proxy Authentication Required")

    monkeypatch.setattr(folders, "snapshot_download", refuse)
    with pytest.raises(ModelNotFoundError, match=r"downloaded \(ProxyError: 407 Proxy"):
        load_model("owner/name", device="cpu")


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
    assert model.provenance.revision == commit
    if mode:  # else the hub's client tries to reach it for half a minute, and then does the same
        pinned = load_model("owner/name", device="cpu", revision=commit)
        assert pinned.provenance.revision == commit
    with pytest.raises(ModelNotFoundError, match=r"'owner/name' of revision 'v2' is not a folder"):
        load_model("owner/name", device="cpu", revision="v2")


def test_a_folder_has_no_revisions(tiny_folder):
    with pytest.raises(ValueError, match="only a hub id has revisions"):
        load(tiny_folder, revision="main")


def test_of_the_hub_only_what_is_needed_is_fetched(copy, tmp_path, monkeypatch):
    """The hub's part is played by a folder; a part without other weights comes in float16."""
    whole = copy / folders.WEIGHTS["unet"]
    half = whole.with_suffix(".fp16.safetensors")
    save_file({n: w.half() for n, w in load_file(whole).items()}, half, metadata={"format": "pt"})
    whole.unlink()
    spare = (copy / folders.WEIGHTS["vae"]).with_suffix(".fp16.safetensors")
    shutil.copy(copy / folders.WEIGHTS["vae"], spare)
    (copy / "v1-5-pruned.safetensors").write_bytes(b"of another tool")
    commit = "0123456789abcdef0123456789abcdef01234567"
    fetched = tmp_path / commit

    play_hub(monkeypatch, copy, fetched)
    model = load_model("owner/name", device="cpu", revision="fp16")
    assert model.provenance.revision == commit
    assert {str(file.relative_to(fetched)) for file in fetched.rglob("*.safetensors")} == {
        folders.WEIGHTS["text_encoder"],
        folders.WEIGHTS["vae"],
        str(half.relative_to(copy)),
    }


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_weights_are_fetched_in_the_precision_that_is_wanted(copy, tmp_path, monkeypatch, dtype):
    """Only these, where the hub has both; what is missing for another precision comes later."""
    for part in folders.SD.networks:
        whole = copy / folders.WEIGHTS[part]
        halved = {name: weight.half() for name, weight in load_file(whole).items()}
        save_file(halved, whole.with_suffix(".fp16.safetensors"), metadata={"format": "pt"})
    fetched = tmp_path / ("0123456789" * 4)
    play_hub(monkeypatch, copy, fetched)
    load_model("owner/name", device="cpu", dtype=dtype)
    weights = list(fetched.rglob("*.safetensors"))
    assert len(weights) == 3
    assert all((".fp16." in file.name) == (dtype == "float16") for file in weights)
    load_model("owner/name", device="cpu", dtype="float32")
    assert {file.name for file in weights} <= {file.name for file in fetched.rglob("*")}
    assert (fetched / folders.WEIGHTS["unet"]).is_file()


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("model_index.json", {"_class_name": "FluxPipeline"}, "describes a FluxPipeline; only"),
        ("unet/config.json", {"class_embed_type": "timestep"}, "says class_embed_type = timestep"),
    ],
)
def test_what_is_refused_is_not_fetched(copy, tmp_path, monkeypatch, file, change, message):
    edit_json(copy / file, **change)
    play_hub(monkeypatch, copy, tmp_path / ("0123456789" * 4))
    with pytest.raises(ValueError, match=message):
        load_model("owner/name", device="cpu")
    assert not list((tmp_path / ("0123456789" * 4)).rglob("*.safetensors"))


def play_hub(monkeypatch, copy, fetched):
    """Let a folder play the part of the hub, and another that of its cache."""

    def fetch(name, revision, allow_patterns):
        names = [str(f.relative_to(copy)) for f in copy.rglob("*") if f.is_file()]
        for each in filter_repo_objects(names, allow_patterns=allow_patterns):
            (fetched / each).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(copy / each, fetched / each)
        return str(fetched)

    monkeypatch.setattr(folders, "snapshot_download", fetch)


def test_a_missing_branch_is_named_with_the_way_out(monkeypatch):
    def refuse(*_, **__):
        raise RevisionNotFoundError("404", response=SimpleNamespace(headers={}, request=None))

    monkeypatch.setattr(folders, "snapshot_download", refuse)
    with pytest.raises(
        ModelNotFoundError, match="no branch, tag or commit 'fp16' of 'owner/name'"
    ):
        load_model("owner/name", device="cpu", revision="fp16")


def test_a_folder_of_the_hubs_cache_stands_for_its_snapshot(tiny_folder, tmp_path):
    commit = "0123456789" * 4
    repository = tmp_path / "models--owner--name"
    shutil.copytree(tiny_folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(commit)
    assert load(repository).provenance.revision == commit
    assert load(repository, revision=commit).provenance.revision == commit
    with pytest.raises(ModelNotFoundError, match=rf"has no revision 'v2', only {commit}"):
        load(repository, revision="v2")


def test_a_single_file_is_named_with_the_line_that_converts_it(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"of another tool")
    line = r"from_single_file\('.*model\.safetensors'\)\.save_pretrained"
    with pytest.raises(ModelNotFoundError, match=rf"is a single file; convert it.*{line}"):
        load(tmp_path / "model.safetensors")
    with pytest.raises(ModelNotFoundError, match=rf"lacks its index.*{line}"):
        load(tmp_path)


def test_pickled_weights_are_named_with_the_line_that_converts_them(copy, tmp_path):
    """And the line does what it says."""
    for part in folders.SD.networks:
        file = copy / folders.WEIGHTS[part]
        stem = "pytorch_model" if part == "text_encoder" else "diffusion_pytorch_model"
        torch.save(load_file(file), file.with_name(f"{stem}.bin"))
        file.unlink()
    with pytest.raises(ModelNotFoundError, match="holds pickled weights; convert it") as caught:
        load(copy)
    [line] = re.findall(r"DiffusionPipeline.*\)", str(caught.value))
    eval(line, {"DiffusionPipeline": DiffusionPipeline, "FOLDER": tmp_path / "converted"})
    load(tmp_path / "converted")


@pytest.mark.parametrize("file", ["pytorch_lora_weights.safetensors", "adapter_config.json"])
def test_a_lora_alone_is_named_with_the_lines_that_fuse_it(tmp_path, file):
    (tmp_path / file).touch()
    with pytest.raises(ModelNotFoundError, match=r"holds a LoRA.*fuse_lora\(\).*wrap_pipeline"):
        load(tmp_path)


@pytest.mark.parametrize("file", ["unet/config.json", folders.WEIGHTS["unet"]])
def test_a_pointer_of_git_lfs_is_named(copy, file):
    (copy / file).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ValueError, match=rf"{file} is a pointer of Git LFS.*`git lfs pull` in"):
        load(copy)


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
    file = copy / folders.WEIGHTS[part]
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * keep) if keep < 1 else keep])
    with pytest.raises(ValueError, match=rf"{folders.WEIGHTS[part]} is damaged or half-written"):
        load(copy)


def test_a_damaged_config_is_named(copy):
    file = copy / "unet" / "config.json"
    file.write_text(file.read_text()[:100])
    with pytest.raises(ValueError, match=r"unet/config\.json is damaged, not valid JSON"):
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
