"""Loading: every weight is the file's, and parts that do not fit are one clear error."""

import json
import logging
import shutil

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from tiny_model import write_tiny_model

from embedding_geometry.diffusion import folders
from embedding_geometry.diffusion.loading import load_model
from embedding_geometry.ground.places import DEFAULT


@pytest.fixture
def copy(tiny_folder, tmp_path):
    """Return a copy of the tiny folder that may be damaged."""
    return shutil.copytree(tiny_folder, tmp_path / "copy")


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
    for part in folders.SD.networks:
        stored = load_file(tiny_folder / folders.WEIGHTS[part])
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
    files = [folders.WEIGHTS[part] for part in folders.SD.networks]
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
    file = copy / folders.WEIGHTS["text_encoder"]
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


def test_loading_switches_tf32_off(tiny_folder, tf32):
    """Else convolutions in float32 would keep ten bits on some graphics cards."""
    load(tiny_folder)
    assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.conv.fp32_precision == "ieee"
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("dtype", ["float31", "int64", "nn", torch.int8])
def test_a_wrong_dtype_is_named(tiny_folder, dtype):
    with pytest.raises(ValueError, match="is not one of float16, bfloat16, float32, float64"):
        load(tiny_folder, dtype=dtype)


@pytest.mark.parametrize("device", ["tpu9", "cuda:77", "", "hpu"])
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
    file = copy / folders.WEIGHTS["unet"]
    weights = load_file(file)
    weights["conv_out.bias"] += 1
    save_file(weights, file, metadata={"format": "pt"})
    assert load(copy).provenance.revision not in {provenance.revision, changed}


def test_an_embedded_model_is_the_default(tiny_folder, monkeypatch):
    monkeypatch.setitem(folders.EMBEDDED, DEFAULT, tiny_folder)
    assert load_model(device="cpu").provenance.name == DEFAULT


@pytest.mark.parametrize("part", ["text_encoder", "unet", "vae"])
def test_missing_weights_are_never_replaced_by_random_ones(copy, part):
    file = copy / folders.WEIGHTS[part]
    weights = load_file(file)
    name = sorted(weights)[0]
    del weights[name]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"weights in .*{part} lack {name}"):
        load(copy)


@pytest.mark.parametrize("part", ["text_encoder", "unet", "vae"])
def test_weights_of_another_shape_are_refused(copy, part):
    file = copy / folders.WEIGHTS[part]
    weights = load_file(file)
    name = sorted(weights)[0]
    weights[name] = torch.ones(3, 5)
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"weights in .*{part} do not fit its config"):
        load(copy)


def test_a_unet_that_wants_more_than_a_text_is_refused(copy):
    """Distilled models read the guidance scale as well, inpainting models a picture."""
    edit_json(copy / "unet" / "config.json", time_cond_proj_dim=8)
    file = copy / folders.WEIGHTS["unet"]
    weights = load_file(file) | {"time_embedding.cond_proj.weight": torch.ones(16, 8)}
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="says time_cond_proj_dim = 8, which would"):
        load(copy)


def test_parts_that_do_not_fit_together_are_refused(copy, tmp_path):
    other = write_tiny_model(tmp_path / "other", width=16)
    shutil.rmtree(copy / "text_encoder")
    shutil.copytree(other / "text_encoder", copy / "text_encoder")
    with pytest.raises(ValueError, match=r"tokens of width 32, but .*of width 16"):
        load(copy)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "tokenizer/tokenizer.json",
            '{"version": ',
            r"tokenizer\.json is damaged, not valid JSON",
        ),
        ("tokenizer/tokenizer.json", "{}", r"the tokenizer in .*tokenizer is damaged"),
        (
            "tokenizer/tokenizer_config.json",
            "[]",
            r"tokenizer_config\.json is damaged: a JSON obj",
        ),
        ("model_index.json", "[]", r"model_index\.json is damaged: a JSON object"),
        ("unet/config.json", "[]", r"unet/config\.json is damaged: a JSON object"),
        (
            "generation.json",
            '{"steps": "many"}',
            r"generation\.json: steps is 'many'; a",
        ),
        (
            "generation.json",
            '{"steps": 0}',
            r"generation\.json: steps is 0; a finite number from 1",
        ),
        ("generation.json", '{"steps": Infinity}', r"generation\.json: steps is inf; "),
        (
            "generation.json",
            '{"guidance_scale": NaN}',
            r"generation\.json: guidance_scale is nan;",
        ),
        (
            "scheduler/scheduler_config.json",
            '{"beta_schedule": "linear", "trained_betas": "few"}',
            r"scheduler_config\.json cannot be used: ",
        ),
        (
            "scheduler/scheduler_config.json",
            '{"beta_schedule": "none such"}',
            r"scheduler_config\.json cannot be used: NotImplementedError",
        ),
    ],
)
def test_a_damaged_or_unknown_description_is_named(copy, file, content, message):
    (copy / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        load(copy)


@pytest.mark.parametrize(
    ("file", "name"), [("unet/config.json", "sample_size"), ("vae/config.json", "scaling_factor")]
)
def test_a_size_or_a_scale_that_is_missing_is_named(copy, file, name):
    edit_json(copy / file, **{name: None})
    with pytest.raises(ValueError, match=rf"{name} of its .*None"):
        load(copy)


def test_a_block_that_diffusers_does_not_know_is_named(copy):
    edit_json(copy / "unet" / "config.json", down_block_types=["NoSuchBlock", "NoSuchBlock"])
    with pytest.raises(ValueError, match=r"unet do not fit its config\.json, .*UNet2DCondition"):
        load(copy)


def test_what_does_not_fit_is_said_in_a_line_and_not_in_a_thousand(copy):
    file = copy / folders.WEIGHTS["unet"]
    save_file({name: torch.ones(3, 5) for name in load_file(file)}, file, {"format": "pt"})
    with pytest.raises(ValueError, match="do not fit its config") as caught:
        load(copy)
    assert len(str(caught.value)) < 600
