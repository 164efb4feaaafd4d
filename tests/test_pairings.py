"""Flows of tokens: planted couplings, sums that must hold, and words counted by brute force."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import random_clouds, without_type_checks

from embedding_geometry.diffusion.clouds import encode_prompts
from embedding_geometry.diffusion.tokens import token_labels
from embedding_geometry.transport.couplings import coupling_cost, optimal_coupling, row_coupling
from embedding_geometry.transport.pairings import (
    KINDS,
    by_kind,
    flows,
    pairings,
    same_words,
    token_kinds,
)

CAT = ["<bos>", "a", "cat", "<eos>", "<pad>", "<pad>"]
BIG = ["<bos>", "a", "big", "cat", "<eos>", "<pad>"]


def labelled(words, n):
    return ["<bos>", *words, "<eos>", *["<pad>"] * (n - len(words) - 2)]


@st.composite
def problems(draw):
    """Two prompts over three words, in clouds of seven tokens, and any permutation."""
    labels = [labelled(draw(st.lists(st.sampled_from("abc"), max_size=5)), n=7) for _ in range(2)]
    sigma = np.array(draw(st.permutations(range(7))), dtype=np.int64)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return *random_clouds(rng, 2, 7, 3), sigma, *labels


@pytest.fixture
def planted():
    """Both ends meet, both cats meet, `a` goes to `big`, and a padding to the other `a`."""
    x, y = np.zeros((6, 2)), np.zeros((6, 2))
    x[3], y[4] = [3.0, 0.0], [0.0, 4.0]  # the ends cost 25
    x[2] = [1.0, 0.0]  # the cats cost 1
    return pairings(x, y, np.array([0, 2, 3, 4, 1, 5]), CAT, BIG)


def test_kinds_of_a_prompt():
    assert token_kinds(CAT) == ["BOS", "word", "word", "EOS", "padding", "padding"]


def test_kinds_of_the_empty_prompt_and_of_one_that_fills_all_places():
    assert token_kinds(["<bos>", "<eos>", "<pad>"]) == ["BOS", "EOS", "padding"]
    assert token_kinds(["<bos>", "a", "<eos>"]) == ["BOS", "word", "EOS"]


@pytest.mark.parametrize(
    "labels",
    [[], ["<bos>"], ["a", "<eos>"], ["<bos>", "a"], CAT[::-1], [*CAT, "cat"], [*CAT, "<eos>"]],
)
def test_labels_that_are_no_prompt_are_refused(labels):
    with pytest.raises(ValueError, match="take them from token_labels"):
        token_kinds(labels)


def test_labels_of_a_model_are_understood(tiny_model):
    kinds = token_kinds(token_labels(tiny_model, "a cat"))
    assert kinds[0] == "BOS"
    assert len(kinds) == tiny_model.n_tokens


def test_begin_token_is_the_same_vector_in_every_prompt(tiny_model):
    clouds = encode_prompts(tiny_model, ["a cat", "the big dog", ""])
    np.testing.assert_allclose(clouds[1:, 0], clouds[[0, 0], 0], rtol=1e-5)


def test_table_says_who_goes_where(planted):
    assert planted["target_token"].tolist() == ["<bos>", "big", "cat", "<eos>", "a", "<pad>"]
    assert planted["target_kind"].tolist() == ["BOS", "word", "word", "EOS", "word", "padding"]
    assert planted["target_place"].tolist() == [0, 2, 3, 4, 1, 5]
    assert planted["moved"].tolist() == [False, True, True, True, True, False]
    assert planted["cost"].tolist() == [0, 0, 1, 25, 0, 0]


def test_flows_count_tokens_and_cost(planted):
    found = flows(planted).set_index(["kind", "target_kind"])
    assert len(found) == len(KINDS) ** 2
    assert found["tokens"].sum() == 6
    assert found.loc[("word", "word")].tolist() == [2, 2, 1 / 26]
    assert found.loc[("EOS", "EOS")].tolist() == [1, 1, 25 / 26]
    assert found.loc[("padding", "word")].tolist() == [1, 1, 0]
    assert found.loc[("padding", "padding")].tolist() == [1, 0, 0]
    assert found.loc[("word", "padding")].tolist() == [0, 0, 0]


def test_each_kind_is_summed_up(planted):
    found = by_kind(planted)
    assert found.index.tolist() == list(KINDS)
    assert found["moved"].tolist() == [0, 1, 1, 0.5]
    assert found["left"].tolist() == [0, 0, 0, 0.5]
    assert found["distance"].tolist() == [0, 1, 1, 1.5]
    assert found["cost_share"].tolist() == [0, 1 / 26, 25 / 26, 0]


def test_a_kind_that_the_prompt_lacks_has_no_row():
    cloud = np.eye(2)
    table = pairings(cloud, cloud, np.arange(2), ["<bos>", "<eos>"], ["<bos>", "<eos>"])
    assert by_kind(table).index.tolist() == ["BOS", "EOS"]


def test_equal_clouds_cost_nothing_and_nothing_moves():
    x = np.arange(12.0).reshape(6, 2)
    table = pairings(x, x, row_coupling(x, x), CAT, CAT)
    assert flows(table)["cost_share"].tolist() == [0.0] * 16
    assert flows(table)["moved"].sum() == 0


@given(problems())
def test_sums_of_the_table_are_those_of_the_coupling(problem):
    """As many tokens arrive at a kind as the target has of it, and costs add up."""
    table = pairings(*problem)
    x, y, sigma, labels_x, labels_y = problem
    assert table["cost"].sum() == pytest.approx(coupling_cost(x, y, sigma) ** 2)
    found = flows(table)
    for side, labels in (("kind", labels_x), ("target_kind", labels_y)):
        counts = found.groupby(side)["tokens"].sum()
        assert counts.to_dict() == {kind: token_kinds(labels).count(kind) for kind in KINDS}
    assert found["cost_share"].sum() == pytest.approx(1)
    assert by_kind(table)["cost_share"].sum() == pytest.approx(1)


def test_optimum_finds_words_that_only_changed_places():
    """The same vectors in another order: all words meet themselves, at no cost."""
    x = np.random.default_rng(0).normal(size=(6, 4))
    order = np.array([0, 2, 1, 3, 4, 5])
    swapped = [CAT[i] for i in order]
    sigma = optimal_coupling(x, x[order])
    assert pairings(x, x[order], sigma, CAT, swapped)["cost"].sum() == 0
    assert same_words(sigma, CAT, swapped).met == 2
    assert same_words(np.arange(6), CAT, swapped).met == 0


@given(problems())
def test_same_words_against_every_permutation(problem):
    """Of five tokens all orders are tried: the most that meet, and their mean."""
    labels_x, labels_y = (
        labelled(labels[1 : labels.index("<eos>")][:3], 5) for labels in problem[3:]
    )
    every = [same_words(np.array(order), labels_x, labels_y) for order in permutations(range(5))]
    met = [each.met for each in every]
    assert {each.possible for each in every} == {max(met)}
    assert every[0].expected == pytest.approx(np.mean(met))


def test_special_tokens_are_no_words():
    assert same_words(np.arange(6), CAT, CAT).met == 2


def test_labels_of_another_model_are_refused():
    x = np.eye(6)
    with pytest.raises(ValueError, match="as many labels each; got 6 and 7"):
        pairings(x, x, np.arange(6), CAT, [*BIG, "<pad>"])
    with without_type_checks(), pytest.raises(ValueError, match="exactly once"):
        same_words(np.zeros(6, dtype=int), CAT, BIG)
