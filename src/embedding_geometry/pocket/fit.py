"""One training loop for all stages: deterministic batches, several processes, checkpoints, resume.

A stage is an *objective*, a module whose forward maps a batch to a scalar loss, and a function
that draws a batch from a random generator. The generator of step s on process r is seeded by
(seed, s, r): a run that was interrupted goes on with exactly the batches it would have seen.
"""

import json
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
from torch.nn.utils import parameters_to_vector, vector_to_parameters
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

    When done, `<folder>/<name>.json` says how many samples were seen and how long it took.

    Args:
        name: the stage, which names the checkpoint `<folder>/<name>.safetensors`.
        objective: maps a batch to a scalar loss.
        draw: (generator, samples) -> the batch.
        plan: steps, batch, learning rate.
        place: folder, device and process.
        minutes_between_checkpoints: how much work an interruption may cost.
    """
    training = _Training(objective.to(place.device).train(), plan, place)
    checkpoint = place.folder / f"{name}.safetensors"
    start = training.resume(checkpoint)
    saved, smooth = time.monotonic(), None
    steps, hidden = range(start, plan.steps), not place.first
    bar = tqdm(steps, name, plan.steps, initial=start, disable=hidden, mininterval=10)
    for step in bar:
        rng = np.random.default_rng([place.seed, step, place.rank])
        loss = training.advance(step, draw(rng, plan.batch // place.world))
        smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
        bar.set_postfix(loss=f"{smooth:.4f}", refresh=False)
        due = time.monotonic() - saved > 60 * minutes_between_checkpoints
        if place.first and (due or step + 1 == plan.steps):
            training.save(checkpoint, step + 1)
            saved = time.monotonic()
    if place.first:
        training.record(place.folder / f"{name}.json")
    training.keep_average()
    return objective.eval()


class _Training:
    """The state of a run: objective, optimizer, averaged weights, and when it began."""

    def __init__(self, objective: nn.Module, plan: Plan, place: Place):
        self.objective, self.plan, self.place = objective, plan, place
        self.parameters = [p for p in objective.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, betas=(0.9, 0.98), weight_decay=0.01)
        self.averaged = [p.detach().clone() for p in self.parameters]
        self.started = time.monotonic()

    def advance(self, step: int, batch: Batch) -> float:
        """One step of AdamW on the mean gradient of all processes; returns the loss."""
        self.optimizer.param_groups[0]["lr"] = self.plan.rate_at(step)
        loss = self.objective(*(t.to(self.place.device) for t in batch))
        self.optimizer.zero_grad()
        loss.backward()
        if self.place.world > 1:
            gradients = [p.grad for p in self.parameters if p.grad is not None]
            total = parameters_to_vector(gradients)
            dist.all_reduce(total)
            vector_to_parameters(total / self.place.world, gradients)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        decay = min(self.plan.average, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(self.averaged, [p.detach() for p in self.parameters], 1 - decay)
        return loss.item()

    def elapsed(self) -> float:
        """Seconds of training, those before an interruption included."""
        return time.monotonic() - self.started

    def save(self, path: Path, step: int) -> None:
        """Write all a resume needs; the old checkpoint stays until the new one is complete."""
        state = {f"model.{k}": v for k, v in self.objective.state_dict().items()}
        for i, (average, parameter) in enumerate(zip(self.averaged, self.parameters, strict=True)):
            moments = self.optimizer.state[parameter]
            state |= {
                f"average.{i}": average,
                f"first.{i}": moments["exp_avg"],
                f"second.{i}": moments["exp_avg_sq"],
            }
        state |= {"step": torch.tensor(step), "seconds": torch.tensor(self.elapsed())}
        half_written = path.with_suffix(".tmp")
        plain = {k: v.detach().cpu().contiguous().clone() for k, v in state.items()}
        save_file(plain, half_written)
        os.replace(half_written, path)

    def resume(self, path: Path) -> int:
        """Take everything from the checkpoint, if there is one; returns the next step."""
        if not path.exists():
            return 0
        state = load_file(path, device=self.place.device)
        weights = {k[6:]: v for k, v in state.items() if k.startswith("model.")}
        self.objective.load_state_dict(weights)
        self.started -= state["seconds"].item()
        for i, parameter in enumerate(self.parameters):
            self.averaged[i].copy_(state[f"average.{i}"])
            self.optimizer.state[parameter] = {
                "step": state["step"].float().cpu(),
                "exp_avg": state[f"first.{i}"],
                "exp_avg_sq": state[f"second.{i}"],
            }
        return int(state["step"])

    def record(self, path: Path) -> None:
        """Say what the stage cost."""
        facts = {
            "steps": self.plan.steps,
            "samples": self.plan.steps * self.plan.batch,
            "minutes": round(self.elapsed() / 60, 1),
            "device": "CUDA" if self.place.device.startswith("cuda") else "CPU",
        }
        path.write_text(json.dumps(facts) + "\n")

    @torch.no_grad()
    def keep_average(self) -> None:
        """Leave the averaged weights in the objective."""
        for parameter, average in zip(self.parameters, self.averaged, strict=True):
            parameter.copy_(average)
