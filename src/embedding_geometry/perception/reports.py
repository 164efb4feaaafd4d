"""What was measured as files: tables and reports that say what their numbers depend on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from embedding_geometry.ground.disk import write_whole
from embedding_geometry.ground.machine import library_versions, utc_now
from embedding_geometry.perception.evaluation import Fidelity, MeasuredPath, StoredReference
from embedding_geometry.perception.frames import AS_STORED, ReadSettings, shown_name
from embedding_geometry.perception.metric import PerceptualMetric
from embedding_geometry.perception.tables import path_table
from embedding_geometry.statistics.estimates import with_ends

LIBRARIES = ("lpips", "torch", "torchvision", "pillow", "av")


def provenance(
    metric: PerceptualMetric,
    settings: ReadSettings = AS_STORED,
    reference: StoredReference | None = None,
) -> dict[str, str]:
    """Return what the numbers depend on besides the frames, and when they were computed."""
    held_against = reference and {
        "reference": shown_name(reference.path),
        "reference_pictures": str(len(reference.known.features)),
        "reference_net": reference.metric.net,
        "reference_revision": reference.metric.revision,
    }
    return {
        "net": metric.net,
        "revision": metric.revision,
        "device": metric.device,
        "resized": "x".join(map(str, settings.resize or ("no",))),
        "background": settings.background or "none",
        "measured": utc_now(),
        **library_versions(*LIBRARIES),
        **(held_against or {}),
    }


def write_csv(
    path: Path,
    about: Mapping[str, str],
    paths: Sequence[MeasuredPath],
    *,
    fidelity: Mapping[str, Fidelity] | None = None,
) -> None:
    """Write the table of the paths.

    Every row repeats the provenance `about` it, and the kernel distance of the set that the path
    is in, so that tables add up.
    """
    table = path_table(paths).assign(
        size=[measured.size for measured in paths],
        distinct=[measured.distinct for measured in paths],
    )
    if fidelity is not None:
        distances = {
            name: with_ends("kid", each.kid, each.kid_interval)
            for each in fidelity.values()
            for name in each.paths
        }
        of_rows = [distances.get(name, with_ends("kid", None, None)) for name in table["path"]]
        table = table.join(pd.DataFrame(of_rows))
    table = table.assign(**about)
    write_whole(path, table.to_csv(index=False, lineterminator="\n").encode())


def write_json(
    path: Path,
    about: Mapping[str, str],
    paths: Sequence[MeasuredPath],
    *,
    fidelity: Mapping[str, Fidelity] | None = None,
    failed: Mapping[Path, str] | None = None,
    comparison: dict[str, object] | None = None,
) -> None:
    """Write the provenance `about` it, every path with its files and distances, and the failures.

    Also the comparison if there is one, and where the paths were held against a reference the
    realism of every inner frame and the fidelity of each set of paths.
    """
    rows = path_table(paths).to_dict("records")
    report: dict[str, object] = {
        "provenance": dict(about),
        "paths": [
            {**row, "size": m.size, "distinct": m.distinct, "files": m.files}
            | {"distances": m.distances}
            | ({} if m.realism is None else {"frame_realism": m.realism})
            for row, m in zip(rows, paths, strict=True)
        ],
        "failed": {shown_name(path): reason for path, reason in (failed or {}).items()},
    }
    if fidelity is not None:
        report["fidelity"] = {name: asdict(each) for name, each in fidelity.items()}
    if comparison is not None:
        report["comparison"] = comparison
    write_whole(path, (json.dumps(report, indent=1) + "\n").encode())
