"""Paths of frames and pictures to hold them against: planted in memory, and written to folders."""

from pathlib import Path

import numpy as np
from PIL import Image

from embedding_geometry.perception.evaluation import MeasuredPath, measure_paths
from embedding_geometry.perception.frames import write_animation, write_frames
from embedding_geometry.perception.path_length import perceptual_path_length


def noise(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def planted(distances, end_distance=0.1, name="planted"):
    """A measured path with these distances."""
    length = perceptual_path_length(np.array(distances, dtype=float))
    files, distinct = ["0.png"], len(distances) + 1
    return MeasuredPath(
        Path(name), files, list(distances), length, end_distance, 0.5, "8x8", distinct
    )


def planted_folder(seed, factor=1.0, steps=10, count=12):
    """Measured paths whose distances are drawn from the seed and multiplied by the factor."""
    rng = np.random.default_rng(seed)
    return [planted(factor * rng.uniform(0.1, 1, steps)) for _ in range(count)]


def two_folders(tmp_path):
    """Folders a and b, each with the sub-folders 1 and 2 and the animation 3.gif."""
    for seed, folder in enumerate("ab"):
        for name in "12":
            write_frames(noise(3, seed), tmp_path / folder / name, {})
        write_animation(noise(3, seed), tmp_path / folder / "3.gif", {})
    return tmp_path / "a", tmp_path / "b"


def references(tmp_path):
    """A folder of nine pictures whose names are in no order."""
    for index, picture in enumerate(noise(9, seed=9)):
        (tmp_path / "references").mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / f"references/{'third best of all'[index:]}.png")
    return tmp_path / "references"


def held_against(reference, metric, folder, counts):
    """Paths of these numbers of frames of noise, measured with the reference."""
    for seed, count in enumerate(counts):
        write_frames(noise(count, seed), folder / str(seed), {})
    paths = [folder / str(seed) for seed in range(len(counts))]
    return measure_paths(metric, paths, reference=reference)
