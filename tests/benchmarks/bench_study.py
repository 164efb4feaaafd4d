"""A study's cells against the loop one would write with plain diffusers and lpips, in one run.

The loop renders one frame at a time, every coupling from scratch, and calls LPIPS on each pair of
consecutive frames. Both make the same frames, to rounding, from the same token clouds, and the
same perceptual path lengths. The study's time includes encoding the texts and the couplings.
"""

import time
from dataclasses import dataclass
from statistics import median

import lpips
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from embedding_geometry import study
from embedding_geometry.clouds import encode_prompts
from embedding_geometry.generation import initial_latent
from embedding_geometry.models import POCKET_FOLDER
from embedding_geometry.perception import perceptual_distances
from embedding_geometry.prompts import PromptPair
from embedding_geometry.results import StudySettings

PAIR = PromptPair("bench", "a cat on the beach at night", "at night, on the beach: a cat", 5.0)
SETTINGS = StudySettings(POCKET_FOLDER, model="pocket", extra_couplings_first_seed=(), seeds=(0,))
ROUNDS = 3
WANTED = 3.0


@dataclass(frozen=True)
class Result:
    """Frames and path length of every coupling, and how long they took."""

    frames: list[np.ndarray]
    lengths: list[float]
    seconds: float


@pytest.fixture(scope="module")
def bench() -> study.Bench:
    return study.prepare_bench(SETTINGS)


@pytest.fixture(scope="module")
def pipeline(bench: study.Bench) -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline(
        vae=bench.model.vae,
        text_encoder=bench.model.text_encoder,
        tokenizer=bench.model.tokenizer,
        unet=bench.model.unet,
        scheduler=bench.model.scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tasks_of_pair(bench: study.Bench) -> list[study.Task]:
    return study.plan_tasks(SETTINGS, [PAIR], study.conditions_of_cells(bench))


def plain_loop(bench: study.Bench, pipeline: StableDiffusionPipeline) -> Result:
    """Frame by frame, pair by pair, coupling by coupling; the paths are given."""
    x, y = study.encode_pair(bench.model, PAIR)
    latent = initial_latent(bench.model, 0)
    negative = torch.from_numpy(encode_prompts(bench.model, [""]))
    paths = [study.cloud_path(task, x, y, bench.frames) for task in tasks_of_pair(bench)]
    started = time.perf_counter()
    every, lengths = [], []
    for path in paths:
        images = []
        for cloud in path:
            output = pipeline(
                prompt_embeds=torch.from_numpy(cloud[None]).float(),
                negative_prompt_embeds=negative,
                latents=latent,
                num_inference_steps=bench.rendering.steps,
                guidance_scale=bench.rendering.guidance_scale,
            )
            images.append(np.asarray(output.images[0]))
        tensors = [lpips.im2tensor(image) for image in images]
        with torch.no_grad():
            pairs = zip(tensors, tensors[1:], strict=False)
            distances = [bench.metric.network(a, b).item() for a, b in pairs]
        every.append(np.stack(images))
        lengths.append(float(np.mean(distances)))
    return Result(every, lengths, time.perf_counter() - started)


def study_cells(bench: study.Bench, monkeypatch: pytest.MonkeyPatch) -> Result:
    """The study's own loop, from the texts to the distances."""
    frames = []

    def keep_frames(metric, images):
        frames.append(images)
        return perceptual_distances(metric, images)

    monkeypatch.setattr(study, "perceptual_distances", keep_frames)
    started = time.perf_counter()
    cells = [cell for _, cell in study.compute_cells(bench, tasks_of_pair(bench))]
    seconds = time.perf_counter() - started
    return Result(frames, [float(np.mean(cell.distances)) for cell in cells], seconds)


def test_cells_are_three_times_as_fast_as_the_plain_loop(
    bench: study.Bench, pipeline: StableDiffusionPipeline, monkeypatch, report
) -> None:
    study_cells(bench, monkeypatch)  # the first pass through the networks is slower
    rounds = [
        (plain_loop(bench, pipeline), study_cells(bench, monkeypatch)) for _ in range(ROUNDS)
    ]
    loop, cells = rounds[0]
    for expected, frames in zip(loop.frames, cells.frames, strict=True):
        assert np.abs(expected.astype(int) - frames).max() <= 1
    np.testing.assert_allclose(cells.lengths, loop.lengths, rtol=1e-2)
    ratio = median(loop.seconds / cells.seconds for loop, cells in rounds)
    report(
        f"{len(cells.frames)} couplings x {bench.frames} frames and their PPL on "
        f"{torch.get_num_threads()} threads: frame by frame "
        f"{median(loop.seconds for loop, _ in rounds):.1f} s, study "
        f"{median(cells.seconds for _, cells in rounds):.1f} s, ratio {ratio:.1f}"
    )
    assert ratio >= WANTED
