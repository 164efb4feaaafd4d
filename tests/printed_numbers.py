"""What two prints of a page may differ in: the last digit of a measured number.

Processors round differently by a last bit, and a last bit can tip a printed digit. So numbers with
decimals and per cents may differ by one unit of the last digit printed, or by one part in a
hundred where that is more, which is what the pages leave to another processor when they compare
with a record. All else stands as it is printed: words, whole numbers, versions, dates.
"""

import re
from decimal import Decimal

ONE_PART = Decimal("0.01")
# a number that is no part of a name, a version or a longer number: 0.25, −3, 1.5e-07, 3 641
NUMBER = re.compile(
    r"""
    (?<![\w.]) [-−]? \d+ (?:[,\u202f]\d{3})* (?:\.\d+)? (?:e[-+]?\d+)?
    (?!\w|\.\d)  # no part of a name, a version or a longer number
    """,
    re.VERBOSE,
)
PER_CENT, TO = (" %", "\u202f%", "%"), "\u00a0to\u00a0"  # "12 %", "3 to 12 %", "(3 to 12)"


def is_measured(text: str, number: re.Match[str]) -> bool:
    """Whether it has decimals or a power of ten, or is a per cent, or an end of an interval."""
    start, end = number.span()
    in_per_cent = text.startswith((*PER_CENT, TO), end) or text.endswith(TO, 0, start)
    return in_per_cent or bool(set(".e") & set(number.group()))


def value(number: re.Match[str]) -> Decimal:
    """A printed number, with as many digits as were printed."""
    return Decimal(number.group().translate(str.maketrans("−", "-", ",\u202f")))


def near(stored: Decimal, found: Decimal) -> bool:
    """Whether they differ by one unit of the last digit at most, or by one part in a hundred."""
    unit = min(Decimal(1).scaleb(n.as_tuple().exponent) for n in (stored, found))
    return abs(found - stored) <= max(unit, ONE_PART * abs(stored))


def same_print(stored: str, found: str) -> bool:
    """Whether two texts differ in nothing but the last digits of measured numbers.

    Runs of blanks count as one, for a number that is longer by a digit moves a table's columns.
    """
    texts = [re.sub(" +", " ", text) for text in (stored, found)]
    if NUMBER.split(texts[0]) != NUMBER.split(texts[1]):
        return False
    return all(
        a.group() == b.group()
        or (is_measured(texts[0], a) or is_measured(texts[1], b))
        and near(value(a), value(b))
        for a, b in zip(*map(NUMBER.finditer, texts), strict=True)
    )
