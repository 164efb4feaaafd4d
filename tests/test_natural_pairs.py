"""The natural prompt pairs: counts, no repetition, and grades that the words bear out."""

import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from statistics import mean

import pytest

from embedding_geometry.study.prompts import PromptPair, read_prompt_pairs

TABLE = Path(__file__).parents[1] / "data" / "prompts" / "pairs.csv"
GRADES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:[-'][^\W_]+)*", text.lower())


FUNCTION_WORDS = frozenset(
    words(
        """a about above across all along among an and another are around as at be been before
        behind being below beneath beside between but by down every for from has have he
        her him his in into is it its just nobody not of off on one onto or out over
        past she so some that the their them there these they this those through to
        towards under up was were when where which while who whose with"""
    )
)


def content_words(text: str) -> list[str]:
    """Words in order of first mention, without function words and plural endings."""
    kept = (word for word in words(text) if word not in FUNCTION_WORDS)
    return list(dict.fromkeys(word.removesuffix("'s").removesuffix("s") for word in kept))


def overlap(one: str, other: str) -> float:
    """Jaccard index of the content words."""
    a, b = set(content_words(one)), set(content_words(other))
    return len(a & b) / len(a | b)


def shared_in_order(one: str, other: str) -> tuple[list[str], list[str]]:
    """The content words of both texts, in the order of either."""
    a, b = content_words(one), content_words(other)
    return [word for word in a if word in b], [word for word in b if word in a]


@pytest.fixture(scope="module")
def pairs() -> list[PromptPair]:
    return read_prompt_pairs(TABLE)


def of_grade(pairs: list[PromptPair], grade: float) -> list[PromptPair]:
    return [pair for pair in pairs if pair.similarity == grade]


def test_every_grade_has_its_pairs(pairs: list[PromptPair]) -> None:
    counts = Counter(pair.similarity for pair in pairs)
    assert sorted(counts) == list(GRADES)
    assert min(counts.values()) >= 40
    assert len(pairs) >= 240


def test_the_table_is_plain_csv() -> None:
    text = TABLE.read_bytes().decode("utf-8")
    assert text.startswith("pair_id,source,target,similarity,stratum\n")
    assert text.count("pair_id") == 1
    assert "\r" not in text
    assert "  " not in text


def test_ids_tell_the_grade_and_are_unique(pairs: list[PromptPair]) -> None:
    assert len({pair.pair_id for pair in pairs}) == len(pairs)
    for pair in pairs:
        assert re.fullmatch(rf"n{pair.similarity:.0f}-\d{{3}}", pair.pair_id)
        assert pair.stratum == "natural"


def test_no_text_comes_twice(pairs: list[PromptPair]) -> None:
    texts = [tuple(words(text)) for pair in pairs for text in (pair.source, pair.target)]
    assert [text for text, count in Counter(texts).items() if count > 1] == []


def test_texts_of_different_pairs_are_no_variants(pairs: list[PromptPair]) -> None:
    texts = [(pair.pair_id, text) for pair in pairs for text in (pair.source, pair.target)]
    bags = [(pair_id, set(content_words(text))) for pair_id, text in texts]
    alike = [
        (p, q)
        for (p, a), (q, b) in combinations(bags, 2)
        if p != q and len(a & b) > 0.4 * len(a | b)
    ]
    assert alike == []


def test_texts_are_as_long_as_prompts_are(pairs: list[PromptPair]) -> None:
    lengths = [len(words(text)) for pair in pairs for text in (pair.source, pair.target)]
    assert min(lengths) >= 4
    assert max(lengths) <= 40
    assert min(lengths) <= 6, "short prompts are missing"
    assert max(lengths) >= 30, "long prompts are missing"


def test_the_two_texts_of_a_pair_differ_in_length(pairs: list[PromptPair]) -> None:
    """Neither side is always the shorter one, and the grades are of comparable length."""
    surplus = [len(words(pair.source)) - len(words(pair.target)) for pair in pairs]
    assert mean(difference != 0 for difference in surplus) > 0.9
    assert 0.4 < mean(difference > 0 for difference in surplus) < 0.6
    by_grade = [
        mean(len(words(pair.source + " " + pair.target)) for pair in of_grade(pairs, grade))
        for grade in GRADES
    ]
    assert max(by_grade) < 1.3 * min(by_grade)


@pytest.mark.parametrize("grade", [4.0, 5.0])
def test_similar_pairs_have_another_word_order(pairs: list[PromptPair], grade: float) -> None:
    for pair in of_grade(pairs, grade):
        in_source, in_target = shared_in_order(pair.source, pair.target)
        assert len(in_source) >= 2, pair
        assert in_source != in_target, pair


def test_the_same_content_stands_in_other_words(pairs: list[PromptPair]) -> None:
    for pair in of_grade(pairs, 5.0):
        source, target = set(content_words(pair.source)), set(content_words(pair.target))
        assert source - target, pair
        assert target - source, pair
        assert overlap(pair.source, pair.target) < 0.6, pair


def test_shared_vocabulary_grows_with_the_grade(pairs: list[PromptPair]) -> None:
    """Up to grade 4, that is; grade 5 asks for other words and still beats the unlike grades."""
    mean_overlap = [
        mean(overlap(pair.source, pair.target) for pair in of_grade(pairs, grade))
        for grade in GRADES
    ]
    unrelated, topic, scene, rough, close, same = mean_overlap
    assert unrelated < topic < scene < rough < close
    assert scene < same < close
