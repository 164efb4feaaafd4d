"""Realism and kernel distance: plain loops, closed forms, planted balls, bad input."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn.functional import normalize

from embedding_geometry.perception import fidelity
from embedding_geometry.perception.fidelity import (
    Reference,
    kernel_difference,
    kernel_distance,
    picture_features,
    realism,
)
from embedding_geometry.perception.weights import load_metric
from embedding_geometry.pocket import menagerie


def drawn(count, seed=0, c=5, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, (count, c))


def kernel(a, b):
    return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3


def plain_distance(x, y, groups):
    """The unbiased estimate as three means over pairs, one pair after the other."""
    n, m = len(x), len(y)
    within = [kernel(x[i], x[j]) for i in range(n) for j in range(n) if groups[i] != groups[j]]
    beyond = [kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j]
    across = [kernel(a, b) for a in x for b in y]
    return np.mean(within) + np.mean(beyond) - 2 * np.mean(across)


def plain_error(x, y, groups):
    """The jackknife's standard error: everything computed anew without each of its parts."""
    fewer_x = [
        plain_distance(x[groups != g], y, groups[groups != g]) for g in dict.fromkeys(groups)
    ]
    fewer_y = [plain_distance(x, np.delete(y, k, axis=0), groups) for k in range(len(y))]
    parts = [
        (len(f) - 1) / len(f) * sum((each - np.mean(f)) ** 2 for each in f)
        for f in (fewer_x, fewer_y)
    ]
    return np.sqrt(sum(parts))


def expected_kernel(first, second):
    """The mean of the kernel over two normal variables of unit covariance and these means.

    From the cumulants of the products of their coordinates, which add up.
    """
    one = first * second
    two = (1 + first**2) * (1 + second**2)
    three = (first**3 + 3 * first) * (second**3 + 3 * second)
    a, b, c = (each.sum() for each in (one, two - one**2, three - 3 * two * one + 2 * one**3))
    d = len(first)
    return (c + 3 * a * b + a**3) / d**3 + 3 * (b + a**2) / d**2 + 3 * a / d + 1


# --- realism ------------------------------------------------------------------------------------


def test_realism_is_that_of_plain_loops(monkeypatch):
    monkeypatch.setattr(fidelity, "ROWS", 7)  # several parts, the last of them smaller
    pictures, reference = drawn(20, seed=1, shift=0.5), drawn(31)
    radii = [sorted(np.linalg.norm(r - s) for s in reference)[3] for r in reference]
    expected = [
        max(
            radius / (np.linalg.norm(x - r) + 1e-5)
            for r, radius in zip(reference, radii, strict=True)
            if radius <= np.median(radii)
        )
        for x in pictures
    ]
    found = realism(pictures, Reference.of(reference))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert min(expected) < 1 < max(expected)


def test_a_known_ball_is_found_and_a_larger_one_dropped():
    """Of 0 1 2 3 and 10 ... 13 on a line the inner ones have balls of radius 2, the outer 3."""
    reference = Reference.of([[0.0], [1], [2], [3], [10], [11], [12], [13]])
    assert reference.radii.tolist() == [0, 2, 2, 0, 0, 2, 2, 0]
    found = realism([[4.0], [3], [7], [-1], [2]], reference)
    np.testing.assert_allclose(found[:4], [1, 2, 2 / 4, 1], rtol=2e-5)
    assert found[4] == 2 / 1e-5  # of a picture of the reference itself


def test_order_changes_nothing():
    reference, pictures = drawn(30), drawn(20, seed=1)
    p, q = np.random.default_rng(2).permutation(30), np.random.default_rng(3).permutation(20)
    here, there = Reference.of(reference), Reference.of(reference[p])
    np.testing.assert_array_equal(realism(pictures[q], there), realism(pictures, here)[q])
    groups = np.arange(20) // 4
    straight = kernel_distance(pictures, here, groups)
    turned = kernel_distance(pictures[q], there, groups[q])
    assert turned.value == pytest.approx(straight.value, rel=1e-12)
    assert turned.interval == pytest.approx(straight.interval, rel=1e-9)


# --- kernel distance ----------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [None, [3, 3, 0, 0, 0, 7, 9, 9, 3, 7, 7]])
def test_the_kernel_distance_is_that_of_plain_loops(groups, monkeypatch):
    monkeypatch.setattr(fidelity, "ROWS", 4)
    x, y = drawn(11, shift=0.3), drawn(9, seed=1)
    found = kernel_distance(x, Reference.of(y), groups)
    labels = np.arange(11) if groups is None else np.array(groups)
    assert found.value == pytest.approx(plain_distance(x, y, labels), rel=1e-12)
    low, high = found.interval
    quantile = 2.306 if groups is None else 3.182  # of Student's t with 8 and with 3 degrees
    assert (low + high) / 2 == pytest.approx(found.value)
    assert (high - low) / 2 == pytest.approx(quantile * plain_error(x, y, labels), rel=1e-3)


def test_between_a_set_and_itself_only_pairs_of_one_picture_count():
    """Which the estimate leaves out within the sets and keeps across them."""
    x = drawn(400)
    table = (x @ x.T / 5 + 1) ** 3
    own, others = np.trace(table) / 400, (table.sum() - np.trace(table)) / (400 * 399)
    found = kernel_distance(x, Reference.of(x)).value
    assert found == pytest.approx(-2 / 400 * (own - others), rel=1e-9)
    assert abs(found) < 0.03 * others


@pytest.mark.parametrize("shift", [0.0, 0.7])
@pytest.mark.parametrize("frames", [1, 4])
def test_the_interval_holds_what_is_known_of_shifted_normal_variables(shift, frames):
    """In 95 of 100 draws, of pictures and of paths whose frames are alike."""
    rng, draws, c = np.random.default_rng(0), 200, 4
    mean, zero = np.full(c, shift), np.zeros(c)
    known = expected_kernel(mean, mean) + expected_kernel(zero, zero)
    known -= 2 * expected_kernel(mean, zero)
    values, held = [], 0
    for _ in range(draws):
        paths, own = rng.normal(size=(40, 1, c)), rng.normal(size=(40, frames, c))
        x = mean + (paths if frames == 1 else 0.8 * paths + 0.6 * own).reshape(-1, c)
        reference = Reference.of(rng.normal(size=(80, c)))
        found = kernel_distance(x, reference, np.repeat(np.arange(40), frames))
        values.append(found.value)
        held += found.interval[0] <= known <= found.interval[1]
    assert np.mean(values) == pytest.approx(known, abs=4 * np.std(values) / draws**0.5)
    assert held / draws > 0.9


def test_frames_shown_twice_in_their_path_change_no_kernel_distance():
    x, reference = drawn(12), Reference.of(drawn(30, seed=1))
    once = kernel_distance(x, reference)
    groups = np.repeat(np.arange(12), 3)
    thrice = kernel_distance(x.repeat(3, axis=0), reference, groups)
    assert thrice.value == pytest.approx(once.value)
    assert thrice.interval == pytest.approx(once.interval)
    assert kernel_distance(x.repeat(3, axis=0), reference).value > once.value


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (drawn(3), "pictures/ holds 3 pictures, and realism takes 3 neighbours.* 4 pictures or"),
        (drawn(1), "pictures/ holds 1 pictures"),
        (np.ones((9, 2)), "in pictures/ half of the pictures are the same as 3 others"),
        (np.ones(9), r"pictures/ have shape \(9,\); a row for each picture"),
        ([[1.0, np.nan]] * 9, "pictures/ of shape .* NaN or infinity in 9 of its 9 rows"),
    ],
)
def test_what_can_be_no_reference_is_named(features, message):
    with pytest.raises(ValueError, match=message):
        Reference.of(features, "pictures/")


@pytest.mark.parametrize("judge", [realism, kernel_distance])
@pytest.mark.parametrize(
    ("features", "message"),
    [
        (drawn(9, c=4), "have 4 columns and the reference has 5; read both by one network"),
        (np.full((9, 5), np.inf), "NaN or infinity in 9 of its 9 rows"),
        (np.ones((9, 5, 1)), r"shape \(9, 5, 1\); a row for each picture"),
    ],
)
def test_features_that_fit_no_reference_are_refused(judge, features, message):
    with pytest.raises(ValueError, match=message):
        judge(features, Reference.of(drawn(9)))


def test_groups_that_are_too_few_are_refused():
    with pytest.raises(ValueError, match=r"9 pictures are in 2 groups.* three groups or more"):
        kernel_distance(drawn(9), Reference.of(drawn(9)), [0] * 4 + [1] * 5)


# --- features -----------------------------------------------------------------------------------


def noise(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def test_features_are_the_last_layers_of_unit_length_averaged(tiny_metric):
    network = tiny_metric.network
    # one by one: a batch is summed in another order, which small features show in float32
    images = [torch.from_numpy(frame).permute(0, 3, 1, 2) for frame in np.split(noise(5), 5)]
    layers = [network.net(network.scaling_layer(image / 127.5 - 1))[-1] for image in images]
    last = torch.cat(layers)
    expected = last.shape[1] ** 0.5 * normalize(last, dim=1).mean(dim=(2, 3))
    found = picture_features(tiny_metric, noise(5))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4)


def test_a_picture_has_the_same_features_to_the_bit_wherever_it_stands(tiny_metric):
    frames = noise(18)
    together = picture_features(tiny_metric, frames)
    np.testing.assert_array_equal(picture_features(tiny_metric, frames[7:8]), together[7:8])
    np.testing.assert_array_equal(picture_features(tiny_metric, frames[::-1]), together[::-1])


def test_other_than_pictures_and_networks_are_refused(tiny_metric):
    with pytest.raises(ValueError, match="uint8 of shape"):
        picture_features(tiny_metric, noise(3) / 255)
    with pytest.raises(ValueError, match="32x32 is the least"):
        picture_features(tiny_metric, noise(3)[:, :16])
    own = load_metric(lambda frames: np.zeros(len(frames) - 1))
    with pytest.raises(ValueError, match="has no network whose features"):
        picture_features(own, noise(3))


def test_cross_fades_are_less_real_than_pictures():
    """On VGG16, for pictures that are drawn, none of them in the reference."""
    rng, vgg = np.random.default_rng(0), load_metric("vgg", device="cpu")
    scenes = [menagerie.sample_scene(rng) for _ in range(60)]
    pictures = menagerie.pictured(scenes, rng).permute(0, 2, 3, 1).numpy()
    pictures = ((pictures + 1) * 127.5).round().astype(np.uint8)
    fades = (pictures[40:50] / 2 + pictures[50:] / 2).round().astype(np.uint8)
    reference = Reference.of(picture_features(vgg, pictures[:40]))
    real, false = (picture_features(vgg, each) for each in (pictures[40:], fades))
    assert np.median(realism(false, reference)) < np.median(realism(real, reference))
    truly, falsely = (kernel_distance(each, reference) for each in (real, false))
    assert truly.interval[0] < 0 < truly.interval[1]
    assert falsely.interval[0] > 0


def test_no_picture_is_compared_with_one_of_its_own_path():
    """Three means over pairs of different paths, frames and ends of which both are."""
    x, y = drawn(12, 1), drawn(10, 2, shift=0.3)
    own, theirs = np.repeat([4, 9, 2, 7], 3), np.repeat([9, 2, 4, 7, 5], 2)

    def mean(a, b, first, second):
        pairs = [
            kernel(a[i], b[j])
            for i in range(len(a))
            for j in range(len(b))
            if first[i] != second[j]
        ]
        return np.mean(pairs)

    def plain(x, y, own, theirs):
        return mean(x, x, own, own) + mean(y, y, theirs, theirs) - 2 * mean(x, y, own, theirs)

    found = kernel_distance(x, Reference.of(y), own, theirs)
    assert found.value == pytest.approx(plain(x, y, own, theirs))
    fewer = [
        plain(x[own != g], y[theirs != g], own[own != g], theirs[theirs != g])
        for g in (2, 4, 5, 7, 9)
    ]
    error = np.sqrt((len(fewer) - 1) * np.var(fewer))
    reach = stats.t.ppf(0.975, len(fewer) - 1) * error
    assert found.interval == pytest.approx((found.value - reach, found.value + reach))


def test_a_reference_of_the_paths_own_ends_has_no_bias_where_their_groups_are_said():
    """Each path has a place of its own, near which are its frames and its ends."""
    rng, naive, told = np.random.default_rng(0), [], []
    for _ in range(40):
        places = rng.normal(0, 1, (12, 5))
        groups = np.arange(12).repeat(2)
        frames, ends = (places.repeat(2, axis=0) + rng.normal(0, 0.1, (24, 5)) for _ in range(2))
        reference = Reference.of(ends)
        naive.append(kernel_distance(frames, reference, groups).value)
        told.append(kernel_distance(frames, reference, groups, groups).value)
    assert abs(np.mean(told)) < 3 * np.std(told) / np.sqrt(40)
    assert np.mean(naive) < -3 * np.std(naive) / np.sqrt(40)


def test_the_difference_of_two_distances_is_surer_than_either():
    """Two ways of the same paths, which have a place in common: the place cancels."""
    rng = np.random.default_rng(0)
    places, groups = rng.normal(0, 1, (20, 5)).repeat(3, axis=0), np.arange(20).repeat(3)
    one, other = places + 0.1, places + rng.normal(0, 0.1, places.shape)
    reference = Reference.of(drawn(30, 5))
    found = kernel_difference((one, groups), (other, groups), reference)
    each = [kernel_distance(x, reference, groups) for x in (one, other)]
    assert found.value == pytest.approx(each[0].value - each[1].value)
    widths = [np.ptp(each.interval) for each in (found, *each)]
    assert widths[0] < 0.5 * min(widths[1:])
    swapped = kernel_difference((other, groups), (one, groups), reference)
    assert swapped.interval == pytest.approx(tuple(-end for end in reversed(found.interval)))
    with pytest.raises(ValueError, match="over the same groups"):
        kernel_difference((one, groups), (other, groups + 1), reference)


def test_groups_of_another_number_than_pictures_are_named():
    for groups in ((np.arange(3), None), (None, np.arange(3))):
        with pytest.raises(ValueError, match=r"has shape \(3,\); a name for each of 6 pictures"):
            kernel_distance(drawn(6), Reference.of(drawn(6, 1)), *groups)
