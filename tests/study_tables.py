"""Planted tables of a study."""

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
