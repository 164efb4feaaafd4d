"""What a page says about itself, once it has been run: where it comes from, how long it takes.

A banner under the first sentence (model, device, seed, versions, dates, times), under every
figure links to the picture, to the table behind it, to the code and to the laboratory, sliders
over film strips, and the list of all pages. All of it comes from executed notebooks and recorded
tables.
"""

import functools
import json
import re
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from docutils import nodes
from execution import executed_file
from laboratory import LABORATORY, trial
from PIL import Image
from recorded import put_beside
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import docname_join, logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

from embedding_geometry.ground.places import PROMPTS, RESULTS, configured_model, prompt_table
from embedding_geometry.ground.records import (
    COSTS,
    RECORDS,
    STUDY,
    Manifest,
    recording_day,
)
from embedding_geometry.pages import tried_pairs
from embedding_geometry.pages.ledger import compared_models
from embedding_geometry.pages.studied import other_model
from embedding_geometry.pages.twins import KEY, sprite_of, twin_sliders

WORDS_PER_MINUTE = 200
LOG = logging.getLogger(__name__)


# --- what was run and recorded ------------------------------------------------------------------


@functools.cache
def executed(path: Path) -> dict[str, Any]:
    """The notebook of a page with the outputs of this build."""
    return json.loads(path.read_text(encoding="utf-8"))


def notebook(app: Sphinx, page: str) -> dict[str, Any]:
    """The executed notebook of a page, without cells if the page is none."""
    path = executed_file(app, page)
    return executed(path) if path.is_file() else {"cells": []}


def table_named(name: str) -> Path | None:
    """The table that a cell names under `data`.

    A file of the model's study is named by its ending, such as `study.csv`, and is an embedded
    model's where the model has none, as the pages show it; `other_study.csv` is that of the model
    that page 5 shows beside it. `prompts` are the model's prompt pairs.
    """
    model = configured_model()
    if name.startswith("other_"):
        return STUDY.file(name.removeprefix("other"), other_model(model))
    if name == "prompts":
        return prompt_table(model)
    of_studies = [STUDY.file(f"_{name}", owner) for owner in compared_models(model)]
    places = [*of_studies, RESULTS / name, PROMPTS / name]
    return next(filter(Path.is_file, places), None)


def recorded_on(table: Path) -> str | None:
    """The date that the manifest of a recorded table names."""
    for record, owner in product(RECORDS.values(), compared_models(configured_model())):
        if table in [record.file(ending, owner) for ending in record.tables]:
            return recording_day(record.facts(owner))
    return None


def costs() -> Manifest:
    """What pages take to run, and the machine on which that was recorded."""
    return COSTS.facts() if COSTS.recorded() else {"pages": {}}


# --- when a page has been read ------------------------------------------------------------------


def study_page(app: Sphinx, doctree: nodes.document) -> None:
    """Note the length of a page, move its banner, mark its figures."""
    page = app.env.docname
    paragraphs = list(doctree.findall(nodes.paragraph))
    if not paragraphs:
        return
    app.env.metadata[page]["words"] = len(prose(doctree).split())
    cells = [c for c in doctree.findall(nodes.container) if c.get("nb_element") == "cell_code"]
    for cell in cells:
        for figure in cell.findall(nodes.figure):
            figure["origin"] = (page, cell["cell_index"])
    for cell in cells:
        line = provenance(cell)
        if line is not None:
            paragraphs[0].parent.insert(
                paragraphs[0].parent.index(paragraphs[0]) + 1, banner(app, page, line)
            )
            return


def prose(doctree: nodes.document) -> str:
    """The words that are read, without code, what it prints, and equations."""
    skipped = nodes.literal_block, nodes.math_block, nodes.raw, nodes.comment, nodes.table

    def is_read(node: nodes.Text) -> bool:
        while node.parent is not None:
            node = node.parent
            if isinstance(node, skipped) or "cell_output" in node.get("classes", []):
                return False
        return True

    return " ".join(text.astext() for text in doctree.findall(nodes.Text) if is_read(text))


def provenance(cell: nodes.Element) -> str | None:
    """Take the line that says what made the page out of the outputs of a cell."""
    for paragraph in cell.findall(nodes.paragraph):
        text = paragraph.astext()
        if text.startswith("Provenance. "):
            output = paragraph.parent
            while "cell_output" not in output.get("classes", []):
                output = output.parent
            output.parent.remove(output)
            return text.removeprefix("Provenance. ").rstrip(".")
    return None


def banner(app: Sphinx, page: str, line: str) -> nodes.Element:
    """The line and the times of a page as a list of short facts."""
    facts = re.split(r"[,;] (?![^(]*\))", line)
    cells = notebook(app, page)["cells"]
    tables = [table_named(c["metadata"]["data"]) for c in cells if "data" in c["metadata"]]
    dates = sorted({date for date in map(recorded_on, filter(None, tables)) if date})
    facts += [f"tables recorded {' and '.join(dates)}"] if dates else []
    facts += [f"computed {datetime.now(UTC).date()}"]
    facts += time_facts(app.env, page)
    items = [nodes.list_item("", nodes.paragraph("", fact)) for fact in facts]
    return nodes.bullet_list("", *items, classes=["provenance"])


def time_facts(env: BuildEnvironment, page: str) -> list[str]:
    """How long a page takes to read, and what it takes to run."""
    minutes = max(1, round(env.metadata[page].get("words", 0) / WORDS_PER_MINUTE))
    cost = costs()["pages"].get(Path(page).name)
    facts = [f"{minutes}\u00a0min to read"]
    if cost:
        memory = f"{cost['megabytes'] / 1000:.1f}\u00a0GB"
        facts += [f"{cost['seconds']:.0f}\u00a0s and {memory} to run"]
    return facts


# --- figures ------------------------------------------------------------------------------------


class FurnishFigures(SphinxPostTransform):
    """Put links under every figure that code has drawn, and a slider over film strips."""

    default_priority = 7  # the pictures of other pages are there
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Furnish the figures of a page; a book of one page, which is for printing, has none."""
        if self.app.builder.name != "html":
            return
        for figure in self.document.findall(nodes.figure):
            image = next(figure.findall(nodes.image), None)
            if "origin" in figure and image is not None:
                page, cell = self.source(*figure["origin"])
                self.add_links(figure, image, page, cell)
                self.add_twins(figure, image, cell)

    def source(self, page: str, place: int | str) -> tuple[str, dict[str, Any]]:
        """The page and the cell that drew a figure: by the cell's number, or by a glued name."""
        cells = notebook(self.app, page)["cells"]
        if isinstance(place, int):
            return page, cells[place]
        return page, next(c for c in cells for o in outputs(c) if glued_name(o) == place)

    def to(self, target: str) -> str:
        """The address of a file of the book, seen from this page."""
        return relative_uri(self.app.builder.get_target_uri(self.env.docname), target)

    def add_links(
        self, figure: nodes.figure, image: nodes.image, page: str, cell: dict[str, Any]
    ) -> None:
        """Links to the picture, to the table behind it, and to the code."""
        uri = image["uri"]  # of a glued picture already the one in the book
        name = self.env.images[uri][1] if uri in self.env.images else Path(uri).name
        kind = {".jpg": "JPEG"}.get(Path(name).suffix, Path(name).suffix[1:].upper())
        links = {kind: self.to(f"_images/{name}")}
        if "data" in cell["metadata"]:
            links["data"] = self.to(self.publish(cell["metadata"]["data"], figure))
        anchor = "code-" + cell["metadata"]["mystnb"]["figure"]["name"]
        links["code"] = self.to(self.app.builder.get_target_uri(page)) + f"#{anchor}"
        pair = carried(cell, tried_pairs.KEY)
        if pair and (query := trial(pair, self.env.laboratory)):
            links["try this pair"] = self.to(self.app.builder.get_target_uri(LABORATORY)) + query
        self.name_code(figure, anchor)
        caption = next(figure.findall(nodes.caption))
        items = [nodes.reference("", label, refuri=uri) for label, uri in links.items()]
        line = nodes.inline("", "", *items, classes=["figure-links"])
        caption += [nodes.Text(" "), line]

    def publish(self, name: str, figure: nodes.figure) -> str:
        """Put a table beside the pages."""
        table = table_named(name)
        if table is None:
            LOG.warning("there is no table %r of the model", name, location=figure)
            return ""
        return put_beside(self.app, table)

    def name_code(self, figure: nodes.figure, anchor: str) -> None:
        """Let the code of the cell that drew the figure be linked to."""
        cell = figure.parent
        while cell is not None and cell.get("nb_element") != "cell_code":
            cell = cell.parent
        for part in cell.findall(nodes.container) if cell is not None else []:
            if "cell_input" in part["classes"] and anchor not in part["ids"]:
                part["ids"].append(anchor)

    def add_twins(self, figure: nodes.figure, image: nodes.image, cell: dict[str, Any]) -> None:
        """A slider over the film strips, if their frames came along."""
        twins = carried(cell, KEY)
        if twins is not None:
            name = cell["metadata"]["mystnb"]["figure"]["name"]
            sprite = Path(self.app.outdir) / "_images" / f"{name}.webp"
            sprite.parent.mkdir(exist_ok=True)
            sprite.write_bytes(sprite_of(twins))
            sliders = twin_sliders(twins, self.to(f"_images/{sprite.name}"))
            figure.insert(0, nodes.raw("", sliders, format="html"))


def outputs(cell: dict[str, Any]) -> list[dict[str, Any]]:
    """What a cell has displayed."""
    return [output for output in cell.get("outputs", []) if "data" in output]


def carried(cell: dict[str, Any], key: str) -> Any:
    """What travels under a key in the metadata of the outputs of a cell, if anything does."""
    return next((o["metadata"][key] for o in outputs(cell) if key in o["metadata"]), None)


def glued_name(output: dict[str, Any]) -> str | None:
    """The name under which other pages know an output."""
    return output["metadata"].get("scrapbook", {}).get("name")


def size_images(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Tell the browser how large each picture is, so that it may load late and nothing jumps."""
    files = {name: Path(app.srcdir) / path for path, (_, name) in app.env.images.items()}

    def sized(match: re.Match[str]) -> str:
        file = files.get(Path(match["src"]).name)
        if file is None or "width=" in match[0] or file.suffix == ".svg":
            return match[0]
        with Image.open(file) as picture:
            width, height = picture.size
        return f'<img width="{width}" height="{height}" loading="lazy" decoding="async"{match[1]}'

    body = context.get("body", "")
    context["body"] = re.sub(r'<img((?=[^>]*src="(?P<src>[^"]+)")[^>]*>)', sized, body)


# --- the list of pages --------------------------------------------------------------------------


class page_table(nodes.Element):  # noqa: N801 - docutils' names of nodes
    """Stands for the list of all pages until they have been read."""


class PageTable(SphinxDirective):
    """All pages with code: what they are about, and how long they take to read and to run."""

    def run(self) -> list[nodes.Node]:
        """Return the place of the table."""
        return [page_table()]


class FillPageTables(SphinxPostTransform):
    """List the pages, now that all are read; before the references in their sentences resolve."""

    default_priority = 3

    def run(self, **kwargs: Any) -> None:
        """Put the table in its recorded_file, and below it where the times are from."""
        for place in list(self.document.findall(page_table)):
            listed = self.env.toctree_includes.get(self.config.root_doc, [])
            rows = [page_row(self.app, page) for page in listed if page.startswith("notebooks/")]
            heads = ["", "page", "what it does", "to read", "to run"]
            note = nodes.paragraph("", times_text(costs()), classes=["table-note"])
            place.replace_self([table(heads, rows, classes=["stack", "pages"]), note])


def times_text(machine: Manifest) -> str:
    """Where the times of the list come from."""
    text = f"To read: at {WORDS_PER_MINUTE} words a minute, without code and tables."
    if machine["pages"]:
        text += (
            f" To run: the model loaded anew, on {machine['cpu']}, {machine['cores']} cores, "
            f"recorded {machine['recorded'][:10]}; and the most memory that the page had."
        )
    return text


def page_row(app: Sphinx, page: str) -> list[list[nodes.Node]]:
    """A line of the list: number, title, opening sentence, times."""
    number = ".".join(map(str, app.env.toc_secnumbers.get(page, {}).get("", ())))
    title = app.env.titles[page].astext()
    link = pending_xref(
        "", nodes.inline("", title), refdomain="std", reftype="doc", reftarget=f"/{page}",
        refdoc=app.env.docname, refexplicit=True, refwarn=True,
    )  # fmt: skip
    read, *run = (fact.rpartition(" to ")[0] for fact in time_facts(app.env, page))
    times = [[nodes.Text(text)] for text in [read, *run, ""][:2]]
    return [[nodes.Text(number)], [link], opening(app.env, page), *times]


def opening(env: BuildEnvironment, page: str) -> list[nodes.Node]:
    """The first sentence of a page, "This page shows ...", as "Shows ..."; links hold here."""
    paragraph = next(env.get_doctree(page).findall(nodes.paragraph)).deepcopy()
    for reference in paragraph.findall(pending_xref):
        if reference["reftype"] == "doc":
            reference["reftarget"] = "/" + docname_join(page, reference["reftarget"])
        reference["refdoc"] = env.docname
    first, *rest = paragraph.children
    if not isinstance(first, nodes.Text):
        return [first, *rest]
    words = first.astext().removeprefix("This page ")
    return [nodes.Text(words[:1].upper() + words[1:]), *rest]


def table(heads: list[str], rows: list[list[list[nodes.Node]]], classes: list[str]) -> nodes.table:
    """A table of docutils, whose cells hold lists of nodes."""

    def line(entries: list[list[nodes.Node]]) -> nodes.row:
        return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *e)) for e in entries))

    columns = [nodes.colspec(colwidth=1) for _ in heads]
    head = nodes.thead("", line([[nodes.Text(text)] for text in heads]))
    group = nodes.tgroup("", *columns, head, nodes.tbody("", *map(line, rows)), cols=len(heads))
    return nodes.table("", group, classes=classes)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything with Sphinx."""
    app.add_node(page_table)
    app.add_directive("page-table", PageTable)
    app.connect("doctree-read", study_page)
    app.connect("html-page-context", size_images)
    app.add_post_transform(FillPageTables)
    app.add_post_transform(FurnishFigures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
