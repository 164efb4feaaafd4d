"""The execution of the pages that a build reads: two at a time, where the model is embedded.

myst-nb would execute each page when it reads it. It finds them all in its cache instead, just put
there: what a page computes depends on the package as well, which the cache does not notice, so
that whatever Sphinx reads anew is executed anew.
"""

import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution
from myst_nb.core.read import create_nb_reader
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import SphinxError
from sphinx.util.display import status_iterator

from embedding_geometry.ground.places import EMBEDDED, configured_model
from embedding_geometry.ground.records import COSTS


def executed_file(app: Sphinx, page: str) -> Path:
    """Where the notebook of a page is with the outputs of this build, if the page has code."""
    return Path(app.outdir).parent / "executed" / f"{page}.ipynb"


def execute_pages(app: Sphinx, env: BuildEnvironment, pages: list[str]) -> None:
    """Execute what is read, first what takes longest, and keep it for myst-nb and for readers.

    Raises:
        SphinxError: a cell of a page has failed; the page beside it still ends, and no other
            begins.
    """
    notebooks = {page: found for page in pages if (found := notebook(env, page))}
    at_once = 2 if configured_model() in EMBEDDED else 1  # two large models may not fit
    # for the kernels, which share the cores
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // at_once)))
    pool = ThreadPoolExecutor(at_once)
    try:
        order = sorted(notebooks, key=recorded_seconds, reverse=True)
        runs = {pool.submit(execute, env, page, notebooks[page]): page for page in order}
        for run in status_iterator(
            as_completed(runs), "executing pages... ", length=len(runs), stringify_func=runs.get
        ):
            keep(app, env, runs[run], run.result())
    finally:
        pool.shutdown(cancel_futures=True)


def recorded_seconds(page: str) -> float:
    """What a page takes to run, as far as that was recorded."""
    pages = COSTS.facts()["pages"] if COSTS.recorded() else {}
    return pages.get(Path(page).name, {"seconds": 0})["seconds"]


def keep(app: Sphinx, env: BuildEnvironment, page: str, result: ExecutionResult) -> None:
    """Put an executed page into the cache, and whole where readers get it; or say what failed."""
    if result.err is not None:
        raise SphinxError(f"{page} was not executed to its end\n{result.exc_string}")
    cache = get_cache(env.mystnb_config.execution_cache_path)
    cache.cache_notebook_bundle(CacheBundleIn(result.nb, env.doc2path(page)), overwrite=True)
    file = executed_file(app, page)
    file.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(result.nb, file)


def notebook(env: BuildEnvironment, page: str) -> nbformat.NotebookNode | None:
    """The page as myst-nb reads it, or None if it has no code."""
    text = Path(env.doc2path(page)).read_text(encoding="utf-8")
    reader = create_nb_reader(env.doc2path(page), env.myst_config, env.mystnb_config, text)
    return reader.read(text) if reader else None


def execute(env: BuildEnvironment, page: str, unread: nbformat.NotebookNode) -> ExecutionResult:
    """Execute a page in its own folder."""
    folder = Path(env.doc2path(page)).parent
    return single_nb_execution(
        unread, str(folder), env.mystnb_config.execution_timeout, allow_errors=False
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the execution with Sphinx."""
    app.connect("env-before-read-docs", execute_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
