"""What the laboratory knows beside its networks: the sampler, the tokenizer, the seeds."""

import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from embedding_geometry.diffusion.clouds import encode_prompts
from embedding_geometry.diffusion.generation import (
    default_settings,
    initial_latent,
    sample_latents,
)
from embedding_geometry.diffusion.samplers import as_ddim
from embedding_geometry.pages.laboratory import SEEDS, ddim_steps, export
from embedding_geometry.transport.couplings import random_coupling

TEXTS = ["a small cat on the beach at night", ""]


@pytest.fixture(scope="module")
def folder(tiny_model, tiny_metric, tmp_path_factory):
    folder = tmp_path_factory.mktemp("laboratory")
    export(tiny_model, tiny_metric, folder)
    return folder


@pytest.fixture(scope="module")
def settings(folder):
    return json.loads((folder / "settings.json").read_text())


def test_steps_and_guidance_make_the_latents_of_the_package(folder, settings, tiny_model):
    unet = onnxruntime.InferenceSession(str(folder / "unet.onnx"))
    cloud, empty = clouds = encode_prompts(tiny_model, TEXTS)
    x = initial_latent(tiny_model, 3)
    expected = sample_latents(tiny_model, cloud[None], x, default_settings(tiny_model)).numpy()
    x = x.numpy()
    for step in settings["steps"]:
        time = np.array(step["time"], np.float32)
        inputs = {"latents": np.concatenate([x, x]), "time": time, "clouds": clouds}
        [(with_, without)] = unet.run(None, inputs)
        predicted = without + settings["guidance"] * (with_ - without)
        x = step["keep"] * x + step["add"] * predicted
    np.testing.assert_allclose(x, expected, atol=1e-3 * np.abs(expected).max())
    assert len(empty) == settings["cloud"][0]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("end", [True, False])
def test_steps_are_those_of_diffusers_whatever_is_predicted(prediction, end, tiny_model):
    config = tiny_model.scheduler.config | {
        "prediction_type": prediction,
        "set_alpha_to_one": end,
        "rescale_betas_zero_snr": prediction != "epsilon",
    }
    scheduler = as_ddim(type(tiny_model.scheduler).from_config(config))
    steps = ddim_steps(replace(tiny_model, scheduler=scheduler))
    scheduler.set_timesteps(len(steps))
    x = torch.randn((4, 5), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for step, time in zip(steps, scheduler.timesteps, strict=True):
        predicted = torch.sin(3 * x)
        stepped = scheduler.step(predicted, time, x).prev_sample
        x = step["keep"] * x + step["add"] * predicted
        torch.testing.assert_close(x, stepped)


def test_seeds_have_the_latents_and_couplings_of_the_package(folder, settings, tiny_model):
    noise = np.fromfile(folder / "noise.bin", "<f4").reshape(SEEDS, *tiny_model.latent_shape)
    cloud = np.zeros((tiny_model.n_tokens, 3))
    for seed in range(SEEDS):
        assert np.array_equal(noise[[seed]], initial_latent(tiny_model, seed).numpy())
        expected = random_coupling(cloud, cloud, np.random.default_rng(seed))
        assert settings["random"][seed] == expected.tolist()


def test_vocabulary_is_the_tokenizers(settings, tiny_model):
    known, tokenizer = settings["tokenizer"], tiny_model.tokenizer
    assert {piece: k for k, piece in enumerate(known["pieces"])} == tokenizer.get_vocab()
    assert known["pieces"][tokenizer.pad_token_id] == known["padding"]
    assert known["merges"]
    assert all(merge.count(" ") == 1 for merge in known["merges"])


def test_other_samplers_and_clipping_are_refused(tiny_model, tiny_metric, tmp_path):
    with pytest.raises(ValueError, match="is euler; only ddim"):
        export(replace(tiny_model, default_scheduler="euler"), tiny_metric, tmp_path / "none")
    config = tiny_model.scheduler.config | {"clip_sample": True}
    clipping = type(tiny_model.scheduler).from_config(config)
    with pytest.raises(ValueError, match="clips its latents"):
        ddim_steps(replace(tiny_model, scheduler=clipping))
    assert not (tmp_path / "none").exists()
