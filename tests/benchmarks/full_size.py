"""A Stable Diffusion 1.5 of full size with random weights, written, loaded and rendered by hand.

    PYTHONPATH=src:tests python tests/benchmarks/full_size.py FOLDER
    PYTHONPATH=src:tests python tests/benchmarks/full_size.py FOLDER --record data/results

Writes the model (1.07 billion parameters, 4.3 GB) into FOLDER unless it is there already and loads
it as any other folder; FOLDER may be deleted afterwards. The two frames are those of one token
cloud in two orders, so the difference of their latents is rounding. Peak memory is that of loading
and rendering alone: the folder is written by another process. Prints a table with the seconds and
the peak memory after each stage; --record writes it as `benchmark_full_size.csv` with a manifest.
"""

import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import tyro
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from records import write_table
from tiny_model import PUBLISHED_NOISE, write_tiny_family, write_tokenizer
from transformers import CLIPTextConfig, CLIPTextModel

from embedding_geometry import (
    RenderSettings,
    decode_latents,
    encode_prompts,
    initial_latent,
    load_model,
    sample_latents,
)

COLUMNS = ["stage", "seconds", "cpu_seconds", "peak_gigabytes"]


@dataclass(frozen=True)
class Arguments:
    """Write a Stable Diffusion 1.5 of random weights, load it, render two frames, say the cost.

    Attributes:
        folder: Where the model is written, or was.
        steps: Denoising steps.
        device: Where to compute; the best there is if not given.
        dtype: float32, float16 or bfloat16.
        tiny: A model for unit tests instead, to try this script.
        record: Folder to write the table and its manifest to.
    """

    folder: tyro.conf.Positional[Path]
    steps: int = 2
    device: str | None = None
    dtype: str = "float32"
    tiny: bool = False
    record: Path | None = None


def write_full_size(folder: Path) -> None:
    """Write the folder with the sizes of Stable Diffusion 1.5; the tokenizer alone is small."""
    torch.manual_seed(0)
    tokenizer = write_tokenizer(folder / "tokenizer")
    text_config = CLIPTextConfig(
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        projection_dim=768,
        vocab_size=49408,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vae = AutoencoderKL(
        sample_size=512,
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
    )
    StableDiffusionPipeline(
        tokenizer=tokenizer,
        text_encoder=CLIPTextModel(text_config),
        unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=768),  # else the defaults
        vae=vae,
        scheduler=PNDMScheduler(**PUBLISHED_NOISE, skip_prk_steps=True),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder, safe_serialization=True)


def write_tiny(folder: Path) -> None:
    """Write a model of the same layout for trying this script."""
    write_tiny_family(folder, "sd1")


@contextmanager
def stage(name: str, stages: list[dict[str, object]]) -> Iterator[None]:
    """Add a stage's seconds, and the largest memory up to its end, to the table.

    The processor's seconds, of all threads together, do not count the time that others took.
    """
    started, started_cpu = time.perf_counter(), time.process_time()
    yield
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    stages.append(
        {
            "stage": name,
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - started_cpu,
            "peak_gigabytes": peak_gigabytes(),
        }
    )


def peak_gigabytes() -> float:
    """Return the largest resident size this process has had; Linux counts KiB, macOS bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def write_if_missing(arguments: Arguments) -> None:
    """Write the model in another process, whose memory is not counted here."""
    if (arguments.folder / "model_index.json").is_file():
        return
    target = write_tiny if arguments.tiny else write_full_size
    writer = multiprocessing.get_context("spawn").Process(target=target, args=(arguments.folder,))
    writer.start()
    writer.join()
    if writer.exitcode != 0:
        sys.exit(f"writing {arguments.folder} failed")


def measure(arguments: Arguments) -> tuple[pd.DataFrame, dict[str, object]]:
    """Load, encode, denoise and decode; return the stages and facts about them."""
    stages = [{"stage": "imports", "peak_gigabytes": peak_gigabytes()}]
    with stage("load", stages):
        model = load_model(str(arguments.folder), arguments.device, arguments.dtype)
    with stage("encode", stages):
        [cloud] = encode_prompts(model, ["a small cat on the beach at night"])
    clouds = np.stack([cloud, np.random.default_rng(0).permutation(cloud)])
    settings = RenderSettings(arguments.steps, 7.5)
    with stage("denoise", stages):
        latents = sample_latents(model, clouds, initial_latent(model, seed=0), settings)
    with stage("decode", stages):
        pictures = decode_latents(model, latents, batch_size=1)
    first, permuted = latents.cpu().double()
    networks = {"text_encoder": model.text_encoder, "unet": model.unet, "vae": model.vae}
    facts = {
        "parameters": {
            name: sum(weight.numel() for weight in network.parameters())
            for name, network in networks.items()
        },
        "device": model.provenance.device,
        "dtype": model.provenance.dtype,
        "frames": len(pictures),
        "pixels": pictures.shape[1],
        "steps": settings.steps,
        "guidance_scale": settings.guidance_scale,
        "relative_difference_of_orders": float((first - permuted).abs().max() / first.abs().max()),
    }
    if model.device.type == "cuda":
        facts["gigabytes_on_card"] = torch.cuda.max_memory_allocated() / 1e9
    return pd.DataFrame(stages, columns=COLUMNS), facts


def main(arguments: Arguments) -> None:
    """Write the model if need be, measure, print and record."""
    write_if_missing(arguments)
    table, facts = measure(arguments)
    print(table.to_string(index=False, float_format="{:.3g}".format))
    print(json.dumps(facts, indent=1))
    if arguments.record is not None:
        write_table(arguments.record / "benchmark_full_size.csv", table, facts)


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
