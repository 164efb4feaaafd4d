"""A cell of the study: its couplings differ in nothing but the coupling."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedding_geometry.diffusion.clouds import encode, encode_prompts
from embedding_geometry.diffusion.generation import initial_latent, render
from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.ground.disk import digest
from embedding_geometry.perception.metric import perceptual_distances
from embedding_geometry.perception.weights import load_metric
from embedding_geometry.study import cells
from embedding_geometry.study.cells import compute_cells, conditions_of_cells, coupling_rng
from embedding_geometry.study.prompts import PromptPair
from embedding_geometry.study.results import Cell
from embedding_geometry.study.settings import StudySettings
from embedding_geometry.study.tasks import plan_tasks
from embedding_geometry.transport import ways

PAIRS = [
    PromptPair("b", "a small cat on the beach at night", "at night, on the beach: a cat", 5.0),
    PromptPair("a", "a red car in the snow", "two birds over the sea", 0.0),
]
FRAMES, STEPS, SCALE = 5, 2, 3.0


pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture
def settings(tiny_folder: Path) -> StudySettings:
    return StudySettings(
        Path("pairs.csv"),
        frames=FRAMES,
        loading=LoadSettings(str(tiny_folder), "cpu"),
        rendering=RenderSettings(STEPS, SCALE),
    )


def computed(
    settings: StudySettings, pairs: list[PromptPair] = PAIRS
) -> dict[tuple[str, int, str], Cell]:
    bench = cells.prepare_bench(settings)
    tasks = plan_tasks(settings, pairs, conditions_of_cells(bench))
    return {task.key: cell for task, cell in compute_cells(bench, tasks)}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The frames that reach the metric."""
    frames_of_cells: list[np.ndarray] = []

    def watch(metric, frames):
        frames_of_cells.append(frames)
        return perceptual_distances(metric, frames)

    monkeypatch.setattr(cells, "perceptual_distances", watch)
    return frames_of_cells


def test_all_couplings_start_from_one_latent_and_share_both_ends(
    settings: StudySettings, seen: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ends are rendered once per pair and seed, and reach the metric bit for bit the same."""
    batches: list[tuple[int, bytes]] = []

    def watch(model, texts, latent, rendering):
        batches.append((len(texts), latent.numpy().tobytes()))
        return render(model, texts, latent, rendering)

    monkeypatch.setattr(cells, "render", watch)
    computed(settings)
    couplings_of_latent = [4, 3] * len(PAIRS)
    assert [size for size, _ in batches] == [2 + n * (FRAMES - 2) for n in couplings_of_latent]
    assert [first for _, first in batches[:2]] * len(PAIRS) == [latent for _, latent in batches]
    assert batches[0][1] != batches[1][1]
    remaining = iter(seen)
    for count in couplings_of_latent:
        first, *others = [next(remaining) for _ in range(count)]
        for frames in others:
            np.testing.assert_array_equal(frames[[0, -1]], first[[0, -1]])


def test_a_way_that_stops_short_ends_with_an_image_of_its_own(
    settings: StudySettings, seen: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way that stands still has one image all along, and the others are not shifted by it."""
    still = {"still": lambda ends, times, rng: np.stack([ends.x] * len(times))}
    monkeypatch.setattr(ways, "WAYS", ways.WAYS | still)
    found = computed(
        replace(
            settings,
            couplings=("row", "still", "optimal"),
            extra_couplings_first_seed=(),
            seeds=(0,),
            rendering=replace(settings.rendering, batch_size=64),
        )
    )
    largest = {key: max(cell.distances) for key, cell in found.items()}
    for (pair, seed, coupling), cell in found.items():
        if coupling == "still":
            assert largest[pair, seed, coupling] < 1e-3 * max(largest.values())
            assert cell.wasserstein_length == 0
    row, still_frames, optimal = seen[:3]
    assert len(row) == len(still_frames) == len(optimal) == FRAMES
    np.testing.assert_array_equal(row[[0, -1]], optimal[[0, -1]])
    assert np.abs(still_frames[-1].astype(int) - row[0]).max() <= 1
    assert np.abs(row[-1].astype(int) - row[0]).max() > 1


def test_rules_beside_paths_share_the_ends_and_are_what_render_makes_of_them(
    settings: StudySettings, seen: list[np.ndarray]
) -> None:
    """No path of clouds is moved by a bit, and what has no path has no length."""
    names = ("row", *ways.RULES)
    some = replace(settings, couplings=names, extra_couplings_first_seed=(), seeds=(0,))
    found = computed(some, PAIRS[:1])
    mixed = dict(zip(names, seen, strict=True))
    lengths = {key[2]: cell.wasserstein_length for key, cell in found.items()}
    assert lengths.pop("row") > 0
    assert set(lengths.values()) == {None}
    bench = cells.prepare_bench(some)
    texts = encode(bench.model, [PAIRS[0].source, PAIRS[0].target])
    latent, times = initial_latent(bench.model, 0), np.linspace(0, 1, FRAMES)
    for name in names:
        path = ways.find_way(name)(texts.ends, times, np.random.default_rng(0))
        expected = render(bench.model, texts.along(path, times), latent, bench.rendering)
        assert np.abs(mixed[name].astype(int) - expected).max() <= 1
        np.testing.assert_array_equal(mixed[name][[0, -1]], mixed["row"][[0, -1]])
    seen.clear()
    computed(replace(some, couplings=("row",)), PAIRS[:1])
    np.testing.assert_array_equal(seen[0], mixed["row"])


def test_ends_rendered_in_any_coupling_order_are_the_same_images_to_rounding(
    tiny_model,
) -> None:
    """Rendering them once is no approximation: the UNet does not see the order of the tokens."""
    [y] = encode_prompts(tiny_model, ["two birds over the sea"])
    clouds = np.stack([y, y[coupling_rng("a").permutation(77)]])
    images = render(
        tiny_model, clouds, initial_latent(tiny_model, 0), RenderSettings(STEPS, SCALE)
    )
    assert np.abs(images[0].astype(int) - images[1]).max() <= 1


def test_steps_and_guidance_are_the_models_own_unless_given(settings: StudySettings) -> None:
    """The tiny model's folder asks for 4 steps and a guidance scale of 3."""
    own = cells.prepare_bench(replace(settings, rendering=RenderSettings())).rendering
    assert (own.steps, own.guidance_scale) == (4, 3.0)
    given = cells.prepare_bench(replace(settings, rendering=RenderSettings(1, 1.0))).rendering
    assert (given.steps, given.guidance_scale) == (1, 1.0)


def test_what_determines_a_cell_has_the_names_and_values_it_always_had(
    settings: StudySettings,
) -> None:
    """Cells of studies that were begun before are found again; hashes of files are left out."""
    conditions = conditions_of_cells(cells.prepare_bench(settings))
    assert list(conditions) == [
        *("model", "device", "dtype", "net", "net_revision", "frames", "steps", "guidance_scale"),
        *("negative_prompt", "batch_size", "scheduler", "height", "width"),
    ]
    conditions |= {"model": "", "net": "pocket", "net_revision": ""}
    [task, *_] = plan_tasks(settings, PAIRS, conditions)
    assert digest(task.identity) == "6eca1baea1040d1a0d86"


def test_a_net_beside_the_first_measures_the_same_images(
    settings: StudySettings, seen: list[np.ndarray]
) -> None:
    found = computed(replace(settings, nets_beside="vgg"))
    images, vgg = seen[0], load_metric("vgg", "cpu")
    first = next(iter(found.values()))
    assert [len(frames) for frames in seen] == [FRAMES] * 2 * len(found)
    assert first.beside == {"vgg": perceptual_distances(vgg, images).tolist()}
    assert first.identity["nets"] == {"vgg": vgg.revision}
    alone = next(iter(computed(settings).values()))
    assert (alone.distances, alone.beside) == (first.distances, {})
