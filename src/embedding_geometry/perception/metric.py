r"""From frames to perceptual distances: LPIPS, frame by frame.

LPIPS (Zhang et al., CVPR 2018) compares two images by the features of a convolutional network:
at each layer the features are scaled to unit length at every pixel, the squared differences are
weighted per channel, summed over channels and averaged over pixels,

$$d(x, y) = \sum_l \frac{1}{h_l w_l} \sum_{i,j}
  \lVert w_l \odot (\hat f^l_{ij}(x) - \hat f^l_{ij}(y)) \rVert^2 .$$

It is a *squared* distance: $\sqrt{d}$ is a Euclidean distance of features, and obeys the triangle
inequality. `path_length` says how long a path is by these distances.

The networks are those of version 0.1 of the metric (see `networks` and `weights`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from embedding_geometry.ground.devices import lacks_memory
from embedding_geometry.ground.types import ArrayLike, Frames, host_array, real_array
from embedding_geometry.perception.networks import LPIPS
from embedding_geometry.perception.path_length import PathLength, perceptual_path_length

SMALLEST_SIDE = 32  # smaller images vanish in the poolings
OwnDistances = Callable[[Frames], ArrayLike]  # of each of a few frames to the next


@dataclass
class PerceptualMetric:
    """LPIPS with its weights, or a function of the user's own, and what has to be said about it.

    ``revision`` is 12 hex digits of the SHA-256 of all its weights, or the version of the
    function. ``batch_size`` frames go through the network at once; it is halved, for good, where
    they do not fit into memory.
    """

    network: LPIPS | OwnDistances
    net: str
    revision: str
    device: str
    versions: dict[str, str]
    batch_size: int = 16


class PathLengthMeter:
    """Measures one path as its frames come, in batches of any size: memory does not grow with it.

    It is used like a metric of torchmetrics: ``update`` for each batch, then ``compute``. The
    features of a frame serve both of its distances, and are computed once.
    """

    def __init__(self, metric: PerceptualMetric) -> None:
        """Begin a path, to be measured with this metric."""
        self.metric = metric
        self.reset()

    def reset(self) -> None:
        """Begin another path."""
        self._size: tuple[int, ...] | None = None
        self._first: list[Tensor] = []  # features, layer by layer
        self._last: list[Tensor] = []
        self._distances: list[Tensor] = []

    @torch.no_grad()
    def update(self, frames: Frames | ArrayLike) -> None:
        """Take the next frames of the path.

        Raises:
            ValueError: not bytes of shape (t, h, w, 3), frames too small, another size than those
                before.
        """
        frames = host_array(frames, "frames")
        check_frames(frames, SMALLEST_SIDE if isinstance(self.metric.network, LPIPS) else 1)
        if frames.shape[1:] != (self._size or frames.shape[1:]):
            raise ValueError(f"frames {frames.shape} follow others of shape {self._size}")
        self._size = frames.shape[1:]
        while len(frames):
            batch = frames[: self.metric.batch_size]
            try:
                self._take(batch)
            except (MemoryError, RuntimeError) as error:
                if len(batch) == 1 or not lacks_memory(error):
                    raise
                self.metric.batch_size = len(batch) // 2
            else:
                frames = frames[len(batch) :]

    def _take(self, frames: Frames) -> None:
        features = layer_features(self.metric, frames)
        first = self._first or [layer[:1].clone() for layer in features]
        if self._last:
            features = [torch.cat(pair) for pair in zip(self._last, features, strict=True)]
        distances = consecutive_distances(self.metric.network, features)
        last = [layer[-1:].clone() for layer in features]
        # only now, so that frames that did not fit into memory can be taken again
        self._first, self._last = first, last
        self._distances.append(distances)

    @property
    def distances(self) -> Float[np.ndarray, " steps"]:
        """LPIPS of each frame to the next; a ValueError where there are fewer than two frames."""
        count = sum(map(len, self._distances)) + bool(self._distances)
        if count < 2:
            raise ValueError(f"a path has at least two frames, not {count}")
        return torch.cat(self._distances).cpu().double().numpy()

    @property
    def end_distance(self) -> float:
        """LPIPS of the first frame and the last; a ValueError where there are no frames."""
        if not self._first:
            raise ValueError("a path has at least two frames, not 0")
        ends = [torch.cat(pair) for pair in zip(self._first, self._last, strict=True)]
        return float(consecutive_distances(self.metric.network, ends))

    def compute(self) -> PathLength:
        """Return the length of the path so far.

        Raises:
            ValueError: fewer than two frames.
        """
        return perceptual_path_length(self.distances)


def perceptual_distances(
    metric: PerceptualMetric, frames: Frames | ArrayLike
) -> Float[np.ndarray, " steps"]:
    """Return the metric's distance of each of t frames to the next (t - 1,).

    Raises:
        ValueError: not bytes of shape (t, h, w, 3), fewer than two frames, frames too small.

    Examples:
        >>> frames = np.zeros((3, 64, 64, 3), dtype=np.uint8)
        >>> frames[2] = 255
        >>> still, changed = eg.perceptual_distances(metric, frames)
        >>> still == 0, changed > 0
        (np.True_, np.True_)
    """
    meter = PathLengthMeter(metric)
    meter.update(frames)
    return meter.distances


def _own_distances(function: OwnDistances, frames: np.ndarray) -> Float[np.ndarray, " steps"]:
    """What a metric of the user's own says of consecutive frames, checked."""
    steps = len(frames) - 1
    distances = real_array(function(frames), "what the metric returned") if steps else np.zeros(0)
    if distances.shape != (steps,) or not (distances >= 0).all():
        raise ValueError(
            f"for {len(frames)} frames the metric returned an array of shape {distances.shape}; "
            f"({steps},) is wanted, the distance >= 0 of each frame to the next"
        )
    return distances


def check_frames(frames: np.ndarray, smallest: int = SMALLEST_SIDE) -> None:
    """Raise a ValueError for anything but bytes (t, h, w, 3) of at least so many pixels a side."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise ValueError(
            f"frames are {frames.dtype} of shape {frames.shape}; uint8 of shape "
            "(frames, height, width, 3) is wanted"
        )
    height, width = frames.shape[1:3]
    if min(height, width) < smallest:
        raise ValueError(
            f"frames of {width}x{height} pixels are too small for the metric's poolings; "
            f"{smallest}x{smallest} is the least"
        )


def layer_features(metric: PerceptualMetric, frames: np.ndarray) -> list[Tensor]:
    """Return each layer's features (t, c, h, w) of a batch, of unit length at every pixel.

    To a metric of the user's own the frames themselves are the features.
    """
    bytes_ = torch.from_numpy(np.array(frames, order="C"))  # torch reads no array backwards
    if not isinstance(metric.network, LPIPS):
        return [bytes_]
    return lpips_features(metric.network, bytes_.to(metric.device))


def lpips_features(
    network: LPIPS, frames: UInt8[Tensor, "t h w 3"]
) -> list[Float[Tensor, "t _ _ _"]]:
    """Return each layer's features (t, c, h, w) of frames, of unit length at every pixel."""
    # the one place where bytes become the [-1, 1] that LPIPS was made for
    images = frames.permute(0, 3, 1, 2).float() / 127.5 - 1
    layers = network.net(network.scaling_layer(images))
    return [layer / (torch.sqrt((layer**2).sum(dim=1, keepdim=True)) + 1e-10) for layer in layers]


def consecutive_distances(network: LPIPS | OwnDistances, features: list[Tensor]) -> Tensor:
    """Return the distances of consecutive frames, given their features layer by layer."""
    if not isinstance(network, LPIPS):
        return torch.from_numpy(_own_distances(network, features[0].numpy()))
    squares = [(layer[1:] - layer[:-1]) ** 2 for layer in features]
    # channels weighted as fitted to human judgement
    weighted = [head(square) for head, square in zip(network.lins, squares, strict=True)]
    return torch.stack([layer.mean(dim=(1, 2, 3)) for layer in weighted]).sum(dim=0)
