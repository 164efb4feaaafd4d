"""Two methods over the same prompts: their paths matched by name, and compared pair by pair.

The paths of a method lie in a folder of its own, and those of one pair of prompts have one name.
Every measure of a path but the distance of its ends depends on its number of frames, so partners
have equally many.
"""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from embedding_geometry.perception.evaluation import MeasuredPath
from embedding_geometry.perception.frames import is_path, names_text, shown_name
from embedding_geometry.perception.tables import path_table
from embedding_geometry.statistics.paired import paired_comparison
from embedding_geometry.statistics.verdicts import holm

LESS_IS_BETTER = ("ppl", "total", "scaled_mean", "root_sum", "gini", "maximum_step", "variance")
UNREAL = "1/realism"


class MissingPartnersWarning(UserWarning):
    """Paths of one folder that have no namesake in the other are left out of the comparison."""


class UnlikePartnersWarning(UserWarning):
    """Partners of two formats or sizes, which enter their distances."""


class LeftOutMeasureWarning(UserWarning):
    """A measure that cannot be compared between the two folders."""


@dataclass(frozen=True)
class Partners:
    """The paths of two folders, matched by name without suffix.

    `names` are in both, the files of these names in the same order; the others are in one only.
    """

    treatment: str
    control: str
    names: list[str]
    treatment_files: list[str]
    control_files: list[str]
    only_treatment: list[str]
    only_control: list[str]

    @property
    def paths(self) -> list[Path]:
        """All partners in the first folder, then all in the second."""
        return [
            *(Path(self.treatment, name) for name in self.treatment_files),
            *(Path(self.control, name) for name in self.control_files),
        ]


def match_partners(first: str | Path, second: str | Path) -> Partners:
    """Match the paths of two folders, which are sub-folders, animations and films, by their names.

    The suffix of a file is no part of its name. Those without a partner are counted and named in a
    `MissingPartnersWarning`.

    Raises:
        FileNotFoundError: One of the two is not a folder.
        ValueError: Fewer than two names are in both, or one is twice in a folder.
    """
    here, there = _paths_by_name(Path(first)), _paths_by_name(Path(second))
    if not here and not there:
        raise ValueError(
            f"neither {first} nor {second} holds folders of images, animations or films, which "
            "are compared by their names; to measure two folders of images leave out --compare"
        )
    names = sorted(here.keys() & there.keys())
    partners = Partners(
        treatment=str(first),
        control=str(second),
        names=names,
        treatment_files=[here[name].name for name in names],
        control_files=[there[name].name for name in names],
        only_treatment=sorted(here[name].name for name in here.keys() - there.keys()),
        only_control=sorted(there[name].name for name in there.keys() - here.keys()),
    )
    alone = {first: partners.only_treatment, second: partners.only_control}
    lonely = "; ".join(
        f"{len(files)} only in {folder}: {names_text(files)}"
        for folder, files in alone.items()
        if files
    )
    if len(names) < 2:
        raise ValueError(
            f"{len(names)} names are in both {first} and {second}, and a paired "
            f"comparison needs two or more; {lonely or 'none is alone'}. Give the two paths of "
            "a pair the same name"
        )
    if lonely:
        warnings.warn(
            f"left out, without a partner: {lonely}", MissingPartnersWarning, stacklevel=2
        )
    return partners


def compare_paths(
    treatment: Sequence[MeasuredPath], control: Sequence[MeasuredPath], rng: np.random.Generator
) -> pd.DataFrame:
    """Compare two methods over the same pairs of prompts, measure by measure.

    Directness is not among the measures: where the ends agree it is the inverse of `root_sum`.
    Paths that were held against a reference are compared by one over their realism, too, which is
    less where frames are more like pictures: how far the nearest ball is, in units of its radius.
    A measure is left out, with a `LeftOutMeasureWarning`, if there is no relative improvement
    over the control; partners of two formats or sizes are named in an `UnlikePartnersWarning`.
    There is a path of each method for each pair, in the same order; `rng` is the source of the
    bootstrap resamples.

    Returns:
        One row per measure: `measure`, the two medians, the fields of
        `statistics.PairedComparison`, positive where the treatment is lower, and `holm`, the
        p-value corrected for the number of measures: choose one measure beforehand, or use this.

    Raises:
        ValueError: Unequal numbers of paths, fewer than two, two partners of unequal numbers of
            frames, or no measure that can be compared.
    """
    if len(treatment) != len(control) or len(treatment) < 2:
        raise ValueError(
            f"{len(treatment)} and {len(control)} paths are to be compared; give two or more "
            "pairs of paths"
        )
    _check_alike(treatment, control)
    a, b = _measures(treatment), _measures(control)
    rows = []
    for measure in a.columns:
        try:
            found = paired_comparison(a[measure].to_numpy(), b[measure].to_numpy(), rng)
        except ValueError as error:
            warnings.warn(f"not compared: {measure}: {error}", LeftOutMeasureWarning, stacklevel=2)
            continue
        medians = {"median_treatment": a[measure].median(), "median_control": b[measure].median()}
        rows.append({"measure": measure} | medians | asdict(found))
    if not rows:
        raise ValueError(f"the {len(a)} pairs of paths can be compared in no measure")
    table = pd.DataFrame(rows)
    return table.assign(holm=holm(table["p_value"]))


def _measures(paths: Sequence[MeasuredPath]) -> pd.DataFrame:
    """The columns in which paths are compared, less being better in all of them."""
    table = path_table(paths)
    measures = table[list(LESS_IS_BETTER)]
    return measures if "realism" not in table else measures.assign(**{UNREAL: 1 / table.realism})


def measured_pairs(
    partners: Partners, paths: Sequence[MeasuredPath]
) -> tuple[list[MeasuredPath], list[MeasuredPath]]:
    """Return the partners of which both were measured, those of each folder in the same order."""
    found = {measured.path: measured for measured in paths}
    half = len(partners.names)
    pairs = zip(partners.paths[:half], partners.paths[half:], strict=True)
    both = [(found[a], found[b]) for a, b in pairs if a in found and b in found]
    return [a for a, _ in both], [b for _, b in both]


def comparison_record(partners: Partners, seed: int, table: pd.DataFrame) -> dict[str, object]:
    """Return a comparison as JSON values: what was compared, from which seed, and the table."""
    return asdict(partners) | {"seed": seed, "measures": table.to_dict("records")}


def _paths_by_name(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder.absolute()} is not a folder of paths to compare")
    found: dict[str, Path] = {}
    for entry in filter(is_path, sorted(folder.iterdir())):
        name = entry.name if entry.is_dir() else entry.stem
        if name in found:
            raise ValueError(
                f"{entry.name} and {found[name].name} of {folder} have one name; keep one of them"
            )
        found[name] = entry
    return found


def _check_alike(treatment: Sequence[MeasuredPath], control: Sequence[MeasuredPath]) -> None:
    """Refuse partners of unequal numbers of frames, in which no measure can be compared.

    Other unlikeness only makes the distances larger or smaller, and is warned of.
    """
    pairs = list(zip(treatment, control, strict=True))
    unequal = [pair for pair in pairs if pair[0].length.frames != pair[1].length.frames]
    unlike = [
        (a, b)
        for a, b in pairs
        if (a.path.suffix.lower(), a.size) != (b.path.suffix.lower(), b.size)
    ]
    if unequal:
        (a, n), (b, m) = ((shown_name(each.path), each.length.frames) for each in unequal[0])
        grid = np.gcd.reduce([each.length.frames - 1 for pair in pairs for each in pair]) + 1
        raise ValueError(
            f"{len(unequal)} of {len(pairs)} pairs have unequal numbers of frames, such as {a} "
            f"({n}) and {b} ({m}), and every measure depends on that number; give both as many"
            + (f", or take {grid} of each (--frames {grid})" if grid > 2 else "")
        )
    if unlike:
        a, b = (f"{shown_name(each.path)} ({each.size})" for each in unlike[0])
        warnings.warn(
            f"{len(unlike)} pairs differ in format or size, such as {a} and {b}, which changes "
            "their distances; write one format, and resize (--resize)",
            UnlikePartnersWarning,
            stacklevel=3,
        )
