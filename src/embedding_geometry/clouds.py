"""Token clouds: a prompt becomes n points in R^d.

CLIP's text encoder maps the n = 77 token ids of a prompt (its words between a begin and an end
token, then padding) to its last hidden states, an n x d matrix. Its rows are the points that the
UNet attends to. They know their places: the encoder adds a position to every token and lets each
attend to those before it, so it is *not* invariant under permutations of its input. Only what
reads the cloud afterwards is.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from embedding_geometry.models import TextToImageModel


class PromptTooLongError(ValueError):
    """A prompt has more tokens than the text encoder has places."""


def encode_prompts(
    model: TextToImageModel, texts: Sequence[str], *, truncate: bool = False
) -> Float[np.ndarray, "prompts n d"]:
    """Return the token cloud of every text, the last hidden states that the UNet attends to.

    The texts go through the encoder one at a time, so that a cloud depends on its own text
    alone, to the last bit. The empty text is a valid prompt: the unconditional one.

    Args:
        model: the model whose tokenizer and text encoder are used.
        texts: at least one text.
        truncate: cut texts that are too long instead of raising.

    Returns:
        float32, or float64 when the model computes in float64.

    Raises:
        PromptTooLongError: a text does not fit, its begin and end tokens counted.
        ValueError: no text, or one text where a sequence of them is wanted.
    """
    if isinstance(texts, str) or len(texts) == 0:
        raise ValueError(f"a non-empty list of texts is wanted, not {texts!r}")
    return np.stack([_encode(model, text, truncate) for text in texts])


def token_labels(model: TextToImageModel, text: str) -> list[str]:
    """Return a label for each of the n rows of a text's cloud.

    ``<bos>``, the words or the pieces they are cut into, ``<eos>``, then ``<pad>``.

    Raises:
        PromptTooLongError: the text does not fit.
    """
    ids = token_ids(model, text, truncate=False)
    end = _length(model, text) - 1
    words = [model.tokenizer.decode([index]) for index in ids[1:end].tolist()]
    return ["<bos>", *words, "<eos>", *["<pad>"] * (model.n_tokens - end - 1)]


def token_ids(model: TextToImageModel, text: str, *, truncate: bool) -> Int[np.ndarray, " n"]:
    """Return the ids of a text's n tokens, padded.

    Raises:
        PromptTooLongError: the text does not fit and is not to be truncated.
    """
    length = _length(model, text)
    if length > model.n_tokens and not truncate:
        raise PromptTooLongError(
            f"the prompt {text!r} has {length} tokens with its begin and end, but the model has "
            f"places for {model.n_tokens}: shorten it, or cut it with truncate=True"
        )
    ids = model.tokenizer(
        text, padding="max_length", max_length=model.n_tokens, truncation=True
    ).input_ids
    return np.asarray(ids)


def _length(model: TextToImageModel, text: str) -> int:
    # verbose=False: the library would warn about the very length that is asked for
    return len(model.tokenizer(text, verbose=False).input_ids)


@torch.no_grad()
def _encode(model: TextToImageModel, text: str, truncate: bool) -> Float[np.ndarray, "n d"]:
    ids = torch.from_numpy(token_ids(model, text, truncate=truncate)).to(model.device)
    cloud = model.text_encoder(ids[None]).last_hidden_state[0]
    wide = torch.float64 if model.dtype == torch.float64 else torch.float32
    return cloud.to(wide).cpu().numpy()
