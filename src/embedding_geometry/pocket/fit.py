"""One training loop for all stages: deterministic batches, several processes, checkpoints, resume.

A stage is an *objective*, a module whose forward maps a batch to a scalar loss, and a function
that draws a batch from a random generator. The generator of step s on process r is seeded by
(seed, s, r): a run that was interrupted goes on with exactly the batches it would have seen.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

Batch = tuple[Tensor, ...]
Objective = TypeVar("Objective", bound=nn.Module)


@dataclass(frozen=True)
class Place:
    """Where a stage runs: its folder, its device, and which of how many processes this one is."""

    folder: Path
    device: str = "cpu"
    rank: int = 0
    world: int = 1
    seed: int = 0

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and shows progress."""
        return self.rank == 0


@dataclass(frozen=True)
class Plan:
    """How long and how fast: steps, samples a step (over all processes), peak learning rate."""

    steps: int
    batch: int
    rate: float
    warmup: int = 100
    hold: float = 0.4
    """Share of the steps after which the rate starts to fall, along a cosine, to zero."""
    average: float = 0.999
    """Decay of the exponential moving average of the weights; the average is what is kept."""

    def rate_at(self, step: int) -> float:
        """The learning rate of a step: linear warm-up, plateau, cosine to zero."""
        fall = max(0.0, (step / self.steps - self.hold) / (1 - self.hold))
        return (
            self.rate * min(1.0, (step + 1) / self.warmup) * 0.5 * (1 + math.cos(math.pi * fall))
        )


def fit(
    name: str,
    objective: Objective,
    draw: Callable[[np.random.Generator, int], Batch],
    plan: Plan,
    place: Place,
    minutes_between_checkpoints: float = 3,
) -> Objective:
    """Train `objective` and leave the averaged weights in it; resumes from its checkpoint.

    Args:
        name: the stage, which names the checkpoint `<folder>/<name>.safetensors`.
        objective: maps a batch to a scalar loss.
        draw: (generator, samples) -> the batch.
        plan: steps, batch, learning rate.
        place: folder, device and process.
        minutes_between_checkpoints: how much work an interruption may cost.
    """
    objective.to(place.device).train()
    parameters = [p for p in objective.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=plan.rate, betas=(0.9, 0.98), weight_decay=0.01)
    averaged = [p.detach().clone() for p in parameters]
    checkpoint = place.folder / f"{name}.safetensors"
    start = _resume(checkpoint, objective, optimizer, averaged)
    saved, smooth = time.monotonic(), None
    bar = tqdm(
        range(start, plan.steps),
        name,
        initial=start,
        total=plan.steps,
        disable=not place.first,
        mininterval=10,
    )
    for step in bar:
        rng = np.random.default_rng([place.seed, step, place.rank])
        batch = tuple(t.to(place.device) for t in draw(rng, plan.batch // place.world))
        optimizer.param_groups[0]["lr"] = plan.rate_at(step)
        loss = objective(*batch)
        optimizer.zero_grad()
        loss.backward()
        _share_gradients(parameters, place.world)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        _follow(averaged, parameters, min(plan.average, (1 + step) / (10 + step)))
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        bar.set_postfix(loss=f"{smooth:.4f}", refresh=False)
        last = step + 1 == plan.steps
        if place.first and (last or time.monotonic() - saved > 60 * minutes_between_checkpoints):
            _save(checkpoint, objective, optimizer, averaged, step + 1)
            saved = time.monotonic()
    with torch.no_grad():
        for parameter, average in zip(parameters, averaged, strict=True):
            parameter.copy_(average)
    return objective.eval()


def _share_gradients(parameters: list[nn.Parameter], world: int) -> None:
    if world == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= world
    for g, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        g.copy_(mean.view_as(g))


@torch.no_grad()
def _follow(averaged: list[Tensor], parameters: list[nn.Parameter], decay: float) -> None:
    torch._foreach_lerp_(averaged, [p.detach() for p in parameters], 1 - decay)


def _save(
    path: Path,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: list[Tensor],
    step: int,
) -> None:
    """Write everything a resume needs; the old checkpoint stays until the new one is complete."""
    state = {f"model.{k}": v for k, v in objective.state_dict().items()}
    for i, (average, moments) in enumerate(zip(averaged, optimizer.state.values(), strict=True)):
        state |= {
            f"average.{i}": average,
            f"first.{i}": moments["exp_avg"],
            f"second.{i}": moments["exp_avg_sq"],
        }
    state["step"] = torch.tensor(step)
    half_written = path.with_suffix(".tmp")
    save_file({k: v.detach().cpu().contiguous().clone() for k, v in state.items()}, half_written)
    os.replace(half_written, path)


def _resume(
    path: Path, objective: nn.Module, optimizer: torch.optim.Optimizer, averaged: list[Tensor]
) -> int:
    if not path.exists():
        return 0
    state = load_file(path)
    objective.load_state_dict({k[6:]: v for k, v in state.items() if k.startswith("model.")})
    step = state["step"]
    for i, parameter in enumerate(optimizer.param_groups[0]["params"]):
        averaged[i].copy_(state[f"average.{i}"])
        optimizer.state[parameter] = {
            "step": step.float(),
            "exp_avg": state[f"first.{i}"].to(parameter.device),
            "exp_avg_sq": state[f"second.{i}"].to(parameter.device),
        }
    return int(step)
