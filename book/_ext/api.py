"""The reference: what each wing offers, taken from its docstrings.

`{wing} NAME` in a page lists the public names of a wing. What a signature names is linked on the
page itself, and in the documents of Python, numpy, pandas, torch and POT if
EMBEDDING_GEOMETRY_INTERSPHINX is set: that fetches their inventories, and the book is to be built
without a network. diffusers and transformers publish none; their few classes are listed here.
"""

import os
import re
from collections.abc import Iterable
from importlib import import_module
from typing import Any
from urllib.request import urlopen

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import stringify_annotation

import embedding_geometry as eg
from embedding_geometry.ground import types

UNIONS = {
    name: stringify_annotation(getattr(types, name), "smart") for name in ("ArrayLike", "Random")
}
LOG = logging.getLogger(__name__)
PACKAGE = eg.__name__
ELSEWHERE = {
    "python": "https://docs.python.org/3",
    "numpy": "https://numpy.org/doc/stable",
    "pandas": "https://pandas.pydata.org/docs",
    "torch": "https://docs.pytorch.org/docs/stable",
    "ot": "https://pythonot.github.io",
}
PUBLISHED = "https://huggingface.co/docs"
CLASSES = {  # page by page, as signatures name them
    "diffusers.DiffusionPipeline": "api/pipelines/overview",
    "diffusers.UNet2DConditionModel": "api/models/unet2d-cond",
    "diffusers.AutoencoderKL": "api/models/autoencoderkl",
    "diffusers.DDIMScheduler": "api/schedulers/ddim",
    "transformers.CLIPTokenizer": "model_doc/clip",
    "transformers.CLIPTextModel": "model_doc/clip",
    "transformers.CLIPTextModelWithProjection": "model_doc/clip",
}


def public_names(wing: str, further: Iterable[str]) -> dict[str, Any]:
    """What a wing offers, by the shortest name that users import it by.

    That is its share of the package's names, then its own, then those that are named further, as
    `module.Name`, such as the classes of what is returned.
    """
    homes = [
        (PACKAGE, [name for name in eg.__all__ if belongs(getattr(eg, name), wing)]),
        (f"{PACKAGE}.{wing}", getattr(import_module(f"{PACKAGE}.{wing}"), "__all__", [])),
        *(
            (f"{PACKAGE}.{wing}.{module}", [own])
            for module, own in (each.rsplit(".", 1) for each in further)
        ),
    ]
    named = {
        f"{home}.{own}": getattr(import_module(home), own)
        for home, names in homes
        for own in names
    }
    first = {id(value): name for name, value in reversed(named.items())}
    return {name: value for name, value in named.items() if first[id(value)] == name}


def belongs(value: Any, wing: str) -> bool:
    """Whether a value was defined in a wing."""
    return value.__module__.startswith(f"{PACKAGE}.{wing}.")


def documenting(name: str, value: Any) -> list[str]:
    """The directive of autodoc for a name."""
    if isinstance(value, type):
        return [f".. autoclass:: {name}", "   :members:", ""]
    return [f".. {'autofunction' if callable(value) else 'autodata'}:: {name}", ""]


class Wing(SphinxDirective):
    """Documents the public names of the wing that is named, and those in the content."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return what autodoc makes of them."""
        named = public_names(self.arguments[0], self.content)
        lines = [line for name, value in named.items() for line in documenting(name, value)]
        source, _ = self.get_source_info()
        parent = nodes.container()
        text = StringList(["```{eval-rst}", *lines, "```"], source)
        self.state.nested_parse(text, self.content_offset, parent)
        return parent.children


def read_equations(
    app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    """Take the dollars of a docstring as Markdown does."""
    lines[:] = re.sub(r"\$([^$]+)\$", r":math:`\1`", "\n".join(lines)).split("\n")


def name_unions(
    app: Sphinx,
    what: str,
    name: str,
    value: Any,
    options: Any,
    signature: str | None,
    returned: str | None,
) -> tuple[str, str | None] | None:
    """Write the package's own names of long unions in place of their members."""
    for union, members in UNIONS.items():
        signature = signature and signature.replace(members, union)
    return (signature, returned) if signature else None


def published_address(target: str) -> str | None:
    """Where a class of diffusers or transformers, named by its module, is documented."""
    library, own = target.partition(".")[0], target.rpartition(".")[2]
    name = f"{library}.{own}"
    return f"{PUBLISHED}/{library}/{CLASSES[name]}#{name}" if name in CLASSES else None


def link_classes(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contents: nodes.TextElement
) -> nodes.reference | None:
    """Link what intersphinx has no inventory for."""
    address = published_address(node["reftarget"])
    if address is None:
        return None
    return nodes.reference("", "", contents, internal=False, refuri=address)


def link_elsewhere(app: Sphinx, config: Config) -> None:
    """Link to the documents of other packages, where that is wanted and they can be reached."""
    if os.environ.get("EMBEDDING_GEOMETRY_INTERSPHINX"):
        reached = {name: url for name, url in ELSEWHERE.items() if is_reached(url)}
        config.intersphinx_mapping = {name: (url, None) for name, url in reached.items()}


def is_reached(url: str) -> bool:
    """Whether the inventory of some documents is there; says so where it is not."""
    try:
        urlopen(f"{url}/objects.inv", timeout=10).close()
    except OSError as error:
        LOG.info("%s is not linked: %s", url, error)
        return False
    return True


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything with Sphinx."""
    for extension in ("autodoc", "napoleon", "intersphinx"):
        app.setup_extension(f"sphinx.ext.{extension}")
    app.connect("config-inited", link_elsewhere, priority=100)
    app.connect("missing-reference", link_classes)
    app.connect("autodoc-process-docstring", read_equations)
    app.connect("autodoc-process-signature", name_unions)
    app.add_directive("wing", Wing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
