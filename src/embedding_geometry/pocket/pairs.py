"""Prompt pairs of a world, graded as in Crisscrossed Captions (arXiv:2004.15020).

Stratum `free`: the two captions have independently drawn sentence forms. Grade 5 is one scene
said twice; 4, 3, 2 and 1 differ in one, two, three and most values; 0 shares none. Stratum
`rigid`, the control: one sentence form, one to three values differ.
"""

from collections.abc import Iterator

import numpy as np

from embedding_geometry.ground.grades import GRADES, RIGID
from embedding_geometry.pocket.recipes import RECIPES, PairsAGrade, Scene, World
from embedding_geometry.study.prompts import PromptPair


def _scenes(world: World, grade: int, rng: np.random.Generator) -> tuple[Scene, Scene]:
    """Two scenes, of whose values as many differ as the grade says."""
    scene = world.sample_scene(rng)
    values = len(world.changeable(scene))
    differing = {5: 0, 4: 1, 3: 2, 2: 3, 1: values - 1, 0: values}[grade]
    return scene, world.changed(scene, differing, rng)


def _free(world: World, a_grade: int, rng: np.random.Generator) -> Iterator[PromptPair]:
    for grade in GRADES:
        seen: set[str] = set()
        while len(seen) < a_grade:
            source, target = [world.caption(scene, rng) for scene in _scenes(world, grade, rng)]
            if source == target or source in seen:
                continue
            seen.add(source)
            yield PromptPair(f"f{grade}-{len(seen):03d}", source, target, float(grade), "free")


def _rigid(world: World, a_grade: int, rng: np.random.Generator) -> Iterator[PromptPair]:
    for grade in (4, 3, 2):
        for number in range(1, a_grade + 1):
            source, target = map(world.rigid_caption, _scenes(world, grade, rng))
            yield PromptPair(f"r{grade}-{number:03d}", source, target, float(grade), RIGID)


def draw_pairs(
    world: World, a_grade: PairsAGrade = RECIPES["pocket"].pairs, seed: int = 2026
) -> list[PromptPair]:
    """All pairs of a study of this world: free ones of six grades, then the rigid control's."""
    rng = np.random.default_rng(seed)
    return [*_free(world, a_grade.free, rng), *_rigid(world, a_grade.rigid, rng)]
