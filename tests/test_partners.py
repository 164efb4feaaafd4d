"""Two methods: folders matched by name, planted improvements, unlike partners."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import planted_paths
import pytest
from planted_paths import noise, planted, planted_folder

from embedding_geometry.perception.frames import write_animation, write_frames
from embedding_geometry.perception.partners import (
    LESS_IS_BETTER,
    LeftOutMeasureWarning,
    MissingPartnersWarning,
    UnlikePartnersWarning,
    compare_paths,
    match_partners,
    measured_pairs,
)
from embedding_geometry.statistics.paired import paired_comparison

# --- partners -----------------------------------------------------------------------------------


@pytest.fixture
def two_folders(tmp_path):
    return planted_paths.two_folders(tmp_path)


def test_partners_are_matched_by_name(two_folders):
    a, b = two_folders
    (a / "notes.txt").write_text("not a path")
    (b / ".cache").mkdir()
    write_frames(noise(1), a, {})  # an image is no path
    partners = match_partners(a, b)
    assert partners.names == ["1", "2", "3"]
    assert partners.paths == [folder / name for folder in (a, b) for name in ("1", "2", "3.gif")]


def test_paths_without_a_partner_are_counted_and_named(two_folders):
    a, b = two_folders
    shutil.rmtree(b / "1")
    (b / "3.gif").rename(b / "5.gif")
    (a / "4").mkdir()
    (b / "2b").mkdir()
    (a / "2b").mkdir()
    with pytest.warns(MissingPartnersWarning) as caught:
        partners = match_partners(a, b)
    [message] = [str(warning.message) for warning in caught]
    assert f"3 only in {a}: 1, 3.gif, 4; 1 only in {b}: 5.gif" in message
    assert partners.names == ["2", "2b"]


def test_partners_in_two_formats_are_matched(two_folders):
    a, b = two_folders
    write_animation(noise(3), b / "3.webp", {})
    with pytest.raises(ValueError, match=r"3\.webp and 3\.gif of .*b have one name; keep one"):
        match_partners(a, b)
    (b / "3.gif").unlink()
    assert match_partners(a, b).paths[-1] == b / "3.webp"


def test_a_pair_of_which_one_is_not_measured_is_left_out(two_folders):
    partners = match_partners(*two_folders)
    measured = [planted([0.1], name=path) for path in partners.paths]
    del measured[4]
    treatment, control = measured_pairs(partners, measured)
    assert [path.path.name for path in treatment] == ["1", "3.gif"]
    assert [path.path for path in control] == [two_folders[1] / "1", two_folders[1] / "3.gif"]


def test_no_matching_partner_is_an_error(two_folders, tmp_path):
    a, _ = two_folders
    (tmp_path / "c/else").mkdir(parents=True)
    message = r"0 names are in both .*: 1, 2, 3\.gif; 1 only in .*else"
    with pytest.raises(ValueError, match=message):
        match_partners(a, tmp_path / "c")
    with pytest.raises(FileNotFoundError, match="d is not a folder"):
        match_partners(a, tmp_path / "d")


# --- comparing ----------------------------------------------------------------------------------


def test_a_planted_improvement_is_found():
    table = compare_paths(
        planted_folder(0, factor=0.5), planted_folder(0), np.random.default_rng(0)
    ).set_index("measure")
    assert list(table.index) == list(LESS_IS_BETTER)
    for measure in ("ppl", "total", "scaled_mean", "maximum_step"):
        assert table.loc[measure, "relative_improvement"] == pytest.approx(0.5)
    assert table.loc["root_sum", "relative_improvement"] == pytest.approx(1 - np.sqrt(0.5))
    assert table.loc["variance", "relative_improvement"] == pytest.approx(0.75)
    assert table.loc["gini", "relative_improvement"] == pytest.approx(0, abs=1e-12)
    assert (table.drop("gini")["share_won"] == 1).all()
    assert (table["holm"] >= table["p_value"]).all()


def test_the_comparison_is_that_of_the_statistics_module():
    a, b = planted_folder(1), planted_folder(2)
    table = compare_paths(a, b, np.random.default_rng(7)).set_index("measure")
    means = [np.array([path.length.mean for path in folder]) for folder in (a, b)]
    expected = asdict(paired_comparison(*means, np.random.default_rng(7)))
    assert table.loc["ppl", list(expected)].to_dict() == expected


def test_unequal_numbers_of_frames_are_not_compared():
    a, b = planted_folder(1, steps=10), planted_folder(2, steps=10)
    b[3] = planted([0.1] * 5, name="short")
    message = r"1 of 12 pairs .*such as planted \(11\) and short \(6\)"
    with pytest.raises(ValueError, match=message + r".* take 6 of each \(--frames 6\)"):
        compare_paths(a, b, np.random.default_rng(0))
    b[3] = planted([0.1] * 9, name="short")  # 10 steps and 9 have their ends in common alone
    with pytest.raises(ValueError, match="give both as many$"):
        compare_paths(a, b, np.random.default_rng(0))


@pytest.mark.parametrize("change", [{"path": Path("a.GIF")}, {"size": "9x8"}])
def test_partners_of_two_formats_or_sizes_are_reported(change):
    a, b = planted_folder(1), planted_folder(2)
    b[3] = replace(b[3], **change)
    with pytest.warns(UnlikePartnersWarning, match=r"1 pairs .*planted \(8x8\) and .*; write one"):
        compare_paths(a, b, np.random.default_rng(0))


def test_a_measure_without_relative_improvement_is_left_out():
    even = [planted([0.2, 0.2, 0.2]) for _ in range(12)]  # gini and variance are 0
    with pytest.warns(LeftOutMeasureWarning, match="gini|variance"):
        table = compare_paths(planted_folder(1, steps=3), even, np.random.default_rng(0))
    assert "ppl" in set(table["measure"])
    assert "gini" not in set(table["measure"])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_unequal_numbers_of_paths_or_too_few_cannot_be_compared(count):
    paths = planted_folder(1)
    treatment = paths if count == 3 else paths[:count]
    with pytest.raises(ValueError, match=rf"and {count} paths are to be compared; give two or"):
        compare_paths(treatment, paths[:count], np.random.default_rng(0))


@pytest.mark.filterwarnings("ignore::embedding_geometry.perception.partners.LeftOutMeasureWarning")
def test_a_control_that_stands_still_cannot_be_improved_upon():
    still = [planted([0.0, 0.0]) for _ in range(3)]
    with pytest.raises(ValueError, match="3 pairs of paths can be compared in no measure"):
        compare_paths(planted_folder(1, steps=2, count=3), still, np.random.default_rng(0))


def test_realism_is_compared_as_what_is_less_where_frames_are_better():
    better, worse = planted_folder(1), planted_folder(2)
    better, worse = (
        [replace(path, realism=[0.2, score + k / 100, 9.0]) for k, path in enumerate(folder)]
        for folder, score in ((better, 1.2), (worse, 0.9))
    )
    table = compare_paths(better, worse, np.random.default_rng(0)).set_index("measure")
    assert list(table.index) == [*LESS_IS_BETTER, "1/realism"]
    row = table.loc["1/realism"]
    assert row["share_won"] == 1
    gains = [1 - (0.9 + k / 100) / (1.2 + k / 100) for k in range(12)]
    assert row["relative_improvement"] == pytest.approx(np.median(gains))
