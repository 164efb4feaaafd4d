"""Pipelines that are loaded already, and embeddings from elsewhere."""

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline
from tiny_model import pipeline_of, write_tiny_family

from embedding_geometry.diffusion.clouds import Texts, encode
from embedding_geometry.diffusion.generation import initial_latent, sample_latents
from embedding_geometry.diffusion.loading import load_model
from embedding_geometry.diffusion.samplers import SCHEDULERS
from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.diffusion.wrapping import wrap_pipeline

CAT, SNOW = "a small cat on the beach at night", "snow"
pytestmark = pytest.mark.filterwarnings("ignore:.* names PNDMScheduler:UserWarning")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: write_tiny_family(tmp_path_factory.mktemp(name), name) for name in ("sd1", "xl")}


@pytest.mark.parametrize("family", ["sd1", "xl"])
def test_a_loaded_pipeline_is_a_model(folders, family):
    folder = folders[family]
    model = load_model(str(folder), device="cpu")
    wrapped = wrap_pipeline(pipeline_of(folder))
    texts, latent = encode(wrapped, [CAT, SNOW]), initial_latent(wrapped, 3)
    np.testing.assert_array_equal(texts.clouds, encode(model, [CAT, SNOW]).clouds)
    settings = RenderSettings(3).resolve(model)
    assert RenderSettings(3).resolve(wrapped) == settings
    images = [sample_latents(each, texts, latent, settings) for each in (model, wrapped)]
    torch.testing.assert_close(images[1], images[0], atol=2e-4, rtol=0)
    assert wrapped.provenance.name == str(folder)
    assert wrapped.force_zeros_for_empty_prompt == model.force_zeros_for_empty_prompt


def test_what_is_changed_in_a_pipeline_is_seen_in_images_and_revision(folders):
    """As by a fused LoRA; the sampler is the pipeline's own, its scheduler stays as it was."""
    pipeline = pipeline_of(folders["sd1"])
    before = wrap_pipeline(pipeline)
    assert wrap_pipeline(pipeline).provenance.revision == before.provenance.revision
    texts, latent = encode(before, [CAT]), initial_latent(before, 0)
    image = sample_latents(before, texts, latent, RenderSettings(2))
    pipeline.unet.mid_block.attentions[0].transformer_blocks[0].attn2.to_k.weight.data += 0.5
    pipeline.scheduler = SCHEDULERS["euler"].from_config(pipeline.scheduler.config)
    after = wrap_pipeline(pipeline)
    assert after.provenance.revision != before.provenance.revision
    assert after.default_scheduler == "euler"
    settings = RenderSettings(2, scheduler="ddim")
    assert (sample_latents(after, texts, latent, settings) - image).abs().max() > 1e-4


def test_a_pipeline_that_cannot_be_used_is_refused(folders):
    pipeline = pipeline_of(folders["sd1"])
    with pytest.raises(ValueError, match="a DDIMPipeline cannot be used; StableDiffusionPipe"):
        wrap_pipeline(DDIMPipeline(pipeline.unet, pipeline.scheduler))
    pipeline.vae.train()
    with pytest.raises(ValueError, match="the vae of .* in training mode"):
        wrap_pipeline(pipeline)
    pipeline.vae.eval()
    attention = pipeline.unet.mid_block.attentions[0].transformer_blocks[0].attn2
    attention.to_k.lora_A = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"LoRA that is not fused: .*fuse_lora\(\)"):
        wrap_pipeline(pipeline)


def test_embeddings_from_elsewhere_are_taken(folders):
    """As compel makes them: tensors, here those of the pipeline."""
    pipeline = pipeline_of(folders["xl"])
    model = wrap_pipeline(pipeline)
    clouds, _, pooled, _ = pipeline.encode_prompt([CAT, SNOW], do_classifier_free_guidance=False)
    assert clouds.requires_grad
    texts, expected = Texts.of(clouds, pooled), encode(model, [CAT, SNOW])
    np.testing.assert_allclose(texts.clouds, expected.clouds, atol=2e-5)
    np.testing.assert_allclose(texts.pooled, expected.pooled, atol=2e-5)
    assert Texts.of(clouds.bfloat16()).clouds.dtype == np.float32


def test_tensors_are_rendered_as_arrays_are(tiny_model):
    """They were once said to hold NaN."""
    clouds, latent = encode(tiny_model, [CAT]).clouds, initial_latent(tiny_model, 0)
    backwards = np.ascontiguousarray(clouds[:, ::-1])[:, ::-1]
    images = [
        sample_latents(tiny_model, each, latent, RenderSettings(2))
        for each in (clouds, torch.from_numpy(clouds).requires_grad_(), backwards)
    ]
    assert torch.equal(images[0], images[1])
    assert torch.equal(images[0], images[2])
