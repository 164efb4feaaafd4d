from collections import Counter
from pathlib import Path

import pytest

from embedding_geometry.pocket import __main__ as pocket_command
from embedding_geometry.pocket.__main__ import Pairs, RecipeName, main
from embedding_geometry.pocket.pairs import draw_pairs
from embedding_geometry.pocket.recipes import PICTOGRAPHS, RECIPES, PairsAGrade
from embedding_geometry.study.prompts import read_prompt_pairs

PROMPTS = Path(__file__).parents[1] / "data" / "prompts"
RECORDED = PROMPTS / "pocket_pairs.csv"
MODELS = pytest.mark.parametrize("model", RECIPES)


@pytest.mark.parametrize(("table", "seed"), [("pairs", 2026), ("reference", 3)])
@MODELS
def test_the_committed_tables_are_what_the_command_writes(
    model: RecipeName, table: str, seed: int, tmp_path: Path
) -> None:
    main(Pairs(model, tmp_path / "pairs.csv", seed))
    written = (tmp_path / "pairs.csv").read_bytes()
    assert written == (PROMPTS / f"{model}_{table}.csv").read_bytes()


def test_the_table_reads_back_as_written() -> None:
    assert read_prompt_pairs(RECORDED) == draw_pairs(PICTOGRAPHS)


def test_every_grade_has_its_pairs_and_no_pair_is_one_text_twice() -> None:
    pairs = draw_pairs(PICTOGRAPHS)
    counts = Counter((p.stratum, p.similarity) for p in pairs)
    assert all(counts["free", float(g)] >= 50 for g in range(6))
    assert sum(n for (stratum, _), n in counts.items() if stratum == "rigid") >= 50
    assert all(p.source != p.target for p in pairs)


def test_as_many_pairs_are_drawn_as_a_recipe_says() -> None:
    few = draw_pairs(PICTOGRAPHS, PairsAGrade(free=3, rigid=2))
    assert Counter(p.stratum for p in few) == {"free": 6 * 3, "rigid": 3 * 2}
    assert few[:3] == draw_pairs(PICTOGRAPHS)[:3]


def test_the_second_model_has_at_least_sixty_pairs_a_grade_and_a_table_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its table had been the natural pairs', as long as there is no such model."""
    monkeypatch.setattr(pocket_command, "PROMPTS", tmp_path)
    main(Pairs("menagerie"))
    recipe, pairs = RECIPES["menagerie"], read_prompt_pairs(tmp_path / "menagerie_pairs.csv")
    assert pairs == draw_pairs(recipe.world, recipe.pairs)
    counts = Counter((p.stratum, p.similarity) for p in pairs)
    assert min(counts["free", float(g)] for g in range(6)) >= 60
    assert sum(n for (stratum, _), n in counts.items() if stratum == "rigid") >= 60
    assert len({(p.stratum, p.similarity, p.source, p.target) for p in pairs}) == len(pairs)


def test_rigid_pairs_keep_their_words_in_place_and_free_ones_do_not() -> None:
    def kept(pair) -> float:
        a, b = pair.source.split(), pair.target.split()
        return sum(x == y for x, y in zip(a, b, strict=False)) / max(len(a), len(b))

    share = {
        stratum: sum(kept(p) for p in pairs) / len(pairs)
        for stratum in ("rigid", "free")
        if (
            pairs := [
                p for p in draw_pairs(PICTOGRAPHS) if p.stratum == stratum and p.similarity == 4
            ]
        )
    }
    assert share["rigid"] > 0.7
    assert share["free"] < 0.3


@pytest.mark.parametrize(("table", "first", "behind"), [("dose", 0, 10), ("rivals", 10, 30)])
@MODELS
def test_smaller_studies_take_pairs_of_each_grade_in_turn(
    model: RecipeName, table: str, first: int, behind: int
) -> None:
    free = [p for p in read_prompt_pairs(PROMPTS / f"{model}_pairs.csv") if p.stratum == "free"]
    by_grade = [[p for p in free if p.similarity == grade] for grade in (5, 4, 3, 2, 1, 0)]
    turns = zip(*(pairs[first:behind] for pairs in by_grade), strict=True)
    in_turn = [pair for turn in turns for pair in turn]
    assert read_prompt_pairs(PROMPTS / f"{model}_pairs_{table}.csv") == in_turn
