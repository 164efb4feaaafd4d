"""Every part of the laboratory's scripts computes in a browser what the package computes."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from test_browser import browser, gpu_browser, launch, serve  # noqa: F401 - fixtures

from embedding_geometry.diffusion.clouds import encode_prompts
from embedding_geometry.diffusion.generation import (
    decode_latents,
    default_settings,
    initial_latent,
    sample_latents,
)
from embedding_geometry.diffusion.loading import load_model
from embedding_geometry.diffusion.tokens import end_row, token_ids, token_labels
from embedding_geometry.ground.places import DEFAULT
from embedding_geometry.pages.laboratory import export
from embedding_geometry.perception.metric import perceptual_distances
from embedding_geometry.perception.weights import load_metric
from embedding_geometry.pocket.recipes import RECIPES
from embedding_geometry.transport.couplings import (
    coupling_cost,
    optimal_coupling,
    wasserstein_distance,
)
from embedding_geometry.transport.paths import displacement_interpolation

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "book/_static/laboratory"
sys.path.insert(0, str(ROOT / "book/_ext"))

from laboratory import RUNTIME, RUNTIMES, fetched  # noqa: E402

PAIR = ["a cat on the beach at night", "a panda in the snow at dusk"]
ODD = [
    "",
    " ",
    "A CAT on the BEACH",
    "it's the cat's, isn't it? they'll've we're I'd",
    "3 cats, 42 dogs & 1/2 a house",
    "a zebra plays the théremin",
    "e\u0301te\u0301 n\u0303 \u212b",  # composed before it is cut
    "ΣΊΣΥΦΟΣ İstanbul STRASSE ẞ",
    "кот на пляже ночью",
    "海辺の猫",
    "แมวบนชายหาด",
    "🐈 on the 🏖️, 👩‍👩‍👧",
    "a\u00a0cat\u3000on\tthe\nbeach\u2003\u0085\ufeff!",
    "wait... what?! --- (really) [[no]] {yes}",
    "<|endoftext|> a cat <|startoftext|>",
    "!!<|ENDOFTEXT|>!! <| endoftext |>",
    "''' ’s 'S ''s",
    "²³ ½ Ⅷ ٣",
    "_under_score_ a-b-c a/b\\c",
    "\ud7a3\u1100\u1161",
]


@pytest.fixture(scope="module")
def model():
    return load_model(device="cpu")


@pytest.fixture(scope="module")
def metric():
    return load_metric("alex", "cpu")


@pytest.fixture(scope="module")
def folder(model, metric, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    export(model, metric, folder)
    return folder


def page_beside(folder, browser, serve):  # noqa: F811
    """A page beside the exported files that has the scripts and the settings."""
    page = browser.new_page()
    page.goto(f"{serve(folder)}/settings.json")
    for name in ("tokens.js", "transport.js", "networks.js"):
        page.add_script_tag(content=(SCRIPTS / name).read_text())
    settings = (folder / "settings.json").read_text()
    page.add_script_tag(content=f"const settings = {settings};")
    return page


@pytest.fixture(scope="module")
def page(browser, serve, folder):  # noqa: F811
    return page_beside(folder, browser, serve)


# --- tokens -------------------------------------------------------------------------------------


def captions(count):
    rng, world = np.random.default_rng(0), RECIPES[DEFAULT].world
    return [world.caption(world.sample_scene(rng), rng) for _ in range(count)]


def test_a_thousand_captions_have_the_ids_of_the_package(page, model):
    texts = [*ODD, *captions(1000 - len(ODD))]
    encoded = page.evaluate(
        """(texts) => {
          const tokenizer = new Tokenizer(settings.tokenizer, settings.cloud[0]);
          return texts.map((text) => {
            const { ids, labels, end } = tokenizer.encode(text);
            return { ids: [...ids], labels, end };
          });
        }""",
        texts,
    )
    wrong = [
        text
        for text, each in zip(texts, encoded, strict=True)
        if each["ids"] != token_ids(model, text).tolist() or each["end"] != end_row(model, text)
    ]
    assert wrong == []
    for text, each in zip(texts[-100:], encoded[-100:], strict=True):
        expected = token_labels(model, text)
        assert each["labels"][1 : each["end"]] == expected[1 : each["end"]]


def test_a_text_that_does_not_fit_is_no_prompt(page, model):
    text = " ".join(["cat"] * 76)
    script = """(text) => {
      const tokenizer = new Tokenizer(settings.tokenizer, settings.cloud[0]);
      try { tokenizer.encode(text); } catch (error) { return [tokenizer.count(text), error.name]; }
    }"""
    assert page.evaluate(script, text) == [78, "RangeError"]
    assert page.evaluate(script, text.removesuffix(" cat")) is None


# --- transport ----------------------------------------------------------------------------------


def assigned(page, costs):
    script = "({costs, n}) => [...assignment(Float64Array.from(costs), n)]"
    return page.evaluate(script, {"costs": costs.ravel().tolist(), "n": len(costs)})


@pytest.mark.parametrize("n", [1, 2, 7, 77])
def test_a_hundred_assignments_cost_what_scipys_do(page, n):
    """Costs of many ties among them, as padding rows nearly have."""
    rng = np.random.default_rng(n)
    for trial in range(25):
        costs = rng.integers(0, 4, (n, n)) * 1.0 if trial % 2 else rng.random((n, n))
        sigma = np.array(assigned(page, costs))
        assert sorted(sigma) == list(range(n))
        rows, best = linear_sum_assignment(costs)
        assert costs[rows, sigma].sum() == pytest.approx(costs[rows, best].sum(), abs=1e-12)


def test_coupling_distance_and_path_are_those_of_the_package(page, model):
    x, y = encode_prompts(model, PAIR)
    found = page.evaluate(
        """({x, y, n, d}) => {
          [x, y] = [x, y].map((cloud) => Float32Array.from(cloud));
          const costs = costMatrix(x, y, n, d);
          const sigma = assignment(costs, n);
          const row = Int32Array.from({ length: n }, (_, k) => k);
          return { sigma: [...sigma], distance: couplingCost(costs, sigma),
            row: couplingCost(costs, row), middle: [...displaced(x, y, sigma, 0.3)] };
        }""",
        {"x": x.ravel().tolist(), "y": y.ravel().tolist(), "n": len(x), "d": x.shape[1]},
    )
    sigma = optimal_coupling(x, y)
    assert found["sigma"] == sigma.tolist()
    distance = wasserstein_distance(x, y, normalized=False)
    assert found["distance"] == pytest.approx(distance, rel=1e-9)
    assert found["row"] == pytest.approx(coupling_cost(x, y, np.arange(len(x))), rel=1e-9)
    [middle] = displacement_interpolation(x, y, sigma, [0.3]).astype(np.float32)
    np.testing.assert_array_equal(np.float32(found["middle"]), middle.ravel())


# --- networks -----------------------------------------------------------------------------------


def load(page, folder, runtime):
    """Give the page the bytes of the files, and a runtime of the laboratory."""
    if not fetched():  # a setup without a network is whole without it
        pytest.skip("ONNX Runtime Web is not fetched; run `make setup` with a network")
    page.add_script_tag(path=RUNTIME / RUNTIMES[runtime]["ort.js"])
    for name in ("ort.mjs", "ort.wasm"):
        shutil.copy(RUNTIME / RUNTIMES[runtime][name], folder / name)
    page.evaluate(
        """async (names) => {
          window.files = {};
          for (const name of names)
            files[name] = new Uint8Array(await (await fetch(name)).arrayBuffer());
        }""",
        [file.name for file in folder.iterdir()],
    )


@pytest.fixture(scope="module")
def open_networks(page, folder):
    """Open the networks in the page, in WebAssembly."""
    load(page, folder, "wasm")
    page.evaluate("async () => { window.networks = await Networks.open(files, settings); }")


def numbers(page, script, *arguments):
    return np.array(json.loads(page.evaluate(script, [*arguments])), np.float32)


@pytest.mark.usefixtures("open_networks")
def test_clouds_latents_pictures_and_distances_are_those_of_torch(page, model, metric):
    settings, seeds = default_settings(model), range(3)
    clouds = encode_prompts(model, [*PAIR, ""])
    found = numbers(
        page,
        """async ([texts]) => {
          const tokenizer = new Tokenizer(settings.tokenizer, settings.cloud[0]);
          window.clouds = [];
          for (const text of texts) clouds.push(await networks.encode(tokenizer.encode(text).ids));
          return JSON.stringify(clouds.map((cloud) => [...cloud]));
        }""",
        [*PAIR, ""],
    )
    np.testing.assert_allclose(found.reshape(clouds.shape), clouds, atol=1e-4)
    middle = clouds[:2].mean(axis=0)
    noise = [initial_latent(model, seed) for seed in seeds]
    latents = np.concatenate([sample_latents(model, middle[None], x, settings) for x in noise])
    found = numbers(
        page,
        """async ([seeds]) => {
          const middle = clouds[0].map((value, k) => (value + clouds[1][k]) / 2);
          window.latents = [];
          for (const seed of seeds) latents.push(
            await networks.denoise(networks.initialLatent(seed), middle, clouds[2]));
          return JSON.stringify(latents.map((latent) => [...latent]));
        }""",
        [*seeds],
    ).reshape(latents.shape)
    print(f"latents differ by {np.abs(found - latents).max():.2g}", end=" ")
    np.testing.assert_allclose(found, latents, atol=1e-3)
    expected = (decode_latents(model, torch.from_numpy(latents)) * 255).round()
    pictures = numbers(
        page,
        """async () => {
          window.pictures = [];
          for (const latent of latents) pictures.push(await networks.decode(latent));
          return JSON.stringify(pictures.map((picture) => [...picture]));
        }""",
    ).reshape(expected.shape)
    assert np.abs(pictures - expected).max() <= 2
    distances = numbers(page, "async () => JSON.stringify(await networks.distances(pictures))")
    measured = perceptual_distances(metric, pictures.astype(np.uint8))
    np.testing.assert_allclose(distances, measured, rtol=0.01)


# --- on a GPU -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("open_networks")
def test_a_gpu_that_fails_is_named(page):
    """The runtime of this page knows none."""
    engine = page.evaluate("async () => (await Networks.open(files, settings, true)).engine")
    assert engine.startswith("WebAssembly (WebGPU failed: ")


def test_the_faster_engine_is_taken_and_both_compute_the_same(
    gpu_browser,  # noqa: F811
    serve,  # noqa: F811
    folder,
):
    """Which one is faster is laid down here: in this browser a GPU is slow."""
    page = page_beside(folder, gpu_browser, serve)
    load(page, folder, "webgpu")
    engines, paces, drawn = page.evaluate(
        """async () => {
          const { pace } = Networks.prototype, all = [];
          for (const wanted of ["WebAssembly", "WebGPU"]) {
            Networks.prototype.pace = async function () { return +(this.engine !== wanted); };
            all.push(await Networks.open(files, settings, true));
          }
          settings.steps.splice(1);
          const draw = async (networks) => {
            const cloud = await networks.encode(new Int32Array(settings.cloud[0]));
            const latent = await networks.denoise(networks.initialLatent(0), cloud, cloud);
            return [[...latent], [...await networks.decode(latent)]];
          };
          const paces = [], drawn = [];
          for (const networks of all) {
            drawn.push(await draw(networks));
            paces.push(await pace.call(networks));
          }
          return [all.map(({ engine }) => engine), paces, drawn];
        }"""
    )
    assert engines == ["WebAssembly", "WebGPU"]
    print(f"{paces[0]:.0f} and {paces[1]:.0f} ms a step", end=" ")
    assert min(paces) > 0
    latents, pictures = zip(*drawn, strict=True)
    np.testing.assert_allclose(*latents, atol=1e-3)
    assert np.abs(np.subtract(*pictures)).max() <= 2
