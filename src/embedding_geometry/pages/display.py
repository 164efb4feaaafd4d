"""What a page of the book needs besides mathematics and pictures.

The provenance line, numbers that the prose can quote, photographs small enough to commit, and the
recorded study with the rule that picks the pairs shown.
"""

import io
import math
import os
import re
import warnings
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown, display
from jaxtyping import Float
from matplotlib.figure import Figure

from embedding_geometry.ground.records import RecordError, read_manifest, read_table
from embedding_geometry.pages.figures import studies
from embedding_geometry.pages.figures.studies import Images
from embedding_geometry.pages.twins import twin_metadata
from embedding_geometry.study.prompts import PromptPair, read_prompt_pairs

if TYPE_CHECKING:
    from embedding_geometry.diffusion.loading import TextToImageModel
    from embedding_geometry.perception.metric import PerceptualMetric
    from embedding_geometry.statistics.paired import Correlation, PairedComparison

DATA = Path(__file__).parents[3] / "data"
BENCHMARKS = DATA / "results"
STUDY_COMMAND = "python -m embedding_geometry study --publish"
REPEAT_COMMAND = "python -m embedding_geometry study ... --publish data/results/pocket_repeat"
FULL_SIZE_COMMAND = "python tests/benchmarks/full_size.py FOLDER --record data/results"
RENDERING = (
    "steps",
    "guidance_scale",
    "negative_prompt",
    "batch_size",
    "scheduler",
    "height",
    "width",
)
COMPARED = {"row", "optimal", "random", "worst"}
SIZE_CLASSES = (-12, -9, -5, -2, -1, 0)  # powers of ten
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

# Pages show no progress bars; where ipywidgets is missing, tqdm would complain on each of them.
warnings.filterwarnings("ignore", message="IProgress not found")


class StudyNotRecordedError(FileNotFoundError):
    """There is no recorded study for the model that the page uses."""


# --- what the reader is told --------------------------------------------------------------------


def provenance_line(
    model: "TextToImageModel",
    metric: "PerceptualMetric | None" = None,
    seed: int | None = None,
) -> Markdown:
    """One line that says which model, device, seed and versions made the page."""
    source = model.provenance
    parts = [f"**Provenance.** Model {source.name} (revision {source.revision})"]
    parts.append(f"on {source.device} in {source.dtype}")
    if metric is not None:
        parts.append(f"perceptual metric {metric.net} (revision {metric.revision})")
    if seed is not None:
        parts.append(f"seed {seed}")
    # "2.6.0+cpu" and "2.6.0" are the same release built for other hardware.
    versions = ", ".join(f"{name} {v.split('+')[0]}" for name, v in source.versions.items())
    return Markdown(", ".join(parts) + f"; {versions}.")


def glue_text(name: str, text: str) -> None:
    """Record `text` under `name` in the page, where {glue:text} finds it.

    This writes the record of the papermill and scrapbook projects that Jupyter Book reads, so the
    page runs the same where Jupyter Book is not installed.
    """
    prefix = "application/papermill.record/"
    record = {"scrapbook": {"name": name, "mime_prefix": prefix}}
    display({f"{prefix}text/plain": repr(text)}, metadata=record, raw=True)


def glue_number(name: str, value: float, digits: int, *, percent: bool = False) -> None:
    """Record a number for the prose, rounded to `digits` decimals (of per cent, if so asked).

    Raises:
        ValueError: the value is not finite: the prose would quote nonsense.
    """
    if not math.isfinite(value):
        raise ValueError(f"the number {name!r} is {value}; only finite numbers can be quoted")
    glue_text(name, number_text(value, digits, percent=percent))


def number_text(value: float, digits: int, *, percent: bool = False) -> str:
    """Write a number for reading: rounded to `digits` decimals, with a true minus sign."""
    rounded = round(100 * value if percent else value, digits) + 0.0  # no "-0.0"
    text = f"{rounded:,.{digits}f}".replace("-", "−").replace(",", "\u202f")
    return text + ("\u202f%" if percent else "")


def interval_text(interval: tuple[float, float], digits: int, *, percent: bool = False) -> str:
    """Write an interval for reading, such as "0.5 to 3.1 %"."""
    low, high = (number_text(end, digits, percent=percent) for end in interval)
    return f"{low.removesuffix(chr(0x202F) + '%')}\u00a0to\u00a0{high}"


def p_number(p_value: float) -> str:
    """Write a p-value for a table, such as "0.012" or "< 0.0001"."""
    return "<\u00a00.0001" if p_value < 1e-4 else f"{p_value:.2g}"


def p_text(p_value: float) -> str:
    """Write a p-value for a sentence, such as "p = 0.012" or "p < 0.0001", in one line."""
    number = p_number(p_value)
    return f"p\u00a0{number}" if number.startswith("<") else f"p\u00a0=\u00a0{number}"


def p_and_n_text(result: "PairedComparison | Correlation") -> str:
    """Write what a test rests on for a sentence, such as "p = 0.012, n = 36"."""
    return f"{p_text(result.p_value)}, n\u00a0=\u00a0{result.n}"


def comparison_row(comparison: "PairedComparison") -> dict[str, str]:
    """Write a paired comparison as a line of a table."""
    return {
        "pairs": str(comparison.n),
        "improvement": number_text(comparison.relative_improvement, 1, percent=True),
        "95 % interval": interval_text(comparison.relative_interval, 1, percent=True),
        "pairs won": number_text(comparison.share_won, 0, percent=True),
        "effect size": number_text(comparison.rank_biserial, 2),
        "p": p_number(comparison.p_value),
    }


def at_most(value: float) -> str:
    """A bound for a rounding error: the size class in which it lies.

    Rounding errors differ from one processor to the next, and so does the next power of ten; the
    classes are far enough apart to tell float64, float32 and half precision from one another.
    """
    if value < 0 or not math.isfinite(value):
        raise ValueError(f"a size is expected, not {value}")
    if value == 0:
        return "0"
    exponent = next((e for e in SIZE_CLASSES if value <= 10.0**e), math.ceil(math.log10(value)))
    return f"≤\u00a010{str(exponent).translate(SUPERSCRIPTS)}"


def agreement_badge(agreeing: int, compared: int, tolerance: float) -> HTML:
    """A badge that says how many recomputed values agree with the recorded ones, and how far.

    Args:
        agreeing: the number of values that agree.
        compared: the number of values compared.
        tolerance: the largest relative difference that counts as agreement.

    Raises:
        ValueError: nothing was compared.
    """
    if not 0 <= agreeing <= compared or not compared:
        raise ValueError(f"{agreeing} of {compared} values cannot agree")
    kind = "agrees" if agreeing == compared else "differs"
    result = f"{agreeing} of {compared} within {number_text(tolerance, 1, percent=True)}"
    return HTML(
        f'<p class="agreement {kind}"><span>recorded against recomputed</span> '
        f"<span>{result}</span></p>"
    )


def show_photo(
    figure: Figure,
    name: str | None = None,
    quality: int = 72,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Show a figure made of photographs as JPEG, many times smaller than PNG.

    Args:
        figure: the figure; it is closed.
        name: a name under which another page can show the same picture.
        quality: of the JPEG, 1 to 95.
        extra: metadata of the output, for what the book makes of the picture.
    """
    buffer = io.BytesIO()
    encoding = {"quality": quality, "optimize": True, "progressive": True}
    figure.savefig(buffer, format="jpeg", dpi=125, pil_kwargs=encoding)
    plt.close(figure)
    metadata = {"scrapbook": {"name": name, "mime_prefix": ""}} if name else {}
    bundle = {"image/jpeg": b64encode(buffer.getvalue()).decode(), "text/plain": "<Figure>"}
    display(bundle, metadata=metadata | dict(extra or {}), raw=True)


def show_twins(
    frames_by_coupling: Mapping[str, Images],
    distances_by_coupling: Mapping[str, Float[np.ndarray, " steps"]],
    name: str | None = None,
) -> None:
    """Show film strips on a sheet, which the built book puts under one slider.

    Args:
        frames_by_coupling: for each coupling's name its frames, all of the same number and size.
        distances_by_coupling: for each coupling's name the perceptual distance of each step.
        name: a name under which another page can show the same picture.
    """
    sheet = studies.film_strips(frames_by_coupling, distances_by_coupling)
    twins = twin_metadata(frames_by_coupling, distances_by_coupling)
    show_photo(sheet, name, quality=62, extra=twins)


def show_html(html: str, name: str, plain: str) -> None:
    """Show a table that this page has written in HTML, and record it for other pages.

    Args:
        html: the table; links in it are seen from a page.
        name: the name under which another page can show it.
        plain: the same where HTML cannot be shown.
    """
    metadata = {"scrapbook": {"name": name, "mime_prefix": ""}}
    display({"text/html": html, "text/plain": plain}, metadata=metadata, raw=True)


# --- the recorded study -------------------------------------------------------------------------


def short_name(model_name: str) -> str:
    """The last part of a model's name, by which its recorded files are called."""
    return Path(model_name).name


def prompt_table(model_name: str) -> Path:
    """The book's prompt pairs for a model: pocket speaks only of its own small world."""
    table = "pocket_pairs.csv" if short_name(model_name) == "pocket" else "pairs.csv"
    return DATA / "prompts" / table


def metric_name(model_name: str) -> str:
    """The net of the perceptual metric for a model: pocket's own, else LPIPS' default, alex."""
    return "pocket" if short_name(model_name) == "pocket" else "alex"


def results_folder() -> Path:
    """`data/results`, or the folder that EMBEDDING_GEOMETRY_RESULTS names.

    Raises:
        FileNotFoundError: the named folder does not exist; a page runs in its own folder, so a
            name that is not absolute may mean another place there.
    """
    named = os.environ.get("EMBEDDING_GEOMETRY_RESULTS")
    if named and not Path(named).is_dir():
        raise FileNotFoundError(
            f"EMBEDDING_GEOMETRY_RESULTS is {named!r}, but {Path(named).absolute()} is no folder; "
            "give its whole path, or leave it empty for data/results"
        )
    return Path(named) if named else DATA / "results"


def studied_model(model_name: str) -> str:
    """The model whose recorded study a page shows: the one asked for, or pocket, said aloud.

    A page that quotes a study calls this first. Where the results folder holds none of the model,
    the page is about pocket, and a line on it says so.
    """
    if study_file(model_name, "study.csv").is_file():
        return model_name
    display(
        Markdown(
            f"**Note.** No study of {model_name} is recorded in the results folder, so this "
            "page shows the recorded study of **pocket**; its pictures and numbers are pocket's. "
            "`python -m embedding_geometry study --publish` records one of another model."
        )
    )
    return "pocket"


def recorded_file(model_name: str, ending: str) -> Path:
    """A file of the recorded study, such as `pocket_study.csv`.

    Raises:
        StudyNotRecordedError: there is none for this model.
    """
    path = study_file(model_name, ending)
    if not path.is_file():
        raise StudyNotRecordedError(
            f"no recorded study for the model {model_name!r}: {path} does not exist. Run "
            f"`python -m embedding_geometry study --help` to see how to make one, or name the "
            f"folder that holds it in EMBEDDING_GEOMETRY_RESULTS"
        )
    return path


def study_file(model_name: str, ending: str) -> Path:
    """Where a file of a model's study is looked for, such as `pocket_study.csv`.

    In the results folder; pocket's come with the book and are found there where that has none.
    """
    name = f"{short_name(model_name)}_{ending}"
    own = results_folder() / name
    return own if short_name(model_name) != "pocket" or own.is_file() else BENCHMARKS / name


def recorded_study(model_name: str) -> pd.DataFrame:
    """The study's table: one row per pair, initial latent and coupling.

    Raises:
        StudyNotRecordedError: it lacks a coupling that the pages compare.
    """
    path = recorded_file(model_name, "study.csv")
    study = read_table(path, STUDY_COMMAND)
    missing = sorted(COMPARED - set(study["coupling"]))
    if missing:
        raise StudyNotRecordedError(
            f"{path} has no paths along the coupling {', '.join(missing)}, which the pages "
            "compare with the others; run the study with the default couplings"
        )
    return study


def coverage_text(study: pd.DataFrame, pairs: int) -> str:
    """Say whether the recorded study covers all prompt pairs of its table, or is a pilot."""
    recorded = study["pair_id"].nunique()
    if recorded == pairs:
        return f"It covers all {pairs} prompt pairs"
    return f"It is a pilot: it covers {recorded} of the {pairs} prompt pairs"


def studied_pairs(model_name: str) -> list[PromptPair]:
    """The prompt pairs of the recorded study, in the order of their table.

    A study is published with its pairs; one that is not took the table of its model.

    Raises:
        StudyNotRecordedError: the study has pairs that are not in the table.
    """
    published = study_file(model_name, "pairs.csv")
    table = published if published.is_file() else prompt_table(model_name)
    pairs = read_prompt_pairs(table)
    unknown = set(recorded_study(model_name)["pair_id"]) - {pair.pair_id for pair in pairs}
    if unknown:
        raise StudyNotRecordedError(
            f"{len(unknown)} prompt pairs of {study_file(model_name, 'study.csv')} are not in "
            f"{table}, such as {min(unknown)}; put the table that the study took at {published}"
        )
    return pairs


def recorded_steps(model_name: str) -> pd.DataFrame:
    """The perceptual distance of every single step of the study."""
    return read_table(recorded_file(model_name, "steps.parquet"), STUDY_COMMAND)


def recorded_manifest(model_name: str) -> dict[str, Any]:
    """Model, metric, settings, versions and hardware of the recorded study.

    Raises:
        RecordError: it is damaged.
    """
    path = recorded_file(model_name, "manifest.json")
    manifest = read_manifest(path, STUDY_COMMAND)
    missing = sorted({"model", "metric", "settings", "ended"} - manifest.keys())
    if missing:
        raise RecordError(
            f"{path} does not say {', '.join(missing)}; `{STUDY_COMMAND}` makes it anew"
        )
    return manifest


def pocket_study(name: str = "pocket") -> tuple[pd.DataFrame, dict[str, Any]]:
    """A study that comes with the book, whatever model a page shows, and its manifest.

    Args:
        name: `pocket`, the first study; `pocket_repeat`, `pocket_dose` or `pocket_ways`.
    """
    table, manifest = (BENCHMARKS / f"{name}_{end}" for end in ("study.csv", "manifest.json"))
    command = REPEAT_COMMAND if name == "pocket_repeat" else "make study"
    return read_table(table, command), read_manifest(manifest, command)


def recorded_commit(model_name: str) -> str | None:
    """The hub's commit that the recorded study took its model from; None for a folder."""
    model = recorded_manifest(model_name)["model"]
    whole = re.fullmatch("[0-9a-f]{40}", model["revision"])
    return model["revision"] if whole and model["name"] == model_name else None


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


def recorded_line(manifest: dict[str, Any]) -> Markdown:
    """One line that says with what a recorded study was made, where and when."""
    model, metric = manifest["model"], manifest["metric"]
    versions = ", ".join(f"{name} {v.split('+')[0]}" for name, v in model["versions"].items())
    return Markdown(
        f"**Provenance.** Model {model['name']} (revision {model['revision']}) on "
        f"{model['device']} in {model['dtype']}, perceptual metric {metric['net']} (revision "
        f"{metric['revision']}), recorded on {manifest['ended'][:10]}; {versions}."
    )


def recorded_rendering(model_name: str) -> dict[str, Any]:
    """How the recorded study made its images, by the names of `RenderSettings`.

    A study recorded before a setting existed leaves it out.
    """
    settings = recorded_manifest(model_name)["settings"]
    return {name: settings[name] for name in RENDERING if name in settings}


def by_pair(study: pd.DataFrame, measure: str = "ppl") -> pd.DataFrame:
    """One row per prompt pair: the measure under each coupling, averaged over initial latents.

    Args:
        study: the study's table.
        measure: the column to average.

    Returns:
        Index `pair_id`; columns `grade` (the similarity rounded to a whole number), `similarity`,
        `stratum`, `w2`, one column for each coupling rendered from every initial latent, and
        `improvement`, the relative improvement (row − optimal)/row.
    """
    fixed = study.groupby("pair_id")[["similarity", "stratum", "w2"]].first()
    seeds = study.groupby("coupling")["seed"].nunique()
    complete = study[study["coupling"].isin(seeds.index[seeds == seeds.max()])]
    means = complete.pivot_table(index="pair_id", columns="coupling", values=measure)
    pairs = fixed.join(means)
    pairs.insert(0, "grade", pairs["similarity"].round().astype(int))
    # Two equal prompts have paths of length zero under every coupling: nothing to improve.
    change = pairs["row"] - pairs["optimal"]
    pairs["improvement"] = (change / pairs["row"]).where(pairs["row"] > 0, 0.0)
    return pairs


def representative_pairs(pairs: pd.DataFrame) -> list[str]:
    """The pair to show of each grade, most similar first: its median by relative improvement.

    The rule is fixed beforehand, so that no picture is chosen for its looks: in the order of
    improvement, then of `pair_id`, the middle pair, the lower one of two.
    """
    ordered = pairs.sort_index().sort_values("improvement", kind="stable")
    grades = ordered.groupby("grade")
    return [group.index[(len(group) - 1) // 2] for _, group in grades][::-1]


# --- the recorded benchmarks --------------------------------------------------------------------


def recorded_benchmark(name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A benchmark's table and its manifest: machine, versions, threads, time.

    It is about this code, whatever model a page shows, and so is always in `data/results`.

    Raises:
        FileNotFoundError: it has not been recorded.
        RecordError: it is empty or damaged.
    """
    table, manifest = (BENCHMARKS / f"benchmark_{name}.{kind}" for kind in ("csv", "json"))
    command = FULL_SIZE_COMMAND if name == "full_size" else "make benchmark"
    return read_table(table, command), read_manifest(manifest, command)


def recorded_kills() -> dict[str, Any]:
    """What became of the cells of studies that were killed at random moments."""
    command = "python tests/stress/kill_study.py --record data/results/stress_kills.json"
    return read_manifest(BENCHMARKS / "stress_kills.json", command)


def benchmark_line(manifest: dict[str, Any]) -> Markdown:
    """One line that says on what machine, when and with what a benchmark was recorded."""
    versions = ", ".join(f"{name} {v.split('+')[0]}" for name, v in manifest["versions"].items())
    return Markdown(
        f"**Provenance.** Model {manifest['model']}; timed on {manifest['recorded'][:10]} on "
        f"{manifest['cpu']}, {manifest['cores']} cores, {manifest['threads']} threads; "
        f"python {manifest['python']}, {versions}."
    )
