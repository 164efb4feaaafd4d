"""Which sampler a folder names, which one makes the images, and that it is said."""

import re
import shutil
import warnings

import pytest
import torch
from diffusers import PNDMScheduler
from tiny_model import set_scheduler, write_tiny_family

from embedding_geometry.diffusion.loading import load_model
from embedding_geometry.diffusion.samplers import as_ddim
from embedding_geometry.diffusion.settings import RenderSettings

TURBO = {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}


@pytest.fixture
def folder(sd1_folder, tmp_path):
    """Return a copy of a folder of Stable Diffusion 1 whose sampler may be changed."""
    return shutil.copytree(sd1_folder, tmp_path / "sd1")


@pytest.fixture(scope="module")
def sd1_folder(tmp_path_factory):
    return write_tiny_family(tmp_path_factory.mktemp("sd1"), "sd1")


def load(folder):
    return load_model(str(folder), device="cpu")


def test_a_model_distilled_to_few_steps_takes_few_and_no_guidance(folder):
    set_scheduler(folder, **TURBO)
    with pytest.warns(UserWarning, match="names Euler.*made with 4 steps without guidance$"):
        settings = RenderSettings().resolve(load(folder))
    assert (settings.steps, settings.guidance_scale, settings.scheduler) == (4, 1.0, "euler")
    set_scheduler(folder, _class_name="EulerAncestralDiscreteScheduler")
    with pytest.warns(UserWarning, match="4 steps without guidance and euler on its noise"):
        assert RenderSettings().resolve(load(folder)) == settings
    set_scheduler(folder, prediction_type="v_prediction")  # such are trained to no noise at all
    with pytest.warns(UserWarning, match="made with ddim on its noise"):
        assert load(folder).default_steps == 50


def test_dpm_solver_of_another_kind_is_replaced_and_that_is_said(folder):
    name = "DPMSolverMultistepScheduler"
    set_scheduler(folder, _class_name=name, algorithm_type="sde-dpmsolver++")
    with pytest.warns(UserWarning, match="made with dpm on its noise schedule"):
        assert load(folder).default_scheduler == "dpm"


def test_ddim_keeps_the_noise_and_the_last_step_of_the_samplers_own():
    """Stable Diffusion's last step leaves noise of standard deviation 0.029."""
    published = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    own = PNDMScheduler(**published, set_alpha_to_one=False)
    ddim = as_ddim(own)
    torch.testing.assert_close(ddim.alphas_cumprod, own.alphas_cumprod)
    assert not ddim.config.clip_sample
    assert float(1 - ddim.final_alpha_cumprod) ** 0.5 == pytest.approx(0.029, abs=5e-4)
    to_none = as_ddim(PNDMScheduler(**published, set_alpha_to_one=True))
    assert to_none.final_alpha_cumprod == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("PNDMScheduler", "names PNDMScheduler.*made with ddim on its noise schedule"),
        ("HeunDiscreteScheduler", "names HeunDiscreteScheduler.*made with ddim"),
        ("DDIMScheduler", None),
        ("EulerDiscreteScheduler", None),
        ("DPMSolverMultistepScheduler", None),
    ],
)
def test_it_is_said_once_when_another_sampler_takes_the_place_of_the_folders(folder, name, said):
    set_scheduler(folder, _class_name=name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load(folder)
    messages = [str(each.message) for each in caught if each.category is UserWarning]
    assert len(messages) == bool(said)
    assert not said or re.search(said, messages[0])


def test_a_sampler_that_draws_noise_at_each_of_few_steps_is_refused(folder):
    set_scheduler(folder, _class_name="LCMScheduler")
    with pytest.raises(ValueError, match="names LCMScheduler, which draws noise.*wrap_pipeline"):
        load(folder)
