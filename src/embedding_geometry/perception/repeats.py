"""Pictures that a path shows more than once: in which rhythm, and by what they are known.

A path may show fewer pictures than it has frames: where it stands still, or as a film that was
brought to another frame rate does.
"""

import hashlib

import numpy as np
from jaxtyping import Float

from embedding_geometry.ground.types import ArrayLike, Frames, host_array
from embedding_geometry.perception.path_length import check_distances

LONGEST_PATTERN = 12  # steps, enough to make 25 frames a second of 12
HELD_SHARE = 0.1  # of the least real step, which repeated pictures stay below when compressed


def repeated_steps(distances: Float[np.ndarray, " steps"]) -> int:
    """Count the steps of a path that repeat a picture in a regular pattern; 0 if there is none.

    A film that was brought to another frame rate shows its pictures two or three times, or every
    fifth one twice. A pattern of up to 12 steps is looked for, which recurs at least three times
    and in which the steps at some places are all less than a tenth of those at the other places.
    """
    steps = check_distances(distances)
    for period in range(2, min(LONGEST_PATTERN, steps.size // 3) + 1):
        places = sorted((steps[k::period] for k in range(period)), key=np.max)
        for held in range(1, period):
            lowest = min(float(place.min()) for place in places[held:])
            if places[held - 1].max() < HELD_SHARE * lowest:
                return sum(place.size for place in places[:held])
    return 0


def distinct_frames(frames: Frames | ArrayLike, tolerance: int = 0) -> int:
    """Count the different pictures among frames (t, h, w, 3) of bytes, equal in every byte or not.

    Bytes that differ by no more than the tolerance count as equal: with 1, pictures that a network
    made twice, in batches of other sizes, are one.

    Raises:
        ValueError: frames of another kind.
    """
    frames = host_array(frames, "frames")
    if frames.dtype != np.uint8 or frames.ndim != 4:
        raise ValueError(
            f"frames are {frames.dtype} of shape {frames.shape}; uint8 of shape "
            "(frames, height, width, 3) is wanted"
        )
    different: list[np.ndarray] = []
    for frame in frames.astype(int):
        if all(np.abs(frame - other).max(initial=0) > tolerance for other in different):
            different.append(frame)
    return len(different)


def fingerprints(frames: Frames) -> set[bytes]:
    """The SHA-256 of every different picture, by which pictures that are gone are known again."""
    return {hashlib.sha256(frame.tobytes()).digest() for frame in frames}
