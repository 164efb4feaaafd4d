"""What a page displays besides its figures and tables.

Lines that say what made it, numbers that its prose quotes, badges, and pictures that are small
enough to commit.
"""

import io
from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, Markdown, display
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image

from embedding_geometry.ground.places import EMBEDDED
from embedding_geometry.ground.records import STUDY, Record
from embedding_geometry.pages.figures.strips import Images, film_strips
from embedding_geometry.pages.texts import number_text
from embedding_geometry.pages.tried_pairs import pair_metadata
from embedding_geometry.pages.twins import twin_metadata

if TYPE_CHECKING:
    from embedding_geometry.diffusion.loading import TextToImageModel
    from embedding_geometry.pages.computed import Walk
    from embedding_geometry.perception.metric import PerceptualMetric


# --- what made a page ---------------------------------------------------------------------------


def _provenance(facts: Sequence[str], versions: Mapping[str, str]) -> Markdown:
    """The line that becomes the banner of the page."""
    # "2.6.0+cpu" and "2.6.0" are the same release built for other hardware.
    releases = ", ".join(f"{name} {v.split('+')[0]}" for name, v in versions.items())
    return Markdown(f"**Provenance.** {', '.join(facts)}; {releases}.")


def provenance_line(
    model: "TextToImageModel", metric: "PerceptualMetric | None" = None, seed: int = 0
) -> Markdown:
    """One line that says which model, device, seed and versions made the page."""
    source = model.provenance
    facts = [f"Model {source.name} (revision {source.revision})"]
    facts += [f"on {source.device} in {source.dtype}"]
    if metric is not None:
        facts += [f"perceptual metric {metric.net} (revision {metric.revision})"]
    return _provenance([*facts, f"seed {seed}"], source.versions)


def recorded_line(manifest: dict[str, Any]) -> Markdown:
    """One line that says with what a recorded study was made, where and when."""
    model, metric = manifest["model"], manifest["metric"]
    facts = [
        f"Model {model['name']} (revision {model['revision']}) on {model['device']} in "
        f"{model['dtype']}",
        f"perceptual metric {metric['net']} (revision {metric['revision']})",
        f"recorded on {manifest['ended'][:10]}",
    ]
    return _provenance(facts, model["versions"])


def benchmark_line(manifest: dict[str, Any]) -> Markdown:
    """One line that says on what machine, when and with what a benchmark was recorded."""
    facts = [
        f"Model {manifest['model']}; timed on {manifest['recorded'][:10]} on {manifest['cpu']}",
        f"{manifest['cores']} cores",
        f"{manifest['threads']} threads",
    ]
    return _provenance(facts, {"python": manifest["python"], **manifest["versions"]})


# --- what its prose quotes ----------------------------------------------------------------------


def _record(name: str, prefix: str = "") -> dict[str, Any]:
    """The metadata by which Jupyter Book knows an output under a name."""
    return {"scrapbook": {"name": name, "mime_prefix": prefix}}


def glue_text(name: str, text: str) -> None:
    """Record `text` under `name` in the page, where {glue:text} finds it.

    This writes the record of the papermill and scrapbook projects that Jupyter Book reads, so the
    page runs the same where Jupyter Book is not installed.
    """
    prefix = "application/papermill.record/"
    display({f"{prefix}text/plain": repr(text)}, metadata=_record(name, prefix), raw=True)


def glue_all(values: Mapping[str, str | int]) -> None:
    """Record many values for the prose by their names: texts and counts, as they are."""
    for name, value in values.items():
        glue_text(name, str(value))


def glue_number(name: str, value: float, digits: int, *, percent: bool = False) -> None:
    """Record a number for the prose, as `number_text` writes it; raises what that does."""
    glue_text(name, number_text(value, digits, percent=percent))


def show_agreement(agree: ArrayLike, tolerance: float) -> HTML:
    """A badge that says how many recomputed values agree with the recorded ones, and how far.

    The prose finds their number as `n_recomputed`, and whether all agree as `recomputed`.

    Args:
        agree: of each value that was compared, whether it agrees.
        tolerance: the largest relative difference that counts as agreement.

    Raises:
        ValueError: nothing was compared.
    """
    compared = np.asarray(agree, bool)
    if not compared.size:
        raise ValueError("no recomputed value was compared with a recorded one")
    whole = bool(compared.all())
    glue_all({"recomputed": "agree" if whole else "do NOT agree", "n_recomputed": len(compared)})
    within = number_text(tolerance, 1, percent=True)
    return HTML(
        f'<p class="agreement {"agrees" if whole else "differs"}">'
        "<span>recorded against recomputed</span> "
        f"<span>{compared.sum()} of {len(compared)} within {within}</span></p>"
    )


# --- what it shows ------------------------------------------------------------------------------


def show_photo(
    figure: Figure,
    name: str | None = None,
    quality: int = 72,
    extra: Mapping[str, Any] | None = None,
    dpi: int = 125,
) -> None:
    """Show a figure made of photographs as JPEG, many times smaller than PNG.

    Args:
        figure: the figure; it is closed.
        name: a name under which another page can show the same picture.
        quality: of the JPEG, 1 to 95.
        extra: metadata of the output, for what the book makes of the picture.
        dpi: pixels an inch.
    """
    buffer = io.BytesIO()
    encoding = {"quality": quality, "optimize": True, "progressive": True}
    figure.savefig(buffer, format="jpeg", dpi=dpi, pil_kwargs=encoding)
    plt.close(figure)
    metadata = _record(name) if name else {}
    bundle = {"image/jpeg": b64encode(buffer.getvalue()).decode(), "text/plain": "<Figure>"}
    display(bundle, metadata=metadata | dict(extra or {}), raw=True)


def show_drawing(figure: Figure) -> None:
    """Show a drawing as PNG of 256 colours, a third of the size of one of all; it is closed."""
    buffer, drawn = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=150)
    plt.close(figure)
    picture = Image.open(drawn).convert("RGB")
    few = picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(buffer, "png", optimize=True)
    data = {"image/png": b64encode(buffer.getvalue()).decode(), "text/plain": "<Figure>"}
    display(data, raw=True)


def show_twins(
    frames_by_coupling: Mapping[str, Images],
    distances_by_coupling: Mapping[str, Float[np.ndarray, " steps"]],
    name: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Show film strips on a sheet, which the built book puts under one slider.

    Args:
        frames_by_coupling: for each coupling's name its frames, all of the same number and size.
        distances_by_coupling: for each coupling's name the perceptual distance of each step.
        name: a name under which another page can show the same picture.
        extra: further metadata of the output.
    """
    sheet = film_strips(frames_by_coupling, distances_by_coupling)
    twins = twin_metadata(frames_by_coupling, distances_by_coupling)
    show_photo(sheet, name, quality=40, extra=twins | dict(extra or {}))


def show_walk(walk: "Walk", place: str, dagger: Collection[str] = ()) -> None:
    """Film strips of one pair along all ways of a study, with a link to the laboratory.

    The prose finds the model and the prompts as `model_<place>`, `source_<place>` and
    `target_<place>`.

    Args:
        walk: of `computed.walk`.
        place: by what its names end.
        dagger: the ways that are marked with one.
    """
    glue_text(f"model_{place}", walk.model.provenance.name)
    glue_text(f"source_{place}", walk.pair.source)
    glue_text(f"target_{place}", walk.pair.target)
    strips = {way + " †" * (way in dagger): frames for way, frames in walk.frames.items()}
    about = pair_metadata(walk.model, walk.pair, 0)
    show_photo(film_strips(strips), quality=20, extra=about, dpi=96)  # a page has two of them


def show_lists(lists: Mapping[str, Sequence[str]], name: str) -> None:
    """Show a list of sentences under each head, and record them for other pages under a name."""
    html = "".join(
        f"<p><strong>{escape(head)}</strong></p>"
        f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
        for head, lines in lists.items()
    )
    show_html(html, name, "\n".join(f"{head}: {' '.join(lists[head])}" for head in lists))


def show_html(html: str, name: str, plain: str) -> None:
    """Show a table that this page has written in HTML, and record it for other pages.

    Args:
        html: the table; links in it are seen from a page.
        name: the name under which another page can show it.
        plain: the same where HTML cannot be shown.
    """
    display({"text/html": html, "text/plain": plain}, metadata=_record(name), raw=True)


# --- the model that a page is about -------------------------------------------------------------


def studied_model(model_name: str, record: Record = STUDY, *others: Record) -> str:
    """The model whose records a page shows: the one asked for, or an embedded one, said aloud.

    A page that quotes records calls this first. Where one of them is missing for the model, the
    page is about the first embedded model that has them all, and a line on it says so. Where none
    has, the model asked for stays, and reading its record says what is missing.
    """
    records = (record, *others)
    missing = [each for each in records if not each.recorded(model_name)]
    whole = (name for name in EMBEDDED if all(each.recorded(name) for each in records))
    shown = next(whole, model_name) if missing else model_name
    if shown != model_name:
        files = " and ".join(each.path(model_name).name for each in missing)
        commands = " and ".join(dict.fromkeys(f"`{r.made_by(model_name)}`" for r in missing))
        display(
            Markdown(
                f"**Note.** The results folder has no {files}, so this page is not about "
                f"{model_name} but about **{shown}**, with its pictures and numbers. What is "
                f"missing is recorded by {commands}."
            )
        )
    return shown


def note_other_revision(model: "TextToImageModel", manifest: dict[str, Any]) -> None:
    """Say aloud, on the page, where the model is not the one that the study was recorded with."""
    now, then = model.provenance, manifest["model"]
    if now.revision != then["revision"]:
        display(
            Markdown(
                f"**Note.** The recorded study is of {then['name']} at revision "
                f"{then['revision']}; what is computed on this page is of {now.name} at revision "
                f"{now.revision}. The badge below says whether the two agree."
            )
        )
