"""The whole recipe in miniature: every stage runs for a few steps and leaves a working model."""

import json
import pickle
import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from transformers import CLIPTextModel, CLIPTokenizer

from embedding_geometry.diffusion.clouds import encode_prompts
from embedding_geometry.diffusion.generation import default_settings, initial_latent, render
from embedding_geometry.diffusion.loading import load_model
from embedding_geometry.diffusion.tokens import token_labels
from embedding_geometry.ground.places import EMBEDDED
from embedding_geometry.pocket import autoencoder, causes, evaluate, latents, motion, text
from embedding_geometry.pocket.__main__ import Causes, Evaluate, Train, main
from embedding_geometry.pocket.card import write_card
from embedding_geometry.pocket.export import export
from embedding_geometry.pocket.fit import Place, Plan
from embedding_geometry.pocket.pairs import draw_pairs
from embedding_geometry.pocket.pictographs import labels
from embedding_geometry.pocket.pictographs.pictures import FONT
from embedding_geometry.pocket.pictographs.scenes import Scene
from embedding_geometry.pocket.recipes import MENAGERIE, PICTOGRAPHS, RECIPES, Recipe
from embedding_geometry.pocket.text import load_tokenizer, new_text_encoder
from embedding_geometry.pocket.train import run_stage

pytestmark = pytest.mark.skipif(
    not FONT.exists(), reason="drawing the world needs the Debian package fonts-noto-color-emoji"
)
SHORT = Plan(steps=2, batch=4, rate=1e-3, warmup=1)
PLANS = dict.fromkeys(("text", "vae", "polish", "unet", "judge"), SHORT)
MINIATURE = Recipe(pictures=200, **PLANS)
SECOND = Recipe(
    MENAGERIE, encoder="joint", pictures=200, guidance_scale=2.5, **(PLANS | {"polish": None})
)


def make(name: str, recipe: Recipe, folder: Path) -> Path:
    """A model by all stages of a recipe, evaluated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latents, "SHARD", 100)
        patch.setattr(evaluate, "PAIRS_A_GRADE", 1)
        patch.setattr(text, "CAPTIONS", 8_000)
        patch.setitem(RECIPES, name, recipe)
        main(Train(name, run=folder, device="cpu"))
        main(Evaluate(name, run=folder, target=folder / "model", prompts=8))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make("pocket", MINIATURE, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    return make("menagerie", SECOND, tmp_path_factory.mktemp("second"))


def test_the_stages_leave_a_model_that_loads_and_renders(run) -> None:
    model = load_model(str(run / "model"), device="cpu")
    clouds = encode_prompts(model, ["a cat on the beach"])
    frames = render(model, clouds, initial_latent(model, 0), default_settings(model))
    assert clouds.shape == (1, 77, 128)
    assert frames.shape == (1, 64, 64, 3)
    assert (model.default_steps, model.default_guidance_scale) == (16, 4.0)


def test_the_folder_is_a_plain_pipeline(run) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(run / "model")
    assert pipeline.scheduler.config.rescale_betas_zero_snr
    assert pipeline.safety_checker is None


def test_the_tokenizer_knows_the_words_and_spells_the_others(run) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(run / "model" / "tokenizer")
    words = tokenizer.tokenize("a small cat, on the BEACH")
    assert words == ["a</w>", "small</w>", "cat</w>", ",</w>", "on</w>", "the</w>", "beach</w>"]
    assert tokenizer.decode(tokenizer("xylophone 12").input_ids[1:-1]).startswith("xylophone")
    assert tokenizer.eos_token_id not in tokenizer("zq & 7").input_ids[1:-1]
    model = load_model(str(run / "model"), device="cpu")
    assert token_labels(model, "a cat")[:5] == ["<bos>", "a", "cat", "<eos>", "<pad>"]


def test_evaluation_is_written_beside_the_model(run) -> None:
    quality = json.loads((run / "model" / "evaluation.json").read_text())
    assert quality["prompts"] == 8
    assert 0 <= quality["objects"] <= 1
    assert (run / "model" / "samples.png").exists()


def test_the_card_states_what_was_measured(run) -> None:
    quality = json.loads((run / "model" / "evaluation.json").read_text())
    card = (run / "model" / "README.md").read_text(encoding="utf-8")
    assert f"{quality['psnr']} dB" in card
    assert f"| the place is recognised | {100 * quality['place']:.1f} % | ≥ 90 % |" in card
    assert "| autoencoder | 2 | 8 |" in card
    assert "$" not in card


def test_the_card_of_the_second_model_says_what_its_text_encoder_is_not(second) -> None:
    quality = json.loads((second / "model" / "evaluation.json").read_text())
    card = (second / "model" / "README.md").read_text(encoding="utf-8")
    assert "retrieval_top1" not in quality
    assert "not CLIP's training" in card
    assert f"row order, median | {quality['gini']} | ≤ 0.45 |" in card
    assert f"its correlations there are {quality['judge_x_correlation']}, " in card
    assert "| UNet and text encoder | 2 | 8 |" in card
    assert "$" not in card


def test_a_model_samples_at_the_scale_of_its_recipe(second) -> None:
    model = load_model(str(second / "model"), device="cpu")
    assert (model.default_steps, model.default_guidance_scale) == (16, 2.5)


def test_training_with_the_unet_changes_the_text_encoder(second) -> None:
    torch.manual_seed(0)
    first = new_text_encoder(load_tokenizer(second))
    trained = CLIPTextModel.from_pretrained(second / "text_encoder")
    assert any(
        not torch.equal(a, b)
        for a, b in zip(first.parameters(), trained.parameters(), strict=True)
    )


def test_a_recipe_can_be_sent_to_another_process() -> None:
    for recipe in RECIPES.values():
        assert pickle.loads(pickle.dumps(recipe)) == recipe


def test_the_card_lists_the_prompts_of_the_pictures_shown(run) -> None:
    """The eight pictures of the sheet are those of the eight prompts of this evaluation."""
    card = (run / "model" / "README.md").read_text(encoding="utf-8")
    _, texts = evaluate.held_out_prompts(PICTOGRAPHS, 8, np.random.default_rng(evaluate.SEED))
    for number, prompt in enumerate(texts, start=1):
        assert f"\n{number}. {prompt}\n" in card


@pytest.mark.parametrize("name", RECIPES)
def test_the_card_that_ships_is_what_the_recipe_writes(name, tmp_path) -> None:
    shipped, copy = EMBEDDED[name], tmp_path / name
    shutil.copytree(shipped, copy, ignore=shutil.ignore_patterns("README.md"))
    write_card(copy, name)
    assert (copy / "README.md").read_text() == (shipped / "README.md").read_text()


@pytest.mark.parametrize("name", RECIPES)
def test_a_model_that_ships_draws_the_first_picture_of_its_card(name) -> None:
    model, world = load_model(name, device="cpu"), RECIPES[name].world
    count = json.loads((EMBEDDED[name] / "evaluation.json").read_text())["prompts"]
    _, texts = evaluate.held_out_prompts(world, count, np.random.default_rng(evaluate.SEED))
    latent = initial_latent(model, evaluate.SEED)
    [made] = render(model, encode_prompts(model, texts[:1]), latent, default_settings(model))
    with Image.open(EMBEDDED[name] / "samples.png") as sheet:
        shown = np.asarray(sheet.resize((sheet.width // 2, sheet.height // 2)))[:64, :64]
    assert np.abs(shown.astype(float) - made).mean() < 6  # the sheet was enlarged; of 255


def test_export_names_the_stages_that_are_missing(tmp_path) -> None:
    (tmp_path / "vae").mkdir()
    with pytest.raises(FileNotFoundError, match="lacks tokenizer, text_encoder, unet"):
        export(tmp_path, tmp_path / "model", MINIATURE)


@pytest.mark.parametrize(
    ("stage", "finished", "missing"),
    [
        ("text", [], "tokenizer"),
        ("latents", ["tokenizer", "vae"], "text"),
        ("unet", ["tokenizer", "text_encoder", "vae"], "latents"),
        ("polish", ["tokenizer"], "vae"),
    ],
)
def test_a_stage_names_those_that_must_come_first(tmp_path, stage, finished, missing) -> None:
    (tmp_path / "latents").mkdir()  # a folder that is still empty does not count
    for folder in finished:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").touch()
    with pytest.raises(FileNotFoundError, match=f"--stages {missing} {stage}$"):
        run_stage(stage, Place(tmp_path), MINIATURE)


def test_a_stage_that_a_recipe_leaves_out_is_refused(tmp_path) -> None:
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "file").touch()
    with pytest.raises(ValueError, match="the recipe has no stage polish: "):
        run_stage("polish", Place(tmp_path), SECOND)


def test_a_device_that_is_not_there_is_named_before_anything_is_made(tmp_path) -> None:
    with pytest.raises(ValueError, match="device 'tpu' is not available"):
        main(Train(run=tmp_path / "run", device="tpu"))
    assert not (tmp_path / "run").exists()


def test_labels_say_what_stands_where() -> None:
    alone = labels.labels(Scene("dog", "small", "middle", "snow", "sunset"))
    two = labels.labels(Scene("dog", "small", "right", "snow", "night", second="cat"))
    assert alone == [0, 2, 0, 1, 1]
    assert two == [1, 0, 2, 1, 2]


def test_an_object_counts_as_named_wherever_it_stands() -> None:
    wanted = np.array([[0, 2, 0, 1, 1], [1, 0, 2, 1, 2], [1, 0, 2, 1, 2]], float)
    found = np.array([[2, 0, 0, 0, 0], [2, 0, 1, 0, 0], [2, 0, 2, 0, 0]], float)
    np.testing.assert_array_equal(labels.named(found, wanted), [True, True, False])


def test_reconstruction_costs_nothing_when_it_is_exact_and_more_where_there_is_detail() -> None:
    flat = torch.zeros(1, 3, 64, 64)
    dotted = flat.clone()
    dotted[..., ::4, ::4] = 1
    assert autoencoder.reconstruction_loss(dotted, dotted) == 0
    off_flat = autoencoder.reconstruction_loss(flat + 0.1, flat)
    off_dotted = autoencoder.reconstruction_loss(dotted + 0.1, dotted)
    assert off_dotted > 1.5 * off_flat


def test_the_latent_scale_is_measured_where_the_autoencoder_is() -> None:
    """Nothing is computed on the device "meta", but what lies elsewhere is refused there."""
    vae = autoencoder.new_autoencoder().to("meta")
    with pytest.raises(RuntimeError, match="item"):
        autoencoder._latent_scale(vae, torch.zeros(1, 3, 64, 64))


def test_pixels_in_place_of_latents_are_those_of_a_picture_of_half_the_size() -> None:
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    unshuffled = latents.Unshuffled()
    places = unshuffled.encode(images).latent_dist.mean
    assert places.shape == (2, 48, 8, 8)
    first = images[0, 0, :2, :2].mean()
    torch.testing.assert_close(places[0, 0, 0, 0], first)
    torch.testing.assert_close(unshuffled.decode(places).sample[0, 0, 0, 0], first)
    grey = unshuffled.decode(torch.full((1, 48, 8, 8), 0.25)).sample
    torch.testing.assert_close(grey, torch.full((1, 3, 64, 64), 0.25))


def test_each_short_training_differs_from_another_in_one_thing() -> None:
    def differing(one: Recipe, other: Recipe) -> int:
        return sum(getattr(one, f.name) != getattr(other, f.name) for f in fields(Recipe))

    recipes = list(causes.CAUSES.values())
    for recipe in recipes[1:]:
        assert min(differing(recipe, other) for other in recipes if other is not recipe) == 1


def test_pictures_are_seen_to_move_between_prompts_of_no_study() -> None:
    pairs = motion.fresh_pairs(PICTOGRAPHS, 8)
    assert len(pairs) == 6 * 8
    studied = {(pair.source, pair.target) for pair in draw_pairs(PICTOGRAPHS)}
    assert studied.isdisjoint((pair.source, pair.target) for pair in pairs)


def test_the_causes_are_trained_measured_judged_and_recorded(tmp_path, monkeypatch) -> None:
    shipped, joint = "shipped, guidance 1.0", replace(SECOND, world=PICTOGRAPHS)
    monkeypatch.setattr(causes, "CAUSES", {"joint": joint})
    monkeypatch.setattr(causes, "SHIPPED", {shipped: 1.0})
    monkeypatch.setattr(causes, "PAIRS_A_GRADE", 1)
    monkeypatch.setattr(causes, "JUDGED", 2)
    monkeypatch.setattr(causes, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(latents, "SHARD", 100)
    main(Causes(run=tmp_path / "run"))
    table = pd.read_csv(tmp_path / "results/motion.csv")
    manifest = json.loads((tmp_path / "results/motion_manifest.json").read_text())
    assert set(table["cause"]) == set(manifest["recognised"]) == {"joint", shipped}
    assert (table.groupby("cause").size() == 6).all()
    assert 0 <= manifest["recognised"][shipped]["objects"] <= 1
    assert (table["noise_floor"] < table["ppl"]).all()
