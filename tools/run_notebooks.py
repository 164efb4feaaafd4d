"""Execute notebooks and store their outputs, so that a second run changes no byte.

    python tools/run_notebooks.py                     # all of notebooks/
    python tools/run_notebooks.py notebooks/03*.md    # some of them
    python tools/run_notebooks.py --costs             # and record the time and memory they take

The text of a page is its .md file; its .ipynb is made from that and holds the outputs. The kernels
run as those of the check do that compares them: on the default model, on the processor, with two
threads and without a network. Times change with every run, so they are recorded when asked for.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

from embedding_geometry.ground.machine import cpu_name, utc_now
from embedding_geometry.ground.records import COSTS

ROOT = Path(__file__).parents[1]
FORMAT = {"extension": ".md", "format_name": "myst"}
THREADS = 2
REFERENCE = {
    "EMBEDDING_GEOMETRY_MODEL": "",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": str(THREADS),
    "PYTHONPATH": str(ROOT / "tests/offline"),
}


# Run behind the last cell, and not kept: the most memory that the kernel had, in kilobytes.
MEMORY = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def execute(text: Path) -> tuple[nbformat.NotebookNode, int]:
    """Run the notebook that a .md file describes.

    Returns:
        The notebook without times and machine-specific metadata, and its peak memory in megabytes.
    """
    notebook = jupytext.read(text, fmt=FORMAT)
    notebook.cells.append(nbformat.v4.new_code_cell(MEMORY))
    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(text.parent)}},
    )
    client.execute(env=os.environ | REFERENCE)
    memory = int(notebook.cells.pop().outputs[0].text) // 1024
    for name in ("language_info", "widgets"):
        notebook.metadata.pop(name, None)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"  # nbformat would draw a random one
        cell.metadata.pop("execution", None)
    return notebook, memory


def store(text: Path) -> dict[str, float]:
    """Execute a page, write its notebook, and return what that took."""
    started = time.monotonic()
    notebook, memory = execute(text)
    seconds = round(time.monotonic() - started, 1)
    nbformat.validate(notebook)
    nbformat.write(notebook, text.with_suffix(".ipynb"))
    print(f"{text.stem}: {seconds} s, {memory} MB", flush=True)
    return {"seconds": seconds, "megabytes": memory}


def record(costs: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Write what pages took, and on what; what other pages took on the same machine stays."""
    machine = {"cpu": cpu_name(), "cores": os.cpu_count(), "threads": THREADS}
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    kept = before["pages"] if {name: before.get(name) for name in machine} == machine else {}
    recorded = {"recorded": utc_now()}
    pages = {"pages": dict(sorted({**kept, **costs}.items()))}
    path.write_text(json.dumps(machine | recorded | pages, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Execute the named notebooks, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path, help="pages as .md files; all by default")
    parser.add_argument("--costs", action="store_true", help=f"record them in {COSTS.path().name}")
    arguments = parser.parse_args()
    pages = arguments.pages or sorted((ROOT / "notebooks").glob("*.md"))
    costs = {text.stem: store(text) for text in pages}
    if arguments.costs:
        record(costs, COSTS.path())


if __name__ == "__main__":
    main()
