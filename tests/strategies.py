"""Problems whose answer was planted, and hypothesis strategies for clouds.

The generators return a problem whose answer theory gives, not the code under test.
"""

import math
from contextlib import contextmanager

import jaxtyping
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

# The same examples on every run, and no time limit for one: a busy machine is no counterexample.
settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")

# Coordinates on a grid of 1/8: differences and squares are exact, and ties, the hard case of an
# assignment, do occur.
COORDINATES = st.integers(-80, 80).map(lambda k: k / 8)


@contextmanager
def without_type_checks():
    """Switch jaxtyping off, as it is for users, to reach the package's own messages."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


@st.composite
def clouds(draw, count: int = 2, max_n: int = 6, max_d: int = 3):
    """`count` clouds of one shape (n, d), ties and duplicate rows included."""
    shape = (draw(st.integers(1, max_n)), draw(st.integers(1, max_d)))
    return tuple(draw(arrays(np.float64, shape, elements=COORDINATES)) for _ in range(count))


@st.composite
def coupled_clouds(draw):
    """Two clouds and any permutation of their tokens."""
    x, y = draw(clouds())
    return x, y, np.array(draw(st.permutations(range(len(x)))), dtype=np.int64)


def random_clouds(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Standard normal clouds of the given shape: no ties, almost surely."""
    return rng.normal(size=shape)


def hidden_permutation(rng: np.random.Generator, n: int, d: int, noise: float = 0.01):
    """Tokens x far apart, and y the same tokens shuffled and jittered: sigma undoes the shuffle.

    The jitter is far smaller than the gaps between tokens, so any other permutation costs more.
    """
    x = random_clouds(rng, n, d) + 10 * np.arange(n)[:, None]
    sigma = rng.permutation(n)
    y = np.empty_like(x)
    y[sigma] = x + noise * random_clouds(rng, n, d)
    return x, y, sigma


def gradient_of_convex(rng: np.random.Generator, n: int, d: int):
    """Tokens x, and y their images under the gradient of a strictly convex function.

    The function is log sum exp of affine functions plus a positive definite quadratic form. By
    Brenier's theorem, here plain cyclical monotonicity, pairing x[i] with y[i] is optimal.
    """
    x = random_clouds(rng, n, d)
    slopes, root = random_clouds(rng, 5, d), random_clouds(rng, d, d)
    weights = np.exp(x @ slopes.T)
    soft_slopes = weights @ slopes / weights.sum(axis=1, keepdims=True)
    return x, soft_slopes + x @ (root @ root.T + 0.1 * np.eye(d))


def padded(rng: np.random.Generator, n: int, d: int, words: int) -> np.ndarray:
    """Cloud whose rows from `words` on are one and the same padding token."""
    cloud = random_clouds(rng, n, d)
    cloud[words:] = cloud[words]
    return cloud


def pot_distance(x, y):
    """Wasserstein distance of the uniform measures, by POT's network simplex."""
    import ot  # takes a second

    return math.sqrt(ot.emd2([], [], ot.dist(x, y)))


def angles(path, start):
    """Angle of every row of the path from the same row of the start, by the arc cosine."""
    norms = np.linalg.norm(path, axis=-1) * np.linalg.norm(start, axis=-1)
    return np.arccos(np.clip((start * path).sum(axis=-1) / norms, -1, 1))
