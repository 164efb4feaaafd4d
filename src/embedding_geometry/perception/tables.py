"""What was measured as tables: a row for each path, or for each set of paths."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from embedding_geometry.perception.evaluation import Fidelity, MeasuredPath
from embedding_geometry.perception.frames import shown_name
from embedding_geometry.statistics.estimates import with_ends


def path_table(paths: Sequence[MeasuredPath]) -> pd.DataFrame:
    """Return one row per path: `path, frames` and the columns of the table in `evaluation`.

    Paths that were held against a reference have a column `realism` more.
    """
    rows = [
        {"path": shown_name(measured.path)}
        | asdict(measured.length)
        | {"end_distance": measured.end_distance, "directness": measured.directness}
        | ({} if measured.realism is None else {"realism": float(np.median(measured.realism))})
        for measured in paths
    ]
    return pd.DataFrame(rows).rename(columns={"mean": "ppl"})


def fidelity_table(found: Mapping[str, Fidelity]) -> pd.DataFrame:
    """Return one row for each named set of paths; what needs more paths than there are is NaN."""
    rows = [
        {"inner frames of": name, "paths": len(each.paths)}
        | with_ends("realism", each.realism, each.realism_interval)
        | with_ends("kid", each.kid, each.kid_interval)
        for name, each in found.items()
    ]
    return pd.DataFrame(rows)
