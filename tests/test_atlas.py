"""The atlas: planted models of known verdict, one real class of each family, and the record."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from embedding_geometry.atlas import Backbone, Cause, Finding, Tiny, UncheckableError, examine
from embedding_geometry.atlas.__main__ import main
from embedding_geometry.atlas.check import verdict
from embedding_geometry.atlas.table import (
    FAMILIES,
    AtlasError,
    backbones,
    measure,
    record,
    recorded,
    rows,
)
from embedding_geometry.atlas.tiny import SIZES, AbsentError, normal, redraw
from embedding_geometry.diffusion.attention import OrderSensitivity
from embedding_geometry.diffusion.clouds import encode_prompts
from embedding_geometry.diffusion.loading import load_model
from embedding_geometry.ground.records import RecordError
from embedding_geometry.pages.atlas import atlas_table, plane, size_text

ATLAS = recorded()


class Attention(nn.Module):
    """Eight places ask a text; joined, they ask each other in the same softmax."""

    def __init__(self, joint=False, numbered=False):
        super().__init__()
        torch.manual_seed(0)
        self.key, self.value = nn.Linear(5, 4), nn.Linear(5, 4)
        self.joint, self.numbered = joint, numbered
        redraw(self.requires_grad_(False))

    def forward(self, image, text, mask=None):
        key, value = self.key(text), self.value(text)
        if self.numbered:
            key = key + torch.arange(text.shape[1])[:, None] / text.shape[1]
        if mask is not None:
            key, value = key[:, mask[0].bool()], value[:, mask[0].bool()]
        if self.joint:
            key, value = torch.cat([key, image], dim=1), torch.cat([value, image], dim=1)
        return nn.functional.scaled_dot_product_attention(image, key, value)


def described(build, **changes):
    inputs = {"image": normal(1, 8, 4), "text": normal(1, 6, 5)}
    return replace(Backbone("planted", build, inputs, {"text": 1}), **changes)


@pytest.mark.parametrize(
    ("build", "verdict"),
    [
        (Attention, "measure"),
        (lambda: Attention(joint=True), "multiset"),
        (lambda: Attention(numbered=True), "sequence"),
        (lambda: Attention(joint=True, numbered=True), "sequence"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_planted_models_get_their_verdict(build, verdict, dtype):
    found = examine(described(build, dtype=dtype))
    assert found.verdict == verdict
    assert (found.permuting > 1e-3) == (verdict == "sequence")
    assert found.change.other_text > 0.1


def unnumber(model, inputs):
    model.numbered = False


def test_a_cause_is_proved_on_a_fresh_model():
    backbone = described(
        lambda: Attention(joint=True, numbered=True), causes=(Cause("numbers", unnumber),)
    )
    found = examine(backbone)
    assert (found.verdict, found.removed.verdict) == ("sequence", "multiset")
    assert examine(backbone) == found  # neither model nor inputs were changed for good


def test_a_wrong_cause_is_not_confirmed():
    backbone = described(
        lambda: Attention(numbered=True), causes=(Cause("nothing", lambda model, inputs: None),)
    )
    assert examine(backbone).removed.verdict == "sequence"


def test_a_mask_has_to_travel_with_its_tokens():
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    inputs = {"image": normal(1, 8, 4), "text": normal(1, 6, 5), "mask": mask}
    left = described(Attention, inputs=inputs, tokens={"text": 1, "mask": 1})
    assert examine(left).verdict == "measure"
    with pytest.raises(UncheckableError, match="cannot be called with 12 tokens"):
        examine(replace(left, tokens={"text": 1}))


def test_places_made_from_the_number_of_tokens_stay_where_they_are():
    class Placed(nn.Module):
        def forward(self, text, places):
            return (text * places[None, :, None]).mean(dim=1)

    inputs = {"text": normal(1, 6, 5), "places": lambda n: torch.arange(n) / n}
    assert examine(Backbone("placed", Placed, inputs, {"text": 1})).verdict == "sequence"
    constant = inputs | {"places": torch.ones}
    assert examine(Backbone("placed", Placed, constant, {"text": 1})).verdict == "measure"


def test_a_model_in_use_elsewhere_is_left_as_it_is():
    """Its precision, its mode, and what a cause takes out of a copy of it."""
    model = Attention(numbered=True).train()
    cause = Cause("places", lambda own, inputs: setattr(own, "numbered", False))
    found = examine(described(lambda: model, causes=(cause,)))
    assert (found.verdict, found.removed.verdict) == ("sequence", "measure")
    assert (model.training, model.numbered) == (True, True)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_token_ids_need_another_text_and_get_a_verdict():
    ids, others = torch.arange(6)[None], torch.arange(6, 12)[None]

    class Bag(nn.Module):
        def forward(self, ids):
            return {"sample": [nn.functional.one_hot(ids, 12).double().sum(dim=1)]}

    assert (
        examine(Backbone("bag", Bag, {"ids": ids}, {"ids": 1}, other=others)).verdict == "multiset"
    )


def test_doubling_is_left_out_for_a_fixed_number_of_tokens():
    class Table(nn.Module):
        places = torch.arange(6)[:, None] + 1

        def forward(self, text):
            return (text * self.places).mean(dim=1)

    def forget(model, inputs):
        model.places = 1

    fixed = Backbone("table", Table, {"text": normal(1, 6, 5)}, {"text": 1}, fixed_length=True)
    found = examine(replace(fixed, causes=(Cause("a table", forget),)))
    assert np.isnan(found.change.doubling)
    assert found.removed.verdict == "measure"
    with pytest.raises(UncheckableError, match="a measure cannot be told from a multiset"):
        examine(described(Attention, fixed_length=True))


def zero_gate():
    model = Attention()
    model.value.weight.zero_()
    return model


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"build": zero_gate}, "another text changes the output by .* would pass whatever"),
        ({"tokens": {"words": 1}}, "input 'words', which is NoneType; the inputs are image, text"),
        ({"tokens": {"text": 3}}, r"axis 3 of the input 'text', which is \(1, 6, 5\)"),
        ({"tokens": {"text": 1, "image": 1}}, "{'text': 6, 'image': 8}"),
        ({"dtype": torch.float16}, "float16 rounds too coarsely"),
        (
            {"inputs": {"text": normal(1, 6, 5)}},
            "cannot be called with 6 tokens and text: TypeErr",
        ),
        ({"call": lambda model, inputs: "picture"}, "returned a str; a tensor"),
        ({"build": lambda: len}, r"build\(\) returned a builtin_function_or_method"),
        ({"tokens": {}}, "planted: no input travels"),
        ({"other": normal(1, 6, 4)}, r"other text is \(1, 6, 4\), the text 'text' \(1, 6, 5\)"),
        ({"other": normal(6, 5)}, r"other text is \(6, 5\)"),
        (
            {"call": lambda model, inputs: inputs["text"]},
            r"planted: the response to 6 tokens is \(1, 6, 5\) and to 12 \(1, 12, 5\)",
        ),
        ({"call": lambda model, inputs: model(**inputs) * 0}, "planted: .* zero everywhere"),
        ({"call": lambda model, inputs: model(**inputs) * np.nan}, "planted: the response .* NaN"),
    ],
)
def test_what_cannot_be_checked_is_one_clear_error(changes, message):
    with pytest.raises(UncheckableError, match=message):
        examine(replace(described(Attention), **changes))


@pytest.mark.parametrize("when", ["swap", "cycle", "random", "other_text"])
def test_nan_under_one_change_alone_is_no_verdict(when):
    """Python's `max` would drop a NaN that does not come first, and NaN is less than nothing."""
    small = dict.fromkeys(("swap", "cycle", "random"), 0.0) | {"doubling": 0.0, "other_text": 1.0}
    change = OrderSensitivity(**small | {when: np.nan})
    assert np.isnan(Finding(change, "measure").permuting) == (when != "other_text")
    with pytest.raises(UncheckableError, match=f"the output holds NaN under {when};"):
        verdict(change, torch.float64)


def test_token_ids_without_another_text_are_named():
    with pytest.raises(UncheckableError, match="'ids' are torch.int64, .* give one as `other`"):
        examine(Backbone("bag", nn.Identity, {"ids": torch.arange(6)[None]}, {"ids": 1}))


def test_at_least_one_permutation_is_drawn():
    with pytest.raises(UncheckableError, match="permutations is 0"):
        examine(described(Attention), permutations=0)


def test_a_change_between_rounding_and_clear_is_no_verdict():
    faint = described(
        Attention,
        call=lambda model, inputs: model(**inputs) + 1e-7 * inputs["text"][:, :1, :4],
    )
    with pytest.raises(UncheckableError, match="neither rounding .* nor clear"):
        examine(faint)


def test_redrawn_weights_hold_no_zero_and_are_the_same_again():
    tiny = FAMILIES["joint attention"][0].build
    first, second = (dict(tiny().named_parameters()) for _ in range(2))
    assert first
    for name, parameter in first.items():
        assert (parameter != 0).all(), name
        assert torch.equal(parameter, second[name])


def test_a_class_takes_the_sizes_that_it_has_and_an_entry_has_the_last_word():
    flux = Tiny("FluxTransformer2DModel", {"num_layers": 1})().config
    assert (flux["num_layers"], flux["num_single_layers"], flux["joint_attention_dim"]) == (
        1,
        2,
        24,
    )
    assert "text_embed_dim" not in flux


def test_no_entry_says_again_what_all_sizes_say():
    for _, backbone in backbones():
        own = backbone.build.config
        assert [n for n in own.keys() & SIZES if own[n] == SIZES[n]] == [], backbone.name


def test_a_random_state_of_the_caller_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    FAMILIES["joint attention"][0].build()
    assert torch.rand(1) == expected


# --- the registry -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["Stable Diffusion 1", "DeepFloyd IF", "PixArt-α, PixArt-Σ", "HunyuanDiT, T5 tokens",
     "FLUX.1", "FLUX.2", "OmniGen"],
)  # fmt: skip
def test_real_classes_give_what_is_recorded(name):
    [found] = rows([name])
    before = ATLAS.set_index("model").loc[name]
    assert found["verdict"] == before["verdict"]
    assert found.get("verdict_removed") == (before.dropna().get("verdict_removed"))
    for column in ("permuting", "doubling", "other_text"):
        if before[column] >= 1e-3:
            assert found[column] == pytest.approx(before[column], rel=0.01)


def test_the_atlas_is_wide_and_its_names_are_unique():
    names = [backbone.name for _, backbone in backbones()]
    assert len(names) == len(set(names)) >= 55
    assert [len(members) >= 10 for members in FAMILIES.values()] == [True] * 4


def test_every_registered_sequence_names_its_cause_and_no_other_does():
    caused = {backbone.name for _, backbone in backbones() if backbone.causes}
    assert caused == set(ATLAS.loc[ATLAS["verdict"] == "sequence", "model"])


COMBINED = [b for _, b in backbones() if len(b.causes) > 1]


@pytest.mark.parametrize("backbone", COMBINED, ids=lambda backbone: backbone.name)
def test_where_several_causes_are_named_none_alone_explains_the_order(backbone):
    for cause in backbone.causes:
        model, inputs = backbone.build(), dict(backbone.inputs)
        cause.remove(model, inputs)
        rest = replace(backbone, build=lambda model=model: model, inputs=inputs, causes=())
        assert examine(rest).verdict == "sequence"


def test_the_record_covers_the_registry_and_proves_every_cause():
    assert list(ATLAS["model"]) == [backbone.name for _, backbone in backbones()]
    present = ATLAS[ATLAS["verdict"] != "absent"]
    assert set(present["verdict"]) == {"measure", "multiset", "sequence"}
    assert (present["other_text"] >= 1e-3).all()
    sequences = present[present["verdict"] == "sequence"]
    assert sequences["verdict_removed"].isin(["measure", "multiset"]).all()
    assert (sequences["other_text_removed"] >= 1e-3).all()
    kept = present[present["verdict"] != "sequence"]
    assert (kept["permuting"] <= kept["precision"].map({"float64": 1e-12, "float32": 1e-5})).all()


def test_the_record_leaves_a_gap_between_rounding_and_change():
    numbers = ATLAS[["permuting", "doubling", "permuting_removed", "doubling_removed"]].to_numpy()
    assert not ((numbers > 1e-5) & (numbers < 1e-3)).any()


def test_a_model_of_ones_own_takes_five_lines(tiny_model, tiny_folder):
    text, other = torch.from_numpy(encode_prompts(tiny_model, ["a cat", "two birds"]))[:, None]

    def build():
        return load_model(str(tiny_folder), device="cpu", dtype="float64").unet

    inputs = {"sample": normal(1, 4, 8, 8), "timestep": 500, "encoder_hidden_states": text}
    mine = Backbone("mine", build, inputs, tokens={"encoder_hidden_states": 1}, other=other)
    assert examine(mine).verdict == "measure"


def test_classes_are_found_by_name_and_unknown_ones_refused():
    assert [backbone.name for _, backbone in backbones(["FluxTransformer2DModel"])] == ["FLUX.1"]
    with pytest.raises(
        AtlasError, match="knows no UNet1DModel.* Describe the model as a Backbone"
    ):
        measure(["UNet1DModel"])


def test_a_class_that_diffusers_lacks_is_absent(monkeypatch):
    missing = Backbone("Yesterday", Tiny("YesterdayModel", {}), {}, {"text": 1})
    monkeypatch.setitem(FAMILIES, "UNet", (missing,))
    with pytest.raises(AbsentError, match="has no YesterdayModel"):
        examine(missing)
    table = measure(["Yesterday"])
    assert table.loc[0, ["class", "verdict"]].tolist() == ["YesterdayModel", "absent"]


# --- the record and the page --------------------------------------------------------------------


def test_a_recorded_table_is_read_back(tmp_path):
    table = measure(["FLUX.1", "FLUX.2"])
    record(table, tmp_path / "new", 1.23)
    again = recorded(tmp_path / "new")
    assert list(again["verdict"]) == ["multiset", "sequence"]
    assert again.loc[1, "cause"] == "rotary positions of the text tokens"
    np.testing.assert_allclose(again["doubling"], table["doubling"], rtol=0.01)
    manifest = json.loads((tmp_path / "new/atlas_manifest.json").read_text())
    assert (manifest["backbones"], manifest["seconds"]) == (2, 1.2)


def test_a_missing_or_empty_table_names_the_remedy(tmp_path):
    path = tmp_path / "atlas.csv"
    with pytest.raises(FileNotFoundError, match="python -m embedding_geometry.atlas --out"):
        recorded(tmp_path)
    for text in ("", "model,verdict\n"):
        path.write_text(text)
        with pytest.raises(RecordError, match="has no rows.*embedding_geometry.atlas --out"):
            recorded(tmp_path)
    path.write_text("model,verdict\nFLUX.1,multiset\n")
    with pytest.raises(AtlasError, match="is no atlas: it lacks cause, doubling, family"):
        recorded(tmp_path)


def test_the_command_shows_rows_and_refuses_unknown_models(tmp_path, capsys):
    assert main(["--models", "FLUX.2", "--out", str(tmp_path)]) == 0
    assert "sequence  because of: rotary positions" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert main(["--models", "nonsense"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the atlas knows no nonsense")
    assert error.count("\n") == 1


def test_the_page_shows_every_model_without_a_script_and_fetches_nothing():
    shown = atlas_table(ATLAS)
    assert shown._repr_html_().count("<tr data-group=") == len(ATLAS)
    assert "//" not in shown._repr_html_().replace("// ", "")


def test_changes_are_written_as_bounds_or_shares():
    assert size_text(3e-16, "float64") == "≤\u00a010⁻¹²"
    assert size_text(0.0, "float32") == "≤\u00a010⁻⁵"
    assert size_text(0.0312, "float64") == "3.1\u202f%"
    assert size_text(1.09, "float64") == "110\u202f%"
    assert size_text(float("nan"), "float64") == ""


def test_the_picture_has_every_model_and_an_arrow_for_each_sequence():
    ax = plane(ATLAS)
    assert sum(len(points.get_offsets()) for points in ax.collections) == len(ATLAS)
    arrows = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
    assert len(arrows) == (ATLAS["verdict"] == "sequence").sum()
