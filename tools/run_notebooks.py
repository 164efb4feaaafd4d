"""Execute notebooks and store their outputs, so that a second run changes no byte.

    python tools/run_notebooks.py                     # all of notebooks/
    python tools/run_notebooks.py notebooks/03*.md    # some of them
    python tools/run_notebooks.py --times             # and record how long each of them takes

The text of a page is its .md file; its .ipynb is made from that and holds the outputs. The kernels
run as those of the check do that compares them: on the pocket model, on the processor, with two
threads and without a network. The recorded times change with every run, so they are asked for.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

from embedding_geometry.study import cpu_name

ROOT = Path(__file__).parents[1]
FORMAT = {"extension": ".md", "format_name": "myst"}
TIMES = ROOT / "data/results/page_times.json"
THREADS = 2
REFERENCE = {
    "EMBEDDING_GEOMETRY_MODEL": "pocket",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": str(THREADS),
    "PYTHONPATH": str(ROOT / "tests/offline"),
}


def execute(text: Path) -> nbformat.NotebookNode:
    """Run the notebook that a .md file describes, without times and machine-specific metadata."""
    notebook = jupytext.read(text, fmt=FORMAT)
    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(text.parent)}},
    )
    client.execute(env=os.environ | REFERENCE)
    for name in ("language_info", "widgets"):
        notebook.metadata.pop(name, None)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"  # nbformat would draw a random one
        cell.metadata.pop("execution", None)
    return notebook


def store(text: Path) -> float:
    """Execute a page, write its notebook, and return the seconds that it took."""
    started = time.monotonic()
    notebook = execute(text)
    seconds = time.monotonic() - started
    nbformat.validate(notebook)
    nbformat.write(notebook, text.with_suffix(".ipynb"))
    print(f"{text.stem}: {seconds:.1f} s", flush=True)
    return seconds


def record(seconds: Mapping[str, float], path: Path = TIMES) -> None:
    """Write how long pages took, and on what; times of other pages on it stay."""
    machine = {"cpu": cpu_name(), "cores": os.cpu_count(), "threads": THREADS}
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    same = {name: before.get(name) for name in machine} == machine
    kept = before["seconds"] if same else {}
    times = kept | {name: round(value, 1) for name, value in seconds.items()}
    recorded = {"recorded": datetime.now(UTC).isoformat(timespec="seconds")}
    table = machine | recorded | {"seconds": dict(sorted(times.items()))}
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Execute the named notebooks, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path, help="pages as .md files; all by default")
    parser.add_argument("--times", action="store_true", help=f"record the times in {TIMES.name}")
    arguments = parser.parse_args()
    pages = arguments.pages or sorted((ROOT / "notebooks").glob("*.md"))
    seconds = {text.stem: store(text) for text in pages}
    if arguments.times:
        record(seconds)


if __name__ == "__main__":
    main()
