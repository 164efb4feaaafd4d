"""Ways, couplings and a metric of the user's own: found, checked, and told apart by their code."""

import functools
import importlib
import json
import linecache
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from strategies import random_clouds, without_type_checks

import embedding_geometry as eg
from embedding_geometry import pages
from embedding_geometry.__main__ import main
from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.ground.places import prompt_table
from embedding_geometry.ground.plugins import Plugin
from embedding_geometry.perception.metric import perceptual_distances
from embedding_geometry.perception.weights import load_metric
from embedding_geometry.study.run import run_study
from embedding_geometry.study.settings import StudySettings, StudySettingsError
from embedding_geometry.transport import ways
from embedding_geometry.transport.rules import shares
from embedding_geometry.transport.ways import Ends, find_way

TIMES = np.linspace(0, 1, 5)
MODULE = '''
import numpy as np
from scipy.spatial.distance import cdist

import embedding_geometry as eg

SHIFT = 1

def rolled(n):
    """A helper."""
    return [np.roll(np.arange(n), SHIFT) for _ in range(1)][0]

def shifted(x, y):
    """A coupling: every token one place further."""
    return rolled(len(x))

def detour(ends, times, rng):
    """A way: first the begin token, then the rest."""
    t = times[:, None, None]
    return (1 - t**2) * ends.x + t**2 * ends.y

def squared(ends, times, rng):
    """A rule: predictions mixed, by the square of the time."""
    weights = np.stack([1 - times**2, times**2], axis=1)
    return eg.Mixture("prediction", ends.legs, weights)

def mean_square(frames):
    """A metric."""
    return (np.diff(frames.astype(float), axis=0) ** 2).mean(axis=(1, 2, 3))
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Write a module of the user's into the current folder, changed as said, and import it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())

    def write(name: str, old: str = "", new: str = "") -> Any:
        assert old in MODULE
        (tmp_path / f"{name}.py").write_text(MODULE.replace(old, new) if old else MODULE)
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        names = ("shifted", "detour", "mean_square")
        return SimpleNamespace(**{each: Plugin.of(f"{name}:{each}") for each in names})

    return write


@pytest.fixture
def ends() -> Ends:
    rng = np.random.default_rng(0)
    return Ends(random_clouds(rng, 9, 5), random_clouds(rng, 9, 5) + 1, x_end=4, y_end=6)


# --- versions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("rolled(len(x))", "rolled(len(y))", True),
        ("np.arange(n)", "np.arange(n)[::-1]", True),
        ("SHIFT = 1", "SHIFT = 2", True),
        ("t**2", "t**3", False),
        ("\n\ndef detour", "\n\n# beside it\n\ndef detour", False),
    ],
)
def test_the_version_is_that_of_the_code_with_its_helpers_and_constants(
    module, old: str, new: str, changes: bool
) -> None:
    before, after = module("plugins_before").shifted, module("plugins_after", old, new).shifted
    assert (before.version != after.version) is changes
    assert module("plugins_again").shifted.version == before.version


def test_a_version_that_the_author_gives_stands_for_the_code() -> None:
    hidden = functools.partial(np.roll, shift=1)
    assert Plugin(hidden, "1").version == "1"
    assert Plugin.of(Plugin(hidden, "1")) == Plugin(hidden, "1")


SECRET = np.arange(3)


def uses_an_array(x, y):
    return SECRET


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            uses_an_array,
            "code of 'uses_an_array' does not show .*: it names SECRET, a ndarray. Give it",
        ),
        (functools.partial(np.roll, shift=1), "is no function written in Python. Give it a vers"),
        (np.sqrt, "is no function written in Python"),
        ("optimal", "'optimal' is not found"),
    ],
)
def test_what_the_code_does_not_show_asks_for_a_version(function: Any, message: str) -> None:
    with without_type_checks(), pytest.raises(ValueError, match=message):
        Plugin.of(function)


# --- ways ---------------------------------------------------------------------------------------


def test_a_coupling_of_ones_own_is_a_way_straight_along_it(module, ends: Ends) -> None:
    module("plugins_found")
    path = find_way("plugins_found:shifted")(ends, TIMES, np.random.default_rng(0))
    expected = (1 - TIMES[:, None, None]) * ends.x + TIMES[:, None, None] * np.roll(ends.y, 1, 0)
    np.testing.assert_allclose(path, expected, atol=1e-14)
    assert ends.arrives(path)


def test_a_way_of_ones_own_is_taken_under_any_name(module, ends: Ends) -> None:
    own = {"mine": module("plugins_named").detour}
    path = find_way("mine", own)(ends, TIMES, np.random.default_rng(0))
    np.testing.assert_allclose(path[2], 0.75 * ends.x + 0.25 * ends.y)


def test_a_rule_of_ones_own_is_taken_too(module, ends: Ends) -> None:
    module("plugins_rules")
    rule = find_way("plugins_rules:squared")(ends, TIMES, np.random.default_rng(0))
    np.testing.assert_allclose(rule.weights[:, 1], [0, 1 / 16, 1 / 4, 9 / 16, 1])
    assert ends.arrives(rule)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x, y: np.zeros(len(x), int), "takes each of 0 … 8 exactly once"),
        (lambda x, y: [0, 1], r"integer array of shape \(9,\); got shape \(2,\)"),
        (lambda ends, times, rng: ends.x, r"path of mine has shape \(9, 5\); .*\(5, 9, 5\)"),
        (
            lambda ends, times, rng: np.stack([ends.y] * 5),
            "the path of mine starts .* off its sou",
        ),
        (lambda ends, times, rng: None, "the path of mine of shape .* holds object"),
        (
            lambda ends, times, rng: eg.Mixture("measure", ends.legs, np.full((2, 2), 0.5)),
            "the rule of mine has 2 frames for 5 times",
        ),
        (
            lambda ends, times, rng: eg.Mixture("measure", ends.legs, np.full((5, 2), 0.5)),
            "the path of mine starts inf off its source",
        ),
        (
            lambda ends, times, rng: eg.Mixture("measure", (ends.x, ends.y), shares(times)),
            "9 texts are given for 5 frames, or one",
        ),
        (
            lambda ends, times, rng: eg.Mixture(
                "measure", (ends.x[None], ends.y[None]), shares(times)
            ),
            "the rule of mine mixes a ndarray; a Leg is wanted, clouds with their times",
        ),
        (lambda ends: ends.x, r"mine takes 1 arguments; a coupling takes the clouds \(x, y\)"),
    ],
)
def test_what_is_no_coupling_and_no_way_is_named(ends: Ends, function: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_way("mine", {"mine": Plugin(function, "1")})(ends, TIMES, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["no_such_module:way", "json:no_such_way"])
def test_a_function_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is not found .*module:function names"):
        find_way(name)


# --- metric -------------------------------------------------------------------------------------


def test_a_metric_of_ones_own_sees_each_frame_beside_the_next(module) -> None:
    """Whatever the batches, and of frames smaller than LPIPS takes."""
    frames = np.random.default_rng(0).integers(0, 256, (40, 6, 8, 3)).astype(np.uint8)
    metric = load_metric(module("plugins_metric").mean_square)
    assert (metric.net, metric.revision) == ("mean_square", Plugin.of(metric.network).version)
    expected = [np.mean((a - b) ** 2) for a, b in zip(frames[1:] * 1.0, frames[:-1], strict=True)]
    np.testing.assert_allclose(perceptual_distances(metric, frames), expected)
    np.testing.assert_allclose(perceptual_distances(metric, frames[::-1]), expected[::-1])
    assert load_metric("plugins_metric:mean_square").revision == metric.revision


@pytest.mark.parametrize("returned", [[1.0, 2.0, 3.0], [1.0, -1.0], [np.nan, 1.0], [[1.0, 1.0]]])
def test_what_is_no_distance_of_each_frame_to_the_next_is_refused(returned: list) -> None:
    metric = load_metric(Plugin(lambda frames: returned, "1"))
    with pytest.raises(
        ValueError, match=r"for 3 frames the metric returned .*\(2,\) is|metric returned .* NaN"
    ):
        perceptual_distances(metric, np.zeros((3, 8, 8, 3), np.uint8))


# --- studies ------------------------------------------------------------------------------------


@pytest.fixture
def settings(tiny_folder: Path, tmp_path: Path) -> StudySettings:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("pair_id,source,target,similarity\na,a small cat,two birds,2\n")
    return StudySettings(
        str(pairs),
        couplings=["row", "mine"],
        extra_couplings_first_seed=[],
        seeds=range(1),
        frames=3,
        net="squares",
        loading=LoadSettings(str(tiny_folder), "cpu"),
        rendering=RenderSettings(1, 1.0),
        own={"mine": Plugin(lambda x, y: np.arange(len(x)), "1"), "squares": Plugin(squares, "1")},
    )


def squares(frames):
    return (np.diff(frames.astype(float), axis=0) ** 2).mean(axis=(1, 2, 3))


def test_a_study_with_a_way_and_a_metric_of_ones_own(settings, tmp_path: Path) -> None:
    table = run_study(settings, tmp_path / "study", progress=False)
    ppl = dict(zip(table["coupling"], table["ppl"], strict=True))
    assert ppl["mine"] == pytest.approx(ppl["row"], rel=0.01)  # the same coupling
    manifest = json.loads((tmp_path / "study" / "manifest.json").read_text())
    assert manifest["settings"]["ways"] == {"mine": "1"}
    assert manifest["metric"] == {"net": "squares", "revision": "1"}
    assert manifest["pairs"]["file"] == "pairs.csv"


@pytest.mark.parametrize("name", ["mine", "squares"])
def test_a_changed_function_of_the_same_name_does_not_find_the_cells_of_the_old_one(
    settings, tmp_path: Path, name: str
) -> None:
    run_study(settings, tmp_path / "study", progress=False)
    changed = replace(
        settings, own={**settings.own, name: Plugin(settings.own[name].function, "2")}
    )
    with pytest.raises(
        StudySettingsError, match=r"other settings: (ways|net_revision) is .*'?2'?"
    ):
        run_study(changed, tmp_path / "study", progress=False)


def test_a_way_put_among_the_packages_is_told_apart_by_its_code_too(
    settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"squares": settings.own["squares"]}
    settings = replace(settings, couplings=("row", "still"), own=own)
    monkeypatch.setitem(ways.WAYS, "still", lambda ends, times, rng: np.stack([ends.x] * 3))
    run_study(settings, tmp_path / "study", progress=False)
    monkeypatch.setitem(ways.WAYS, "still", lambda ends, times, rng: np.stack([ends.x + 0] * 3))
    with pytest.raises(StudySettingsError, match="other settings: ways is "):
        run_study(settings, tmp_path / "study", progress=False)


def test_the_command_line_takes_module_and_function(
    module, settings, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module("plugins_command")
    options = (
        f"--pairs {settings.pairs} --couplings row plugins_command:detour plugins_command:squared "
        "--seeds 0 --frames 3"
    )
    options += " --extra-couplings-first-seed --net plugins_command:mean_square --out study"
    options += f" --model {tiny_folder} --device cpu --steps 1 --guidance-scale 1"
    assert main(["study", *options.split()]) == 0
    shown = capsys.readouterr().out
    assert "plugins_command:detour" in shown
    assert "plugins_command:squared" in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"own": {"mine": len, "squares": squares}}, "is no function written in Python"),
        ({"own": {"mine": squares, "squares": squares}}, "mine takes 1 arguments; a coupling tak"),
        (
            {"net": "lpips"},
            "net is 'lpips'; use one of alex, vgg, squeeze, or one of your",
        ),
        (
            {"own": {}, "net": "alex"},
            "coupling 'mine' is unknown; there are row",
        ),
    ],
)
def test_names_that_stand_for_nothing_are_refused(
    settings, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        replace(settings, **change).check()


# --- the book -----------------------------------------------------------------------------------


def shown(page: str, definition: str) -> str:
    """The cell of a page that defines something of one's own."""
    cells = (Path(__file__).parents[1] / "notebooks" / f"{page}.md").read_text().split("```")
    [cell] = [cell for cell in cells if f"\n{definition}" in cell]
    return cell.removeprefix("{code-cell} ipython3\n")


def test_what_the_book_shows_of_ones_own_works_as_it_stands(
    ends: Ends, tiny_model, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each cell with what its page has by then; the pages themselves are run whole, too."""
    pictures = np.random.default_rng(0).integers(0, 256, (3, 6, 8, 3)).astype(np.uint8)
    has = {
        **{"np": np, "eg": eg, "torch": torch, "pages": pages},
        **{"prompt_table": prompt_table, "owner": "pocket", "rng": np.random.default_rng(0)},
        **{"toy": ends, "times": TIMES, "x": ends.x, "y": ends.y, "model": tiny_model},
        **{
            "frames": {"row": pictures, "optimal": pictures},
            "permuted": lambda found: found.cycle,
        },
        **{"cloud": random_clouds(np.random.default_rng(1), 6, tiny_model.text_width)},
        **{"other": random_clouds(np.random.default_rng(2), 6, tiny_model.text_width)},
    }
    cells = [
        shown(*where)
        for where in (
            ("11_ways", "def by_norm"),
            ("07_evaluator", "def mean_square"),
            ("02_invariance", "class Pooled"),
        )
    ]
    for number, cell in enumerate(cells):
        name = f"<cell {number}>"
        lines = cell.splitlines(keepends=True)
        monkeypatch.setitem(linecache.cache, name, (len(cell), None, lines, name))
        exec(compile(cell, name, "exec"), has)
    ways, metric, module = capsys.readouterr().out.splitlines()
    assert 1 <= float(ways.split()[0]) < 3
    assert metric == "optimal over row order, sum of the roots: 1.00"
    assert re.fullmatch(r"order .*10.*, another text \d+\.\d", module)
