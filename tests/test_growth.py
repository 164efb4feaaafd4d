"""Straight lines through times: planted ones, and numpy's of points that lie on none."""

import numpy as np
import pandas as pd
import pytest

from embedding_geometry.statistics.growth import straight_lines


def test_planted_lines_are_found_in_the_order_of_the_table():
    sizes = np.array([1, 2, 5, 9])
    planted = {"frames": (0.25, 2.0), "couplings": (3.0, 0.0)}
    times = pd.concat(
        pd.DataFrame({"axis": axis, "size": sizes, "seconds": slope * sizes + intercept})
        for axis, (slope, intercept) in planted.items()
    )
    lines = straight_lines(times)
    assert list(lines.index) == ["frames", "couplings"]
    for axis, line in planted.items():
        assert lines.loc[axis, ["slope", "intercept"]].tolist() == pytest.approx(line)
    assert lines["r_squared"].to_numpy() == pytest.approx(1.0)
    assert lines["points"].tolist() == [4, 4]


def test_of_scattered_times_it_is_the_line_of_least_squares():
    rng = np.random.default_rng(0)
    sizes, seconds = np.arange(20), rng.uniform(size=20)
    line = straight_lines(pd.DataFrame({"axis": "x", "size": sizes, "seconds": seconds})).loc["x"]
    assert line[["slope", "intercept"]].tolist() == pytest.approx(np.polyfit(sizes, seconds, 1))
    assert line["r_squared"] == pytest.approx(np.corrcoef(sizes, seconds)[0, 1] ** 2)
