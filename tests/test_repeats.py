"""Pictures that are shown several times are counted, and nothing else is taken for them."""

import numpy as np
import pytest
import torch

from embedding_geometry.perception.repeats import distinct_frames, repeated_steps


@pytest.mark.parametrize(
    ("pattern", "repeated"),
    [
        ("-c", 12),  # every picture twice
        ("--c", 16),
        ("cccc-", 4),  # 24 frames a second made 30
        ("c-c--", 14),  # 10 made 25
        ("c", 0),
        ("cc", 0),
    ],
)
def test_pictures_shown_several_times_are_counted(pattern, repeated):
    rng = np.random.default_rng(0)
    steps = [rng.uniform(0.04, 0.08) if k == "c" else rng.uniform(0, 0.001) for k in pattern * 24]
    assert repeated_steps(np.array(steps[:24])) == repeated


def test_still_paths_and_jumps_are_no_repeated_pictures():
    """Nor is one that slows down, jumps twice or without a rhythm, or limps."""
    jumps = np.full(24, 0.001)
    jumps[[4, 14]] = 1
    rhythm = np.where(np.isin(np.arange(24), [2, 3, 9, 17, 20]), 1.0, 0.001)
    limp = np.tile([1.0, 0.4], 12)
    for steps in (np.zeros(24), np.geomspace(1, 1e-9, 24), jumps, rhythm, limp):
        assert repeated_steps(steps) == 0


def test_pictures_are_counted_once_however_often_and_wherever_they_are_shown():
    pictures = np.random.default_rng(0).integers(0, 256, (3, 8, 9, 3), dtype=np.uint8)
    assert distinct_frames(pictures[[0, 0, 1, 2, 2, 0, 1]]) == 3
    nearly = pictures[[0, 0]]
    nearly[1, 7, 8, 2] ^= 1  # in one bit
    assert distinct_frames(torch.from_numpy(nearly)) == 2
    assert distinct_frames(nearly, tolerance=1) == 1
    with pytest.raises(ValueError, match="frames are float64 of shape .*; uint8 of shape"):
        distinct_frames(pictures / 255)
