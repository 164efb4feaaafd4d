"""What one writes today, in plain diffusers and lpips: the opponents of the study's cells.

Both render every coupling from scratch, from paths of token clouds that are given to them, and
measure the perceptual distance of each pair of consecutive frames.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import lpips
import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from embedding_geometry.diffusion.clouds import encode
from embedding_geometry.diffusion.generation import initial_latent
from embedding_geometry.perception.metric import perceptual_distances
from embedding_geometry.study.cells import Bench, cloud_path, compute_cells
from embedding_geometry.study.prompts import PromptPair
from embedding_geometry.study.tasks import Task

PAIR = PromptPair("bench", "a cat on the beach at night", "at night, on the beach: a cat", 5.0)


@dataclass(frozen=True)
class Result:
    """Frames and path length of every coupling, and how long they took."""

    frames: list[np.ndarray]
    lengths: list[float]
    seconds: float


class Opponent:
    """The pipeline of the diffusers library, as it loads the folder, and LPIPS of the package."""

    def __init__(self, bench: Bench, folder: Path, seed: int = 0) -> None:
        self.bench = bench
        self.pipeline = StableDiffusionPipeline.from_pretrained(
            folder,
            dtype=bench.model.dtype,
            safety_checker=None,
            requires_safety_checker=False,
        ).to(bench.model.device)
        self.pipeline.scheduler = DDIMScheduler.from_config(bench.model.scheduler.config)
        self.pipeline.set_progress_bar_config(disable=True)
        metric = bench.metric
        self.network = lpips.LPIPS(net=metric.net, pnet_rand=True, verbose=False).eval()
        self.network.load_state_dict(metric.network.state_dict())
        self.network.to(metric.device)
        ends = encode(bench.model, [PAIR.source, PAIR.target]).ends
        couplings = bench.couplings_of(seed)
        self.paths = [cloud_path(PAIR, c, ends, bench.frames) for c in couplings]
        self.latent = initial_latent(bench.model, seed, bench.rendering)
        self.negative = self._tensor(encode(bench.model, [""]).clouds)

    def frame_by_frame(self) -> Result:
        """The loop of the tutorials: one frame at a time, `lpips(a, b)` for each pair."""
        return self._run(
            lambda path: np.concatenate([self._images(cloud[None]) for cloud in path]),
            lambda images: [self._lpips(*pair) for pair in zip(images, images[1:], strict=False)],
        )

    def batch_by_batch(self) -> Result:
        """All frames of a coupling in one batch, all its pairs in one call of LPIPS."""
        return self._run(
            self._images, lambda images: self._lpips_of_batch(images[:-1], images[1:])
        )

    def _run(
        self,
        render: Callable[[np.ndarray], np.ndarray],
        measure: Callable[[np.ndarray], Iterable[float]],
    ) -> Result:
        started = time.perf_counter()
        frames = [render(path) for path in self.paths]
        lengths = [float(np.mean(list(measure(images)))) for images in frames]
        return Result(frames, lengths, time.perf_counter() - started)

    def _images(self, clouds: np.ndarray) -> np.ndarray:
        output = self.pipeline(
            prompt_embeds=self._tensor(clouds),
            negative_prompt_embeds=self.negative.repeat(len(clouds), 1, 1),
            latents=self.latent.repeat(len(clouds), 1, 1, 1),
            num_inference_steps=self.bench.rendering.steps,
            guidance_scale=self.bench.rendering.guidance_scale,
        )
        return np.stack([np.asarray(image) for image in output.images])

    @torch.no_grad()
    def _lpips(self, first: np.ndarray, second: np.ndarray) -> float:
        device = self.bench.metric.device
        pair = [lpips.im2tensor(image).to(device) for image in (first, second)]
        return self.network(*pair).item()

    @torch.no_grad()
    def _lpips_of_batch(self, first: np.ndarray, second: np.ndarray) -> list[float]:
        device = self.bench.metric.device
        batches = [
            torch.cat([lpips.im2tensor(image) for image in images]).to(device)
            for images in (first, second)
        ]
        return self.network(*batches).flatten().tolist()

    def _tensor(self, clouds: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(clouds).to(self.bench.model.device, self.bench.model.dtype)


def study_cells(bench: Bench, seed: int = 0) -> Result:
    """The study's own loop, from the texts to the distances; couplings are its work too."""
    frames = []

    def keep_frames(metric, images):
        frames.append(images)
        return perceptual_distances(metric, images)

    tasks = [Task(PAIR, seed, coupling, {}) for coupling in bench.couplings_of(seed)]
    with mock.patch("embedding_geometry.study.cells.perceptual_distances", keep_frames):
        started = time.perf_counter()
        cells = [cell for _, cell in compute_cells(bench, tasks)]
        seconds = time.perf_counter() - started
    return Result(frames, [float(np.mean(cell.distances)) for cell in cells], seconds)
