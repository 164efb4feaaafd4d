"""Similarities are rounded to grades."""

import pandas as pd

from embedding_geometry.ground.grades import GRADES, MOST_SIMILAR, grade


def test_a_half_goes_to_the_even_grade_for_one_number_and_for_a_column():
    halves = [0.5, 1.5, 2.5, 3.5, 4.5]
    assert [grade(half) for half in halves] == [0, 2, 2, 4, 4]
    assert pd.Series(halves).map(grade).tolist() == pd.Series(halves).round().tolist()


def test_the_most_similar_grade_comes_first():
    assert GRADES[0] == grade(MOST_SIMILAR)
    assert GRADES[-1] == 0
