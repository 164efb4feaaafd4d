"""Tokens: the ids that a prompt becomes, the row that each has in the cloud, and their labels.

A text is cut into words, or the pieces of one that is not known, and stands between a begin and
an end token; padding fills it up to the n places of the model. What does not fit is refused, or
cut where the user says so.
"""

import numpy as np
from diffusers.loaders import TextualInversionLoaderMixin
from jaxtyping import Int
from transformers import BatchEncoding, CLIPTokenizer

from embedding_geometry.diffusion.loading import TextToImageModel


class PromptTooLongError(ValueError):
    """A prompt has more tokens than the text encoder has places."""


def token_labels(model: TextToImageModel, text: str, *, truncate: bool = False) -> list[str]:
    """Return a label for each of the n rows of a text's cloud.

    ``<bos>``, the words or the pieces they are cut into, ``<eos>``, then ``<pad>``.

    Raises:
        PromptTooLongError: the text does not fit and is not to be truncated.

    Examples:
        >>> eg.token_labels(model, "a cat")[:5]
        ['<bos>', 'a', 'cat', '<eos>', '<pad>']
    """
    end = end_row(model, text, truncate=truncate)
    words = [model.tokenizer.decode([index]) for index in token_ids(model, text)[1:end].tolist()]
    return ["<bos>", *words, "<eos>", *["<pad>"] * (model.n_tokens - end - 1)]


def end_row(model: TextToImageModel, text: str, *, truncate: bool = False) -> int:
    """Return the row of a text's end token.

    Raises:
        PromptTooLongError: the text does not fit and is not to be truncated.
    """
    truncate = truncate or model.truncate
    # verbose=False: the library would warn about the very length that is asked for
    lengths = [
        len(tokenizer(_converted(text, tokenizer), verbose=False).input_ids)
        for tokenizer in filter(None, (model.tokenizer, model.tokenizer_2))
    ]
    if max(lengths) > model.n_tokens and not truncate:
        raise PromptTooLongError(
            f"the prompt {text!r} has {max(lengths)} tokens with its begin and end, but the model "
            f"has places for {model.n_tokens}: shorten it, or have it cut (truncate=True; on the "
            "command line --truncate)"
        )
    return min(lengths[0], model.n_tokens) - 1


def token_ids(
    model: TextToImageModel, text: str, tokenizer: CLIPTokenizer | None = None
) -> Int[np.ndarray, " n"]:
    """Return the ids of a text's n tokens, padded or cut; by default the first tokenizer's."""
    return np.asarray(tokenize(model, text, tokenizer or model.tokenizer).input_ids)


def tokenize(model: TextToImageModel, text: str, tokenizer: CLIPTokenizer) -> BatchEncoding:
    """Return a text's n ids, padded or cut, and the mask that tells padding."""
    return tokenizer(
        _converted(text, tokenizer),
        padding="max_length",
        max_length=model.n_tokens,
        truncation=True,
    )


def _converted(text: str, tokenizer: CLIPTokenizer) -> str:
    """Return the text in which a word learnt by textual inversion stands for all its tokens.

    A word of several vectors is a token for each, ``<word> <word>_1 ...`` (Gal et al., ICLR 2023).
    """
    return TextualInversionLoaderMixin().maybe_convert_prompt(text, tokenizer)
