"""All that a page needs to draw a model's pictures by itself, in a folder.

Beside the networks (see `graphs`) these are the initial latents of the first seeds, and what is no
weight, as JSON: the tokenizer's vocabulary and merges, the sampler's times and coefficients, the
random couplings of the seeds. What one seed gives in Python it therefore gives in the page.
"""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from embedding_geometry.diffusion.generation import default_settings, initial_latent
from embedding_geometry.diffusion.loading import TextToImageModel
from embedding_geometry.ground.disk import make_folder, write_whole
from embedding_geometry.pages.graphs import graphs, written
from embedding_geometry.perception.metric import PerceptualMetric
from embedding_geometry.transport.couplings import random_coupling

SEEDS = 8


def export(model: TextToImageModel, metric: PerceptualMetric, folder: Path) -> dict[str, float]:
    """Write the graphs, ``noise.bin`` and ``settings.json`` into a folder.

    ``noise.bin`` holds the initial latents of the seeds from 0 as little-endian float32.

    Returns:
        For each graph by its name the largest difference from torch on an example, as a share of
        the largest value.

    Raises:
        ValueError: a model of another kind or sampler, a metric that is no LPIPS, or a graph that
            does not agree with torch.
    """
    about = json.dumps(_settings(model, metric), ensure_ascii=False, separators=(",", ":"))
    noise = torch.cat([initial_latent(model, seed) for seed in range(SEEDS)])
    networks = graphs(model, metric)
    make_folder(folder)
    differences = {}
    for name, graph in networks.items():
        content, differences[name] = written(name, graph)
        write_whole(folder / f"{name}.onnx", content)
    write_whole(folder / "noise.bin", noise.cpu().numpy().astype("<f4").tobytes())
    write_whole(folder / "settings.json", about.encode())
    return differences


def _settings(model: TextToImageModel, metric: PerceptualMetric) -> dict[str, Any]:
    """What there is to know about model and metric beside their weights."""
    blank = np.zeros((model.n_tokens, 1))
    return {
        "model": {"name": model.provenance.name, "revision": model.provenance.revision},
        "metric": {"net": metric.net, "revision": metric.revision},
        "tokenizer": _vocabulary(model),
        "guidance": default_settings(model).guidance_scale,
        "steps": ddim_steps(model),
        "latent": model.latent_shape,
        "picture": model.image_size,
        "cloud": (model.n_tokens, model.text_width),
        "random": [random_coupling(blank, blank, seed).tolist() for seed in range(SEEDS)],
    }


def _vocabulary(model: TextToImageModel) -> dict[str, Any]:
    """The pieces in the order of their ids, the merges in that of their rank, and what frames."""
    tokenizer = model.tokenizer
    pieces = tokenizer.get_vocab()
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    return {
        "pieces": sorted(pieces, key=pieces.__getitem__),
        "merges": [" ".join(merge) for merge in state["model"]["merges"]],
        "begin": tokenizer.bos_token,
        "end": tokenizer.eos_token,
        "padding": tokenizer.pad_token,
    }


def ddim_steps(model: TextToImageModel) -> list[dict[str, float]]:
    r"""For each step its time and the two coefficients of $x' = a x + b \hat p$.

    DDIM is linear in the latent x and in the prediction :math:`\hat p`, whichever quantity the
    network predicts, so that diffusers' own step tells both.

    Raises:
        ValueError: the model has another sampler, or clips what it predicts.
    """
    if model.default_scheduler != "ddim":
        raise ValueError(
            f"the sampler of {model.provenance.name} is {model.default_scheduler}; only ddim, "
            "whose steps look at nothing before them, can be exported"
        )
    scheduler = copy.deepcopy(model.scheduler)
    if scheduler.config.clip_sample or scheduler.config.thresholding:
        raise ValueError(
            f"the sampler of {model.provenance.name} clips its latents; set clip_sample and "
            "thresholding of its scheduler to false"
        )
    scheduler.set_timesteps(default_settings(model).steps)
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    return [
        {
            "time": float(time),
            "keep": float(scheduler.step(zero, time, one).prev_sample),
            "add": float(scheduler.step(one, time, zero).prev_sample),
        }
        for time in scheduler.timesteps
    ]
