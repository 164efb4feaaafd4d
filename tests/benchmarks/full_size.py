"""A Stable Diffusion 1.5 of full size with random weights, written, loaded and rendered by hand.

    PYTHONPATH=src:tests python tests/benchmarks/full_size.py FOLDER

Writes the model (1.07 billion parameters, 4.3 GB) into FOLDER unless it is there already and loads
it as any other folder; FOLDER may be deleted afterwards. The two frames are those of one token
cloud in two orders, so the printed difference of their latents is rounding. Peak memory is that
of loading and rendering alone: the folder is written by another process.
"""

import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
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


@dataclass(frozen=True)
class Arguments:
    """Write a Stable Diffusion 1.5 of random weights, load it, render two frames, say the cost.

    Attributes:
        folder: Where the model is written, or was.
        steps: Denoising steps.
        device: Where to compute; the best there is if not given.
        dtype: float32, float16 or bfloat16.
        tiny: A model for unit tests instead, to try this script.
    """

    folder: tyro.conf.Positional[Path]
    steps: int = 2
    device: str | None = None
    dtype: str = "float32"
    tiny: bool = False


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
def timed(what: str) -> Iterator[None]:
    """Print how long something took."""
    started = time.perf_counter()
    yield
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    print(f"{what:<10} {time.perf_counter() - started:8.1f} s", flush=True)


def peak_gigabytes() -> float:
    """Return the largest resident size this process has had; Linux counts KiB, macOS bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def main(arguments: Arguments) -> None:
    """Write, load, render, and print what it cost."""
    if not (arguments.folder / "model_index.json").is_file():
        with timed("write"):
            target = write_tiny if arguments.tiny else write_full_size
            writer = multiprocessing.get_context("spawn").Process(
                target=target, args=(arguments.folder,)
            )
            writer.start()
            writer.join()
        if writer.exitcode != 0:
            sys.exit(f"writing {arguments.folder} failed")
    print(f"{'imports':<10} {peak_gigabytes():8.2f} GB peak memory")
    with timed("load"):
        model = load_model(str(arguments.folder), arguments.device, arguments.dtype)
    networks = (model.text_encoder, model.unet, model.vae)
    counts = [sum(weight.numel() for weight in network.parameters()) for network in networks]
    print("parameters " + ", ".join(f"{count:,}" for count in counts) + f": {sum(counts):,}")
    with timed("encode"):
        cloud = encode_prompts(model, ["a small cat on the beach at night"])[0]
    clouds = np.stack([cloud, np.random.default_rng(0).permutation(cloud)])
    latent = initial_latent(model, seed=0)
    with timed("denoise"):
        latents = sample_latents(model, clouds, latent, RenderSettings(arguments.steps, 7.5))
    with timed("decode"):
        pictures = decode_latents(model, latents, batch_size=1)
    first, permuted = latents.double().cpu()
    difference = float((first - permuted).abs().max() / first.abs().max())
    print(f"two orders of one cloud differ by {difference:.1e} of the largest latent")
    print(
        f"{len(pictures)} frames {pictures.shape[1]}x{pictures.shape[2]}, {arguments.steps} steps"
    )
    print(f"{'peak':<10} {peak_gigabytes():8.2f} GB on {model.provenance.device}")
    if model.device.type == "cuda":
        print(f"{'on card':<10} {torch.cuda.max_memory_allocated() / 1e9:8.2f} GB")


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
