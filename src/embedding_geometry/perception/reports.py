"""What was measured as files: tables and reports that say what their numbers depend on."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from embedding_geometry.ground.disk import make_folder, write_whole
from embedding_geometry.ground.machine import library_versions
from embedding_geometry.perception.evaluation import MeasuredPath, path_table
from embedding_geometry.perception.frames import AS_STORED, ReadSettings, shown_name
from embedding_geometry.perception.metric import PerceptualMetric

LIBRARIES = ("lpips", "torch", "torchvision", "pillow", "av")
CSV_BEGINS = b"path,frames,ppl,"  # what an earlier table or report is known by
JSON_BEGINS = b'{\n "provenance": {'


def provenance(metric: PerceptualMetric, settings: ReadSettings) -> dict[str, str]:
    """Return what the numbers depend on besides the frames, and when they were computed."""
    return {
        "net": metric.net,
        "revision": metric.revision,
        "device": metric.device,
        "resized": "x".join(map(str, settings.resize or ("no",))),
        "background": settings.background or "none",
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        **library_versions(*LIBRARIES),
    }


def write_csv(
    path: Path,
    metric: PerceptualMetric,
    paths: Sequence[MeasuredPath],
    settings: ReadSettings = AS_STORED,
) -> None:
    """Write the table of the paths; every row repeats the provenance, so that tables add up."""
    sizes = [measured.size for measured in paths]
    table = path_table(paths).assign(size=sizes, **provenance(metric, settings))
    write_whole(path, table.to_csv(index=False, lineterminator="\n").encode())


def write_json(
    path: Path,
    metric: PerceptualMetric,
    paths: Sequence[MeasuredPath],
    settings: ReadSettings = AS_STORED,
    *,
    failed: Mapping[Path, str] | None = None,
    comparison: dict[str, object] | None = None,
) -> None:
    """Write provenance, every path with its files and distances, failures, and the comparison."""
    rows = path_table(paths).to_dict("records")
    report: dict[str, object] = {
        "provenance": provenance(metric, settings),
        "paths": [
            {**row, "size": m.size, "files": m.files, "distances": m.distances}
            for row, m in zip(rows, paths, strict=True)
        ],
        "failed": {shown_name(path): reason for path, reason in (failed or {}).items()},
    }
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
