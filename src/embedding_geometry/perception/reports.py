"""What was measured as files: tables and reports that say what their numbers depend on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from embedding_geometry.ground.disk import make_folder, write_whole
from embedding_geometry.ground.machine import library_versions
from embedding_geometry.perception.evaluation import (
    Fidelity,
    MeasuredPath,
    StoredReference,
    path_table,
    with_ends,
)
from embedding_geometry.perception.frames import AS_STORED, ReadSettings, shown_name
from embedding_geometry.perception.metric import PerceptualMetric

LIBRARIES = ("lpips", "torch", "torchvision", "pillow", "av")
CSV_BEGINS = b"path,frames,ppl,"  # what an earlier table or report is known by
JSON_BEGINS = b'{\n "provenance": {'


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
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
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
    import pandas as pd

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


def check_outputs(csv: Path | None, json: Path | None) -> None:
    """See that the two files can be written, and replace nothing but earlier ones of their kind.

    Raises:
        ValueError: One is a folder, a link or a pipe, or holds something else, or both are one.
        ResultsFolderError: The folder cannot be written.
    """
    if csv is not None and json is not None and csv.resolve() == json.resolve():
        raise ValueError(f"{csv} is named for both the CSV and the JSON; name two files")
    for file, beginning in ((csv, CSV_BEGINS), (json, JSON_BEGINS)):
        if file is None:
            continue
        if file.is_dir():
            raise ValueError(f"{file} is a folder; name the file to write")
        if file.is_symlink() or (file.exists() and not file.is_file()):
            raise ValueError(f"{file} is a link or a pipe, which is not written to; name a file")
        if file.exists() and not beginning.startswith(_begins(file, len(beginning))):
            raise ValueError(
                f"{file} is there and is no earlier output of this kind; name another file"
            )
        make_folder(file.parent)


def _begins(file: Path, length: int) -> bytes:
    with file.open("rb") as content:
        return content.read(length)
