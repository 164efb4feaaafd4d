r"""Are the pictures of a path still pictures? How like a reference they are, by deep features.

The smoothest path of all is a cross-fade, and what it shows is two pictures at once. So beside the
smoothness of a path stands its fidelity: how like some reference its inner frames are, which has
no need of the path's order. Two figures of it are in use.

- **Realism** of one picture (Kynkäänniemi et al., NeurIPS 2019, arXiv:1904.06991, equation 3):
  every reference picture has a ball that reaches to its third nearest neighbour in the reference;
  of these the half with the larger radii is dropped; the realism of a picture is the largest ratio
  of a ball's radius to the distance of its centre. From 1 on the picture lies in a ball.
- **Kernel distance** of many pictures (KID, Bińkowski et al., ICLR 2018, arXiv:1801.01401): the
  squared maximum mean discrepancy under the kernel $(x \cdot y / c + 1)^3$ of c features, without
  bias, and therefore below 0 about as often as above where both sets come from one source.

**The features.** Both were published with networks that LPIPS does not hold: realism with VGG16's
second fully connected layer, KID with Inception's averaged last one. LPIPS holds VGG16 up to its
last convolution (relu5_3). That is what is read here, averaged over the places of the picture, as
Inception's layer is and as descriptors of content are made of VGG's last convolution (Babenko and
Lempitsky, ICCV 2015). Before that the features of every place are brought to unit length, as LPIPS
compares them (Zhang et al., CVPR 2018). Left as they are, they weaken with the contrast, so that a
cross-fade lies in the middle of all pictures, near to many, and passes for a good one. They are
multiplied by $\sqrt c$, for the kernel takes features of the order of 1. From other features
realism and kernel distance are other numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy  # its modules are imported when they are first used
import torch
from jaxtyping import Float, Int

from embedding_geometry.ground.types import ArrayLike, Frames, host_array, real_array
from embedding_geometry.perception.metric import PerceptualMetric, check_frames, layer_features
from embedding_geometry.perception.networks import LPIPS

NEIGHBOURS = 3  # as published
CLOSEST = 1e-5  # added to distances, as the authors do, so that a picture of the reference has one
ROWS = 256  # of a table of distances or of the kernel, which are in memory at once
CONFIDENCE = 0.95

Features = Float[np.ndarray, "t c"]
Groups = Int[np.ndarray, " t"] | ArrayLike


@dataclass(frozen=True)
class Reference:
    """Features of pictures that others are to be like, and the radii of their balls.

    Attributes:
        features: (p, c), a row for each picture.
        radii: (p,), distance of each to its nearest neighbour number `NEIGHBOURS`; 0 where it is
            above the median of these distances, so that the ball is dropped.
    """

    features: Float[np.ndarray, "p c"]
    radii: Float[np.ndarray, " p"]

    @classmethod
    def of(
        cls, features: Float[np.ndarray, "p c"] | ArrayLike, name: str = "the reference"
    ) -> "Reference":
        """Find the radii of pictures of these features (p, c); `name` is for the error.

        Raises:
            ValueError: no table of finite numbers, too few pictures to have so many neighbours,
                or half of them the same as that many others.
        """
        features = _checked(features, name)
        if len(features) <= NEIGHBOURS:
            raise ValueError(
                f"{name} holds {len(features)} pictures, and realism takes {NEIGHBOURS} neighbours"
                f" of each: give {NEIGHBOURS + 1} pictures or more, better a hundred"
            )
        radii = np.concatenate(  # a picture is its own neighbour number 0
            [
                np.partition(_distances(part, features), NEIGHBOURS)[:, NEIGHBOURS]
                for part in _parts(features)
            ]
        )
        radii = np.where(radii <= np.median(radii), radii, 0.0)
        if not radii.any():
            raise ValueError(
                f"in {name} half of the pictures are the same as {NEIGHBOURS} others each, and "
                "their balls have no extent: give each picture once"
            )
        return cls(features, radii)


@dataclass(frozen=True)
class KernelDistance:
    """What `kernel_distance` finds: the squared discrepancy, and its interval at 95 %."""

    value: float
    interval: tuple[float, float]


@torch.no_grad()
def picture_features(metric: PerceptualMetric, frames: Frames | ArrayLike) -> Features:
    r"""Return what a metric's network makes of each of t pictures, for `realism` and its like.

    The pictures go through the network one at a time, so that each has the same features to the
    bit whatever stands beside it.

    Args:
        metric: LPIPS; published numbers are those of ``load_metric("vgg")``.
        frames: bytes (t, h, w, 3).

    Returns:
        (t, c) in float64: of each picture the network's last features, of unit length at every
        place, averaged over the places and multiplied by :math:`\sqrt c`.

    Raises:
        ValueError: frames of another kind, frames too small, or a metric that is no LPIPS.
    """
    if not isinstance(metric.network, LPIPS):
        raise ValueError(
            f"the metric {metric.net} has no network whose features could be compared; load vgg"
        )
    frames = host_array(frames, "frames")
    check_frames(frames)
    # strided slices of a batch would be summed in another order than a batch of one
    last = [layer_features(metric, frames[k : k + 1])[-1] for k in range(len(frames))]
    means = [layer.mean(dim=(0, 2, 3)).cpu().double().numpy() for layer in last]
    return np.sqrt(len(means[0])) * np.stack(means) if means else np.zeros((0, 0))


def realism(features: Features | ArrayLike, reference: Reference) -> Float[np.ndarray, " t"]:
    r"""Return the realism of pictures with these features (t, c), 1 and more within a ball.

    .. math:: R(x) = \max_r \frac{\rho_r}{\lVert x - r \rVert + 10^{-5}}

    over the pictures r of the reference whose radius :math:`\rho_r` is not above the median
    (Kynkäänniemi et al. 2019, equation 3). Their code differs from their equation, in that it
    squares radii and distances.

    Raises:
        ValueError: no table of finite numbers, or another number of features than the reference.
    """
    features = _checked(features, "the features", reference)
    kept = reference.radii > 0
    centres, radii = reference.features[kept], reference.radii[kept]
    ratios = [
        (radii / (_distances(part, centres) + CLOSEST)).max(axis=1) for part in _parts(features)
    ]
    return np.concatenate([np.zeros(0), *ratios])


# an estimate, and for each of its samples the same without each group of the sample
Jackknifed = tuple[float, list[Float[np.ndarray, " _"]]]


def _with_interval(value: float, without: list[Float[np.ndarray, " _"]]) -> KernelDistance:
    """A jackknifed estimate with its interval of Student's t."""
    variance = sum((len(w) - 1) * w.var() for w in without)
    freedom = min(map(len, without)) - 1
    reach = scipy.stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(variance)
    return KernelDistance(value, (float(value - reach), float(value + reach)))


def kernel_distance(
    features: Features | ArrayLike,
    reference: Reference,
    groups: Groups | None = None,
    reference_groups: Groups | None = None,
) -> KernelDistance:
    r"""Return the kernel distance (KID) of pictures with these features (t, c) from a reference.

    It is the unbiased estimate of the squared maximum mean discrepancy (Gretton et al. 2012,
    equation 3) under the cubic kernel of Bińkowski et al. (2018), which takes the mean over pairs
    of different pictures. Frames of one path are alike because they are of one path. Where
    `groups` says which these are, the mean is over pairs of different *groups*, and stays without
    bias. Frames are also like the ends of their path, so a reference that holds these makes the
    distance too small, unless `reference_groups` says whose they are: then no picture is compared
    with one of its own group, be it here or there.

    The interval is of Student's t, with the standard error of the jackknife (Arvesen 1969): the
    estimate anew without each group, and without each picture of the reference; or, where they
    share groups, without each group in both. Nothing is drawn. The published mean and deviation
    over subsets is the spread of smaller estimates, no interval.

    Args:
        features: (t, c), in any order.
        reference: what they are held against.
        groups: the path (t,) that each is a frame of, numbered as you like; None where each stands
            for itself.
        reference_groups: the path (p,) that each picture of the reference is of, in the same
            numbers; None where each stands for itself.

    Raises:
        ValueError: as of `realism`, or fewer than three groups.
    """
    return _with_interval(*_estimate(features, reference, groups, reference_groups))


def kernel_difference(
    first: tuple[Features, Groups],
    second: tuple[Features, Groups],
    reference: Reference,
    reference_groups: Groups | None = None,
) -> KernelDistance:
    """Return by how much one kernel distance is greater than another, over the same groups.

    Each is given by features and groups, see `kernel_distance`. A group is left out on both sides
    together, so that what all its pictures have in common weighs on neither.

    Raises:
        ValueError: as `kernel_distance`, or groups that are not on both sides.
    """
    if set(np.unique(first[1])) != set(np.unique(second[1])):
        raise ValueError("two kernel distances are compared over the same groups of pictures")
    (value, without), (other, without_other) = (
        _estimate(features, reference, groups, reference_groups)
        for features, groups in (first, second)
    )
    pairs = zip(without, without_other, strict=True)
    return _with_interval(value - other, [a - b for a, b in pairs])


def _estimate(
    features: Features | ArrayLike,
    reference: Reference,
    groups: Groups | None,
    reference_groups: Groups | None,
) -> Jackknifed:
    """The unbiased estimate, see `kernel_distance`."""
    x, y = _checked(features, "the features", reference), reference.features
    own = _groups(groups, len(x), "groups")
    names, numbers, sizes = np.unique(own, return_inverse=True, return_counts=True)
    if len(names) < 3:
        raise ValueError(
            f"{len(x)} pictures are in {len(names)} groups; a kernel distance takes "
            "three groups or more: paths, or pictures where each stands for itself"
        )
    if reference_groups is not None:
        theirs = _groups(reference_groups, len(y), "reference_groups")
        both = np.unique(np.concatenate([own, theirs]), return_inverse=True)[1]
        return _of_shared_groups(x, y, *np.split(both, [len(x)]))
    rows, columns = _sums(x, y)
    xx, xx_without = _apart(x, numbers, len(names))
    yy, yy_without = _apart(y, np.arange(len(y)), len(y))
    xy, xy_without = _means(1, np.bincount(numbers, rows), sizes * len(y))
    _, yx_without = _means(1, columns, np.full(len(y), len(x)))
    without = [xx_without + yy - 2 * xy_without, xx + yy_without - 2 * yx_without]
    return float(xx + yy - 2 * xy), without


def _of_shared_groups(
    x: Features,
    y: Float[np.ndarray, "p c"],
    own: Int[np.ndarray, " t"],
    theirs: Int[np.ndarray, " p"],
) -> Jackknifed:
    """The estimate without any pair of pictures of one group, which are numbered from 0."""
    count = int(max(own.max(), theirs.max())) + 1
    n, m = (np.bincount(each, minlength=count) for each in (own, theirs))
    rows, columns = _sums(x, y, (own, theirs))
    across = np.bincount(own, rows, count) + np.bincount(theirs, columns, count)
    xx, xx_without = _apart(x, own, count)
    yy, yy_without = _apart(y, theirs, count)
    xy, xy_without = _means(2, across, n * (len(y) - m) + m * (len(x) - n))
    return float(xx + yy - 2 * xy), [xx_without + yy_without - 2 * xy_without]


def _groups(groups: Groups | None, count: int, name: str) -> np.ndarray:
    """The group of each of so many pictures, each a group of its own where none is given."""
    found = np.arange(count) if groups is None else host_array(groups, name)
    if found.shape != (count,):
        raise ValueError(
            f"{name} has shape {found.shape}; a name for each of {count} pictures is wanted"
        )
    return found


def _apart(
    x: Features, groups: Int[np.ndarray, " t"], count: int
) -> tuple[float, Float[np.ndarray, " g"]]:
    """`_means` over the pairs of pictures of two groups, whose numbers are below count."""
    sizes = np.bincount(groups, minlength=count)
    sums = np.bincount(groups, _sums(x, x, (groups, groups))[0], count)
    return _means(2, sums, sizes * (len(x) - sizes))


def _means(
    each: int, sums: Float[np.ndarray, " g"], pairs: Int[np.ndarray, " g"]
) -> tuple[float, Float[np.ndarray, " g"]]:
    """Mean of the kernel over all pairs, and over those that a group is not in, for each group.

    Given are sum and number of the pairs that a group is in; `each` pair is in one group or two.
    """
    total, count = sums.sum(), pairs.sum()
    return total / count, (total - each * sums) / (count - each * pairs)


def _sums(
    x: Features,
    y: Float[np.ndarray, "p c"],
    groups: tuple[Int[np.ndarray, " t"], Int[np.ndarray, " p"]] | None = None,
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " p"]]:
    """Row and column sums of the kernel of x and y, without pairs of one group."""
    rows, columns = [], np.zeros(len(y))
    for part in _parts(np.arange(len(x))):
        kernel = (x[part] @ y.T / x.shape[1] + 1) ** 3
        if groups is not None:
            own, theirs = groups
            kernel[own[part, None] == theirs] = 0.0
        rows.append(kernel.sum(axis=1))
        columns += kernel.sum(axis=0)
    return np.concatenate(rows), columns


def _distances(x: Features, y: Float[np.ndarray, "p c"]) -> Float[np.ndarray, "t p"]:
    return scipy.spatial.distance.cdist(x, y)


def _parts(table: np.ndarray) -> Iterator[np.ndarray]:
    return (table[start : start + ROWS] for start in range(0, len(table), ROWS))


def _checked(features: ArrayLike, name: str, reference: Reference | None = None) -> Features:
    """Features in float64, once they are known to be a table of finite numbers."""
    table = real_array(features, name)
    if table.ndim != 2:
        raise ValueError(f"{name} have shape {table.shape}; a row for each picture is wanted")
    if reference is not None and table.shape[1] != reference.features.shape[1]:
        raise ValueError(
            f"{name} have {table.shape[1]} columns and the reference has "
            f"{reference.features.shape[1]}; read both by one network"
        )
    return table
