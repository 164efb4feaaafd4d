"""Tokens: a label for every row, and what does not fit."""

import numpy as np
import pytest

from embedding_geometry.diffusion.clouds import encode_prompts
from embedding_geometry.diffusion.tokens import (
    PromptTooLongError,
    end_row,
    token_ids,
    token_labels,
)

CAT = "a small cat on the beach at night"
CAR = "a red car in the snow"


def test_labels_name_every_row(tiny_model):
    labels = token_labels(tiny_model, CAR)
    assert labels[:8] == ["<bos>", "a", "red", "car", "in", "the", "snow", "<eos>"]
    assert labels[8:] == ["<pad>"] * 69


def test_labels_show_the_pieces_of_an_unknown_word(tiny_model):
    labels = token_labels(tiny_model, "a zebu")
    assert labels[1] == "a"
    end = labels.index("<eos>")
    assert end > 3
    assert "".join(labels[2:end]) == "zebu"


def test_the_empty_prompt_is_begin_end_and_padding(tiny_model):
    assert token_labels(tiny_model, "") == ["<bos>", "<eos>"] + ["<pad>"] * 75
    assert encode_prompts(tiny_model, [""]).shape == (1, 77, 32)


def test_a_prompt_fills_the_places_exactly(tiny_model):
    text = " ".join(["cat"] * 75)
    assert token_labels(tiny_model, text)[-2:] == ["cat", "<eos>"]


def test_a_prompt_that_does_not_fit_is_named_with_its_length(tiny_model):
    text = " ".join(["cat"] * 76)
    with pytest.raises(PromptTooLongError, match=r"'cat cat.*has 78 tokens.*places for 77"):
        encode_prompts(tiny_model, [CAT, text])
    with pytest.raises(PromptTooLongError, match="78 tokens"):
        token_labels(tiny_model, text)


def test_truncation_keeps_the_beginning_and_the_end_token(tiny_model):
    kept = " ".join(["cat"] * 75)
    long = encode_prompts(tiny_model, [f"{kept} {CAR}"], truncate=True)
    np.testing.assert_array_equal(long, encode_prompts(tiny_model, [kept]))
    assert token_ids(tiny_model, f"{kept} {CAR}")[-1] == (tiny_model.tokenizer.eos_token_id)
    assert end_row(tiny_model, f"{kept} {CAR}", truncate=True) == 76
    labels = token_labels(tiny_model, f"{kept} {CAR}", truncate=True)
    assert labels == token_labels(tiny_model, kept)
