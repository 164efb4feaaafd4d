"""Run pages of the book in one process: a kernel for each would load the libraries each time.

    python tests/run_pages.py OUT.json notebooks/01_pipeline.md ...

The model is the one that EMBEDDING_GEOMETRY_MODEL names. Writes, for each page, the texts that it
shows and the numbers that it glues. Figures are drawn, as the book would, and thrown away.
"""

import json
import os
import sys
from pathlib import Path

os.environ["MPLBACKEND"] = "agg"

import jupytext
import matplotlib.pyplot as plt
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import RichOutput, capture_output

FORMAT = {"extension": ".md", "format_name": "myst"}
RECORD = "application/papermill.record/text/plain"


def run(page: Path) -> dict[str, object]:
    """Run the page's cells in a fresh namespace; raise what a cell raises."""
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    outputs: list[RichOutput] = []
    for cell in jupytext.read(page, fmt=FORMAT).cells:
        if cell.cell_type == "code":
            with capture_output() as captured:
                result = shell.run_cell(cell.source)
            result.raise_error()
            outputs += captured.outputs
            if result.result is not None:  # what the last line of a cell shows
                outputs.append(RichOutput(*shell.display_formatter.format(result.result)))
            draw_figures()
    records = [output for output in outputs if RECORD in output.data]
    glued = {record.metadata["scrapbook"]["name"]: record.data[RECORD] for record in records}
    texts = [output.data["text/markdown"] for output in outputs if "text/markdown" in output.data]
    return {"texts": texts, "glued": glued}


def draw_figures() -> None:
    """Draw all open figures and close them."""
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")


def main(out: Path, pages: list[Path]) -> None:
    """Run the pages from their own folder, as a kernel would."""
    out, pages = out.absolute(), [page.absolute() for page in pages]
    shown = {}
    for page in pages:
        os.chdir(page.parent)
        shown[page.stem] = run(page)
    out.write_text(json.dumps(shown))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
