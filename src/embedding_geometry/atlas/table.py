"""The atlas: every backbone of the registry in one table, recorded with what it was made with."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import diffusers
import pandas as pd
import torch

from embedding_geometry.atlas.check import CHANGED, UNCHANGED, Backbone, Finding, examine
from embedding_geometry.atlas.cross import CROSS_ATTENTION
from embedding_geometry.atlas.joint import JOINT_ATTENTION
from embedding_geometry.atlas.rotary import TEXT_ROTATION
from embedding_geometry.atlas.tiny import AbsentError, Tiny
from embedding_geometry.atlas.unets import UNETS
from embedding_geometry.ground.machine import this_machine, utc_now
from embedding_geometry.ground.places import RESULTS
from embedding_geometry.ground.records import ATLAS, read_table, write_record

FAMILIES: dict[str, tuple[Backbone, ...]] = {
    "UNet": UNETS,
    "cross-attention": CROSS_ATTENTION,
    "joint attention": JOINT_ATTENTION,
    "text with positions": TEXT_ROTATION,
}
NUMBERS = ("permuting", "doubling", "other_text")
Row = dict[str, object]


class AtlasError(ValueError):
    """A backbone that the atlas does not have, or a recorded table that cannot be used."""


def class_name(backbone: Backbone) -> str:
    """The name of a registered backbone's class in diffusers."""
    return backbone.build.class_name if isinstance(backbone.build, Tiny) else ""


def backbones(names: Iterable[str] = ()) -> list[tuple[str, Backbone]]:
    """Return the registry's backbones of these names or classes, or all, each after its family.

    Raises:
        AtlasError: there is no backbone for one of the names.
    """
    every = [(family, backbone) for family, members in FAMILIES.items() for backbone in members]
    wanted = set(names)
    known = {name for _, backbone in every for name in (backbone.name, class_name(backbone))}
    if missing := wanted - known:
        raise AtlasError(
            f"the atlas knows no {', '.join(sorted(missing))}, so it cannot tell where its tokens "
            "are. Describe the model as a Backbone and hand it to examine(), or name one of "
            f"{'; '.join(backbone.name for _, backbone in every)}"
        )
    return [
        (family, backbone)
        for family, backbone in every
        if not wanted or {backbone.name, class_name(backbone)} & wanted
    ]


def rows(names: Iterable[str] = (), seed: int = 0) -> Iterator[Row]:
    """Examine backbones of the registry, one after the other.

    Args:
        names: which, by name or by class; all if none are given.
        seed: of the other text and the random permutations.

    Yields:
        For each backbone `family`, `model`, `class`, `tokens` (the inputs that travel),
        `precision`; the relative changes `swap`, `cycle`, `random`, `permuting` (the largest of
        these three), `doubling`, `other_text`; `verdict`; for a sequence its `cause`, and after
        taking it out `permuting_removed`, `doubling_removed`, `other_text_removed`,
        `verdict_removed`. A class that the installed diffusers lacks has the verdict "absent" and
        no numbers.

    Raises:
        AtlasError: there is no backbone for one of the names.
        UncheckableError: a check is not conclusive.
    """
    for family, backbone in backbones(names):
        yield {"family": family, **_row(backbone, seed)}


def measure(names: Iterable[str] = (), seed: int = 0) -> pd.DataFrame:
    """Examine backbones of the registry; the table of all `rows`."""
    return pd.DataFrame(rows(names, seed))


def _row(backbone: Backbone, seed: int) -> Row:
    row: Row = {
        "model": backbone.name,
        "class": class_name(backbone),
        "tokens": " ".join(backbone.tokens),
        "precision": str(backbone.dtype).removeprefix("torch."),
    }
    try:
        finding = examine(backbone, seed=seed)
    except AbsentError:
        return {**row, "verdict": "absent"}
    change = finding.change
    row |= {"swap": change.swap, "cycle": change.cycle, "random": change.random}
    row |= _outcome(finding)
    if finding.removed is not None:
        row["cause"] = " and ".join(cause.name for cause in backbone.causes)
        row |= {f"{name}_removed": value for name, value in _outcome(finding.removed).items()}
    return row


def _outcome(finding: Finding) -> Row:
    numbers = (finding.permuting, finding.change.doubling, finding.change.other_text)
    return dict(zip(NUMBERS, numbers, strict=True)) | {"verdict": finding.verdict}


def record(table: pd.DataFrame, folder: Path, seconds: float, seed: int = 0) -> None:
    """Write the table and what it was made with as `atlas.csv` and `atlas_manifest.json`.

    Raises:
        OSError: the folder cannot be written.
    """
    manifest = {
        "backbones": len(table),
        "seed": seed,
        "unchanged_at_most": {str(dtype): bound for dtype, bound in UNCHANGED.items()},
        "changed_at_least": CHANGED,
        "versions": {"diffusers": diffusers.__version__, "torch": torch.__version__.split("+")[0]},
        **this_machine(),
        "threads": torch.get_num_threads(),
        "device": "cpu",
        "seconds": round(seconds, 1),
        "ended": utc_now(),
    }
    write_record(folder / ATLAS.name, table, manifest, digits=3)


def recorded(folder: Path = RESULTS) -> pd.DataFrame:
    """Read the atlas that was recorded in a folder.

    Raises:
        FileNotFoundError: there is none.
        RecordError: the table is damaged or has no rows.
        AtlasError: it lacks columns.
    """
    path, command = folder / ATLAS.path().name, f"{ATLAS.command} --out {folder}"
    table = read_table(path, command)
    missing = {"family", "model", "verdict", "cause", *NUMBERS} - set(table.columns)
    if missing:
        raise AtlasError(
            f"{path} is no atlas: it lacks {', '.join(sorted(missing))}. `{command}` makes it anew"
        )
    return table
