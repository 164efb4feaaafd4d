"""The files that an evaluation may write: they replace nothing but earlier ones of their kind."""

from pathlib import Path

from embedding_geometry.ground.disk import make_folder

CSV_BEGINS = b"path,frames,ppl,"  # what an earlier table or report is known by
JSON_BEGINS = b'{\n "provenance": {'


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
        if file.exists():
            with file.open("rb") as content:
                found = content.read(len(beginning))
            if not beginning.startswith(found):
                raise ValueError(
                    f"{file} is there and is no earlier output of this kind; name another file"
                )
        make_folder(file.parent)
