"""Tables of prompt pairs: what is read, and what is refused with which words."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedding_geometry.study.prompts import (
    PromptPair,
    PromptPairsError,
    read_prompt_pairs,
    write_prompt_pairs,
)

HEADER = "pair_id,source,target,similarity\n"


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "pairs.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_reads_pairs_in_the_order_of_the_lines(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "pair_id,source,target,similarity,stratum\n"
        'b,"a cat, asleep",ein Kätzchen,4.5,free\n'
        "a,a dog,a boat,0,\n",
    )
    assert read_prompt_pairs(path) == [
        PromptPair("b", "a cat, asleep", "ein Kätzchen", 4.5, "free"),
        PromptPair("a", "a dog", "a boat", 0.0, "natural"),
    ]


def test_reads_a_table_saved_by_a_spreadsheet(tmp_path: Path) -> None:
    """Spreadsheets put a byte-order mark in front and columns of their own behind."""
    path = write(
        tmp_path,
        "pair_id,note,source,target,similarity\r\n007,x,a cat,a dog,1\r\n",
        encoding="utf-8-sig",
    )
    assert read_prompt_pairs(str(path)) == [PromptPair("007", "a cat", "a dog", 1.0)]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(
    lambda text: text == text.strip() != ""
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.builds(PromptPair, TEXTS, TEXTS, TEXTS, st.floats(0, 5), TEXTS),
        min_size=1,
        max_size=4,
        unique_by=lambda pair: pair.pair_id,
    )
)
def test_whatever_was_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[PromptPair]
) -> None:
    path = tmp_path_factory.mktemp("pairs") / "pairs.csv"
    write_prompt_pairs(path, pairs)
    assert read_prompt_pairs(path) == pairs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "lacks the column pair_id, source, target, similarity", id="empty file"),
        pytest.param("pair_id,source,target\na,b,c\n", "similarity; its header", id="column"),
        pytest.param(HEADER, "holds no prompt pair", id="header alone"),
        pytest.param(HEADER + "a,b,c,1\na,d,e,2\n", "line 3: pair_id 'a' is already", id="twice"),
        pytest.param(HEADER + "a,b,c,5.1\n", "line 2: similarity is '5.1'", id="above 5"),
        pytest.param(HEADER + "a,b,c,-1\n", "similarity is '-1'", id="below 0"),
        pytest.param(HEADER + "a,b,c,nan\n", "similarity is 'nan'", id="nan"),
        pytest.param(HEADER + "a,b,c,high\n", "similarity is 'high'", id="no number"),
        pytest.param(HEADER + "a,b,c\n", "similarity is ''", id="too few fields"),
        pytest.param(HEADER + "a,b, ,1\n", "line 2: target is empty", id="blank text"),
        pytest.param(HEADER + ",b,c,1\n", "pair_id is empty", id="no name"),
        pytest.param(HEADER + "a,a cat, asleep,c,1\n", "more fields than", id="bare comma"),
        pytest.param(HEADER + 'a,"b,c,1\n', "not CSV", id="open quote"),
    ],
)
def test_refuses_a_table(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(PromptPairsError, match=message) as caught:
        read_prompt_pairs(path)
    assert str(path) in str(caught.value)


def test_refuses_another_encoding(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + "a,Kätzchen,Hund,4\n", encoding="latin-1")
    with pytest.raises(PromptPairsError, match=r"not UTF-8 \(byte 36 is 0xe4\)"):
        read_prompt_pairs(path)


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no table of prompt pairs at .*nowhere.csv"):
        read_prompt_pairs(tmp_path / "nowhere.csv")
