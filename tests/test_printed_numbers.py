"""Two prints of a page may differ in the last digit of a measured number, and in nothing else."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from printed_numbers import same_print

ROOT = Path(__file__).parents[1]

SAME = [
    ("0.08", "0.09"),
    ("−0.1 to 2.3", "0.0 to 2.3"),
    ("1.0", "0.99"),
    ("9.9 of 12", "10.0 of 12"),
    ("220.4", "222.5"),  # within one part in a hundred
    ("1.5e-07", "1.6e-07"),
    ("3\u202f641.2", "3\u202f641.3"),
    ("12\u202f%", "13\u202f%"),
    ("12 %", "13 %"),
    ("3\u00a0to\u00a012\u202f%", "2\u00a0to\u00a013\u202f%"),
    ("5 % (3\u00a0to\u00a06)", "5 % (3\u00a0to\u00a07)"),
    ("row  9.9\nall 12.1", "row 10.0\nall 12.1"),
    ("<td>0.40</td>", "<td>0.39</td>"),
]
OTHER = [
    ("0.08", "0.10"),
    ("0.08", "−0.08"),
    ("220.4", "223.0"),
    ("12\u202f%", "14\u202f%"),
    ("12", "13"),
    ("12 of 30", "13 of 30"),
    ("366 pairs", "367 pairs"),
    ("2\u202f562", "2\u202f563"),
    ("499,500", "499,501"),
    ("holds", "undecided"),
    ("≤\u00a010⁻⁵", "≤\u00a010⁻²"),
    ("5.7·10⁻⁵", "5.7·10⁻⁶"),
    ("torch 2.6.0", "torch 2.6.1"),
    ("torch 2.6.0", "torch 2.7.0"),
    ("2026-11-24", "2026-11-25"),
    ("revision 8de1f150420f", "revision 8de1f150421f"),
    ("f5-001 0.5", "f5-002 0.5"),
    ("0.5, 0.6", "0.5"),
    ("0.5", "nan"),
    ("0.5 agree", "0.5  do not agree"),
]


@pytest.mark.parametrize(("stored", "found"), SAME)
def test_a_last_digit_may_tip(stored, found):
    assert same_print(stored, found)
    assert same_print(found, stored)


@pytest.mark.parametrize(("stored", "found"), OTHER)
def test_nothing_else_may_differ(stored, found):
    assert same_print(stored, stored)
    assert not same_print(stored, found)
    assert not same_print(found, stored)


PLANTED = [  # what a cell prints, what is stored of it, and what becomes of the check
    ("Gini 0.09", "Gini 0.09", "PASSED"),
    ("Gini 0.09", "Gini 0.08", "PASSED"),
    ("Gini 0.09", "Gini 0.12", "FAILED"),
    ("47\u202f%", "45\u202f%", "FAILED"),
    ("3 paths", "4 paths", "FAILED"),
    ("undecided", "holds", "FAILED"),
]


@pytest.mark.parametrize("kind", ["text/plain", "application/papermill.record/text/plain"])
def test_a_number_planted_in_a_notebook_goes_red(kind, tmp_path):
    """The check of the notebooks, on one of which outputs were changed after it was run."""
    notebook = nbformat.v4.new_notebook()
    for number, (found, stored, _) in enumerate(PLANTED):
        source = f"display({{{kind!r}: {found!r}}}, raw=True)"
        output = nbformat.v4.new_output("display_data", data={kind: stored})
        cell = nbformat.v4.new_code_cell(source, execution_count=number + 1, outputs=[output])
        notebook.cells.append(cell)
    nbformat.write(notebook, tmp_path / "planted.ipynb")
    shutil.copy(ROOT / "notebooks/conftest.py", tmp_path)
    options = ["--nbval", "--nbval-current-env", "-c", ROOT / "pyproject.toml", "-rA"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", tmp_path, *options], stdout=subprocess.PIPE, text=True
    )
    outcomes = re.findall(r"^(PASSED|FAILED) .*Cell (\d+)", run.stdout, re.MULTILINE)
    by_cell = {int(number): outcome for outcome, number in outcomes}
    assert by_cell == {number: outcome for number, (*_, outcome) in enumerate(PLANTED)}
