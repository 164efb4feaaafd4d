"""Tables of numbers on a narrow screen: cells know their columns, and wide tables are marked."""

import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "book/_ext"))

from narrow import ROOM, TABLE, named


def rewritten(table: pd.DataFrame) -> str:
    """The table as the book's build writes it."""
    return TABLE.sub(named, table.to_html())


def labels(html: str) -> list[list[str]]:
    """The labels of a table's cells, row by row."""
    rows = html.split("<tbody>")[1].split("<tr>")[1:]
    return [[cell.split('"')[0] for cell in row.split('data-label="')[1:]] for row in rows]


def test_every_cell_has_the_name_of_its_column():
    table = pd.DataFrame({"pairs": [1, 2], "p, Holm": [0.5, 1]}, index=["row", "optimal"])
    assert labels(rewritten(table)) == [["pairs", "p, Holm"]] * 2


def test_a_name_for_several_rows_shifts_no_cell():
    index = pd.MultiIndex.from_product([["row"], ["before", "after"]])
    table = pd.DataFrame({"gini": [1, 2], "PPL": [3, 4]}, index=index)
    assert labels(rewritten(table)) == [["gini", "PPL"]] * 2


def test_a_heading_of_several_columns_names_each_of_them():
    columns = pd.MultiIndex.from_product([["row", "optimal"], ["now", "recorded"]])
    table = pd.DataFrame([[1, 2, 3, 4]], columns=columns)
    names = ["row now", "row recorded", "optimal now", "optimal recorded"]
    assert labels(rewritten(table)) == [names]


def test_nothing_else_of_the_page_changes():
    html = "<p>&nbsp;a &lt; b</p>"
    assert TABLE.sub(named, html) == html
    assert rewritten(pd.DataFrame({"a & b": ["x < y"]})).count("x &lt; y") == 1


@pytest.mark.parametrize(("longer", "wide"), [(0, False), (1, True)])
def test_a_table_is_wide_where_its_longest_words_have_no_room(longer, wide):
    # A sentence may wrap between its words; the name of a row may not.
    table = pd.DataFrame({"a": ["many short words " * 9], "b": ["x" * (ROOM - 11 + longer)]})
    table.index = ["row 10"]
    assert ('class="dataframe wide"' in rewritten(table)) == wide
