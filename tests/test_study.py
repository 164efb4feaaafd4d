"""Stopped anywhere a study goes on to the same table; couplings are compared like with like."""

import json
import multiprocessing
import os
import shutil
import time
import weakref
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from strategies import without_type_checks
from tqdm import tqdm

from embedding_geometry.diffusion import loading
from embedding_geometry.diffusion.clouds import encode_prompts
from embedding_geometry.diffusion.generation import initial_latent, render
from embedding_geometry.diffusion.loading import load_model
from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.diffusion.tokens import PromptTooLongError
from embedding_geometry.ground.disk import ResultsFolderError
from embedding_geometry.perception.metric import perceptual_distances
from embedding_geometry.study import cells, run
from embedding_geometry.study import worker as workers
from embedding_geometry.study.cells import coupling_rng
from embedding_geometry.study.planning import WHOLE, Shard
from embedding_geometry.study.prompts import read_prompt_pairs
from embedding_geometry.study.recorded import publish_results
from embedding_geometry.study.results import DamagedCellWarning
from embedding_geometry.study.run import StudySettings, open_study, run_study
from embedding_geometry.study.settings import StudySettingsError
from embedding_geometry.study.tasks import Task, plan_tasks, unfinished
from embedding_geometry.study.worker import StudyWorker
from embedding_geometry.transport.couplings import coupling_cost, optimal_coupling, random_coupling
from embedding_geometry.transport.paths import displacement_interpolation, wasserstein_length

PAIRS = """\
pair_id,source,target,similarity,stratum
b,a small cat on the beach at night,"at night, on the beach: a little cat",5,free
a,a red car in the snow,two birds over the sea,0,free
same,the green tree,the green tree,5,rigid
"""
COLUMNS = [
    *("pair_id", "similarity", "stratum", "coupling", "seed", "frames", "ppl", "total"),
    *("scaled_mean", "root_sum", "gini", "maximum_step", "wasserstein_length", "w2"),
]
FRAMES, STEPS, SCALE = 5, 2, 3.0
PATIENCE = 1800.0  # seconds: a busy machine is no bug
CELLS = 3 * (4 + 3)  # three pairs; four couplings on the first latent, three on the second


@pytest.fixture(scope="module")
def settings(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> StudySettings:
    pairs = tmp_path_factory.mktemp("pairs") / "pairs.csv"
    pairs.write_text(PAIRS, encoding="utf-8")
    return StudySettings(
        pairs,
        frames=FRAMES,
        loading=LoadSettings(str(tiny_folder), "cpu"),
        rendering=RenderSettings(STEPS, SCALE),
    )


pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture(scope="module")
def finished(settings: StudySettings, tmp_path_factory) -> Path:
    """A study that ran to its end undisturbed; read only."""
    folder = tmp_path_factory.mktemp("finished")
    run_study(settings, folder, progress=False)
    return folder


@pytest.fixture
def half_done(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study that lacks every second cell, and the tables."""
    folder = tmp_path / "half"
    shutil.copytree(finished, folder)
    for path in sorted((folder / "cells").iterdir())[::2]:
        path.unlink()
    for name in ("study.csv", "steps.parquet", "manifest.json"):
        (folder / name).unlink()
    return folder


def tables(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("study.csv", "steps.parquet")]


def cell_times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cells").glob("*.json")}


def read_table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "study.csv")


def test_a_pair_whose_images_are_all_the_same_is_reported_unless_its_prompts_are(
    settings: StudySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "perceptual_distances", lambda _, frames: np.zeros(len(frames) - 1))
    with pytest.warns(UserWarning, match=r"0 in every cell of 2 pairs of different .*\(b, a\)"):
        run_study(settings, tmp_path, progress=False)


# --- the tables ---------------------------------------------------------------------------------


def test_one_row_per_cell_in_the_order_of_pairs_seeds_and_couplings(finished: Path) -> None:
    table = read_table(finished)
    assert list(table.columns) == COLUMNS
    couplings = {0: ["row", "optimal", "random", "worst"], 1: ["row", "optimal", "random"]}
    expected = [(p, s, c) for p in ("b", "a", "same") for s in (0, 1) for c in couplings[s]]
    assert list(table[["pair_id", "seed", "coupling"]].itertuples(index=False)) == expected
    assert set(table["frames"]) == {FRAMES}
    assert dict(zip(table["pair_id"], table["similarity"], strict=True)) == {
        "b": 5.0,
        "a": 0.0,
        "same": 5.0,
    }
    assert set(table["stratum"]) == {"free", "rigid"}
    assert not table.isna().any().any()


def test_the_steps_are_those_that_the_table_sums_up(finished: Path) -> None:
    steps = pd.read_parquet(finished / "steps.parquet")
    assert list(steps.columns) == ["pair_id", "coupling", "seed", "step", "distance"]
    assert len(steps) == CELLS * (FRAMES - 1)
    table = read_table(finished).set_index(["pair_id", "coupling", "seed"])
    by_cell = steps.groupby(["pair_id", "coupling", "seed"])["distance"]
    np.testing.assert_allclose(by_cell.mean().loc[table.index], table["ppl"], rtol=1e-12)
    np.testing.assert_allclose(by_cell.max().loc[table.index], table["maximum_step"], rtol=0)
    assert sorted(steps["step"].unique()) == list(range(FRAMES - 1))


def test_a_cell_is_what_the_pipeline_gives_when_called_by_hand(
    finished: Path, tiny_model, alex
) -> None:
    """The same numbers from the package's parts: the ends and all ways between in one batch."""
    x, y = encode_prompts(tiny_model, ["a red car in the snow", "two birds over the sea"])
    random = random_coupling(x, y, coupling_rng("a"))
    paths = [
        displacement_interpolation(x, y, sigma, np.linspace(0, 1, FRAMES))
        for sigma in (np.arange(77), optimal_coupling(x, y), random)
    ]
    clouds = np.concatenate([[x, y], *(path[1:-1] for path in paths)])
    images = render(
        tiny_model, clouds, initial_latent(tiny_model, 1), RenderSettings(STEPS, SCALE)
    )
    frames = np.concatenate([images[:1], images[2 - FRAMES :], images[1:2]])
    distances = perceptual_distances(alex, frames)
    row = read_table(finished).query("pair_id == 'a' and seed == 1 and coupling == 'random'")
    assert row["ppl"].item() == pytest.approx(distances.mean(), rel=1e-9)
    assert row["wasserstein_length"].item() == pytest.approx(wasserstein_length(paths[-1]))
    assert row["w2"].item() == pytest.approx(coupling_cost(x, y, optimal_coupling(x, y)))


def test_lengths_of_the_couplings_are_in_their_order(finished: Path) -> None:
    table = read_table(finished).query("seed == 0 and pair_id != 'same'")
    length = table.pivot_table(index="pair_id", columns="coupling", values="wasserstein_length")
    w2 = table.groupby("pair_id")["w2"].first()
    np.testing.assert_allclose(length["optimal"], w2, rtol=1e-6)
    assert (length["optimal"] < length["row"]).all()
    assert (length["row"] < length["random"]).all()
    assert (length["random"] < length["worst"]).all()


def test_identical_prompts_are_at_distance_zero_without_a_gap_in_the_table(
    finished: Path,
) -> None:
    same = read_table(finished).query("pair_id == 'same'").set_index("coupling")
    assert set(same["w2"]) == {0.0}
    still = same.loc[["row", "optimal"]]
    assert (still["ppl"] < 1e-5).all()
    assert (same.loc[["random", "worst"], "ppl"] > 1e-4).all()


def test_the_random_coupling_belongs_to_the_pair(finished: Path) -> None:
    """One is drawn per pair: another pair's is another, both latents of a pair share it."""
    table = read_table(finished).query("coupling == 'random'")
    lengths = table.groupby("pair_id")["wasserstein_length"]
    assert (lengths.nunique() == 1).all()
    drawn = [coupling_rng(name).permutation(77).tolist() for name in ("a", "b", "a")]
    assert drawn[0] == drawn[2] != drawn[1]


def test_the_manifest_says_how_the_tables_came_about(finished: Path, tiny_model) -> None:
    text = (finished / "manifest.json").read_text()
    manifest = json.loads(text)
    assert manifest["model"]["revision"] == tiny_model.provenance.revision
    assert manifest["cells"] == CELLS
    assert manifest["pairs"] == {"file": "pairs.csv", "count": 3}
    assert manifest["settings"]["seeds"] == [0, 1]
    assert manifest["settings"]["steps"] == STEPS
    assert manifest["started"] < manifest["ended"]
    assert manifest["seconds"] > 0
    [environment] = manifest["environments"]
    assert environment["versions"]["torch"]
    assert environment["cores"] > 0
    assert environment["package"] == version("embedding-geometry")
    assert environment["commit"] is None or len(environment["commit"].split()[0]) == 40


# --- stopped and resumed ------------------------------------------------------------------------


def test_a_half_done_study_goes_on_to_the_same_tables(
    settings: StudySettings, finished: Path, half_done: Path
) -> None:
    before = cell_times(half_done)
    assert 0 < len(before) < CELLS
    table = run_study(settings, half_done, progress=False)
    assert tables(half_done) == tables(finished)
    pd.testing.assert_frame_equal(table, read_table(finished), rtol=1e-14, check_dtype=False)
    assert before.items() <= cell_times(half_done).items()


def test_a_finished_study_computes_nothing_again(
    settings: StudySettings, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "again"
    shutil.copytree(finished, folder)
    monkeypatch.setattr(cells, "render", None)
    run_study(settings, folder, progress=False)
    assert tables(folder) == tables(finished)
    assert (folder / "manifest.json").read_bytes() == (finished / "manifest.json").read_bytes()


def test_a_damaged_cell_is_reported_and_computed_again(
    settings: StudySettings, finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(finished, folder)
    victim = min((folder / "cells").iterdir())
    victim.write_bytes(victim.read_bytes()[:-20])
    with pytest.warns(DamagedCellWarning, match=victim.name):
        run_study(settings, folder, progress=False)
    assert tables(folder) == tables(finished)


def test_a_corrected_similarity_reaches_the_table_without_new_images(
    settings: StudySettings, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "corrected"
    shutil.copytree(finished, folder)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(PAIRS.replace("sea,0,free", "sea,1.5,free"))
    monkeypatch.setattr(cells, "render", None)
    table = run_study(replace(settings, pairs=pairs), folder, progress=False)
    assert table.query("pair_id == 'a'")["similarity"].unique() == [1.5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 4}, "frames is 5 there and 4 now"),
        ({"rendering": {"steps": 1}}, "steps is 2 there and 1 now"),
        ({"seeds": (0,)}, r"seeds is \[0, 1\] there and \[0\] now"),
        ({"couplings": ("row", "optimal")}, "couplings is .*'random'.* there"),
        ({"loading": {"dtype": "float64"}}, "dtype is 'float32' there and 'float64' now"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused(
    settings: StudySettings, finished: Path, change: dict, message: str
) -> None:
    before = tables(finished)
    inside = {
        name: replace(getattr(settings, name), **value)
        for name, value in change.items()
        if isinstance(value, dict)
    }
    with pytest.raises(StudySettingsError, match=message):
        run_study(replace(settings, **change | inside), finished, progress=False)
    assert tables(finished) == before


def test_other_texts_in_the_same_folder_are_refused(
    settings: StudySettings, finished: Path, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(PAIRS.replace("the snow", "the sand"))
    with pytest.raises(StudySettingsError, match="its prompt pairs have other"):
        run_study(replace(settings, pairs=pairs), finished, progress=False)


def test_a_disk_that_fills_up_is_one_error_and_the_study_goes_on_later(
    settings: StudySettings, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, written = tmp_path / "full", []

    def fill_up(source, target):
        if len(written) == 8:
            raise OSError(28, "No space left on device")
        written.append(target)
        rename(source, target)

    rename = os.replace
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fill_up)
        with pytest.raises(ResultsFolderError, match="No space left on device. What was finished"):
            run_study(settings, folder, progress=False)
    before = cell_times(folder)
    assert len(before) == 7  # the first file that was written is settings.json
    assert not list(folder.rglob("*.tmp"))
    run_study(settings, folder, progress=False)
    assert tables(folder) == tables(finished)
    assert before.items() <= cell_times(folder).items()


def test_an_interruption_leaves_finished_cells_and_nothing_else(
    settings: StudySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def interrupt_later(metric, frames):
        calls.append(frames)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return perceptual_distances(metric, frames)

    monkeypatch.setattr(cells, "perceptual_distances", interrupt_later)
    with pytest.raises(KeyboardInterrupt):
        run_study(settings, tmp_path / "results", progress=False)
    names = sorted(path.name for path in (tmp_path / "results").rglob("*") if path.is_file())
    assert len(names) == 3
    assert names[-1] == "settings.json"


# --- planned ------------------------------------------------------------------------------------


def all_files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_plan_counts_the_images_that_a_run_then_renders_and_writes_nothing(
    settings: StudySettings, half_done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = []

    def load_and_watch(*arguments):
        model = load_model(*arguments)
        model.vae.decoder.register_forward_hook(lambda *call: images.append(len(call[-1])))
        return model

    monkeypatch.setattr(loading, "load_model", load_and_watch)
    before = all_files(half_done)
    with open_study(settings, half_done) as opened:
        plan = opened.plan()
        assert all_files(half_done) == before
        assert (plan.cells, plan.finished) == (CELLS, len(cell_times(half_done)))
        assert 0 < plan.finished < CELLS
        assert plan.passes == plan.pending * FRAMES
        assert plan.seconds is not None
        assert plan.seconds > 0
        images.clear()
        opened.compute(progress=False)
    assert sum(images) == plan.images


def test_the_plan_of_a_finished_study_costs_no_image(
    settings: StudySettings, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "compute_cells", None)
    with open_study(settings, finished) as opened:
        plan = opened.plan()
    assert (plan.pending, plan.images, plan.seconds) == (0, 0, None)


def test_a_folder_with_other_settings_is_refused_before_the_plan(
    settings: StudySettings, finished: Path
) -> None:
    opening = open_study(replace(settings, frames=4), finished)
    with pytest.raises(StudySettingsError, match="frames is 5 there and 4 now"):
        opening.__enter__()


@pytest.mark.parametrize("steps", [1, 2, 3, 50])
def test_the_estimated_time_is_that_of_a_run_whose_time_is_a_line_in_the_steps(
    settings: StudySettings, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    clock, warm = [0.0], []

    def take_time(bench, tasks):
        clock[0] += len(tasks) / 2 + 0.25 * bench.rendering.steps + (0 if warm else 60.0)
        warm.append(True)
        return iter([(task, None) for task in tasks])

    worker = StudyWorker(replace(settings, rendering=RenderSettings(steps, SCALE)))
    first, *others = tasks_of(settings, worker)
    tasks = [first, *(task for task in others if task.seed == first.seed)]
    assert len(tasks) == 4
    monkeypatch.setattr(workers, "compute_cells", take_time)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    images = 2 + 4 * (FRAMES - 2)  # all couplings of the first latent, whatever is asked for
    assert worker.seconds_per_image(tasks) == pytest.approx((2 + 0.25 * steps) / images)
    assert worker.seconds_per_image(tasks[:1]) == pytest.approx((0.5 + 0.25 * steps) / images)


def test_the_plan_times_all_that_is_missing_of_one_latent(
    settings: StudySettings, half_done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metric of every coupling is timed, not that of the first alone."""
    timed: list[Task] = []
    measure = StudyWorker.seconds_per_image
    monkeypatch.setattr(
        StudyWorker, "seconds_per_image", lambda self, t: timed.extend(t) or measure(self, t)
    )
    with open_study(settings, half_done) as opened:
        opened.plan()
        pending = [t for p in opened.pairs for t in unfinished(half_done, opened._tasks(p))]
    [latent, *_] = [(task.pair.pair_id, task.seed) for task in pending]
    assert timed == [task for task in pending if (task.pair.pair_id, task.seed) == latent]


def test_workers_without_work_do_not_make_the_plan_shorter(
    settings: StudySettings, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "almost"
    shutil.copytree(finished, folder)
    next((folder / "cells").iterdir()).unlink()
    monkeypatch.setattr(StudyWorker, "seconds_per_image", lambda self, tasks: 2.0)
    with open_study(settings, folder) as opened:
        monkeypatch.setattr(opened.engine, "workers", 8)
        plan = opened.plan()
    assert plan.pending == 1
    assert plan.seconds == 2.0 * plan.images


def test_a_run_that_gets_faster_is_not_estimated_to_end_before_it_began(
    settings: StudySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def take_time(bench, tasks):
        clock[0] += 9.0 - bench.rendering.steps
        return iter([(task, None) for task in tasks])

    worker = StudyWorker(replace(settings, rendering=RenderSettings(50, SCALE)))
    monkeypatch.setattr(workers, "compute_cells", take_time)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    assert worker.seconds_per_image(tasks_of(settings, worker)[:1]) == 4.0 / 14


def test_finished_cells_are_not_taken_for_speed(
    settings: StudySettings, half_done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = []
    monkeypatch.setattr(run, "tqdm", lambda **options: bars.append(tqdm(**options)) or bars[0])
    there = len(cell_times(half_done))
    run_study(settings, half_done)
    assert (bars[0].n, bars[0].initial) == (CELLS, there)


def tasks_of(settings: StudySettings, worker: StudyWorker) -> list[Task]:
    [pair, *_] = read_prompt_pairs(settings.pairs)
    return plan_tasks(settings, [pair], worker.facts().conditions)


# --- shared -------------------------------------------------------------------------------------


def test_whichever_shard_comes_last_writes_the_tables(
    settings: StudySettings, finished: Path, tmp_path: Path
) -> None:
    """Two shards of three pairs: the second has one pair, the first has two."""
    early = run_study(settings, tmp_path, progress=False, shard=Shard(2, 2))
    assert list(early["pair_id"].unique()) == ["a"]
    assert {path.name for path in tmp_path.iterdir()} == {"cells", "settings.json"}
    before = cell_times(tmp_path)
    late = run_study(settings, tmp_path, progress=False, shard=Shard(1, 2))
    assert before.items() <= cell_times(tmp_path).items()
    assert tables(tmp_path) == tables(finished)
    pd.testing.assert_frame_equal(late, read_table(finished), rtol=1e-14, check_dtype=False)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"shard": "one"}, "shard 'one' is not of the form i/n"),
        ({"engine": "Ray"}, "engine is 'Ray'; use local or ray"),
    ],
)
def test_a_shard_or_an_engine_that_is_none_is_refused_before_anything_is_written(
    settings: StudySettings, tmp_path: Path, where: dict[str, str], message: str
) -> None:
    with without_type_checks(), pytest.raises(ValueError, match=message):
        run_study(settings, tmp_path / "none", **where)
    assert not list(tmp_path.iterdir())


def test_a_shard_without_a_pair_computes_nothing(settings: StudySettings, tmp_path: Path) -> None:
    assert run_study(settings, tmp_path, progress=False, shard="4/4").empty
    assert cell_times(tmp_path) == {}


def test_cells_that_another_process_finishes_in_the_meantime_are_not_computed(
    settings: StudySettings, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save_while_others_work(folder, cell):
        save(folder, cell)
        while others:
            shutil.copy2(others.pop(), folder / "cells")

    save, cells = workers.save_cell, (finished / "cells").iterdir()
    others = [path for path in cells if '"pair_id": "b"' not in path.read_text()]
    assert len(others) == CELLS - 7
    monkeypatch.setattr(workers, "save_cell", save_while_others_work)
    run_study(settings, tmp_path, progress=False)
    same = cell_times(tmp_path).items() & cell_times(finished).items()
    assert len(same) == CELLS - 7
    assert tables(tmp_path) == tables(finished)


def test_another_study_begun_in_the_folder_in_the_meantime_keeps_its_tables(
    settings: StudySettings, tmp_path: Path
) -> None:
    with open_study(settings, tmp_path) as opened:
        opened.compute(progress=False)
        text = (tmp_path / "settings.json").read_text()
        (tmp_path / "settings.json").write_text(text.replace('"frames": 5', '"frames": 6'))
        with pytest.raises(StudySettingsError, match="frames is 6 there and 5 now"):
            opened.collect()
    assert not (tmp_path / "study.csv").exists()
    assert len(cell_times(tmp_path)) == CELLS


def test_a_worker_that_sees_another_folder_says_so(
    settings: StudySettings, tmp_path: Path
) -> None:
    worker = StudyWorker(settings)
    with pytest.raises(ResultsFolderError, match=f"no study was begun in {tmp_path} as "):
        list(worker.compute(tmp_path, tasks_of(settings, worker)))


# --- memory -------------------------------------------------------------------------------------


def test_no_frames_and_no_clouds_of_earlier_pairs_are_kept(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is flat in the number of pairs: when a pair's are made, those before are let go."""
    alive = {"render_paths": [], "encode": []}

    def watch(name: str) -> None:
        function, made = getattr(cells, name), []

        def watched(*args, **kwargs):
            result = function(*args, **kwargs)
            alive[name].append(sum(array() is not None for array in made))
            arrays = result.values() if isinstance(result, dict) else [result.clouds]
            made.extend(map(weakref.ref, arrays))
            return result

        monkeypatch.setattr(cells, name, watched)

    watch("render_paths")
    watch("encode")
    lines = [f"{k},a small cat number {k},two birds over the sea,2" for k in range(8)]
    table = tmp_path / "pairs.csv"
    table.write_text("\n".join(["pair_id,source,target,similarity", *lines]))
    on_cpu = LoadSettings(str(tiny_folder), "cpu")
    settings = StudySettings(table, frames=3, loading=on_cpu, rendering=RenderSettings(1))
    run_study(settings, tmp_path / "out", progress=False)
    assert [len(calls) for calls in alive.values()] == [8 * 2, 8]
    assert max(alive["render_paths"]) <= len(settings.couplings_of(0))  # of the latent before
    assert max(alive["encode"]) <= 1


# --- out of memory ------------------------------------------------------------------------------


@pytest.fixture
def limit_memory(monkeypatch: pytest.MonkeyPatch):
    """Let the UNet run out of memory, or fail as `fail` does, above so many images at once."""
    attempts = []

    def limit(images: int, fail) -> list[int]:
        def check(module, arguments, options):
            sample = arguments[0] if arguments else options["sample"]
            if len(sample) > 2 * images:  # with and without the text
                attempts.append(len(sample) // 2)
                fail()

        def load_limited(*arguments):
            model = load_model(*arguments)
            model.unet.register_forward_pre_hook(check, with_kwargs=True)
            return model

        monkeypatch.setattr(loading, "load_model", load_limited)
        return attempts

    return limit


def run_out_on_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def run_out_on_the_cpu() -> None:
    torch.empty(1 << 55)


@pytest.mark.parametrize("run_out", [run_out_on_a_gpu, run_out_on_the_cpu])
def test_when_memory_runs_out_the_batch_is_halved_until_it_fits_and_stays_so(
    settings: StudySettings, finished: Path, tmp_path: Path, limit_memory, run_out
) -> None:
    """Asked for 16, in which the 14 images of the first latent are one batch."""
    attempts = limit_memory(2, run_out)
    table = run_study(settings, tmp_path, progress=False)
    assert attempts == [14, 8, 4]
    assert cell_times(tmp_path).keys() == cell_times(finished).keys()
    expected = read_table(finished)
    np.testing.assert_allclose(table["ppl"], expected["ppl"], rtol=0.01, atol=1e-5)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["settings"]["batch_size"] == 16
    assert [used["batch_size"] for used in manifest["environments"]] == [2]


def test_where_not_even_one_image_fits_there_is_one_error(
    settings: StudySettings, tmp_path: Path, limit_memory
) -> None:
    limit_memory(0, run_out_on_a_gpu)
    with pytest.raises(StudySettingsError, match="one image at a time of .* choose a smaller"):
        run_study(settings, tmp_path, progress=False)


def test_an_error_that_is_no_lack_of_memory_stays_what_it_is(
    settings: StudySettings, tmp_path: Path, limit_memory
) -> None:
    def fail() -> None:
        raise RuntimeError("the size of tensor a must match the size of tensor b")

    attempts = limit_memory(2, fail)
    with pytest.raises(RuntimeError, match="the size of tensor a must match"):
        run_study(settings, tmp_path, progress=False)
    assert len(attempts) == 1


# --- killed -------------------------------------------------------------------------------------


def run_in_child(settings: StudySettings, folder: Path, shard: Shard) -> None:
    """Run the study in a process of its own, on one thread."""
    torch.set_num_threads(1)
    run_study(settings, folder, progress=False, shard=shard)


@pytest.fixture(scope="module")
def start_study(settings: StudySettings):
    """Start the study as a process; they are forked from one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["embedding_geometry.study.run"])

    def start(folder: Path, shard: Shard = WHOLE) -> multiprocessing.Process:
        process = context.Process(target=run_in_child, args=(settings, folder, shard))
        process.start()
        return process

    return start


@pytest.fixture(scope="module")
def undisturbed(start_study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that ran to its end in a process of its own."""
    folder = tmp_path_factory.mktemp("undisturbed")
    process = start_study(folder)
    process.join(PATIENCE)
    assert process.exitcode == 0
    return folder


def test_several_processes_on_one_folder_leave_one_cell_of_each_and_one_table(
    start_study, undisturbed: Path, tmp_path: Path
) -> None:
    """Two shards, and beside them a process that was given the whole study."""
    processes = [start_study(tmp_path, shard) for shard in (Shard(1, 2), Shard(2, 2), WHOLE)]
    for process in processes:
        process.join(PATIENCE)
        assert process.exitcode == 0
    assert len(cell_times(tmp_path)) == CELLS
    assert tables(tmp_path) == tables(undisturbed)
    assert not list(tmp_path.rglob(".*.tmp"))


def wait_for_cells(process: multiprocessing.Process, folder: Path, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(list(folder.glob("cells/*.json"))) < count and time.monotonic() < deadline:
        assert process.is_alive(), f"the study ended by itself with {process.exitcode}"
        time.sleep(0.001)


def test_killed_at_any_moment_it_loses_and_repeats_no_finished_cell(
    start_study, undisturbed: Path, tmp_path: Path
) -> None:
    folder, times = tmp_path / "killed", {}
    for count, delay in [(1, 0.0), (3, 0.004), (4, 0.001), (9, 0.008), (13, 0.0), (18, 0.002)]:
        process = start_study(folder)
        wait_for_cells(process, folder, count)
        time.sleep(delay)
        process.kill()
        process.join()
        assert process.exitcode == -9
        assert times.items() <= cell_times(folder).items()
        times = cell_times(folder)
    last = start_study(folder)
    last.join(PATIENCE)
    assert last.exitcode == 0
    assert times.items() <= cell_times(folder).items()
    assert len(cell_times(folder)) == CELLS
    assert tables(folder) == tables(undisturbed)


# --- bad input ----------------------------------------------------------------------------------


def test_a_prompt_that_is_too_long_is_found_before_anything_is_computed(
    settings: StudySettings, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(PAIRS + f"long,a cat,{'cat ' * 80},3,free\n")
    with pytest.raises(PromptTooLongError, match="cat cat"):
        run_study(replace(settings, pairs=pairs), tmp_path / "results", progress=False)
    assert not (tmp_path / "results").exists()


def test_publishing_copies_the_tables_under_the_models_name(
    settings: StudySettings, finished: Path, tmp_path: Path
) -> None:
    copies = publish_results(finished, tmp_path / "data/results/tiny")
    assert [path.name for path in copies] == [
        "tiny_study.csv",
        "tiny_steps.parquet",
        "tiny_pairs.csv",
        "tiny_manifest.json",
    ]
    assert read_prompt_pairs(copies[2]) == read_prompt_pairs(settings.pairs)
    assert [path.read_bytes() for path in copies[:2]] == tables(finished)


def test_a_users_tables_of_pairs_are_left_alone(
    settings: StudySettings, finished: Path, tmp_path: Path
) -> None:
    """Also where they stand in the results folder, or in the place of a published copy."""
    shutil.copytree(finished, tmp_path / "out")
    header, *lines = PAIRS.splitlines()
    notes = "\n".join([f"{header},note", *(f"{line},mine" for line in lines)])
    own, published = tmp_path / "out/pairs.csv", tmp_path / "tiny_pairs.csv"
    own.write_text(notes, encoding="utf-8")
    run_study(replace(settings, pairs=own), tmp_path / "out", progress=False)
    assert own.read_text(encoding="utf-8") == notes
    shutil.copy(own, published)
    publish_results(tmp_path / "out", tmp_path / "tiny")
    assert published.read_text(encoding="utf-8") == notes
    published.write_text(PAIRS.replace("snow", "rain"), encoding="utf-8")
    publish_results(tmp_path / "out", tmp_path / "tiny")
    assert read_prompt_pairs(published) == read_prompt_pairs(own)


def test_an_unfinished_study_is_not_published(
    finished: Path, half_done: Path, tmp_path: Path
) -> None:
    shutil.copy(finished / "study.csv", half_done)
    with pytest.raises(FileNotFoundError, match="steps.parquet is missing; run the study there"):
        publish_results(half_done, tmp_path / "tiny")
    assert not list(tmp_path.glob("tiny*"))
