"""What this book needs from Sphinx beyond Jupyter Book's own settings.

Seven things: equations without a network, no third-party scripts, a figure that shows an image
made on another page, links to the repository wherever the book is published from, each page as a
notebook to download, a description of each page for search engines, and references that screen
readers know as a list.
"""

import html
import os
import shutil
from pathlib import Path
from textwrap import shorten
from typing import Any

import jupyter_server_mathjax
from docutils import nodes
from docutils.parsers.rst import directives
from execution import executed_file
from myst_nb.ext.glue.utils import create_pending_glue_ref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

MATHJAX_SOURCE = Path(jupyter_server_mathjax.__file__).parent / "static"
# The translated messages and the speech rules are larger than all the rest and are not used.
MATHJAX_LEFT_OUT = shutil.ignore_patterns("localization", "mathmaps")
MATHJAX_SETTINGS = {
    "config": ["TeX-AMS-MML_HTMLorMML-full.js"],
    "jax": ["input/TeX", "output/HTML-CSS"],
    "messageStyle": "none",
    "tex2jax": {
        "inlineMath": [["\\(", "\\)"]],
        "displayMath": [["\\[", "\\]"]],
        "ignoreClass": "tex2jax_ignore|mathjax_ignore",
        "processClass": "tex2jax_process|mathjax_process|math|output_area",
    },
    # The package carries this one font and this one kind of output.
    "HTML-CSS": {
        "availableFonts": [],
        "imageFont": None,
        "preferredFont": None,
        # An unknown font on purpose; MathJax would ask for "about:blank", an error in the console.
        "styles": {
            "@font-face": {"font-family": "MathJax_Blank", "src": "local('MathJax_Blank')"}
        },
        "webFont": "STIX-Web",
    },
}


def use_local_mathjax(app: Sphinx, config: Config) -> None:
    """Point Sphinx's equations at the MathJax of an installed package."""
    config.mathjax_path = "mathjax/MathJax.js"
    config.mathjax2_config = MATHJAX_SETTINGS


def copy_mathjax(app: Sphinx) -> None:
    """Put MathJax next to the pages."""
    if app.builder.format == "html":
        target = Path(app.outdir) / "_static" / "mathjax"
        shutil.copytree(MATHJAX_SOURCE, target, ignore=MATHJAX_LEFT_OUT, dirs_exist_ok=True)


def drop_thebe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Remove the scripts of sphinx-thebe, which run code on a foreign server and are not used."""

    def is_thebe(script: Any) -> bool:
        body = (getattr(script, "attributes", None) or {}).get("body") or ""
        return "thebe" in body.lower() or "thebe" in str(getattr(script, "filename", script))

    context["script_files"] = [s for s in context.get("script_files", []) if not is_thebe(s)]


def offer_notebook(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Put the executed notebook into the download menu; the theme does so only to launch it."""
    executed = executed_file(app, page)
    if executed.is_file():
        target = Path(app.outdir) / "_sources" / f"{page}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(executed, target)
        context["ipynb_source"] = f"{page}.ipynb"


def describe_page(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Describe the page by its first paragraph; let the first page's title not say all twice."""
    paragraph = next(doctree.findall(nodes.paragraph), None) if doctree else None
    if paragraph is not None:
        text = html.escape(shorten(paragraph.astext(), 200, placeholder=" …"))
        context["metatags"] += f'<meta name="description" content="{text}" />'
    if page == app.config.root_doc:
        context["title"] = "A reproducible study"


def link_repository(app: Sphinx, config: Config) -> None:
    """Show repository and launch buttons where the publishing service names the repository."""
    repository = os.environ.get("GITHUB_REPOSITORY")
    if repository:
        config.html_theme_options |= {
            "repository_url": f"https://github.com/{repository}",
            "repository_branch": os.environ.get("GITHUB_REF_NAME", "main"),
            "use_repository_button": True,
            "use_issues_button": True,
            "launch_buttons": {
                "notebook_interface": "jupyterlab",
                "binderhub_url": "https://mybinder.org",
                "colab_url": "https://colab.research.google.com",
            },
        }


def list_references(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Make the references items of their list, as screen readers know lists.

    Docutils gives them a role that is deprecated and not allowed in a list.
    """
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


class GlueFigure(SphinxDirective):
    """A numbered figure around an image that another page has glued.

    The argument is the glued name; `doc` is the page, `name` the label, `alt` the text in place of
    the image, `class` its style, the content the caption.
    """

    required_arguments = 1
    has_content = True
    option_spec = {
        "doc": directives.unchanged_required,
        "name": directives.unchanged_required,
        "alt": directives.unchanged_required,
        "class": directives.class_option,
    }

    def run(self) -> list[nodes.Node]:
        """Return the figure; its image is filled in once all pages are read."""
        source, line = self.get_source_info()
        image = create_pending_glue_ref(
            self.state.document, source, line, self.options["doc"], self.arguments[0]
        )
        looks = {"alt": self.options["alt"], "classes": self.options.get("class", [])}
        page = self.env.path2doc(self.env.relfn2path(self.options["doc"])[1])
        figure = nodes.figure("", image, glued=looks, origin=(page, self.arguments[0]))
        self.set_source_info(figure)
        caption = nodes.caption("", "")
        caption += self.parse_inline(" ".join(self.content))[0]
        figure += caption
        self.add_name(figure)
        return [figure]


class DescribeGluedImages(SphinxPostTransform):
    """Give the images of `GlueFigure` their text and style, after myst-nb put them in."""

    default_priority = 6

    def run(self, **kwargs: Any) -> None:
        """Copy what the figure was told to its image."""
        for figure in self.document.findall(nodes.figure):
            for image in figure.findall(nodes.image):
                image.update_all_atts(figure.get("glued", {}))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything with Sphinx."""
    app.connect("config-inited", use_local_mathjax)
    app.connect("config-inited", link_repository)
    app.connect("builder-inited", copy_mathjax)
    app.connect("html-page-context", drop_thebe, priority=999)
    # Before the theme collects the buttons of the page.
    app.connect("html-page-context", offer_notebook, priority=400)
    app.connect("html-page-context", describe_page)
    app.connect("html-page-context", list_references)
    app.add_directive("glue-figure", GlueFigure)
    app.add_post_transform(DescribeGluedImages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
