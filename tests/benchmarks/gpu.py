"""The study's cells against the loops of the tutorials, on a GPU, at the size of Stable Diffusion.

    PYTHONPATH=src:tests python tests/benchmarks/gpu.py FOLDER
    PYTHONPATH=src:tests python tests/benchmarks/gpu.py FOLDER --tiny --device cpu --dtype float32

The model has the size of Stable Diffusion 1.5 and random weights; `full_size.py` writes it into
FOLDER (4.3 GB) unless it is there. Times do not depend on the values of weights. Pictures do: here
they are noise. Prints a table of contenders with images/s, the operations that the networks need
for an image and their share of the measured peak of matrix products, and by how much the latents
differ from those of float32 without any of the shortcuts. One contender for each of --modes has
its UNet compiled; the mode `reduce-overhead` adds CUDA graphs. So far all of it was tried on the
CPU alone, with the tiny model.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
import tyro
from diffusers import UNet2DConditionModel
from full_size import write_full_size, write_tiny
from opponents import PAIR, Opponent, Result, study_cells
from torch.utils.flop_counter import FlopCounterMode

from embedding_geometry.diffusion import generation
from embedding_geometry.diffusion.clouds import encode_prompts
from embedding_geometry.diffusion.generation import decode_latents, initial_latent, sample_latents
from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.study.cells import Bench, images_of_latent, prepare_bench
from embedding_geometry.study.settings import StudySettings


@dataclass(frozen=True)
class Arguments:
    """Time a study's cells on a GPU against frame by frame and batch by batch.

    Attributes:
        folder: Where the model is, or is to be written.
        device: Where to compute.
        dtype: float16, bfloat16 or float32.
        steps: DDIM steps.
        guidance_scale: Of classifier-free guidance.
        frames: Of each of the three couplings.
        batch_sizes: Of the study's cells, one contender each.
        modes: Of torch.compile, one contender each at the last of the batch sizes.
        rounds: Of each contender but frame by frame, which runs once.
        tiny: A model for unit tests instead, to try this script.
    """

    folder: tyro.conf.Positional[Path]
    device: str = "cuda"
    dtype: str = "float16"
    steps: int = 50
    guidance_scale: float = 7.5
    frames: int = 17
    batch_sizes: tuple[int, ...] = (16, 24, 48)
    modes: tuple[str, ...] = ("default", "reduce-overhead")
    rounds: int = 3
    tiny: bool = False


def prepare(arguments: Arguments, dtype: str) -> Bench:
    settings = StudySettings(
        arguments.folder,
        extra_couplings_first_seed=(),
        frames=arguments.frames,
        loading=LoadSettings(str(arguments.folder), arguments.device, dtype),
        rendering=RenderSettings(arguments.steps, arguments.guidance_scale),
    )
    return prepare_bench(settings)


def synchronize() -> None:
    """Wait for the device; the processor has nothing to wait for."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def seconds(function: Callable[[], object]) -> float:
    synchronize()
    started = time.perf_counter()
    function()
    synchronize()
    return time.perf_counter() - started


def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations per second of the best of several large matrix products."""
    n = 8192 if device.type == "cuda" else 512
    a = torch.randn(n, n, device=device, dtype=dtype)
    return 2 * n**3 / min(seconds(lambda: a @ a) for _ in range(20))


@torch.no_grad()
def operations_per_image(bench: Bench) -> float:
    """Of the UNet under guidance, the autoencoder and the metric, as torch counts them."""
    model, metric = bench.model, bench.metric
    passes = 1 if bench.rendering.guidance_scale == 1 else 2  # with the text, and without
    latent = initial_latent(model, 0).repeat(passes, 1, 1, 1)
    texts = torch.zeros(passes, model.n_tokens, model.text_width).to(latent)
    pixels = torch.zeros(1, 3, *model.image_size, device=model.device)
    counts = []
    for network in (
        lambda: model.unet(latent, 1, texts),
        lambda: model.vae.decode(latent[:1]),
        lambda: metric.network.net(pixels),
    ):
        with FlopCounterMode(display=False) as counter:
            network()
        counts.append(counter.get_total_flops())
    unet, decoder, backbone = counts
    return bench.rendering.steps * unet + decoder + backbone


def projected_at_every_step() -> AbstractContextManager[object]:
    """Keys and values are not remembered from step to step."""
    return mock.patch.object(generation, "projected_once", return_value=nullcontext())


@contextmanager
def compiled(unet: UNet2DConditionModel, mode: str) -> Iterator[None]:
    """The UNet as torch.compile makes it.

    Keys and values are projected at every step: a CUDA graph writes over what it returned, so
    nothing can be remembered from the step before.
    """
    unet.compile(mode=mode, dynamic=False)
    try:
        with projected_at_every_step():
            yield
    finally:
        unet._compiled_call_impl = None


def latents_and_pictures(bench: Bench) -> tuple[np.ndarray, np.ndarray]:
    clouds = encode_prompts(bench.model, [PAIR.source, PAIR.target]).astype(np.float32)
    latents = sample_latents(bench.model, clouds, initial_latent(bench.model, 0), bench.rendering)
    pictures = decode_latents(bench.model, latents, batch_size=1)
    return latents.cpu().double().numpy(), pictures


def without_shortcuts(arguments: Arguments) -> tuple[np.ndarray, np.ndarray]:
    """Both prompts' latents and pictures in float32, with no shortcut in any network."""
    exact = prepare(arguments, "float32")
    for network in (exact.model.unet, exact.model.vae):
        network.to(memory_format=torch.contiguous_format)
    with projected_at_every_step():
        return latents_and_pictures(exact)


def print_differences(
    dtype: str, bench: Bench, expected: tuple[np.ndarray, np.ndarray], what: str
) -> None:
    found = latents_and_pictures(bench)
    latents, pictures = (np.abs(a - b) for a, b in zip(found, expected, strict=True))
    print(
        f"{dtype}, {what}, against eager float32: latents differ by "
        f"{latents.max():.1e} at most, {latents.mean():.1e} on average, "
        f"of {np.abs(expected[0]).max():.1f}; pictures by {255 * pictures.max():.1f} and "
        f"{255 * pictures.mean():.2f} of 255 levels"
    )


def compare(arguments: Arguments, bench: Bench) -> pd.DataFrame:
    expected = without_shortcuts(arguments)
    print_differences(arguments.dtype, bench, expected, "eager")
    opponent = Opponent(bench, arguments.folder)
    times = {
        f"study, batches of {size}": time_study(arguments, bench, size)
        for size in arguments.batch_sizes
    }
    largest = arguments.batch_sizes[-1]
    for mode in arguments.modes:
        with compiled(bench.model.unet, mode):
            times[f"study, batches of {largest}, {mode}"] = time_study(arguments, bench, largest)
            print_differences(arguments.dtype, bench, expected, f"compiled, {mode}")
    times["batch by batch"] = median_seconds(opponent.batch_by_batch, arguments.rounds)
    times["frame by frame"] = seconds(opponent.frame_by_frame)
    best = min(times.values())
    images = images_of_latent(bench, 0)
    needed = operations_per_image(bench)
    peak = matrix_peak(bench.model.device, bench.model.dtype)
    print(f"{needed:.3g} operations an image, peak {peak:.3g}/s, {images} images")
    return pd.DataFrame(
        {
            "what": name,
            "seconds": value,
            "times the best": value / best,
            "images/s": images / value,
            "share of peak": needed * images / value / peak,
        }
        for name, value in times.items()
    )


def time_study(arguments: Arguments, bench: Bench, batch_size: int) -> float:
    rendering = replace(bench.rendering, batch_size=batch_size)
    cells = replace(bench, rendering=rendering)
    return median_seconds(lambda: study_cells(cells), arguments.rounds)


def median_seconds(run: Callable[[], Result], rounds: int) -> float:
    run()  # kernels are chosen, and the UNet compiled, on the first pass
    return float(np.median([seconds(run) for _ in range(rounds)]))


def main(arguments: Arguments) -> None:
    """Write the model if need be, time the contenders, compare with float32."""
    if not (arguments.folder / "model_index.json").is_file():
        (write_tiny if arguments.tiny else write_full_size)(arguments.folder)
    bench = prepare(arguments, arguments.dtype)
    print(f"{bench.model.provenance.device}, {arguments.dtype}, {bench.model.image_size} pixels")
    print(compare(arguments, bench).to_string(index=False, float_format="{:.3g}".format))


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
