"""Numbers are written for readers."""

import pytest
from study_tables import study_table

from embedding_geometry.pages import texts
from embedding_geometry.pages.findings import Finding
from embedding_geometry.statistics.estimates import Correlation
from embedding_geometry.statistics.paired import PairedRatio
from embedding_geometry.statistics.rivals import Advice, Duel


@pytest.mark.parametrize(
    ("value", "digits", "percent", "text"),
    [
        (0.123456, 2, False, "0.12"),
        (0.123456, 1, True, "12.3\u202f%"),
        (-0.5, 1, False, "−0.5"),
        (-1e-9, 1, False, "0.0"),
        (1234567.0, 0, False, "1\u202f234\u202f567"),
        (77.0, 0, False, "77"),
    ],
)
def test_numbers_are_rounded_and_written_for_reading(value, digits, percent, text):
    assert texts.number_text(value, digits, percent=percent) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_not_quoted(value):
    with pytest.raises(ValueError, match="(nan|inf) is no number to be read"):
        texts.number_text(value, 1)


def test_interval_names_its_unit_once():
    assert texts.interval_text((-0.01, 0.0312), 1, percent=True) == "−1.0\u00a0to\u00a03.1\u202f%"
    assert texts.interval_text((0.1, 0.2), 2) == "0.10\u00a0to\u00a00.20"


def test_what_is_so_on_each_model_is_a_list_for_a_sentence():
    said = texts.by_name({"pocket": "52\u202f%", "other": "40\u202f%"})
    assert said == "52\u202f% on pocket, 40\u202f% on other"


def test_a_rank_correlation_is_a_line_of_a_table():
    row = texts.correlation_row(Correlation(-0.5, (-0.75, 0.126), 0.01, 9))
    assert row == {"rank correlation": "−0.50", "95 % interval": "−0.75\u00a0to\u00a00.13"}


def test_p_values_keep_two_digits_down_to_a_floor():
    assert [texts.p_text(p) for p in (0.01234, 0.5, 1e-7)] == [
        "p\u00a0=\u00a00.012",
        "p\u00a0=\u00a00.5",
        "p\u00a0<\u00a00.0001",
    ]


def test_p_value_of_a_table_needs_no_p():
    assert [texts.p_number(p) for p in (0.01234, 1e-7)] == ["0.012", "<\u00a00.0001"]


def finding(kind, estimate, interval=None, test="counted", n=24, **rest):
    return Finding(kind, estimate, interval, test, n, "cases", "holds", **rest)


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (
            finding("improvement", -0.0149, (-0.02, 0.013), "Wilcoxon", corrected=True),
            ("−1.5\u202f%", "−2.0\u00a0to\u00a01.3\u202f%", "Wilcoxon, Holm"),
        ),
        (finding("count", 23.0), ("23 of 24", "", "counted")),
        (
            finding("smoother", 1.0, n=6, facts=(2.0,)),
            ("1 of 6 smoother, 2 rougher", "", "counted"),
        ),
        (
            finding("change", 3e-6, test="below {:g}; at least {:.1f}", facts=(1e-3, 0.74)),
            ("relative change ≤\u00a010⁻⁴", "", "below 0.001; at least 0.7"),
        ),
        (
            finding("straightness", 0.9996, test="the least for {1}", facts=(0.99, "frames")),
            ("R² ≥\u00a01.000", "", "the least for frames"),
        ),
        (
            finding("rank correlation", 0.123, (0.1, 0.15), "Spearman"),
            ("rank correlation 0.12", "0.10\u00a0to\u00a00.15", "Spearman"),
        ),
    ],
)
def test_findings_are_written_by_their_kind(finding, expected):
    found = texts.effect_text(finding), texts.effect_interval(finding), texts.test_text(finding)
    assert found == expected


def test_effects_of_one_kind_are_sorted_by_their_number():
    """The page compares keys with numeric collation: digits as whole numbers, decimals digit by
    digit, for which all keys need as many of them."""
    values = [-0.105, -0.0925, -0.002, 0.0018, 0.017, 0.67]
    keys = [texts.effect_key(finding("improvement", value)) for value in values]
    assert keys == sorted(keys)
    assert len({len(key) for key in keys}) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "≤ 10⁻¹²"),
        (3e-16, "≤ 10⁻¹²"),
        (8e-8, "≤ 10⁻⁴"),
        (1.1e-5, "≤ 10⁻⁴"),
        (1e-4, "≤ 10⁻⁴"),
        (1.1e-4, "≤ 10⁻²"),
        (2.0, "≤ 10¹"),
    ],
)
def test_bound_is_a_size_class_that_another_processor_shares(value, text):
    assert texts.at_most(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_bound_of_no_size_is_an_error(value):
    with pytest.raises(ValueError, match="size"):
        texts.at_most(value)


@pytest.mark.parametrize(
    ("value", "text"), [(12.0, "≥ 10¹"), (9.9e41, "≥ 10⁴¹"), (float("inf"), "≥ 10³⁰⁸")]
)
def test_a_large_size_reaches_a_power_of_ten(value, text):
    assert texts.at_least(value).replace("\u00a0", " ") == text


def test_a_pilot_is_called_a_pilot():
    study = study_table({"a": (1.0, 0.9), "b": (1.0, 0.9)})
    assert texts.coverage_text(study, 2) == "It covers all 2 prompt pairs"
    assert texts.coverage_text(study, 3) == "It is a pilot: it covers 2 of the 3 prompt pairs"


def test_advice_is_written_with_the_names_that_were_found_or_that_there_are_none():
    better = {"optimal": ["outer", "scores"], "row": []}
    advice = Advice(
        True, better, ["cross-fade"], {"optimal": [], "row": []}, "outer", ["outer", "row"]
    )
    assert texts.advice_sentences(advice) == [
        "Smoother than the optimal coupling at no loss of fidelity: outer, scores.",
        "No way is found to be smoother than row order at no loss of fidelity.",
        "Smoother than row order, but at a loss of fidelity: cross-fade.",
        "Against row order nothing is undecided.",
        "At no more rows of the UNet than row order takes, the smoothest of these is outer.",
        "No other way is both smoother and more faithful than: outer, row.",
    ]
    none = {"optimal": [], "row": []}
    nothing = texts.advice_sentences(Advice(False, none, [], none, "row", ["row"]))
    assert not any("smoothest of these" in line for line in nothing)
    assert nothing[0].startswith("Realism does not find the cross-fade to be a loss here")


def test_a_rival_is_written_as_a_line_of_a_table():
    ppl, realism = (PairedRatio(30, r, (r - 0.04, r + 0.04), 1e-6) for r in (0.7, 1.0))
    line = texts.rival_row(Duel("outer", "row", ppl, realism, 1e-5, sensitive=True))
    assert {name: text.replace("\u00a0", " ") for name, text in line.items()} == {
        "PPL": "0.70 [0.66 to 0.74]",
        "realism": "1.00 [0.96 to 1.04]",
        "verdict": "better",
    }


def test_what_was_found_on_each_model_is_one_sentence():
    found = {"pocket": ["outer", "scores"], "menagerie": []}
    assert texts.on_models(found) == "on pocket outer, scores; on menagerie none"
