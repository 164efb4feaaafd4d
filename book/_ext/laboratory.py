"""The laboratory: the page on which a reader's browser runs the model itself.

The model's networks with the worker's scripts are packed into one archive, and each runtime of
ONNX Runtime Web into another. These are cut into classic scripts, which a page may load from a
web server and from a file alike.
ONNX Runtime Web comes with `make setup`. Without it the page says that the laboratory is left out.
"""

import base64
import functools
import gzip
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

from embedding_geometry.diffusion.loading import load_model
from embedding_geometry.ground.disk import digest
from embedding_geometry.ground.machine import library_versions
from embedding_geometry.ground.places import DEFAULT, prompt_table
from embedding_geometry.pages import graphs, laboratory
from embedding_geometry.perception.weights import load_metric
from embedding_geometry.study.prompts import read_prompt_pairs

LABORATORY = "book/laboratory"  # the page
NET = "alex"
FETCHED = Path(sys.prefix) / "laboratory"
RUNTIME = FETCHED / "node_modules/onnxruntime-web/dist"
RUNTIMES = {  # for every browser, and for one that has WebGPU and promises in WebAssembly
    "wasm": {
        "ort.js": "ort.wasm.min.js",
        "ort.mjs": "ort-wasm-simd-threaded.mjs",
        "ort.wasm": "ort-wasm-simd-threaded.wasm",
    },
    "webgpu": {
        "ort.js": "ort.jspi.min.js",
        "ort.mjs": "ort-wasm-simd-threaded.jspi.mjs",
        "ort.wasm": "ort-wasm-simd-threaded.jspi.wasm",
    },
}
WORKER = ("transport.js", "networks.js", "worker.js")
PLACE = "_static/laboratory"
PART = 1_500_000  # characters of a script, a multiple of 4: each is decoded by itself
SUGGESTIONS = 40
LOG = logging.getLogger(__name__)


def fetched() -> bool:
    """Whether ONNX Runtime Web is there."""
    return all((RUNTIME / name).is_file() for each in RUNTIMES.values() for name in each.values())


@functools.cache
def exported() -> Path:
    """The folder with the model's graphs, made once for each content of what they are made of."""
    model, metric = load_model(DEFAULT, "cpu"), load_metric(NET, "cpu")
    sources = [Path(str(module.__file__)).read_text() for module in (graphs, laboratory)]
    versions = library_versions("onnx", "onnxruntime", "torch")
    key = digest([model.provenance.revision, metric.revision, sources, versions])
    folder = FETCHED / f"exported-{key}"
    if not (folder / "settings.json").is_file():  # written last
        laboratory.export(model, metric, folder)
    return folder


def archives(scripts: Path) -> dict[str, dict[str, bytes]]:
    """What the page loads when it is told to go: the networks, and one of the runtimes."""
    files = {
        runtime: {name: (RUNTIME / file).read_bytes() for name, file in names.items()}
        for runtime, names in RUNTIMES.items()
    }
    worker = b"\n".join((scripts / name).read_bytes() for name in WORKER)
    graphs_and_noise = sorted((*exported().glob("*.onnx"), exported() / "noise.bin"))
    networks = {file.name: file.read_bytes() for file in graphs_and_noise}
    return files | {"networks": {"worker.js": worker} | networks}


def packed(files: Mapping[str, bytes]) -> tuple[dict[str, list[int]], list[str]]:
    """Where each file lies in the archive, and the archive in parts of text, base64 of gzip."""
    places, start = {}, 0
    for name, content in files.items():
        places[name] = [start, start + len(content)]
        start += len(content)
    text = base64.b64encode(gzip.compress(b"".join(files.values()), 9, mtime=0)).decode()
    return places, [text[start : start + PART] for start in range(0, len(text), PART)]


def publish(app: Sphinx) -> None:
    """Put the archive beside the pages, and keep for the directive what the page has to know."""
    app.env.laboratory = None
    if app.builder.name != "html":
        return
    if not fetched():
        LOG.info("the laboratory is left out: %s does not hold ONNX Runtime Web", FETCHED)
        return
    scripts, folder = Path(app.srcdir) / "book" / PLACE, Path(app.outdir) / PLACE
    app.env.laboratory = written(scripts, folder)


def written(scripts: Path, folder: Path) -> dict[str, Any]:
    """Write the archive into a folder, and return what a page that loads it has to know."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = json.loads((exported() / "settings.json").read_text())
    settings |= {"archives": {}, "suggestions": suggestions()}
    for archive, files in archives(scripts).items():
        places, parts = packed(files)
        named = {f"{archive}-{number:02}.js": part for number, part in enumerate(parts)}
        for name, part in named.items():
            (folder / name).write_text(f'laboratoryPart("{name}", "{part}");\n')
        sizes = {name: len(part) for name, part in named.items()}
        known = {"files": places, "parts": sizes, "bytes": sum(sizes.values())}
        settings["archives"][archive] = known
    return settings


def suggestions() -> list[str]:
    """Prompts from all over the model's world, each once; the first two make the first pair."""
    pairs = read_prompt_pairs(prompt_table(DEFAULT))
    texts = list(dict.fromkeys(text for pair in pairs for text in (pair.source, pair.target)))
    return sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())[:SUGGESTIONS]


def trial(pair: Mapping[str, Any], settings: Mapping[str, Any] | None) -> str | None:
    """How an address ends that asks the page for a pair of `pages.pair_metadata`.

    None if the laboratory is left out, or its model is not the one that drew the pair.
    """
    if settings is None or pair["revision"] != settings["model"]["revision"]:
        return None
    return "?" + urlencode(pair["asked"])


class laboratory_place(nodes.Element):  # noqa: N801 - docutils' names of nodes
    """Stands for the laboratory until a page is written."""


class Laboratory(SphinxDirective):
    """The laboratory; the content stands for it where scripts do not run, and in print."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the place of the laboratory, and the example."""
        example = nodes.container("", classes=["laboratory-example"])
        self.state.nested_parse(self.content, self.content_offset, example)
        return [laboratory_place(), example]


class OpenLaboratory(SphinxPostTransform):
    """Put the laboratory in its place, or a note that it is left out; nothing for printing."""

    default_priority = 7
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Replace the places of a page."""
        for place in list(self.document.findall(laboratory_place)):
            place.replace_self(self.opened() if self.app.builder.name == "html" else [])

    def opened(self) -> nodes.Node:
        """The laboratory in HTML, or the note."""
        settings = self.env.laboratory
        if settings is None:
            return left_out()
        page = self.app.builder.get_target_uri(self.env.docname)
        return nodes.raw("", page_part(settings, relative_uri(page, PLACE)), format="html")


def left_out() -> nodes.note:
    """What the page says without the laboratory."""
    text = (
        "The laboratory is left out of this build, because ONNX Runtime Web could not be fetched "
        "when the book's packages were installed. With a network, make book fetches it."
    )
    return nodes.note("", nodes.paragraph("", text))


def page_part(settings: Mapping[str, Any], folder: str) -> str:
    """The laboratory in HTML: what it has to know, and its scripts."""
    known = json.dumps(settings, ensure_ascii=False).replace("</", "<\\/")
    names = ("tokens.js", "page.js")
    scripts = "".join(f'<script src="{folder}/{name}"></script>' for name in names)
    return (
        f'<div class="laboratory" data-folder="{folder}/">'
        f'<script type="application/json">{known}</script></div>{scripts}'
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything with Sphinx."""
    app.add_node(laboratory_place)
    app.add_directive("laboratory", Laboratory)
    app.add_post_transform(OpenLaboratory)
    app.connect("builder-inited", publish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
