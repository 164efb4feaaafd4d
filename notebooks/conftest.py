"""Notebooks are compared with their stored outputs as two processors print the same page."""

from nbval.plugin import IPyNbCell
from printed_numbers import same_print

exact = IPyNbCell.sanitize


class Print(str):
    """A printed text, unlike another where more than the last digit of a number differs."""

    __hash__ = str.__hash__

    def __ne__(self, other: object) -> bool:
        """Compare as nbval does, which asks whether two texts are unlike."""
        return not (isinstance(other, str) and same_print(self, other))


def sanitize(cell: IPyNbCell, output: object) -> object:
    """Every output goes through here before nbval compares it."""
    text = exact(cell, output)
    return Print(text) if isinstance(text, str) else text


IPyNbCell.sanitize = sanitize
