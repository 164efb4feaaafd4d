"""What stands where in a picture: the classifier that judges a model."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from embedding_geometry.pocket.fit import Batch
from embedding_geometry.pocket.recipes import Recognisable, World


def draw_labelled(world: World, rng: np.random.Generator, count: int) -> Batch:
    """Pictures of a world in [-1, 1] and their labels, a column for each question."""
    scenes = [world.sample_scene(rng) for _ in range(count)]
    answers = [world.recognisable.labels(scene) for scene in scenes]
    return world.pictured(scenes, rng), torch.tensor(answers, dtype=torch.float32)


class Recognising(nn.Module):
    """Softmax classification and regression of what a picture shows, from any features."""

    def __init__(self, features: nn.Module, width: int, asked: Recognisable):
        """`width` is the number of features of a picture, flattened."""
        super().__init__()
        self.features, self.asked = features, asked
        self.heads = nn.Linear(width, sum(asked.classes) + asked.values)

    def outputs(self, images: Tensor) -> list[Tensor]:
        """One tensor of logits for every question, then the numbers."""
        out = self.heads(self.features(images).flatten(1))
        return list(out.split([*self.asked.classes, self.asked.values], dim=1))

    def forward(self, images: Tensor, target: Tensor) -> Tensor:
        """Sum of the cross-entropies of all questions and of the squared errors of the numbers."""
        *logits, values = self.outputs(images)
        answers = target[:, : len(logits)].long().T
        loss = (target[:, len(logits) :] - values).square().mean(0).sum()
        for output, answer in zip(logits, answers, strict=True):
            loss = loss + F.cross_entropy(output, answer, ignore_index=-1)
        return loss

    @torch.no_grad()
    def confidence(self, images: Tensor) -> Float[np.ndarray, " n"]:
        """The probability of the most likely answer to each question, mean over the questions.

        It lies between chance and 1, and says nothing of whether the answers are right.
        """
        parts = [
            torch.stack([o.softmax(1).amax(1) for o in logits]).mean(0)
            for *logits, _ in map(self.outputs, images.split(100))
        ]
        return torch.cat(parts).double().numpy()

    @torch.no_grad()
    def answers(self, images: Tensor) -> Float[np.ndarray, "n questions"]:
        """The most likely answer to every question, then the numbers."""
        parts = [
            torch.cat([*(o.argmax(1, keepdim=True) for o in logits), values], 1)
            for *logits, values in map(self.outputs, images.split(100))
        ]
        return torch.cat(parts).double().numpy()
