"""Prompt pairs of the pocket world, graded as in Crisscrossed Captions (arXiv:2004.15020).

Stratum `free`: the two captions have independently drawn sentence forms. Grade 5 is one scene
said twice; 4, 3, 2 and 1 differ in one, two, three and most values; 0 shares none. Stratum
`rigid`, the control: one sentence form, one to three values differ.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from embedding_geometry.ground.grades import RIGID
from embedding_geometry.pocket.captions import caption, rigid_caption
from embedding_geometry.pocket.world import Scene, changed, sample_scene
from embedding_geometry.study.prompts import PromptPair

FREE_A_GRADE, RIGID_A_GRADE = 52, 18


def _differing(scene: Scene, grade: int) -> int:
    """How many of the scene's five or six values differ at a grade."""
    values = 6 if scene.second else 5
    return {5: 0, 4: 1, 3: 2, 2: 3, 1: values - 1, 0: values}[grade]


def _free(rng: np.random.Generator) -> Iterator[PromptPair]:
    for grade in (5, 4, 3, 2, 1, 0):
        seen: set[str] = set()
        while len(seen) < FREE_A_GRADE:
            scene = sample_scene(rng)
            other = changed(scene, _differing(scene, grade), rng)
            source, target = caption(scene, rng), caption(other, rng)
            if source == target or source in seen:
                continue
            seen.add(source)
            yield PromptPair(f"f{grade}-{len(seen):03d}", source, target, float(grade), "free")


def _rigid(rng: np.random.Generator) -> Iterator[PromptPair]:
    for grade in (4, 3, 2):
        for number in range(1, RIGID_A_GRADE + 1):
            scene = sample_scene(rng)
            other = changed(scene, _differing(scene, grade), rng)
            yield PromptPair(
                f"r{grade}-{number:03d}",
                rigid_caption(scene),
                rigid_caption(other),
                float(grade),
                RIGID,
            )


def pocket_pairs(seed: int = 2026) -> list[PromptPair]:
    """All pairs of the recorded study: 52 in each of six grades, 54 in the rigid control."""
    rng = np.random.default_rng(seed)
    return [*_free(rng), *_rigid(rng)]


def write_pocket_pairs(path: Path, seed: int = 2026) -> None:
    """Write `pair_id, source, target, similarity, stratum` as UTF-8 CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["pair_id", "source", "target", "similarity", "stratum"])
        for p in pocket_pairs(seed):
            writer.writerow([p.pair_id, p.source, p.target, p.similarity, p.stratum])
