"""The anatomy that creatures share, where a species lies in it, and how individuals vary."""

import numpy as np
from jaxtyping import Float

Color = tuple[int, int, int]

FURRED = ("ear", "mane", "limb", "arm", "tip")  # limb: the feet, tip: of the tail
COLORS: dict[str, Color] = dict.fromkeys(("fur", *FURRED), (160, 120, 90)) | {
    "light": (246, 236, 222),  # muzzle and belly
    "inner": (240, 176, 170),
    "patch": (246, 236, 222),
    "nose": (64, 48, 50),
    "mark": (70, 58, 60),  # stripes, the spot
    "iris": (52, 40, 44),
}
"""What of a creature has a colour, where its species says nothing else."""

SHAPE: dict[str, float] = {
    "head_w": 1.0,
    "head_h": 0.86,
    "jaw": 0.10,  # how much wider the head is below than above
    "ear_x": 0.62,
    "ear_y": -0.62,
    "ear_len": 0.45,
    "ear_w": 0.3,
    "ear_tilt": 0.35,  # radians, outwards
    "ear_point": 0.0,
    "ear_inner": 0.6,
    "ear_front": 0.0,  # 1: hangs over the head
    "horn": 0.0,
    "ruff": 0.7,  # radius of mane, wool or spikes behind the head
    "lobes": 0.0,
    "spikes": 0.0,
    "coat": 0.0,  # radius of wool or spikes behind the body
    "cap": 0.0,  # a tuft of hair, wool or spikes on the forehead
    "cap_y": -0.66,
    "tuft": 0.0,  # pointed cheeks
    "patch_x": 0.4,
    "patch_y": 0.0,
    "patch_w": 0.0,
    "patch_h": 0.0,
    "patch_tilt": 0.0,
    "eye_x": 0.42,
    "eye_y": 0.02,
    "eye_r": 0.16,
    "pupil": 0.8,
    "muzzle_w": 0.42,
    "muzzle_h": 0.29,
    "muzzle_y": 0.4,
    "nose_w": 0.14,
    "nose_h": 0.1,
    "nose_y": 0.26,
    "nose_point": 0.4,  # 1: a beak
    "nostril": 0.0,
    "nostril_x": 0.14,
    "mouth_w": 0.17,
    "mouth_y": 0.44,
    "smile": 0.75,  # 0: two small arcs, 1: one wide one
    "whiskers": 0.0,
    "trunk": 0.0,
    "blush": 0.5,
    "stripes": 0.0,
    "spot": 0.0,
    "body_w": 0.66,
    "belly": 0.75,
    "tail_len": 0.0,
    "tail_w": 0.16,
}
"""The anatomy, in units of the head's half width, y downwards from the middle of the head."""

SPECIES: dict[str, dict[str, float | Color]] = {
    "cat": {
        "fur": (104, 104, 128), "inner": (236, 160, 170), "nose": (240, 140, 150),
        "iris": (214, 220, 96), "pupil": 0.62, "eye_r": 0.19, "eye_x": 0.44, "head_h": 0.8,
        "ear_x": 0.6, "ear_y": -0.66, "ear_len": 0.52, "ear_w": 0.36, "ear_tilt": 0.28,
        "ear_point": 0.85, "muzzle_w": 0.36, "muzzle_h": 0.25, "nose_w": 0.1, "nose_h": 0.07,
        "whiskers": 1.0, "tail_len": 0.95, "tail_w": 0.13, "blush": 0.3,
    },
    "dog": {
        "fur": (226, 178, 122), "ear": (134, 86, 54), "light": (252, 246, 236), "ear_x": 0.8,
        "ear_y": -0.5, "ear_len": 0.56, "ear_w": 0.28, "ear_tilt": 2.75, "ear_inner": 0.0,
        "ear_front": 1.0, "muzzle_w": 0.46, "muzzle_h": 0.36, "nose_w": 0.2, "nose_h": 0.14,
        "nose_y": 0.2, "mark": (134, 86, 54), "spot": 0.55, "mouth_w": 0.26, "tail_len": 0.6,
        "tail_w": 0.13,
    },
    "rabbit": {
        "fur": (250, 242, 238), "inner": (250, 176, 186), "nose": (240, 130, 146), "head_w": 0.86,
        "head_h": 0.8, "ear_x": 0.34, "ear_len": 0.92, "ear_w": 0.25, "ear_tilt": 0.12,
        "ear_inner": 0.62, "light": (255, 252, 248), "muzzle_w": 0.32, "muzzle_h": 0.22,
        "nose_w": 0.1, "nose_h": 0.07, "blush": 0.9, "whiskers": 0.4, "eye_r": 0.15, "body_w": 0.6,
    },
    "bear": {
        "fur": (150, 98, 62), "inner": (206, 152, 112), "light": (226, 188, 146), "ear_x": 0.72,
        "ear_len": 0.33, "ear_w": 0.33, "muzzle_h": 0.33, "nose_w": 0.17, "nose_h": 0.12,
        "nose_y": 0.22, "body_w": 0.76, "eye_r": 0.15,
    },
    "panda": {
        "fur": (250, 248, 246), "ear": (56, 54, 64), "limb": (56, 54, 64), "arm": (56, 54, 64),
        "patch": (56, 54, 64), "inner": (56, 54, 64), "light": (255, 253, 250), "ear_x": 0.76,
        "ear_len": 0.33, "ear_w": 0.33, "patch_x": 0.44, "patch_y": 0.06, "patch_w": 0.24,
        "patch_h": 0.31, "patch_tilt": 0.5, "eye_r": 0.15, "iris": (84, 62, 60), "muzzle_w": 0.3,
        "muzzle_h": 0.22, "nose_w": 0.15, "body_w": 0.76, "pupil": 0.78,
    },
    "pig": {
        "fur": (250, 178, 184), "inner": (238, 138, 152), "light": (253, 200, 202),
        "nose": (236, 128, 146), "ear_y": -0.64, "ear_len": 0.4, "ear_w": 0.34, "ear_tilt": 0.75,
        "ear_point": 0.7, "muzzle_w": 0.2, "muzzle_h": 0.2, "nose_w": 0.36, "nose_h": 0.25,
        "nose_y": 0.3, "nose_point": 0.0, "nostril": 1.0, "mouth_y": 0.62, "mouth_w": 0.2,
        "smile": 0.6, "eye_r": 0.15, "eye_y": -0.08, "body_w": 0.76, "tail_len": 0.3,
        "tail_w": 0.1, "blush": 0.9,
    },
    "mouse": {
        "fur": (176, 172, 182), "inner": (248, 182, 190), "nose": (240, 130, 146), "head_w": 0.8,
        "head_h": 0.74, "jaw": -0.12, "ear_x": 0.82, "ear_len": 0.6, "ear_w": 0.56,
        "ear_tilt": 0.5, "ear_inner": 0.72, "muzzle_w": 0.32, "muzzle_h": 0.26, "nose_w": 0.13,
        "nose_point": 0.1, "mouth_w": 0.16, "mouth_y": 0.42, "whiskers": 0.8, "eye_x": 0.34,
        "body_w": 0.52, "tail_len": 1.0, "tail_w": 0.06, "limb": (240, 178, 184),
    },
    "fox": {
        "fur": (232, 112, 48), "tip": (255, 248, 240), "light": (255, 248, 240),
        "inner": (74, 52, 52), "limb": (92, 58, 50), "arm": (92, 58, 50), "jaw": -0.18,
        "head_h": 0.8, "ear_x": 0.6, "ear_y": -0.68, "ear_len": 0.62, "ear_w": 0.36,
        "ear_tilt": 0.3, "ear_point": 0.85, "tuft": 1.0, "patch": (255, 248, 240), "patch_x": 0.56,
        "patch_y": 0.4, "patch_w": 0.42, "patch_h": 0.26, "patch_tilt": -0.5, "muzzle_w": 0.3,
        "muzzle_h": 0.3, "muzzle_y": 0.5, "nose_w": 0.12, "nose_h": 0.09, "nose_y": 0.4,
        "mouth_y": 0.54, "mouth_w": 0.14, "eye_r": 0.15, "tail_len": 1.05, "tail_w": 0.34,
        "blush": 0.0,
    },
    "frog": {
        "fur": (126, 200, 92), "light": (228, 242, 180), "inner": (126, 200, 92),
        "iris": (255, 255, 250), "nose": (90, 150, 70), "head_w": 1.08, "head_h": 0.68,
        "jaw": 0.2, "ear_x": 0.5, "ear_y": -0.56, "ear_len": 0.34, "ear_w": 0.34, "ear_tilt": 0.0,
        "ear_inner": 0.0, "eye_x": 0.52, "eye_y": -0.58, "eye_r": 0.25, "pupil": 0.62,
        "muzzle_w": 0.7, "muzzle_h": 0.24, "muzzle_y": 0.46, "nose_w": 0.0, "nose_h": 0.0,
        "nose_y": 0.12, "nostril": 0.6, "nostril_x": 0.11, "mouth_w": 0.6, "mouth_y": 0.36,
        "smile": 1.0, "blush": 0.9, "body_w": 0.7,
    },
    "owl": {
        "fur": (158, 114, 80), "light": (240, 216, 172), "inner": (120, 82, 58),
        "patch": (246, 228, 190), "nose": (248, 172, 60), "iris": (255, 206, 70),
        "limb": (248, 172, 60), "arm": (128, 90, 62), "jaw": 0.0, "ear_y": -0.68, "ear_len": 0.36,
        "ear_w": 0.24, "ear_tilt": 0.55, "ear_point": 0.9, "ear_inner": 0.5, "patch_x": 0.38,
        "patch_y": 0.02, "patch_w": 0.44, "patch_h": 0.46, "eye_x": 0.38, "eye_y": 0.0,
        "eye_r": 0.29, "pupil": 0.6, "muzzle_w": 0.0, "muzzle_h": 0.0, "nose_w": 0.13,
        "nose_h": 0.19, "nose_y": 0.3, "nose_point": 0.9, "mouth_w": 0.0, "blush": 0.0,
        "body_w": 0.74, "belly": 0.85,
    },
    "koala": {
        "fur": (158, 168, 186), "inner": (250, 228, 232), "nose": (62, 58, 70),
        "light": (226, 230, 238), "ear_x": 0.84, "ear_y": -0.44, "ear_len": 0.5, "ear_w": 0.46,
        "ear_tilt": 1.1, "ear_inner": 0.66, "muzzle_w": 0.3, "muzzle_h": 0.26, "nose_w": 0.18,
        "nose_h": 0.29, "nose_y": 0.2, "nose_point": -0.1, "mouth_y": 0.56, "mouth_w": 0.16,
        "eye_x": 0.48, "eye_r": 0.15, "eye_y": -0.04, "blush": 0.6,
    },
    "lion": {
        "fur": (244, 196, 108), "mane": (176, 96, 46), "tip": (176, 96, 46),
        "light": (255, 240, 212), "inner": (214, 146, 92), "head_w": 0.88, "head_h": 0.8,
        "ruff": 1.32, "lobes": 0.1, "ear_x": 0.68, "ear_y": -0.7, "ear_len": 0.3, "ear_w": 0.28,
        "ear_front": 1.0, "ear_tilt": 0.6, "muzzle_w": 0.4, "muzzle_h": 0.3, "nose_w": 0.17,
        "nose_h": 0.11, "nose": (124, 66, 52), "tail_len": 0.9, "tail_w": 0.1, "eye_r": 0.15,
    },
    "penguin": {
        "fur": (60, 72, 108), "light": (255, 253, 248), "patch": (255, 253, 248),
        "nose": (252, 166, 56), "limb": (250, 160, 60), "ear_len": 0.1, "ear_w": 0.1,
        "ear_x": 0.3, "ear_y": -0.5, "ear_inner": 0.0, "patch_x": 0.34, "patch_y": 0.2,
        "patch_w": 0.42, "patch_h": 0.5, "patch_tilt": 0.1, "muzzle_w": 0.5, "muzzle_h": 0.3,
        "muzzle_y": 0.46, "eye_x": 0.36, "eye_r": 0.15, "nose_w": 0.2, "nose_h": 0.13,
        "nose_y": 0.24, "nose_point": 0.8, "mouth_w": 0.0, "blush": 0.9, "belly": 0.92,
        "body_w": 0.68,
    },
    "elephant": {
        "fur": (148, 166, 196), "inner": (232, 178, 190), "light": (172, 188, 214),
        "head_w": 0.86, "ear_x": 0.8, "ear_y": 0.0, "ear_len": 0.68, "ear_w": 0.62,
        "ear_tilt": 1.45, "ear_inner": 0.68, "muzzle_w": 0.0, "muzzle_h": 0.0, "nose_w": 0.0,
        "nose_h": 0.0, "trunk": 1.0, "mouth_w": 0.0, "eye_r": 0.15, "eye_x": 0.46, "eye_y": -0.06,
        "blush": 0.7, "body_w": 0.76, "belly": 0.5,
    },
    "monkey": {
        "fur": (132, 84, 58), "inner": (244, 200, 160), "light": (246, 212, 172),
        "patch": (246, 212, 172), "head_w": 0.92, "ear_x": 0.98, "ear_y": -0.02, "ear_len": 0.34,
        "ear_w": 0.34, "ear_tilt": 1.5, "ear_inner": 0.62, "patch_x": 0.32, "patch_w": 0.36,
        "patch_h": 0.38, "muzzle_w": 0.58, "muzzle_h": 0.36, "muzzle_y": 0.42, "nose_w": 0.12,
        "nose_h": 0.06, "nose": (120, 76, 58), "mouth_w": 0.34, "mouth_y": 0.5, "smile": 1.0,
        "eye_x": 0.32, "eye_r": 0.15, "tail_len": 1.1, "tail_w": 0.08,
    },
    "sheep": {
        "fur": (240, 208, 186), "mane": (252, 248, 242), "light": (252, 248, 242),
        "inner": (240, 170, 164), "nose": (196, 124, 120), "head_w": 0.74, "head_h": 0.8,
        "jaw": -0.02, "ruff": 1.08, "lobes": 0.13, "cap": 1.0, "coat": 0.68, "ear_x": 0.86,
        "ear_y": -0.12, "ear_len": 0.36, "ear_w": 0.19, "ear_tilt": 1.9, "ear_front": 1.0,
        "ear_inner": 0.55, "muzzle_w": 0.0, "muzzle_h": 0.0, "nose_w": 0.13, "nose_h": 0.08,
        "eye_x": 0.34, "eye_r": 0.15, "blush": 0.7, "body_w": 0.64, "belly": 0.9,
    },
    "cow": {
        "fur": (252, 248, 242), "ear": (78, 66, 66), "mark": (78, 66, 66),
        "nose": (226, 138, 142), "light": (250, 192, 184), "inner": (244, 180, 178),
        "limb": (78, 66, 66), "head_w": 0.84, "head_h": 0.92, "jaw": 0.0, "ear_x": 0.94,
        "ear_y": -0.44, "ear_len": 0.4, "ear_w": 0.22, "ear_tilt": 1.45, "horn": 1.0, "spot": 1.0,
        "muzzle_w": 0.62, "muzzle_h": 0.36, "muzzle_y": 0.56, "nose_w": 0.0, "nose_h": 0.0,
        "nose_y": 0.48, "nostril": 1.0, "nostril_x": 0.24, "mouth_w": 0.24, "mouth_y": 0.7,
        "smile": 1.0, "eye_y": -0.1, "eye_r": 0.15, "body_w": 0.76, "belly": 0.0,
    },
    "tiger": {
        "fur": (250, 162, 56), "mark": (62, 48, 50), "light": (255, 250, 240),
        "inner": (255, 232, 214), "patch": (255, 246, 232), "patch_x": 0.42, "patch_y": -0.12,
        "patch_w": 0.2, "patch_h": 0.22, "ear_x": 0.7, "ear_len": 0.34, "ear_w": 0.34,
        "stripes": 1.0, "tuft": 0.45, "muzzle_w": 0.5, "muzzle_h": 0.34, "nose": (230, 120, 124),
        "nose_w": 0.15, "whiskers": 0.5, "tail_len": 0.95, "tail_w": 0.14, "blush": 0.0,
    },
    "hedgehog": {
        "fur": (250, 222, 186), "mane": (112, 88, 82), "limb": (232, 190, 150),
        "ear": (206, 152, 116), "inner": (240, 176, 150), "head_w": 0.8, "head_h": 0.68,
        "jaw": 0.0, "ruff": 1.12, "spikes": 0.3, "coat": 0.56, "ear_x": 0.58, "ear_y": -0.5,
        "ear_len": 0.17, "ear_w": 0.17, "ear_front": 1.0, "cap": 1.0, "cap_y": -0.62,
        "muzzle_w": 0.24, "muzzle_h": 0.2, "muzzle_y": 0.36, "nose_w": 0.16, "nose_h": 0.13,
        "nose_y": 0.24, "nose_point": 0.0, "eye_x": 0.38, "eye_r": 0.15, "blush": 0.9,
        "body_w": 0.6, "belly": 0.85,
    },
    "chick": {
        "fur": (255, 222, 96), "ear": (255, 206, 70), "light": (255, 238, 160),
        "nose": (250, 146, 56), "limb": (250, 160, 60), "arm": (255, 206, 70),
        "mane": (255, 206, 70), "head_w": 0.94, "ear_len": 0.1, "ear_w": 0.1, "ear_x": 0.3,
        "ear_y": -0.5, "ear_inner": 0.0, "cap": 0.5, "cap_y": -0.9, "muzzle_w": 0.0,
        "muzzle_h": 0.0, "nose_w": 0.18, "nose_h": 0.14, "nose_y": 0.24, "nose_point": 0.7,
        "mouth_w": 0.0, "blush": 1.0, "eye_r": 0.15, "body_w": 0.68,
    },
}  # fmt: skip
"""Species -> where it leaves the plain anatomy; `FURRED` parts have the fur's colour."""

VARIATION: dict[str, dict[str, float]] = {
    "ears": {"ear_len": 0.22, "ear_inner": 0.1},
    "ear width": {"ear_w": 0.18},
    "head": {"head_w": 0.08, "head_h": -0.06},
    "eyes": {"eye_r": 0.16},
    "stare": {"eye_x": 0.1, "patch_x": 0.1},
    "muzzle": {"muzzle_w": 0.2, "muzzle_h": 0.15, "nose_w": 0.15},
    "stature": {"body_w": 0.14, "tail_len": 0.2},
    "shade": {"fur": 0.13, "ear": 0.13, "mane": 0.13, "limb": 0.08},
    "warmth": {},
}
"""How two individuals of a species differ; the numbers are relative changes of the anatomy."""


def _tables() -> dict[str, np.ndarray]:
    """Every parameter of every species: shapes (species,), colours (species, 3) from 0 to 1."""
    rows = []
    for own in SPECIES.values():
        fur = dict.fromkeys(FURRED, own["fur"])
        colors = {k: np.divide(({**COLORS, **fur, **own})[k], 255) for k in COLORS}
        rows.append({k: own.get(k, plain) for k, plain in SHAPE.items()} | colors)
    return {name: np.array([row[name] for row in rows], float) for name in rows[0]}


_TABLES = _tables()


def anatomy(
    weights: Float[np.ndarray, "n species"], individual: Float[np.ndarray, "n kinds"]
) -> dict[str, Float[np.ndarray, "n ..."]]:
    """Values of `SHAPE`, each (n,), and of `COLORS`, each (n, 3) from 0 to 1, of n creatures.

    Args:
        weights: of `SPECIES`, each row a mixture.
        individual: values of `VARIATION`, from -1 to 1.
    """
    own = dict(zip(VARIATION, individual.T, strict=True))
    values = {name: np.tensordot(weights, table, 1) for name, table in _TABLES.items()}
    for kind, changes in VARIATION.items():
        for name, change in changes.items():
            values[name] = (values[name].T * (1 + change * own[kind])).T
    warmth = 1 + own["warmth"][:, None] * np.array([0.05, 0.0, -0.09])
    return values | {name: (values[name] * warmth).clip(0, 1) for name in COLORS}
