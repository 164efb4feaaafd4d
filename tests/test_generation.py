"""Frames: the reference pipeline, invariance of the image, batches, and bad input."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from strategies import without_type_checks

from embedding_geometry.diffusion.clouds import encode_prompts
from embedding_geometry.diffusion.generation import (
    decode_latents,
    default_settings,
    initial_latent,
    render,
    sample_latents,
)
from embedding_geometry.diffusion.loading import load_model
from embedding_geometry.diffusion.settings import RenderSettings

CAT = "a small cat on the beach at night"
CAR = "two birds over the sea"


@pytest.fixture(scope="module")
def clouds(tiny_model):
    return encode_prompts(tiny_model, [CAT, CAR])


@pytest.fixture(scope="module")
def latent(tiny_model):
    return initial_latent(tiny_model, 3)


@pytest.fixture(scope="module")
def settings(tiny_model):
    return default_settings(tiny_model)


@pytest.fixture(scope="module")
def exact_model(tiny_folder):
    return load_model(str(tiny_folder), device="cpu", dtype="float64")


def relative_gap(found, reference):
    return float(np.abs(found - reference).max() / np.abs(reference).max())


def latents_of(model, clouds, settings):
    """Denoised latents as numpy, from the model's own clouds and seed 3."""
    return sample_latents(model, clouds, initial_latent(model, 3), settings).numpy()


def test_defaults_come_from_the_folder(settings):
    assert settings == RenderSettings(4, 3.0, scheduler="ddim", height=64, width=64)


def test_what_is_left_to_the_model_is_as_if_it_were_given(tiny_model, clouds, latent, settings):
    given = render(tiny_model, clouds, latent, settings)
    np.testing.assert_array_equal(render(tiny_model, clouds, latent, RenderSettings()), given)
    resolved = RenderSettings(7, height=48).resolve(tiny_model)
    assert resolved == RenderSettings(7, 3.0, scheduler="ddim", height=48, width=64)


def test_the_initial_latent_is_the_seeds(tiny_model, exact_model):
    latent = initial_latent(tiny_model, 5)
    assert latent.shape == (1, 4, 8, 8)
    torch.testing.assert_close(initial_latent(tiny_model, 5), latent, rtol=0, atol=0)
    torch.testing.assert_close(initial_latent(exact_model, 5).float(), latent, rtol=0, atol=0)
    assert not torch.equal(initial_latent(tiny_model, 6), latent)


def test_frames_have_the_shape_and_type_of_pictures(tiny_model, clouds, latent, settings):
    frames = render(tiny_model, clouds, latent, settings)
    assert frames.shape == (2, 64, 64, 3)
    assert frames.dtype == np.uint8
    assert frames.std() > 10


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_agrees_with_the_plain_pipeline(tiny_folder, tiny_model, clouds, latent, scale):
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    reference = pipeline(
        prompt_embeds=torch.from_numpy(clouds),
        negative_prompt_embeds=torch.from_numpy(encode_prompts(tiny_model, ["", ""])),
        latents=latent.repeat(2, 1, 1, 1),
        num_inference_steps=6,
        guidance_scale=scale,
        output_type="np",
    ).images
    settings = RenderSettings(steps=6, guidance_scale=scale)
    found = decode_latents(tiny_model, sample_latents(tiny_model, clouds, latent, settings))
    np.testing.assert_allclose(found, reference, atol=2e-5)
    frames = render(tiny_model, clouds, latent, settings)
    bytes_of_reference = (reference * 255).round().astype(np.int16)
    assert np.abs(frames.astype(np.int16) - bytes_of_reference).max() <= 1
    assert (frames != bytes_of_reference).mean() < 0.01  # rounded, not cut off


def test_the_negative_prompt_is_the_guidance_cloud(tiny_folder, tiny_model, clouds, latent):
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    reference = pipeline(
        prompt=CAT,
        negative_prompt=CAR,
        latents=latent,
        num_inference_steps=3,
        guidance_scale=2.5,
        output_type="latent",
    ).images
    settings = RenderSettings(steps=3, guidance_scale=2.5, negative_prompt=CAR)
    found = sample_latents(tiny_model, clouds[:1], latent, settings)
    torch.testing.assert_close(found, reference, atol=2e-5, rtol=2e-5)


def test_the_image_is_invariant_in_float64(exact_model, settings):
    """Softmax attention sums over tokens: order and multiplicity of the whole do not matter."""
    cloud, other = encode_prompts(exact_model, [CAT, CAR])
    reference = latents_of(exact_model, cloud[None], settings)
    shuffled = cloud[np.random.default_rng(0).permutation(len(cloud))]
    doubled = np.repeat(cloud, 2, axis=0)
    assert relative_gap(latents_of(exact_model, shuffled[None], settings), reference) < 1e-13
    assert relative_gap(latents_of(exact_model, doubled[None], settings), reference) < 1e-13
    assert relative_gap(latents_of(exact_model, other[None], settings), reference) > 5e-3


def test_doubling_some_tokens_changes_the_image(exact_model, settings):
    """A measure with other weights is another text, so the check above is not vacuous."""
    cloud = encode_prompts(exact_model, [CAT])[0]
    reference = latents_of(exact_model, cloud[None], settings)
    heavier = np.concatenate([cloud, cloud[1:9]])
    assert relative_gap(latents_of(exact_model, heavier[None], settings), reference) > 5e-3


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7])
def test_images_do_not_depend_on_the_batch_size(tiny_model, clouds, latent, batch_size):
    weights = np.linspace(0, 1, 7, dtype=np.float32)[:, None, None]
    path = (1 - weights) * clouds[0] + weights * clouds[1]
    one_batch = RenderSettings(steps=4, guidance_scale=3.0, batch_size=16)
    reference = sample_latents(tiny_model, path, latent, one_batch).numpy()
    found = sample_latents(tiny_model, path, latent, replace(one_batch, batch_size=batch_size))
    assert relative_gap(found.numpy(), reference) < 1e-5
    steps = np.abs(np.diff(reference, axis=0)).max(axis=(1, 2, 3))
    assert steps.min() > 1e-3  # the frames differ, so that a mixed-up order would be seen


def test_ends_of_two_couplings_agree_to_rounding(tiny_model, clouds, latent, settings):
    sigma = np.random.default_rng(1).permutation(77)
    ends = render(tiny_model, clouds, latent, settings)
    coupled = render(tiny_model, np.stack([clouds[0], clouds[1][sigma]]), latent, settings)
    assert np.abs(ends.astype(int) - coupled.astype(int)).max() <= 1
    assert np.abs(ends[0].astype(int) - ends[1].astype(int)).max() > 10


def test_rendering_twice_is_deterministic_and_leaves_the_scheduler(tiny_model, clouds, latent):
    before = tiny_model.scheduler.timesteps.clone()
    settings = RenderSettings(steps=5, guidance_scale=2.0)
    first = render(tiny_model, clouds, latent, settings)
    render(tiny_model, clouds, latent, RenderSettings(steps=2, guidance_scale=1.0))
    np.testing.assert_array_equal(render(tiny_model, clouds, latent, settings), first)
    assert torch.equal(tiny_model.scheduler.timesteps, before)


def test_without_guidance_the_unconditional_half_is_skipped(tiny_model, clouds, latent):
    sizes = []
    hook = tiny_model.unet.register_forward_hook(
        lambda module, inputs, output: sizes.append(len(inputs[0]))
    )
    try:
        sample_latents(tiny_model, clouds, latent, RenderSettings(2, 1.0))
        sample_latents(tiny_model, clouds, latent, RenderSettings(2, 1.5))
    finally:
        hook.remove()
    assert sizes == [2, 2, 4, 4]


def test_the_initial_noise_has_the_schedulers_scale(tiny_model, clouds, latent, monkeypatch):
    settings = RenderSettings(steps=2, guidance_scale=1.0)
    reference = sample_latents(tiny_model, clouds, 3 * latent, settings)
    monkeypatch.setattr(
        "embedding_geometry.diffusion.generation.fresh_scheduler",
        scheduler_of_scale(tiny_model, 3.0),
    )
    torch.testing.assert_close(sample_latents(tiny_model, clouds, latent, settings), reference)


def scheduler_of_scale(model, scale):
    """Make schedulers whose initial noise has another standard deviation."""

    def make(_, settings):
        scheduler = type(model.scheduler).from_config(model.scheduler.config)
        scheduler.set_timesteps(settings.steps)
        scheduler.init_noise_sigma = scale
        return scheduler

    return make


def test_pictures_of_an_overflow_are_refused(tiny_model):
    latents = torch.full((1, *tiny_model.latent_shape), float("nan"))
    with pytest.raises(ValueError, match="NaN or infinity in float32; the weights of .* damaged"):
        decode_latents(tiny_model, latents)


def test_progress_is_shown_on_request(tiny_model, clouds, latent, capsys):
    settings = RenderSettings(steps=2, guidance_scale=1.0, batch_size=1)
    sample_latents(tiny_model, clouds, latent, settings)
    assert capsys.readouterr().err == ""
    sample_latents(tiny_model, clouds, latent, settings, progress=True)
    assert "4/4" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(1, 4, 16, 16), (1, 3, 8, 8)])
def test_a_latent_of_another_shape_is_refused(tiny_model, clouds, settings, shape):
    with pytest.raises(ValueError, match=r"latent has shape .*\(1, 4, 8, 8\) is wanted"):
        render(tiny_model, clouds, torch.zeros(shape), settings)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps is 0; use 1 or more"),
        ({"batch_size": 0}, "batch_size is 0; use 1 or more"),
        ({"guidance_scale": float("nan")}, "guidance_scale is nan; use a finite number"),
        ({"guidance_scale": -1.0}, "guidance_scale is -1.0; use a finite number from 0"),
        ({"height": 60}, "height is 60; use a multiple of 8 pixels"),
        ({"width": 0}, "width is 0; use a multiple of 8"),
        ({"width": -8}, "width is -8; use a multiple of 8"),
        ({"scheduler": "ddpm"}, "scheduler is 'ddpm'; use one of ddim, dpm, euler"),
    ],
)
def test_settings_are_checked(tiny_model, clouds, latent, wrong, message):
    with without_type_checks():
        settings = RenderSettings(**wrong)
        with pytest.raises(ValueError, match=message):
            render(tiny_model, clouds, latent, settings)
        with pytest.raises(ValueError, match=message):
            initial_latent(tiny_model, 0, settings)
