"""Clouds of tokens for timing, built as CLIP's are."""

import numpy as np
from jaxtyping import Float32


def prompt_clouds(count: int, tokens: int, width: int) -> Float32[np.ndarray, "p n d"]:
    """A common first token, words for one twentieth to half of the places, then rows of padding.

    Assignments between such clouds take less time than between clouds of pure noise.
    """
    rng = np.random.default_rng(0)
    place = rng.normal(size=(tokens, width))
    fewest, most = max(1, 4 * tokens // 77), 41 * tokens // 77
    clouds = np.empty((count, tokens, width), np.float32)
    for cloud, words in zip(clouds, rng.integers(fewest, most, size=count), strict=True):
        cloud[:] = place + rng.normal(size=(tokens, width))
        cloud[0] = place[0]
        cloud[words + 1 :] = rng.normal(size=width) + 0.1 * cloud[words + 1 :]
    return clouds
