"""How prompt pairs are sorted: by grades of similarity, with the rigid control apart."""

MOST_SIMILAR = 5.0
GRADES = range(5, -1, -1)  # the most similar first

RIGID = "rigid"  # the stratum of the control, in which both sentences have the same form


def grade(similarity: float | int) -> int:
    """The grade of a similarity: rounded to a whole number, a half to the even one."""
    return round(similarity)
