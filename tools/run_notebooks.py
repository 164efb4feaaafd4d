"""Execute notebooks and store their outputs, so that a second run changes no byte.

    python tools/run_notebooks.py                     # all of notebooks/
    python tools/run_notebooks.py notebooks/03*.md    # some of them

The text of a page is its .md file; its .ipynb is made from that and holds the outputs.
"""

import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
FORMAT = {"extension": ".md", "format_name": "myst"}


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
    client.execute()
    for name in ("language_info", "widgets"):
        notebook.metadata.pop(name, None)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"  # nbformat would draw a random one
        cell.metadata.pop("execution", None)
    return notebook


def main(names: list[str]) -> None:
    """Execute the named notebooks, or all."""
    for text in map(Path, names or sorted(map(str, (ROOT / "notebooks").glob("*.md")))):
        started = time.monotonic()
        notebook = execute(text)
        nbformat.validate(notebook)
        nbformat.write(notebook, text.with_suffix(".ipynb"))
        print(f"{text.stem}: {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
