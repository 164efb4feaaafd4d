"""How time grows with size: the straight line through times that were measured."""

import pandas as pd
import scipy  # its modules are imported when they are first used


def straight_lines(times: pd.DataFrame) -> pd.DataFrame:
    """Least-squares lines of the seconds against the size, one for each axis of growth.

    Args:
        times: columns `axis`, `size` and `seconds`; two sizes or more along each axis.

    Returns:
        Index: the axes, in the order of the table. Columns `slope`, the seconds for one more,
        `intercept`, those at size zero, `r_squared`, and the number of `points`.
    """
    lines = {}
    for axis, points in times.groupby("axis", sort=False):
        fit = scipy.stats.linregress(points["size"], points["seconds"])
        lines[axis] = {
            "slope": fit.slope,
            "intercept": fit.intercept,
            "r_squared": fit.rvalue**2,
            "points": len(points),
        }
    return pd.DataFrame.from_dict(lines, "index")
