"""The reference of the package: its examples run, and its page shows every public name."""

import doctest
import inspect
import re
import sys
from pathlib import Path
from typing import get_args

import pytest
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.inspect import stringify_signature

import embedding_geometry as eg
from embedding_geometry.diffusion.loading import TextToImageModel

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "book/api.md").read_text()
sys.path.insert(0, str(ROOT / "book/_ext"))

from api import (  # noqa: E402
    belongs,
    is_reached,
    link_classes,
    name_unions,
    public_names,
    published_address,
    read_equations,
)

WINGS = re.findall(r"^```\{wing\} (\w+)", PAGE, re.MULTILINE)
EXAMPLES = [name for name in eg.__all__ if ">>>" in (getattr(eg, name).__doc__ or "")]
# counted in the pages and the README, without `configured_model`, whose result is the reader's
MOST_USED = {
    "couple", "coupling_cost", "default_settings", "encode", "encode_prompts", "initial_latent",
    "interpolate", "load_metric", "load_model", "optimal_coupling", "perceptual_distances",
    "read_prompt_pairs", "render", "verdict", "wasserstein_distance",
}  # fmt: skip


@pytest.fixture(scope="module")
def beginning():
    """Return the names that the page's first lines define."""
    [lines] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names = {}
    exec(lines, names)
    return names


def test_the_most_used_functions_have_an_example():
    assert set(EXAMPLES) >= MOST_USED


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_prints_what_it_says(name, beginning, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [example] = doctest.DocTestFinder(recurse=False).find(
        getattr(eg, name), name, module=False, globs=beginning
    )
    printed = []
    result = doctest.DocTestRunner().run(example, out=printed.append)
    assert result.attempted > 0
    assert result.failed == 0, "".join(printed)


def test_every_public_name_stands_on_the_page_once():
    listed = [value for wing in WINGS for value in public_names(wing, ()).values()]
    assert [name for name in eg.__all__ if listed.count(getattr(eg, name)) != 1] == []
    assert not belongs(eg.encode, "transport")


def test_equations_of_docstrings_are_read_as_those_of_pages_are():
    lines = ["It is $n - 1$, or", "$x +", "y$, of `eg`."]
    read_equations(None, "function", "eg.f", None, None, lines)
    assert lines == ["It is :math:`n - 1`, or", ":math:`x +", "y`, of `eg`."]


def test_long_unions_stand_under_their_names_in_signatures():
    long = stringify_signature(inspect.signature(eg.couple), unqualified_typehints=True)
    short, returned = name_unions(None, "function", "couple", eg.couple, None, long, "array")
    assert "y: ~jaxtyping.Float[ndarray, 'n d'] | ArrayLike, rng: Random," in short
    assert "_SupportsArray" in long
    assert returned == "array"


def test_classes_of_diffusers_and_transformers_in_signatures_have_an_address():
    """They publish no inventory; an address is that of the name that users import."""
    unet = published_address("diffusers.models.unets.unet_2d_condition.UNet2DConditionModel")
    page = "https://huggingface.co/docs/diffusers/api/models/unet2d-cond"
    assert unet == f"{page}#diffusers.UNet2DConditionModel"
    assert published_address("diffusers.models.UNet1DModel") is None
    assert published_address("float") is None
    place = pending_xref(reftarget="diffusers.models.unets.unet_2d_condition.UNet2DConditionModel")
    assert link_classes(None, None, place, nodes.literal())["refuri"] == unet
    assert link_classes(None, None, pending_xref(reftarget="float"), nodes.literal()) is None
    shown = [*(getattr(eg, name) for name in eg.__all__), TextToImageModel]
    named = {
        f"{kind.__module__}.{kind.__qualname__}"
        for value in shown
        for hint in inspect.get_annotations(value, eval_str=True).values()
        for kind in (hint, *get_args(hint))
        if getattr(kind, "__module__", "").startswith(("diffusers.", "transformers."))
    }
    assert len(named) >= 6
    assert [name for name in named if published_address(name) is None] == []


def test_documents_that_cannot_be_reached_are_left_out():
    assert not is_reached("http://127.0.0.1:9")
