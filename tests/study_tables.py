"""Planted tables of a study."""

import numpy as np
import pandas as pd

MANIFEST = {"model": {}, "metric": {}, "settings": {}, "ended": "2026-01-01", "cells": 4}


def study_table(ppl, seeds=(0, 1), grade=5.0):
    """A study in which pair k has the given PPL under (row, optimal) on every seed."""
    rows = [
        {"pair_id": pair_id, "similarity": grade, "stratum": "free", "coupling": coupling,
         "seed": seed, "ppl": value, "w2": 3.0}
        for pair_id, values in ppl.items()
        for seed in seeds
        for coupling, value in zip(("row", "optimal"), values, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def whole_study(ppl):
    """The same with two more couplings, as a recorded study has them."""
    table = study_table(ppl)
    others = table["coupling"].map({"row": "random", "optimal": "worst"})
    return pd.concat([table, table.assign(coupling=others)])


def rivals_study(ways, pairs=30, noise=0.05):
    """A study of ways whose PPL, realism and UNet rows are planted, as multiples of the pair's.

    The levels of pairs differ 20-fold, their grades go round from 5 to 0.
    """
    rng = np.random.default_rng(0)
    rows = []
    for k in range(pairs):
        level, likeness = 0.05 * 20 ** rng.uniform(), rng.uniform(0.8, 1.2)
        for seed in (0, 1):
            for way, (ppl, realism, unet_rows) in ways.items():
                jitter = np.exp(rng.normal(0, noise, 2))
                rows.append(
                    {"pair_id": f"p{k:02}", "similarity": 5 - k % 6, "stratum": "free",
                     "coupling": way, "seed": seed, "ppl": level * ppl * jitter[0],
                     "gini": 0.4, "maximum_step": level, "distinct": 11,
                     "unet_rows": unet_rows, "realism": likeness * realism * jitter[1]}
                )  # fmt: skip
    return pd.DataFrame(rows)
