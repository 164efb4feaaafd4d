"""Every layout of a folder gives the images of diffusers' own pipeline, or one refusal."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_model import edit_json, pipeline_of, set_scheduler, write_tiny_family

from embedding_geometry.diffusion.clouds import encode
from embedding_geometry.diffusion.generation import decode_latents, initial_latent, sample_latents
from embedding_geometry.diffusion.loading import load_model
from embedding_geometry.diffusion.settings import RenderSettings
from embedding_geometry.diffusion.tokens import PromptTooLongError, token_labels

CAT, SNOW = "a small cat on the beach at night", "snow"
TOY = "a <toy> on the beach"
TURBO = {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}
pytestmark = pytest.mark.filterwarnings("ignore:.* names (PNDM|Euler|DPM|Heun):UserWarning")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: write_tiny_family(tmp_path_factory.mktemp(name), name) for name in ("sd1", "xl")}


@pytest.fixture
def copy(folders, tmp_path):
    """Return a maker of copies of a family's folder that may be changed."""
    return lambda family: shutil.copytree(folders[family], tmp_path / family)


def load(folder, **options):
    return load_model(str(folder), device="cpu", **options)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers'
def gap(folder, prompt=CAT, sampler=None, model=None, **changes):
    """Largest difference of a pixel in [0, 1] between the pipeline's image and ours."""
    model = model or load(folder)
    given = {"steps": 4, "negative_prompt": SNOW} | changes
    settings = RenderSettings(**given, scheduler=sampler).resolve(model)
    latent = initial_latent(model, 3, settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        expected = pipeline_of(folder, sampler)(
            prompt,
            negative_prompt=settings.negative_prompt,
            latents=latent,
            num_inference_steps=settings.steps,
            guidance_scale=given.get("guidance_scale", settings.guidance_scale),
            output_type="np",
        ).images
    found = decode_latents(model, sample_latents(model, encode(model, [prompt]), latent, settings))
    assert expected.std() > 0.05
    return float(np.abs(found - expected).max())


def as_old(folder):
    """Stable Diffusion as its first folders were: offset, clipping and size are corrected."""
    set_scheduler(folder, steps_offset=0, clip_sample=True)
    edit_json(folder / "unet/config.json", _diffusers_version="0.6.0", sample_size=16)


def without_offset(folder):
    file = folder / "scheduler/scheduler_config.json"
    content = json.loads(file.read_text())
    del content["steps_offset"]
    file.write_text(json.dumps(content))


def as_ddim_without_its_defaults(folder):
    set_scheduler(folder, _class_name="DDIMScheduler")
    without_offset(folder)


def clipped(folder):
    set_scheduler(folder, _class_name="DDIMScheduler", clip_sample=True)


def with_mask(folder):
    edit_json(folder / "text_encoder/config.json", use_attention_mask=True)


def with_listed_widths(folder):
    edit_json(folder / "unet/config.json", cross_attention_dim=[24, 24])


def with_scaled_latents(folder):
    mean, std = [0.1, -0.2, 0.3, 0.0], [0.5, 1.5, 1.0, 0.7]
    edit_json(folder / "vae/config.json", latents_mean=mean, latents_std=std)


def for_images(folder):
    name = json.loads((folder / "model_index.json").read_text())["_class_name"]
    edit_json(folder / "model_index.json", _class_name=name.replace("Pipe", "Img2ImgPipe"))


def turbo(folder):
    set_scheduler(folder, **TURBO)


def dpm(folder):
    set_scheduler(folder, _class_name="DPMSolverMultistepScheduler", use_karras_sigmas=True)


def euler(folder):
    set_scheduler(folder, _class_name="EulerDiscreteScheduler", use_karras_sigmas=True)


def short_tokenizer(folder):
    edit_json(folder / "tokenizer/tokenizer_config.json", model_max_length=60)


def in_half_shards(folder):
    """The UNet in float16 alone, in shards."""
    pipeline = pipeline_of(folder)
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    pipeline.unet.half().save_pretrained(folder / "unet", variant="fp16", max_shard_size="100KB")
    assert len(list((folder / "unet").glob("*fp16-0*"))) > 1


def unchanged(folder):
    pass


LAYOUTS = [
    ("sd1", unchanged, "ddim"),
    ("sd1", as_old, "ddim"),
    ("sd1", without_offset, "ddim"),
    ("sd1", as_ddim_without_its_defaults, None),
    ("sd1", clipped, None),
    ("sd1", with_mask, "ddim"),
    ("sd1", with_listed_widths, "dpm"),
    ("sd1", for_images, "euler"),
    ("sd1", turbo, None),
    ("sd1", dpm, None),
    ("sd1", euler, None),
    ("sd1", short_tokenizer, "ddim"),
    ("xl", unchanged, None),
    ("xl", unchanged, "ddim"),
    ("xl", clipped, None),
    ("xl", with_scaled_latents, None),
    ("xl", for_images, None),
    ("xl", turbo, None),
    ("xl", dpm, None),
]


@pytest.mark.parametrize(("family", "change", "sampler"), LAYOUTS)
def test_a_layout_gives_the_images_of_the_pipeline(copy, family, change, sampler):
    folder = copy(family)
    change(folder)
    assert gap(folder, sampler=sampler) < 2e-4


def test_one_step_of_a_distilled_model_is_the_pipelines_own(copy):
    """Of one step alone the ancestral method draws no noise."""
    folder = copy("xl")
    set_scheduler(folder, **TURBO | {"_class_name": "EulerAncestralDiscreteScheduler"})
    assert gap(folder, steps=1) < 2e-4


@pytest.mark.parametrize("family", ["sd1", "xl"])
@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_up_to_1_there_is_no_guidance(folders, family, scale):
    """The text's own prediction, and neither none (as 0 would say) nor half of it."""
    assert gap(folders[family], sampler="ddim", guidance_scale=scale) < 2e-4


def test_without_guidance_the_prompt_is_in_the_image(folders):
    model = load(folders["sd1"])
    texts, latent = encode(model, [CAT, SNOW]), initial_latent(model, 0)
    first, second = sample_latents(model, texts, latent, RenderSettings(2, 0.0))
    assert (first - second).abs().max() > 1e-2


def test_all_that_is_no_guidance_is_one_setting(tiny_model):
    """So that cells of a study are found again, and those of an older, wrong one are not."""
    settled = {scale: RenderSettings(4, scale).resolve(tiny_model) for scale in (0.0, 0.5, 1.0)}
    assert {each.guidance_scale for each in settled.values()} == {1.0}
    assert RenderSettings(4).resolve(tiny_model).guidance_scale == 3.0


@pytest.mark.parametrize(
    ("family", "file", "entry", "value"),
    [
        ("sd1", "unet/config.json", "class_embed_type", "timestep"),
        ("sd1", "unet/config.json", "num_class_embeds", 4),
        ("sd1", "unet/config.json", "encoder_hid_dim", 12),
        ("sd1", "unet/config.json", "addition_embed_type", "text"),
        ("sd1", "unet/config.json", "time_cond_proj_dim", 8),
        ("sd1", "vae/config.json", "latents_mean", [0.1, 0.1, 0.1, 0.1]),
        ("xl", "vae/config.json", "shift_factor", 0.1),
        ("xl", "text_encoder/config.json", "use_attention_mask", True),
        ("sd1", "scheduler/scheduler_config.json", "prediction_type", "flow_prediction"),
    ],
)
def test_an_entry_that_cannot_be_honoured_is_refused(copy, family, file, entry, value):
    folder = copy(family)
    edit_json(folder / file, **{entry: value})
    part = file.split("/")[0]
    with pytest.raises(ValueError, match=rf"the {part} of .* says {entry} = .*change images"):
        load(folder)


def test_float16_files_in_shards_are_loaded(copy, folders):
    folder = copy("sd1")
    in_half_shards(folder)
    found, whole = load(folder).unet.state_dict(), load(folders["sd1"]).unet.state_dict()
    for name, weight in whole.items():
        torch.testing.assert_close(found[name], weight.half().float(), rtol=0, atol=0)


# --- words learnt by textual inversion ----------------------------------------------------------


def learn_word(folder, vectors=3):
    """Teach the folder's tokenizers and encoders a word of several vectors."""
    pipeline = pipeline_of(folder)
    for number in ("", "_2") if hasattr(pipeline, "tokenizer_2") else ("",):
        parts = {part: getattr(pipeline, part + number) for part in ("tokenizer", "text_encoder")}
        width = parts["text_encoder"].config.hidden_size
        generator = torch.Generator().manual_seed(width)
        learnt = {"<toy>": torch.randn(vectors, width, generator=generator)}
        pipeline.load_textual_inversion(learnt, **parts)
    pipeline.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ["sd1", "xl"])
def test_a_word_of_several_vectors_is_read_whole(copy, family):
    folder = learn_word(copy(family))
    model = load(folder)
    assert token_labels(model, TOY)[1:8] == [
        "a",
        "<toy>",
        "<toy>_1",
        "<toy>_2",
        "on",
        "the",
        "beach",
    ]
    assert encode(model, [TOY]).end_rows.tolist() == [8]
    assert gap(folder, TOY, "ddim", model, guidance_scale=3.0) < 2e-4
    assert gap(folder, CAT, "ddim", model, negative_prompt=TOY, guidance_scale=3.0) < 2e-4


def test_the_vectors_of_a_word_count_as_tokens(copy):
    model = load(learn_word(copy("sd1"), vectors=40))
    encode(model, ["<toy>"])
    with pytest.raises(PromptTooLongError, match="has 82 tokens"):
        encode(model, ["<toy> <toy>"])


def test_a_lora_in_the_files_is_named_with_the_way_out(copy):
    folder = copy("sd1")
    file = folder / "unet/diffusion_pytorch_model.safetensors"
    weights = load_file(file) | {"mid_block.to_k.lora_A.default.weight": torch.ones(2, 2)}
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(ValueError, match=r"holds a LoRA beside the weights.*fuse_lora\(\)"):
        load(folder)
