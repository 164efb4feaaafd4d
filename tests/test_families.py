"""Stable Diffusion 1, 2 and XL: each agrees with diffusers' own pipeline, and none sees order."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file
from tiny_model import write_tiny_family

import embedding_geometry
from embedding_geometry.__main__ import main
from embedding_geometry.diffusion.attention import order_sensitivity, unet_response
from embedding_geometry.diffusion.clouds import (
    Texts,
    encode,
    encode_prompts,
    interpolate,
    interpolate_pooled,
)
from embedding_geometry.diffusion.folders import ModelNotFoundError
from embedding_geometry.diffusion.generation import (
    decode_latents,
    default_settings,
    initial_latent,
    render,
    sample_latents,
)
from embedding_geometry.diffusion.loading import load_model
from embedding_geometry.diffusion.samplers import SCHEDULERS
from embedding_geometry.diffusion.schedules import fresh_scheduler
from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.diffusion.tokens import token_ids, token_labels
from embedding_geometry.perception.frames import read_frames
from embedding_geometry.perception.metric import perceptual_distances
from embedding_geometry.study import cells, run
from embedding_geometry.study.settings import StudySettings
from embedding_geometry.transport.paths import displacement_interpolation

README = Path(__file__).parents[1] / "README.md"
CAT, BIRDS = "a small cat on the beach at night", "two birds over the sea"
PAIRS = f"pair_id,source,target,similarity\n1,{CAT},{BIRDS},2\n"
FAMILIES = ("sd1", "sd2", "xl")
SIZE = {"scheduler": "dpm", "height": 48}
pytestmark = pytest.mark.filterwarnings("ignore:.* names PNDMScheduler:UserWarning")


def load(folder, **options):
    return load_model(str(folder), device="cpu", **options)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: write_tiny_family(tmp_path_factory.mktemp(name), name) for name in FAMILIES}


@pytest.fixture(scope="module")
def models(folders):
    return {name: load(folder) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def exact_models(folders):
    return {name: load(folder, dtype="float64") for name, folder in folders.items()}


@pytest.fixture(scope="module")
def pipelines(folders):
    """diffusers' own loading and sampling of the same folders."""
    classes = dict.fromkeys(FAMILIES, StableDiffusionPipeline) | {"xl": StableDiffusionXLPipeline}
    found = {name: classes[name].from_pretrained(folders[name]) for name in FAMILIES}
    for pipeline in found.values():
        pipeline.set_progress_bar_config(disable=True)
    return found


@pytest.fixture
def copy(folders, tmp_path):
    """Return a maker of copies of a family's folder that may be damaged."""
    return lambda family: shutil.copytree(folders[family], tmp_path / family)


def settings_of(scheduler="ddim", **changes):
    return RenderSettings(steps=4, guidance_scale=3.0, scheduler=scheduler, **changes)


def sample(model, texts, settings):
    return sample_latents(model, texts, initial_latent(model, 3, settings), settings)


@torch.no_grad()
def embeddings_of_pipeline(pipeline, texts):
    """The token clouds and, of SDXL, the pooled vectors."""
    return pipeline.encode_prompt(
        texts, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
    )[::2]


def with_scheduler(pipeline, folder, name):
    """The pipeline with the named sampler on the folder's noise, without clipping of latents."""
    config = DDIMScheduler.load_config(folder / "scheduler")
    pipeline.scheduler = SCHEDULERS[name].from_config({**config, "clip_sample": False})
    return pipeline


def reference_frames(pipeline, clouds, pooled, latent, settings, negative):
    """The frames of the plain pipeline, given the embeddings."""
    given = {"prompt_embeds": clouds, "negative_prompt_embeds": negative[0].expand_as(clouds)}
    if pooled is not None:
        negative_pooled = negative[1].expand_as(pooled)
        given |= {"pooled_prompt_embeds": pooled, "negative_pooled_prompt_embeds": negative_pooled}
    return pipeline(
        **given,
        latents=latent.repeat(len(clouds), 1, 1, 1),
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        height=settings.height,
        width=settings.width,
        output_type="np",
    ).images


def relative_gap(found, reference):
    return float(np.abs(found - reference).max() / np.abs(reference).max())


def edit_json(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


# --- text ---------------------------------------------------------------------------------------


def test_the_shapes_of_the_families(models):
    widths = {name: (model.text_width, model.pooled_width) for name, model in models.items()}
    assert widths == {"sd1": (24, None), "sd2": (40, None), "xl": (40, 20)}
    kinds = {name: model.scheduler.config.prediction_type for name, model in models.items()}
    assert kinds == {"sd1": "epsilon", "sd2": "v_prediction", "xl": "epsilon"}
    scales = [default_settings(model).guidance_scale for model in models.values()]
    assert scales == [7.5, 7.5, 5.0]


@pytest.mark.parametrize("family", FAMILIES)
def test_clouds_and_pooled_vectors_are_those_of_the_pipeline(models, pipelines, family):
    texts = [CAT, BIRDS, ""]
    expected = embeddings_of_pipeline(pipelines[family], texts)
    np.testing.assert_allclose(encode_prompts(models[family], texts), expected[0], atol=2e-5)
    pooled = encode(models[family], texts).pooled
    if family == "xl":
        np.testing.assert_allclose(pooled, expected[1], atol=2e-5)
    else:
        assert pooled is None


def test_openclip_pads_with_its_own_token(models):
    end = len(CAT.split()) + 2
    assert set(token_ids(models["sd2"], CAT)[end:]) == {0}
    assert set(token_ids(models["sd1"], CAT)[end:]) != {0}
    for model in models.values():
        assert token_labels(model, CAT)[-1] == "<pad>"


def test_the_padding_of_a_folder_without_tokenizer_json_is_kept(models, copy):
    """As published: two files for the words, and a map of the special tokens."""
    folder = copy("sd2")
    (folder / "tokenizer" / "tokenizer.json").unlink()
    (folder / "tokenizer" / "tokenizer_config.json").write_text('{"model_max_length": 77}')
    (folder / "tokenizer" / "special_tokens_map.json").write_text('{"pad_token": "!"}')
    ids = token_ids(load(folder), CAT)
    np.testing.assert_array_equal(ids, token_ids(models["sd2"], CAT))


def test_pooled_vectors_go_along_a_straight_line():
    pooled = np.array([[0.0, 4.0], [8.0, 0.0]])
    found = interpolate_pooled(pooled, np.array([0.0, 0.25, 1.0]))
    np.testing.assert_array_equal(found, [[0, 4], [2, 3], [8, 0]])
    assert interpolate_pooled(None, np.array([0.5])) is None


# --- frames -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers'
@pytest.mark.parametrize("size", [None, (48, 72)])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_frames_are_those_of_the_pipeline(models, folders, pipelines, family, scheduler, size):
    model, texts = models[family], [CAT, BIRDS]
    height, width = size or (None, None)
    settings = settings_of(scheduler, negative_prompt="snow", height=height, width=width)
    latent = initial_latent(model, 3, settings)
    found = encode(model, texts)
    arrays = (found.clouds, found.pooled)
    as_tensors = [None if array is None else torch.from_numpy(array) for array in arrays]
    negative = embeddings_of_pipeline(pipelines[family], "snow")
    pipeline = with_scheduler(pipelines[family], folders[family], scheduler)
    expected = reference_frames(pipeline, *as_tensors, latent, settings, negative)
    found = decode_latents(model, sample_latents(model, found, latent, settings))
    assert found.shape[1:3] == (size or (64, 64))
    np.testing.assert_allclose(found, expected, atol=5e-5)
    assert expected.std() > 0.05


def test_an_empty_negative_prompt_means_zeros_where_the_folder_says_so(
    models, folders, pipelines, copy
):
    """From the text itself; diffusers encodes the empty text if it must not be zeros."""
    folder = copy("xl")
    edit_json(folder / "model_index.json", force_zeros_for_empty_prompt=False)
    encoded, zeros = load(folder), models["xl"]
    assert encoded.provenance.revision != zeros.provenance.revision
    text = encode(zeros, [CAT])
    latent = initial_latent(zeros, 3)
    for model, negative_prompt in ((zeros, None), (encoded, "")):
        expected = with_scheduler(pipelines["xl"], folders["xl"], "ddim")(
            CAT,
            negative_prompt=negative_prompt,
            latents=latent,
            num_inference_steps=4,
            guidance_scale=3.0,
            output_type="latent",
        ).images
        found = sample_latents(model, text, latent, settings_of())
        torch.testing.assert_close(found, expected, atol=5e-5, rtol=5e-5)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_image_sees_no_order_and_no_batches(exact_models, family, scheduler):
    """DDIM steps in float64 here, the other samplers in float32."""
    model, exact = exact_models[family], 1e-12 if scheduler == "ddim" else 1e-5
    ends = encode(model, [CAT, BIRDS])
    order = np.random.default_rng(0).permutation(77)
    x, y = ends.clouds
    texts = replace(ends[[0, 0, 1]], clouds=np.stack([x, x[order], y]))
    settings = settings_of(scheduler)
    same, permuted, other = sample(model, texts, settings).numpy()
    assert relative_gap(permuted, same) < exact
    assert relative_gap(other, same) > 5e-3
    doubled = sample(model, replace(ends[:1], clouds=np.repeat(x, 2, axis=0)[None]), settings)
    assert relative_gap(doubled.numpy()[0], same) < exact
    by_two = sample(model, texts, replace(settings, batch_size=2)).numpy()
    assert relative_gap(by_two, np.stack([same, permuted, other])) < exact


def test_the_pooled_vector_and_the_size_reach_the_image(models):
    """What travels beside the cloud is read, so that the comparisons above are not vacuous."""
    model = models["xl"]
    texts = encode(model, [CAT, BIRDS])
    [cloud, _] = texts.clouds
    same_cloud = [replace(texts[[k]], clouds=cloud[None]) for k in (0, 1)]
    latents = [sample(model, each, settings_of()).numpy() for each in same_cloud]
    assert relative_gap(latents[1], latents[0]) > 5e-3
    response = unet_response(model, initial_latent(model, 0), 600, texts[:1])
    other = unet_response(model, initial_latent(model, 0), 600, texts[1:])
    assert relative_gap(other(cloud), response(cloud)) > 5e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_the_unet_reads_a_measure(exact_models, family):
    model = exact_models[family]
    texts = encode(model, [CAT, BIRDS])
    cloud, other = texts.clouds
    response = unet_response(model, initial_latent(model, 0), 600, texts[:1])
    found = order_sensitivity(response, cloud, other, np.random.default_rng(3))
    assert max(found.swap, found.cycle, found.random, found.doubling) < 1e-13
    assert found.other_text > 1e-3


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_ends_agree_across_couplings_to_rounding(models, family, scheduler):
    model = models[family]
    texts, settings = encode(model, [CAT, BIRDS]), settings_of(scheduler)
    order = np.random.default_rng(1).permutation(77)
    latent = initial_latent(model, 0)
    rows = render(model, texts, latent, settings).astype(int)
    coupled = render(model, interpolate(texts, order, np.array([0.0, 1.0])), latent, settings)
    assert np.abs(rows - coupled).max() <= 1
    assert np.abs(rows[0] - rows[1]).max() > 10


def test_all_steps_matter_and_samplers_differ(models):
    model = models["sd1"]
    clouds = encode_prompts(model, [CAT])
    found = {name: sample(model, clouds, settings_of(name)).numpy() for name in SCHEDULERS}
    assert relative_gap(found["dpm"], found["ddim"]) > 1e-2
    assert relative_gap(found["euler"], found["dpm"]) > 1e-3


# --- a study ------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.usefixtures("loaded_once")
def test_a_study_of_one_pair_runs(family, folders, tmp_path, monkeypatch):
    seen = []

    def watch(metric, frames):
        seen.append(frames)
        return perceptual_distances(metric, frames)

    monkeypatch.setattr(cells, "perceptual_distances", watch)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(PAIRS)
    settings = StudySettings(
        pairs,
        couplings=("row", "optimal"),
        extra_couplings_first_seed=(),
        seeds=(0,),
        frames=4,
        loading=LoadSettings(str(folders[family]), "cpu"),
        rendering=RenderSettings(2, **SIZE),
    )
    table = run.run_study(settings, tmp_path / "out", progress=False)
    assert list(table["coupling"]) == ["row", "optimal"]
    assert (table["ppl"] > 0).all()
    assert table["ppl"].nunique() == 2
    recorded = json.loads((tmp_path / "out/manifest.json").read_text())["settings"]
    assert (recorded["scheduler"], recorded["height"], recorded["width"]) == ("dpm", 48, 64)
    row, optimal = seen
    np.testing.assert_array_equal(row[[0, -1]], optimal[[0, -1]])
    by_hand = frames_by_hand(load(folders[family]), 4, RenderSettings(2, scale_of(family), **SIZE))
    assert np.abs(row.astype(int) - by_hand).max() <= 1


def scale_of(family):
    return 5.0 if family == "xl" else 7.5


def frames_by_hand(model, frames, settings):
    """The path in row order; the pooled vectors, where there are any, on a straight line."""
    times = np.linspace(0, 1, frames)
    texts = encode(model, [CAT, BIRDS])
    (x, y), pooled = texts.clouds, texts.pooled
    path = displacement_interpolation(x, y, np.arange(77), times)
    if pooled is not None:
        pooled = np.stack([(1 - t) * pooled[0] + t * pooled[1] for t in times])
    return render(model, Texts(path, pooled), initial_latent(model, 0, settings), settings)


def test_the_command_renders_an_xl_of_any_size(models, folders, tmp_path):
    options = "--frames 3 --steps 2 --scheduler dpm --height 48 --write frames --device cpu"
    model_and_place = ["--model", str(folders["xl"]), "--out", str(tmp_path)]
    assert main(["render", CAT, BIRDS, *model_and_place, *options.split()]) == 0
    row = read_frames(tmp_path / "row")
    by_hand = frames_by_hand(models["xl"], 3, RenderSettings(2, scale_of("xl"), **SIZE))
    assert np.abs(row.astype(int) - by_hand).max() <= 1
    ends = np.abs(row.astype(int) - read_frames(tmp_path / "optimal"))[[0, -1]]
    assert ends.max() <= 1


def test_the_readmes_lines_run_on_every_family_but_for_the_models_name(
    models, folders, capsys, alex, monkeypatch
):
    """With fewer steps, and texts of the tiny models' few words."""
    [snippet] = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    monkeypatch.setattr(embedding_geometry, "default_settings", lambda _: RenderSettings(2))
    monkeypatch.setattr(embedding_geometry, "load_metric", {"alex": alex}.get)
    for family in FAMILIES:
        exec(snippet.replace('load_model("pocket")', f"load_model({str(folders[family])!r})"), {})
        row, optimal = capsys.readouterr().out.splitlines()
        assert row.startswith("row_coupling: 0.")
        assert optimal.startswith("optimal_coupling: 0.")


# --- precision and files ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_renders_nearly_the_same_frames(models, folders, family, dtype):
    exact, model = models[family], load(folders[family], dtype=dtype)
    text = encode(exact, [CAT])
    frames = [
        render(each, text, initial_latent(each, 0), settings_of()).astype(int)
        for each in (exact, model)
    ]
    assert np.abs(frames[0] - frames[1]).mean() < 6


def test_an_autoencoder_that_overflows_in_float16_stays_in_float32(folders, copy):
    """SDXL's config says so; where it does not, or for another family, the dtype is kept."""
    assert load(folders["xl"], dtype="float16").vae.dtype == torch.float32
    assert load(folders["xl"], dtype="bfloat16").vae.dtype == torch.bfloat16
    assert load(folders["sd1"], dtype="float16").vae.dtype == torch.float16
    folder = copy("xl")
    edit_json(folder / "vae" / "config.json", force_upcast=False)
    assert load(folder, dtype="float16").vae.dtype == torch.float16


def test_weights_in_half_precision_only_are_taken(models, copy):
    folder = copy("xl")
    for whole in folder.glob("*/*.safetensors"):
        halved = {name: value.half() for name, value in load_file(whole).items()}
        save_file(halved, whole.with_suffix(".fp16.safetensors"), metadata={"format": "pt"})
        whole.unlink()
    weights, expected = load(folder).unet.state_dict(), models["xl"].unet.state_dict()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, expected[name].half().float(), rtol=0, atol=0)


def test_weights_in_shards_are_taken_and_a_missing_shard_is_named(models, copy):
    folder = copy("xl")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    models["xl"].unet.save_pretrained(folder / "unet", max_shard_size="100KB")
    shards = sorted((folder / "unet").glob("*.safetensors"))
    assert len(shards) > 1
    found = load(folder).unet.state_dict()
    for name, weight in models["xl"].unet.state_dict().items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=0)
    shards[1].unlink()
    with pytest.raises(ModelNotFoundError, match=rf"lacks its unet \(unet/{shards[1].name}\)"):
        load(folder)


# --- bad input ----------------------------------------------------------------------------------


def test_a_missing_pooled_vector_is_named_with_the_remedy(models):
    model = models["xl"]
    clouds, latent = encode_prompts(model, [CAT]), initial_latent(model, 0)
    remedy = r"encode\(model, texts\) makes both"
    with pytest.raises(ValueError, match=f"width 20 beside each cloud, not None: {remedy}"):
        render(model, clouds, latent, settings_of())
    with pytest.raises(ValueError, match=rf"not \(1, 19\): {remedy}"):
        render(model, Texts(clouds, np.zeros((1, 19), np.float32)), latent, settings_of())
    with pytest.raises(ValueError, match=remedy):
        unet_response(model, latent, 600, Texts(clouds))
    with pytest.raises(ValueError, match="one text's pooled vector .*, not 2"):
        unet_response(model, latent, 600, encode(model, [CAT, BIRDS]))


def test_a_pooled_vector_where_none_is_read_is_refused(models):
    clouds = encode_prompts(models["sd1"], [CAT])
    texts = Texts(clouds, np.zeros((1, 20), np.float32))
    with pytest.raises(ValueError, match="reads clouds alone; leave out the pooled vectors"):
        sample(models["sd1"], texts, settings_of())


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("text_encoder_2/model.safetensors", r"text_encoder_2 \(text_encoder_2/model\.safe"),
        ("tokenizer_2/tokenizer.json", r"tokenizer_2 \(tokenizer_2/tokenizer\.json, or"),
    ],
)
def test_the_second_encoders_files_are_wanted(copy, file, named):
    folder = copy("xl")
    for words in (folder / file).parent.glob("vocab.json"):
        words.unlink()
    (folder / file).unlink()
    with pytest.raises(ModelNotFoundError, match=rf"lacks its {named}.*hf auth login"):
        load(folder)


def test_a_half_written_second_encoder_is_named(copy):
    file = copy("xl") / "text_encoder_2" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"text_encoder_2/model\.safetensors is damaged"):
        load(file.parents[1])


def test_a_second_encoder_of_another_width_is_refused(copy):
    folder = copy("xl")
    edit_json(folder / "unet" / "config.json", projection_class_embeddings_input_dim=72)
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["add_embedding.linear_1.weight"] = torch.ones(64, 72)
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"pooled vector of width 24, but .* of width 20"):
        load(folder)


def test_noise_of_another_kind_is_refused(copy):
    folder = copy("xl")
    content = {"_class_name": "EDMDPMSolverMultistepScheduler", "sigma_data": 0.5}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="EDMDPMSolverMultistepScheduler without a beta_schedule"):
        load(folder)


def test_a_latent_of_another_size_than_the_settings_is_refused(models):
    model = models["sd1"]
    latent = initial_latent(model, 0, settings_of(height=48))
    assert latent.shape == (1, 4, 6, 8)
    with pytest.raises(ValueError, match=r"\(1, 4, 6, 8\); \(1, 4, 8, 8\) is wanted"):
        render(model, encode_prompts(model, [CAT]), latent, settings_of())


def test_dpm_is_of_second_order_whatever_the_folder_says(folders, copy):
    folder = copy("sd1")
    edit_json(folder / "scheduler/scheduler_config.json", solver_order=3)
    sampler = fresh_scheduler(load(folder), RenderSettings(4, 1.0, scheduler="dpm"))
    assert sampler.config.solver_order == 2


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("name", FAMILIES)
def test_as_many_steps_are_taken_as_there_are_times_for(models, name, scheduler):
    """Their samplers begin one time later than others do, dpm two, and 999 is the last learnt."""
    model = models[name]
    most = RenderSettings(998 if scheduler == "dpm" else 999, 1.0, scheduler=scheduler)
    sampler = fresh_scheduler(model, most)
    noise = torch.zeros(1, 4, 8, 8)
    first = sampler.timesteps[0]
    sampler.step(noise, first, sampler.scale_model_input(noise, first))
    with pytest.raises(ValueError, match="begins at time 100[01].*up to 999, so use fewer steps"):
        fresh_scheduler(model, replace(most, steps=most.steps + 1))


def test_a_thousand_steps_are_refused_before_a_study_writes_anything(folders, tmp_path):
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(PAIRS)
    loading = LoadSettings(str(folders["sd1"]), "cpu")
    settings = StudySettings(pairs, loading=loading, rendering=RenderSettings(1000))
    with pytest.raises(ValueError, match="steps is 1000.*use fewer steps"):
        run.run_study(settings, tmp_path / "results", progress=False)
    assert not (tmp_path / "results").exists()
