"""What stands where in a picture: the classifier behind the perceptual metric and the judge.

The perceptual backbone is SqueezeNet 1.1 (Iandola et al. 2016, arXiv:1602.07360), trained to name
what the world's pictures show; LPIPS (Zhang et al., CVPR 2018) then compares its activations.
"""

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import squeezenet1_1
from torchvision.transforms import Normalize

from embedding_geometry.pocket.fit import Batch, Place, fit
from embedding_geometry.pocket.pictographs.pictures import pictured
from embedding_geometry.pocket.pictographs.scenes import (
    OBJECTS,
    PLACES,
    POSITIONS,
    TIMES,
    Scene,
    sample_scene,
)
from embedding_geometry.pocket.recipes import Recipe


def labels(scene: Scene) -> list[int]:
    """Object in each slot (0 = none), then place, then time of day."""
    names = list(OBJECTS)
    slots = dict.fromkeys(POSITIONS, 0)
    slots[scene.position] = 1 + names.index(scene.thing)
    if scene.second:
        slots[scene.other_side] = 1 + names.index(scene.second)
    return [*slots.values(), list(PLACES).index(scene.place), list(TIMES).index(scene.time)]


CLASSES = (*(1 + len(OBJECTS),) * 3, len(PLACES), len(TIMES))


def draw_labelled(rng: np.random.Generator, count: int) -> Batch:
    """Pictures in [-1, 1] and their labels (count, 5)."""
    scenes = [sample_scene(rng) for _ in range(count)]
    return pictured(scenes, rng), torch.tensor([labels(s) for s in scenes])


class Recognising(nn.Module):
    """Softmax classification of what stands where, from any feature extractor."""

    def __init__(self, features: nn.Module, width: int):
        """`width` is the number of features of a picture, flattened."""
        super().__init__()
        self.features = features
        self.heads = nn.Linear(width, sum(CLASSES))

    def logits(self, images: Tensor) -> list[Tensor]:
        """One tensor of logits for every label."""
        return list(self.heads(self.features(images).flatten(1)).split(CLASSES, dim=1))

    def forward(self, images: Tensor, target: Tensor) -> Tensor:
        """Sum of the cross-entropies of all labels."""
        kinds = zip(self.logits(images), target.T, strict=True)
        return torch.stack([F.cross_entropy(o, t) for o, t in kinds]).sum()


def train_perceptual(place: Place, recipe: Recipe) -> None:
    """Train SqueezeNet 1.1 as a recogniser and keep its features for LPIPS."""
    torch.manual_seed(place.seed)
    backbone = squeezenet1_1(weights=None).features
    # LPIPS' own shift and scale, so that the backbone sees what it will see in use
    normalize = Normalize((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450))
    objective = Recognising(nn.Sequential(normalize, backbone), 512 * 9)
    fit("perceptual", objective, draw_labelled, recipe.perceptual, place)
    if place.first:
        target = place.folder / "perceptual"
        target.mkdir(exist_ok=True)
        save_file(backbone.state_dict(), target / "backbone.safetensors")
