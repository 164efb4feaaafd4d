r"""From frames to perceptual distances, and from distances to the perceptual path length (PPL).

LPIPS (Zhang et al., CVPR 2018) compares two images by the features of a convolutional network:
at each layer the features are scaled to unit length at every pixel, the squared differences are
weighted per channel, summed over channels and averaged over pixels,

$$d(x, y) = \sum_l \frac{1}{h_l w_l} \sum_{i,j}
  \lVert w_l \odot (\hat f^l_{ij}(x) - \hat f^l_{ij}(y)) \rVert^2 .$$

It is a *squared* distance. Where a smooth path is cut into n - 1 steps each distance shrinks
like $1/(n-1)^2$, so a mean of them says nothing without n. ``PathLength`` therefore carries,
beside the mean that the poster calls PPL, two quantities that do not depend on n. The PPL of
StyleGAN (Karras et al., CVPR 2019: $d / \epsilon^2$ at $\epsilon = 10^{-4}$, with VGG) shares the
name only.

The networks come from the `lpips` package, version 0.1 of the metric. ``pocket`` is its SqueezeNet
with the weights that ship with this project, every channel weighted alike (Zhang's baseline).
"""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal

import lpips
import numpy as np
import torch
from jaxtyping import Float, UInt8
from natsort import natsorted
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import AlexNet_Weights, SqueezeNet1_1_Weights, VGG16_Weights

from embedding_geometry.models import POCKET_FOLDER, find_device, library_versions
from embedding_geometry.types import Frames

POCKET_METRIC_FOLDER = POCKET_FOLDER / "perceptual"
IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
SMALLEST_SIDE = 32  # smaller images vanish in the poolings
BATCH = 16

BACKBONES = {
    "alex": AlexNet_Weights.IMAGENET1K_V1,
    "vgg": VGG16_Weights.IMAGENET1K_V1,
    "squeeze": SqueezeNet1_1_Weights.IMAGENET1K_V1,
}
NetName = Literal["pocket", "alex", "vgg", "squeeze"]


class MetricNotFoundError(FileNotFoundError):
    """The weights of a perceptual metric are not where they were looked for."""


@dataclass(frozen=True)
class PerceptualMetric:
    """LPIPS with its weights, and what has to be said about it.

    ``revision`` is 12 hex digits of the SHA-256 of all its weights.
    """

    network: lpips.LPIPS
    net: str
    revision: str
    device: str
    versions: dict[str, str]


@dataclass(frozen=True)
class PathLength:
    r"""How long a path of n frames is to the eye, and how evenly it is walked.

    Attributes:
        frames: n.
        mean: the poster's PPL, the mean distance of consecutive frames; compare at equal n only.
        total: the sum of the distances.
        scaled_mean: $(n-1)^2$ times the mean, StyleGAN's convention on the grid of frames.
        root_sum: $\sum \sqrt{d}$, a length; like ``scaled_mean`` it does not shrink with n.
        gini: Gini coefficient of the steps, 0 for even steps, towards 1 for a single jump.
        maximum_step: the largest distance.
    """

    frames: int
    mean: float
    total: float
    scaled_mean: float
    root_sum: float
    gini: float
    maximum_step: float


def load_metric(
    net: NetName = "pocket", device: str | None = None, folder: str | Path = POCKET_METRIC_FOLDER
) -> PerceptualMetric:
    """Load a perceptual metric.

    Args:
        net: ``"pocket"``, or a network of LPIPS v0.1, whose ImageNet weights torchvision keeps
            in its cache (``TORCH_HOME``) and downloads where they are missing.
        device: a torch device; by default the first of CUDA, MPS and CPU that is there.
        folder: where ``backbone.safetensors`` of the pocket's metric is; other nets ignore it.

    Raises:
        MetricNotFoundError: the weights are neither there nor to be downloaded.
        ValueError: an unknown net or device, or damaged weights.
    """
    where = find_device(device)
    if net == "pocket":
        network = _pocket_network(Path(folder) / "backbone.safetensors")
    elif net in BACKBONES:
        network = _published_network(net)
    else:
        raise ValueError(f"metric {net!r} is not one of pocket, alex, vgg, squeeze")
    return PerceptualMetric(
        network=network.to(where).eval().requires_grad_(False),
        net=net,
        revision=_weights_hash(network),
        device=str(where),
        versions=library_versions("lpips", "torchvision"),
    )


@torch.no_grad()
def perceptual_distances(metric: PerceptualMetric, frames: Frames) -> Float[np.ndarray, " t-1"]:
    """Return the LPIPS distance of each frame to the next.

    The features of a frame serve both of its distances and are computed once.

    Raises:
        ValueError: not bytes of shape (t, h, w, 3), fewer than two frames, frames too small.
    """
    _check_frames(frames)
    distances: list[Tensor] = []
    last: list[Tensor] | None = None  # the features of the batch's last frame, for the next one
    for start in range(0, len(frames), BATCH):
        features = _features(metric, frames[start : start + BATCH])
        if last is not None:
            pairs = zip(last, features, strict=True)
            features = [torch.cat(pair) for pair in pairs]
        distances.append(_consecutive_distances(metric.network, features))
        last = [layer[-1:] for layer in features]
    return torch.cat(distances).double().cpu().numpy()


def perceptual_path_length(distances: Float[np.ndarray, " steps"]) -> PathLength:
    """Summarise the consecutive distances of a path; a path that stands still has length 0.

    Raises:
        ValueError: no distance, or one that is negative or not finite.
    """
    steps = np.asarray(distances, dtype=np.float64)
    if steps.size == 0 or not np.isfinite(steps).all() or steps.min() < 0:
        raise ValueError(f"at least one distance, finite and >= 0, is wanted, not {distances}")
    return PathLength(
        frames=steps.size + 1,
        mean=float(steps.mean()),
        total=float(steps.sum()),
        scaled_mean=float(steps.size**2 * steps.mean()),
        root_sum=float(np.sqrt(steps).sum()),
        gini=_gini(steps),
        maximum_step=float(steps.max()),
    )


def read_frames(folder: str | Path) -> Frames:
    """Read the images of a folder as frames, in natural order (2 before 10).

    Raises:
        FileNotFoundError: no such folder.
        ValueError: fewer than two images, images of different sizes, a file that is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder.absolute()} is not a folder of images")
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
    if len(files) < 2:
        raise ValueError(
            f"{folder} holds {len(files)} images ({', '.join(sorted(IMAGE_SUFFIXES))}); "
            "a path has at least two"
        )
    files = natsorted(files, key=lambda file: file.name)
    images = [_read_image(file) for file in files]
    for file, image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            raise ValueError(
                f"images of one path have one size, but {files[0].name} has {_size(images[0])} "
                f"and {file.name} has {_size(image)} pixels in {folder}"
            )
    return np.stack(images)


def _check_frames(frames: np.ndarray) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise ValueError(
            f"frames are {frames.dtype} of shape {frames.shape}; uint8 of shape "
            "(frames, height, width, 3) is wanted"
        )
    if len(frames) < 2:
        raise ValueError(f"a path has at least two frames, not {len(frames)}")
    if min(frames.shape[1:3]) < SMALLEST_SIDE:
        raise ValueError(
            f"frames of {_size(frames[0])} pixels are too small for the metric's poolings; "
            f"{SMALLEST_SIDE}x{SMALLEST_SIDE} is the least"
        )


def _features(metric: PerceptualMetric, frames: np.ndarray) -> list[Tensor]:
    """Return each layer's features (t, c, h, w) of a batch, of unit length at every pixel."""
    # the one place where bytes become the [-1, 1] that LPIPS was made for
    images = torch.from_numpy(frames).to(metric.device).permute(0, 3, 1, 2).float() / 127.5 - 1
    layers = metric.network.net(metric.network.scaling_layer(images))
    return [lpips.normalize_tensor(layer) for layer in layers]


def _consecutive_distances(network: lpips.LPIPS, features: list[Tensor]) -> Tensor:
    """Return the distances of consecutive frames, given their features layer by layer."""
    squares = [(layer[1:] - layer[:-1]) ** 2 for layer in features]
    if network.lpips:  # channels weighted as fitted to human judgement
        weighted = [head(square) for head, square in zip(network.lins, squares, strict=True)]
    else:
        weighted = [square.sum(dim=1, keepdim=True) for square in squares]
    return torch.stack([layer.mean(dim=(1, 2, 3)) for layer in weighted]).sum(dim=0)


def _gini(steps: Float[np.ndarray, " steps"]) -> float:
    """Return the mean absolute difference of two steps over twice their mean."""
    if steps.max() == 0:
        return 0.0
    gaps = np.abs(steps[:, None] - steps[None, :])
    return float(gaps.mean() / (2 * steps.mean()))


def _read_image(file: Path) -> UInt8[np.ndarray, "h w 3"]:
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError) as error:  # what Pillow raises on damaged files
        raise ValueError(f"{file} is not an image that can be read: {error}") from error


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


def _pocket_network(file: Path) -> lpips.LPIPS:
    """Return LPIPS around the backbone in ``file``, torchvision's SqueezeNet 1.1 ``features``."""
    if not file.is_file():
        raise MetricNotFoundError(
            f"the backbone of the pocket's metric is not at {file}; it ships with the repository "
            "in data/pocket/perceptual, or choose the metric alex, vgg or squeeze"
        )
    try:
        weights = load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{file} is damaged or half-written: {error}") from error
    network = _empty_network("squeeze", heads=False)
    _load_backbone(network, weights, str(file))
    return network


def _published_network(name: str) -> lpips.LPIPS:
    """Return LPIPS v0.1 as published, its backbone from torchvision's cache or the network."""
    url = BACKBONES[name].url
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    try:
        weights = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True
        )
    except OSError as error:
        raise MetricNotFoundError(
            f"the ImageNet weights of {name!r} are not at {file} and could not be downloaded from "
            f"{url} ({error}). Go online, or copy the file there, or point TORCH_HOME at a cache "
            "that has it, or choose the metric 'pocket'"
        ) from error
    except (EOFError, RuntimeError, UnpicklingError) as error:
        raise ValueError(
            f"{file} is damaged; remove it to have it downloaded again: {error}"
        ) from error
    prefix = "features."
    features = {
        key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)
    }
    network = _empty_network(name, heads=True)
    _load_backbone(network, features, str(file))
    return network


def _empty_network(name: str, *, heads: bool) -> lpips.LPIPS:
    """Return LPIPS with a random backbone, and with its fitted channel weights if asked for.

    ``use_dropout`` keeps its default, although nothing drops out in evaluation: without it the
    package finds none of the fitted weights under their names and leaves random ones in place.
    """
    with warnings.catch_warnings():
        # the package still calls torchvision with the argument names of before version 0.13
        warnings.filterwarnings("ignore", message="The parameter 'pretrained' is deprecated")
        warnings.filterwarnings("ignore", message="Arguments other than a weight enum")
        return lpips.LPIPS(net=name, pnet_rand=True, lpips=heads, verbose=False)


def _load_backbone(network: lpips.LPIPS, weights: dict[str, Tensor], origin: str) -> None:
    """Replace the backbone's weights, named as in torchvision's ``features``, all of them."""
    # lpips cuts the stack into slices, whose children keep their index in the stack
    slices = network.net.children()
    stack = torch.nn.ModuleDict(
        dict(child for piece in slices for child in piece.named_children())
    )
    try:
        stack.load_state_dict(weights)
    except RuntimeError as error:
        message = f"{origin} does not hold the features of the metric's network: {error}"
        raise ValueError(message) from error


def _weights_hash(network: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, weight in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.cpu().numpy().tobytes())
    return digest.hexdigest()[:12]
