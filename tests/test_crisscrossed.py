"""Crisscrossed Captions: what is joined, what is refused with which words, and fair samples."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from embedding_geometry.study.crisscrossed import (
    MissingCaptionsWarning,
    TooFewPairsWarning,
    read_cxc,
    sample_pairs,
)
from embedding_geometry.study.prompts import (
    PromptPair,
    PromptPairsError,
    read_prompt_pairs,
    write_prompt_pairs,
)

HEADER = "caption1,caption2,agg_score,sampling_method\n"
SCORES = (
    "COCO_val2014:sentid:411553,COCO_val2014:sentid:98,3.21,c2c_isim\n"
    "COCO_val2014:sentid:98,COCO_val2014:sentid:770337,5.0,c2c_cocaption\n"
    "COCO_val2014:sentid:770337,COCO_val2014:sentid:411553,0,c2c_isim\n"
)
CAPTIONS = {411553: " A kite over\n a beach. ", 98: "A dog, asleep", 770337: "Ein Hund schläft"}


def write_scores(folder: Path, lines: str, header: str = HEADER) -> Path:
    path = folder / "sts_val.csv"
    path.write_text(header + lines, encoding="utf-8")
    return path


def write_captions(folder: Path, captions: dict[int, str]) -> Path:
    """The layout of Karpathy's file, with as little in it as can be; two captions an image."""
    sentences = [
        {"tokens": text.split(), "raw": text, "imgid": 0, "sentid": sentid}
        for sentid, text in captions.items()
    ]
    images = [
        {"filename": "COCO_val2014_000000391895.jpg", "split": "test", "sentences": some}
        for some in (sentences[:2], sentences[2:])
    ]
    path = folder / "dataset_coco.json"
    path.write_text(json.dumps({"dataset": "coco", "images": images}), encoding="utf-8")
    return path


def test_scores_and_captions_are_joined_by_sentid(tmp_path: Path) -> None:
    captions = write_captions(tmp_path, CAPTIONS)
    pairs = read_cxc(write_scores(tmp_path, SCORES), captions)
    assert pairs == [
        PromptPair("411553-98", "A kite over a beach.", "A dog, asleep", 3.21, "c2c_isim"),
        PromptPair("98-770337", "A dog, asleep", "Ein Hund schläft", 5.0, "c2c_cocaption"),
        PromptPair("770337-411553", "Ein Hund schläft", "A kite over a beach.", 0.0, "c2c_isim"),
    ]
    write_prompt_pairs(tmp_path / "pairs.csv", pairs)
    assert read_prompt_pairs(tmp_path / "pairs.csv") == pairs


@pytest.mark.parametrize("text", [None, " "])
def test_missing_captions_are_counted(tmp_path: Path, text: str | None) -> None:
    some = {sentid: caption for sentid, caption in CAPTIONS.items() if sentid != 411553}
    captions = write_captions(tmp_path, some | ({411553: text} if text else {}))
    message = r"2 of 3 pairs are left out: 1 of their captions .*, sentid 411553 the first"
    with pytest.warns(MissingCaptionsWarning, match=message):
        pairs = read_cxc(write_scores(tmp_path, SCORES), captions)
    assert [pair.pair_id for pair in pairs] == ["98-770337"]


def test_captions_of_another_split_are_an_error(tmp_path: Path) -> None:
    captions = write_captions(tmp_path, {1: "a cat", 2: "a dog"})
    with pytest.raises(PromptPairsError, match=r"none of the 3 pairs in .*sts_val\.csv has both"):
        read_cxc(write_scores(tmp_path, SCORES), captions)


@pytest.mark.parametrize(
    ("header", "lines", "message"),
    [
        pytest.param(HEADER, "", "has no pairs, only a header", id="no line"),
        pytest.param(
            "image1,image2,agg_score,sampling_method\n", "", "lacks the column caption1, cap"
        ),
        pytest.param(
            "caption1,caption2,score,sampling_method\n", "", "lacks the column agg_score"
        ),
        pytest.param(HEADER, "a.jpg,b.jpg,1,x\n", "line 2: 'a.jpg' is no id of a caption"),
        pytest.param(
            HEADER,
            "v:sentid:98,v:sentid:98,5.5,x\n",
            "line 2: similarity is '5.5'",
            id="score",
        ),
        pytest.param(HEADER, SCORES + SCORES, "line 5: the pair 411553-98 is already"),
    ],
)
def test_scores_of_another_kind(tmp_path: Path, header: str, lines: str, message: str) -> None:
    captions = write_captions(tmp_path, CAPTIONS)
    with pytest.raises(PromptPairsError, match=message):
        read_cxc(write_scores(tmp_path, lines, header), captions)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "caption1,caption2",
        "[]",
        '{"annotations": [{"caption": "COCO\'s own file", "id": 98}]}',
        '{"images": [{"file_name": "no sentences.jpg"}]}',
        '{"images": [{"sentences": [{"raw": 7, "sentid": 98}]}]}',
        '{"images": [{"sentences": [{"raw": "a cat", "sentid": "first"}]}]}',
        '{"images": 3}',
    ],
)
def test_captions_of_another_kind(tmp_path: Path, text: str) -> None:
    path = tmp_path / "captions.json"
    path.write_text(text)
    with pytest.raises(PromptPairsError, match=r"captions\.json is not Karpathy's dataset_coco"):
        read_cxc(write_scores(tmp_path, SCORES), path)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    scores = write_scores(tmp_path, SCORES)
    with pytest.raises(FileNotFoundError, match=r"no captions at .*nowhere\.json"):
        read_cxc(scores, tmp_path / "nowhere.json")
    with pytest.raises(FileNotFoundError, match=r"at .*nowhere\.csv"):
        read_cxc(tmp_path / "nowhere.csv", write_captions(tmp_path, CAPTIONS))


def graded(*similarities: float) -> list[PromptPair]:
    return [PromptPair(str(k), "a", "b", value) for k, value in enumerate(similarities)]


def test_a_sample_holds_as_many_of_each_grade() -> None:
    pairs = graded(*np.random.default_rng(0).uniform(0, 5, 600))
    drawn = sample_pairs(pairs, 20, np.random.default_rng(1))
    grades = [pair.grade for pair in drawn]
    assert Counter(grades) == dict.fromkeys(range(6), 20)
    assert grades == sorted(grades, reverse=True)
    assert len(set(drawn)) == 120
    assert set(drawn) <= set(pairs)
    assert sample_pairs(pairs, 20, 1) == drawn
    assert sample_pairs(pairs, 20, np.random.default_rng(2)) != drawn


def test_every_pair_of_a_grade_is_as_likely() -> None:
    pairs = graded(*[3.0] * 10, *[float(k) for k in range(6) for _ in range(4)])
    rng = np.random.default_rng(0)
    draws = [pair.pair_id for _ in range(2000) for pair in sample_pairs(pairs, 4, rng)]
    counts = Counter(draws)
    shares = [counts[pair.pair_id] / 2000 for pair in pairs if pair.grade == 3]
    assert len(shares) == 14
    np.testing.assert_allclose(shares, 4 / 14, atol=0.05)


def test_a_grade_with_too_few_pairs_is_named() -> None:
    pairs = graded(*[float(k) for k in range(1, 6) for _ in range(3)], 0.2, 0.4)
    with pytest.warns(TooFewPairsWarning, match="grade 0 has 2 pairs of the 3 asked for"):
        drawn = sample_pairs(pairs, 3, np.random.default_rng(0))
    assert Counter(pair.grade for pair in drawn) == {5: 3, 4: 3, 3: 3, 2: 3, 1: 3, 0: 2}


def test_a_sample_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="0 pairs a grade from 1 pairs"):
        sample_pairs(graded(1.0), 0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="2 pairs a grade from 0 pairs"):
        sample_pairs([], 2, np.random.default_rng(0))
