"""Perceptual distances: the lpips package itself, planted paths, bad input."""

import warnings
from dataclasses import replace
from urllib.error import URLError

import lpips
import numpy as np
import pytest
import torch
import torchvision

from embedding_geometry.perception import metric as metrics
from embedding_geometry.perception.metric import PathLengthMeter, perceptual_distances
from embedding_geometry.perception.path_length import directness, perceptual_path_length
from embedding_geometry.perception.weights import load_metric

BACKBONE_FILES = {
    "alex": ("alexnet", "alexnet-owt-7be5be79.pth"),
    "vgg": ("vgg16", "vgg16-397923af.pth"),
    "squeeze": ("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth"),
}
every_net = pytest.mark.parametrize("net", BACKBONE_FILES)


def random_frames(count, side=64, seed=0):
    """Return frames of smooth noise that drift, so that their distances differ."""
    rng = np.random.default_rng(seed)
    start, end = rng.uniform(0, 255, (2, side // 8, side // 8, 3)).repeat(8, 1).repeat(8, 2)
    weights = np.sort(rng.uniform(0, 1, count))[:, None, None, None]
    return ((1 - weights) * start + weights * end).round().astype(np.uint8)


def plain_loop(network, frames):
    """Compute the distances as users do: lpips called pair by pair, images in [-1, 1]."""
    images = [lpips.im2tensor(frame) for frame in frames]
    return [network(a, b).item() for a, b in zip(images[:-1], images[1:], strict=True)]


def plain_lpips(**options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
        return lpips.LPIPS(verbose=False, **options)


def random_weights(architecture):
    """Random features; the classifier, which LPIPS leaves out, is zeros that take no room."""
    with torch.device("meta"):
        shapes = getattr(torchvision.models, architecture)(weights=None).state_dict()
    generator = torch.Generator().manual_seed(1)
    weights = {name: torch.zeros(()).expand(value.shape) for name, value in shapes.items()}
    for name, value in shapes.items():
        if name.startswith("features."):
            scale = (2 / value[0].numel()) ** 0.5 if value.ndim > 1 else 0.1
            weights[name] = scale * torch.randn(value.shape, generator=generator)
    return weights


@pytest.fixture(scope="module")
def torch_home(tmp_path_factory):
    """Make a torch cache that holds random backbones under the real names."""
    home = tmp_path_factory.mktemp("torch_home")
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    for architecture, file in BACKBONE_FILES.values():
        torch.save(random_weights(architecture), folder / file)
    return home


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise URLError("network is unreachable")

    monkeypatch.setattr("torch.hub.urlopen", refuse)


@pytest.mark.parametrize("count", [2, 5, 16, 17, 35])
def test_agrees_with_lpips_pair_by_pair(tiny_metric, count):
    frames = random_frames(count)
    plain = plain_lpips(net="squeeze", pnet_rand=True)
    plain.load_state_dict(tiny_metric.network.state_dict())
    expected = plain_loop(plain, frames)
    found = perceptual_distances(tiny_metric, frames)
    assert found.dtype == np.float64
    assert max(expected) > 1e-4
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@every_net
def test_published_lpips_agrees_with_the_package(net, torch_home, monkeypatch, no_network):
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    metric = load_metric(net, device="cpu")
    frames = random_frames(4)
    expected = plain_loop(plain_lpips(net=net), frames)
    assert metric.net == net
    np.testing.assert_allclose(perceptual_distances(metric, frames), expected, rtol=0, atol=1e-6)
    assert max(expected) > 1e-3


@every_net
def test_the_fitted_channel_weights_are_the_packages(net, torch_home, monkeypatch, no_network):
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    heads = load_metric(net, device="cpu").network.lins
    folder = f"{lpips.__path__[0]}/weights/v0.1"
    fitted = torch.load(f"{folder}/{net}.pth", map_location="cpu", weights_only=True)
    for layer, head in enumerate(heads):
        weight = head.model[1].weight.data
        torch.testing.assert_close(weight, fitted[f"lin{layer}.model.1.weight"])
        assert weight.min() >= 0  # so that the root of LPIPS is a distance


def test_vgg_loads_under_its_real_name(tmp_path, monkeypatch, no_network):
    features = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"]).state_dict()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    weights = {f"features.{name}": value for name, value in features.items()}
    torch.save(weights, folder / "vgg16-397923af.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    last = dict(load_metric("vgg", device="cpu").network.net.slice5.named_children())["28"]
    torch.testing.assert_close(last.weight.data, features["28.weight"])


def test_features_are_computed_once_per_frame(tiny_metric):
    seen = []
    hook = tiny_metric.network.net.register_forward_hook(
        lambda module, inputs, output: seen.append(len(inputs[0]))
    )
    try:
        perceptual_distances(tiny_metric, random_frames(35))
    finally:
        hook.remove()
    assert sum(seen) == 35


@pytest.mark.parametrize("sizes", [(35,), (1,) * 5, (3, 17, 1, 20)])
def test_a_meter_does_not_depend_on_the_batches(tiny_metric, sizes):
    frames = random_frames(sum(sizes), side=32)
    meter = PathLengthMeter(tiny_metric)
    for batch in np.split(frames, np.cumsum(sizes)[:-1]):
        meter.update(batch)
    expected = perceptual_distances(tiny_metric, frames)
    np.testing.assert_allclose(meter.distances, expected, rtol=1e-4, atol=1e-7)
    assert meter.compute() == perceptual_path_length(meter.distances)
    [end] = perceptual_distances(tiny_metric, frames[[0, -1]])
    assert meter.end_distance == pytest.approx(end, rel=1e-4)


@pytest.mark.parametrize("most", [1, 3])
def test_where_memory_runs_out_a_meter_takes_fewer_frames_at_once(tiny_metric, monkeypatch, most):
    frames = random_frames(37)
    expected = perceptual_distances(tiny_metric, frames)
    features, taken = metrics.layer_features, []

    def features_of_few(metric, batch):
        taken.append(len(batch))
        if len(batch) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return features(metric, batch)

    monkeypatch.setattr(metrics, "layer_features", features_of_few)
    metric = replace(tiny_metric)
    found = perceptual_distances(metric, frames)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    halvings = [count for count in (16, 8, 4, 2) if count > most]
    assert taken[: len(halvings)] == halvings
    assert max(taken[len(halvings) :]) <= most
    assert sum(taken[len(halvings) :]) == 37
    taken.clear()
    perceptual_distances(metric, frames)
    assert max(taken) <= most  # what did not fit is not tried again


def test_a_meter_whose_memory_holds_no_frame_says_so(tiny_metric, monkeypatch):
    monkeypatch.setattr(metrics, "layer_features", lambda *_: torch.empty(2**60))
    with pytest.raises(RuntimeError, match=r"(?i)alloc|memory"):
        perceptual_distances(replace(tiny_metric), random_frames(3))


def test_a_meter_begins_anew(tiny_metric):
    meter = PathLengthMeter(tiny_metric)
    meter.update(random_frames(3, side=32))
    meter.reset()
    meter.update(random_frames(2, side=48))
    assert len(meter.distances) == 1


def test_a_meter_refuses_too_few_frames_and_another_size(tiny_metric):
    meter = PathLengthMeter(tiny_metric)
    with pytest.raises(ValueError, match="at least two frames, not 0"):
        _ = meter.end_distance
    meter.update(random_frames(1))
    with pytest.raises(ValueError, match="at least two frames, not 1"):
        meter.compute()
    with pytest.raises(ValueError, match=r"\(2, 72, 72, 3\) follow others of shape \(64, 64, 3\)"):
        meter.update(random_frames(2, side=72))


def test_a_path_backwards_has_its_distances_backwards(tiny_metric):
    """Also where the last batch is one frame, which numpy leaves as the view that it is."""
    frames = random_frames(17, side=32)
    straight = perceptual_distances(tiny_metric, frames)
    turned = perceptual_distances(tiny_metric, frames[::-1])
    np.testing.assert_allclose(turned[::-1], straight, rtol=1e-4, atol=1e-7)


def test_equal_frames_are_at_distance_zero(tiny_metric):
    frames = random_frames(1).repeat(3, axis=0)
    np.testing.assert_array_equal(perceptual_distances(tiny_metric, frames), [0.0, 0.0])


def test_the_metric_says_what_it_is(tiny_metric, torch_home, monkeypatch):
    assert tiny_metric.net == "squeeze"
    assert len(tiny_metric.revision) == 12
    assert set(tiny_metric.versions) == {"lpips", "torchvision"}
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    assert load_metric("squeeze", "cpu").revision != tiny_metric.revision


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda weights: torch.zeros(3),
            r"7be5be79\.pth holds a Tensor that is not the weights of 'alex'",
        ),
        (lambda weights: {3: torch.zeros(3)}, r"7be5be79\.pth holds a dict that is not the w"),
        (
            lambda weights: {"features.0.weight": torch.zeros(2)},
            r"7be5be79\.pth does not hold the features of the metric's network",
        ),
        (
            lambda weights: weights | {"features.3.bias": torch.full((192,), torch.nan)},
            r"7be5be79\.pth is damaged: 3\.bias hold NaN",
        ),
    ],
)
def test_weights_that_are_none_are_named(
    change, message, torch_home, tmp_path, monkeypatch, no_network
):
    file = "hub/checkpoints/alexnet-owt-7be5be79.pth"
    (tmp_path / file).parent.mkdir(parents=True)
    torch.save(change(torch.load(torch_home / file, weights_only=True)), tmp_path / file)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=message):
        load_metric("alex", device="cpu")


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (random_frames(1), "at least two frames, not 1"),
        (random_frames(3)[:0], "at least two frames, not 0"),
        (random_frames(3, side=16), "16x16 pixels are too small"),
    ],
)
def test_frames_are_checked(tiny_metric, frames, message):
    with pytest.raises(ValueError, match=message):
        perceptual_distances(tiny_metric, frames)


@every_net
def test_no_way_is_shorter_than_the_straight_one(net, torch_home, monkeypatch, no_network):
    """The root of LPIPS obeys the triangle inequality, so directness is at most 1."""
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    meter = PathLengthMeter(load_metric(net, device="cpu"))
    for seed in range(3):
        meter.update(random_frames(2, seed=seed))
    assert 0 < directness(meter.distances, meter.end_distance) <= 1
