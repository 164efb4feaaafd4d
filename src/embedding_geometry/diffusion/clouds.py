"""Token clouds: a prompt becomes n points in R^d.

CLIP's text encoder maps the n = 77 token ids of a prompt (its words between a begin and an end
token, then padding) to its last hidden states, an n x d matrix. Its rows are the points that the
UNet attends to. They know their places: the encoder adds a position to every token and lets each
attend to those before it, so it is *not* invariant under permutations of its input. Only what
reads the cloud afterwards is.

SDXL (Podell et al., ICLR 2024) has two encoders; a row of its cloud is the token's hidden state in
the last layer but one of each. Beside the cloud its UNet reads one *pooled* vector, the projected
last hidden state of the second encoder at the end token, and six numbers that say how large the
picture is. Neither has tokens, so no coupling acts on them: the pooled vector goes along a
straight line from one prompt to the other, the same for every coupling, and the sizes stay.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import CLIPTokenizer

from embedding_geometry.diffusion.loading import TextToImageModel


class PromptTooLongError(ValueError):
    """A prompt has more tokens than the text encoder has places."""


def encode_prompts(
    model: TextToImageModel, texts: Sequence[str], *, truncate: bool = False
) -> Float[np.ndarray, "prompts n d"]:
    """Return the token cloud of every text, the hidden states that the UNet attends to.

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
    _check_texts(texts)
    return np.stack([_cloud(model, text, truncate) for text in texts])


def encode_pooled(
    model: TextToImageModel, texts: Sequence[str], *, truncate: bool = False
) -> Float[np.ndarray, "prompts p"] | None:
    """Return the pooled vector of every text, or None for a model that reads the cloud alone.

    Raises:
        PromptTooLongError: a text does not fit and is not to be truncated.
        ValueError: no text, or one text where a sequence of them is wanted.
    """
    _check_texts(texts)
    encoder = model.text_encoder_2
    if encoder is None:
        return None
    with torch.no_grad():
        ids = [_second_ids(model, text, truncate) for text in texts]
        return np.stack([_as_array(encoder(each).text_embeds[0]) for each in ids])


def interpolate_pooled(
    pooled: Float[np.ndarray, "2 p"] | None, times: Float[np.ndarray, " t"]
) -> Float[np.ndarray, "t p"] | None:
    """Return (1 - t) p0 + t p1 at each time between two pooled vectors; of None, None.

    With it a caller treats all models alike: ``encode_pooled`` returns None where there are none.
    """
    if pooled is None:
        return None
    return (1 - times)[:, None] * pooled[0] + times[:, None] * pooled[1]


def conditions_beside(
    model: TextToImageModel, pooled: Float[Tensor, "b p"] | None, height: int, width: int
) -> dict[str, Tensor] | None:
    """Return what the UNet reads beside b clouds, under diffusers' names; None if nothing.

    SDXL reads the pooled vectors and, for each, the size of the picture before it was cropped, the
    corner of the crop and the size wanted (Podell et al., section 2.2), in pixels: here the
    picture is whole.

    Raises:
        ValueError: pooled vectors are missing, not wanted, or of another width.
    """
    if model.pooled_width is None:
        if pooled is not None:
            raise ValueError(f"{model.provenance.name} reads clouds alone; leave out `pooled`")
        return None
    if pooled is None or pooled.shape[1] != model.pooled_width:
        raise ValueError(
            f"{model.provenance.name} reads a pooled vector of width {model.pooled_width} beside "
            f"each cloud, not {None if pooled is None else tuple(pooled.shape)}: pass pooled="
            "encode_pooled(model, texts), along a path interpolate_pooled of it"
        )
    sizes = torch.tensor([height, width, 0, 0, height, width]).to(pooled)
    return {"text_embeds": pooled, "time_ids": sizes.expand(len(pooled), -1)}


def token_labels(model: TextToImageModel, text: str, *, truncate: bool = False) -> list[str]:
    """Return a label for each of the n rows of a text's cloud.

    ``<bos>``, the words or the pieces they are cut into, ``<eos>``, then ``<pad>``.

    Raises:
        PromptTooLongError: the text does not fit and is not to be truncated.
    """
    ids = token_ids(model, text, truncate=truncate)
    end = end_row(model, text, truncate=truncate)
    words = [model.tokenizer.decode([index]) for index in ids[1:end].tolist()]
    return ["<bos>", *words, "<eos>", *["<pad>"] * (model.n_tokens - end - 1)]


def end_row(model: TextToImageModel, text: str, *, truncate: bool = False) -> int:
    """Return the row of a text's end token: its words are the rows 1 … end - 1, padding follows.

    Raises:
        PromptTooLongError: the text does not fit and is not to be truncated.
    """
    _check_length(model, text, truncate)
    return min(_length(model, text), model.n_tokens) - 1


def token_ids(model: TextToImageModel, text: str, *, truncate: bool) -> Int[np.ndarray, " n"]:
    """Return the ids of a text's n tokens, padded.

    Raises:
        PromptTooLongError: the text does not fit and is not to be truncated.
    """
    _check_length(model, text, truncate)
    return _padded_ids(model.tokenizer, text, model.n_tokens)


def _check_texts(texts: Sequence[str]) -> None:
    if isinstance(texts, str) or len(texts) == 0:
        raise ValueError(f"a non-empty list of texts is wanted, not {texts!r}")


def _check_length(model: TextToImageModel, text: str, truncate: bool) -> None:
    length = _length(model, text)
    if length > model.n_tokens and not truncate:
        raise PromptTooLongError(
            f"the prompt {text!r} has {length} tokens with its begin and end, but the model has "
            f"places for {model.n_tokens}: shorten it (in Python, truncate=True cuts it)"
        )


def _length(model: TextToImageModel, text: str) -> int:
    # verbose=False: the library would warn about the very length that is asked for
    return len(model.tokenizer(text, verbose=False).input_ids)


def _padded_ids(tokenizer: CLIPTokenizer, text: str, places: int) -> Int[np.ndarray, " n"]:
    ids = tokenizer(text, padding="max_length", max_length=places, truncation=True).input_ids
    return np.asarray(ids)


@torch.no_grad()
def _cloud(model: TextToImageModel, text: str, truncate: bool) -> Float[np.ndarray, "n d"]:
    ids = torch.from_numpy(token_ids(model, text, truncate=truncate))[None].to(model.device)
    if model.text_encoder_2 is None:
        return _as_array(model.text_encoder(ids).last_hidden_state[0])
    outputs = (
        model.text_encoder(ids, output_hidden_states=True),
        model.text_encoder_2(_second_ids(model, text, truncate), output_hidden_states=True),
    )
    return _as_array(torch.cat([output.hidden_states[-2][0] for output in outputs], dim=-1))


def _second_ids(model: TextToImageModel, text: str, truncate: bool) -> Int[Tensor, "1 n"]:
    """Return the ids for SDXL's second encoder: the same words, another padding."""
    _check_length(model, text, truncate)
    ids = _padded_ids(model.tokenizer_2, text, model.n_tokens)
    return torch.from_numpy(ids)[None].to(model.device)


def _as_array(states: Tensor) -> np.ndarray:
    wide = torch.float64 if states.dtype == torch.float64 else torch.float32
    return states.to(wide).cpu().numpy()
