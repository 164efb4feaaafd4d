"""Token clouds: what a prompt becomes, and what is between two."""

import numpy as np
import pytest
import torch
from strategies import without_type_checks

from embedding_geometry.diffusion.clouds import Texts, encode, encode_prompts, interpolate
from embedding_geometry.diffusion.loading import load_model
from embedding_geometry.diffusion.tokens import end_row
from embedding_geometry.transport.ways import find_way

CAT = "a small cat on the beach at night"
CAR = "a red car in the snow"


def test_clouds_are_the_last_hidden_states(tiny_model):
    clouds = encode_prompts(tiny_model, [CAT, CAR])
    ids = tiny_model.tokenizer([CAT, CAR], padding="max_length", return_tensors="pt").input_ids
    expected = tiny_model.text_encoder(ids).last_hidden_state.numpy()
    assert clouds.shape == (2, 77, 32)
    assert clouds.dtype == np.float32
    np.testing.assert_allclose(clouds, expected, atol=1e-5)


def test_a_cloud_depends_on_its_own_text_alone(tiny_model):
    together = encode_prompts(tiny_model, [CAT, CAR, ""])
    alone = encode_prompts(tiny_model, [CAR])
    np.testing.assert_array_equal(together[1], alone[0])


def test_precision_follows_the_model(tiny_folder, tiny_model):
    exact = load_model(str(tiny_folder), device="cpu", dtype="float64")
    clouds = encode_prompts(exact, [CAT])
    assert clouds.dtype == np.float64
    np.testing.assert_allclose(encode_prompts(tiny_model, [CAT]), clouds, atol=1e-5)


def test_half_precision_clouds_come_as_float32(tiny_folder):
    half = load_model(str(tiny_folder), device="cpu", dtype=torch.bfloat16)
    assert encode_prompts(half, [CAT]).dtype == np.float32


def test_an_encoder_that_overflows_is_named_with_the_remedy(tiny_folder):
    half = load_model(str(tiny_folder), device="cpu", dtype="float16")
    half.text_encoder.final_layer_norm.weight.data.fill_(float("inf"))
    with pytest.raises(ValueError, match="encoder.* NaN or infinity in float16; load .*float32"):
        encode(half, [CAT])


def test_the_encoder_is_not_invariant(tiny_model):
    """Word order changes the cloud as a set: the points themselves move."""
    cloud, other = encode_prompts(tiny_model, [CAT, "night at beach the on cat small a"])
    gap = np.abs(np.sort(cloud, axis=0) - np.sort(other, axis=0)).max()
    assert gap > 0.05 * np.abs(cloud).max()


def test_begin_token_is_the_same_point_for_every_prompt(tiny_model):
    clouds = encode_prompts(tiny_model, [CAT, CAR, ""])
    np.testing.assert_array_equal(clouds[0, 0], clouds[1, 0])
    assert np.abs(clouds[0, 1] - clouds[2, 1]).max() > 0.01


@pytest.mark.parametrize("texts", ["a cat", [], ""])
def test_texts_must_be_a_list(tiny_model, texts):
    with pytest.raises(ValueError, match="non-empty list of texts"):
        encode_prompts(tiny_model, texts)


# --- texts, and what is between them ------------------------------------------------------------

X, Y = np.array([[0.0, 0], [1, 0]]), np.array([[4.0, 0], [0, 4]])
PLANTED = Texts(np.stack([X, Y]), np.array([[0.0, 4.0], [8.0, 0.0]]), np.array([1, 1]))


def test_a_text_is_encoded_with_the_row_of_its_end(tiny_model):
    texts = encode(tiny_model, [CAT, CAR, CAT])
    assert texts.pooled is None
    assert texts.end_rows.tolist() == [end_row(tiny_model, text) for text in (CAT, CAR, CAT)]
    np.testing.assert_array_equal(texts.clouds[0], texts.clouds[2])
    ends = texts[1:].ends
    np.testing.assert_array_equal([ends.x, ends.y], texts.clouds[1:])
    assert (ends.x_end, ends.y_end) == (7, 9)


def test_clouds_follow_the_coupling_and_vectors_a_straight_line():
    found = interpolate(PLANTED, np.array([1, 0]), np.array([0.0, 0.25, 1.0]))
    np.testing.assert_array_equal(found.clouds, [X, [[0, 1], [1.75, 0]], Y[::-1]])
    np.testing.assert_array_equal(found.pooled, [[0, 4], [2, 3], [8, 0]])
    assert found.end_rows is None


def test_along_a_path_of_ones_own_vectors_go_the_same_way():
    path = np.zeros((2, 3, 2))
    found = PLANTED.along(path, np.array([0.5, 0.0]))
    assert found.clouds is path
    np.testing.assert_array_equal(found.pooled, [[4, 2], [0, 4]])


def test_mixtures_weigh_the_vectors_of_all_texts():
    three = PLANTED[[0, 1, 1]]
    assert len(three) == 3
    found = three.mixed(np.zeros((1, 2, 2)), np.array([[0.5, 0.25, 0.25]]))
    np.testing.assert_array_equal(found.pooled, [[4, 2]])
    assert Texts(three.clouds).mixed(np.zeros((1, 2, 2)), np.ones((1, 3))).pooled is None


def test_a_way_leads_between_two_texts():
    with pytest.raises(ValueError, match="from one text to another; these are 3"):
        _ = PLANTED[[0, 1, 1]].ends


def test_there_is_a_weight_for_every_text():
    """Also for one text, whose vector numpy would repeat."""
    with without_type_checks(), pytest.raises(ValueError, match="2 weights are given for 1 texts"):
        PLANTED[:1].along(np.zeros((1, 2, 2)), np.array([0.5]))


def test_a_vector_stands_beside_each_cloud():
    with without_type_checks(), pytest.raises(ValueError, match="1 pooled vectors .* 2 clouds"):
        Texts(PLANTED.clouds, PLANTED.pooled[:1])


@pytest.mark.parametrize("name", ["words", "pooled"])
def test_ways_that_need_the_end_tokens_say_so(name):
    """Clouds from elsewhere do not know them."""
    ends = Texts(PLANTED.clouds).ends
    with pytest.raises(ValueError, match="end tokens are said to be in rows 0 and 0"):
        find_way(name)(ends, np.array([0.5]), np.random.default_rng(0))
