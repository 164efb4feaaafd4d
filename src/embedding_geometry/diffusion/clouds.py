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
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from diffusers.loaders import TextualInversionLoaderMixin
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import BatchEncoding, CLIPTokenizer

from embedding_geometry.diffusion.loading import TextToImageModel
from embedding_geometry.ground.types import ArrayLike, CloudPath, Coupling, Times, real_array
from embedding_geometry.transport.paths import displacement_interpolation
from embedding_geometry.transport.rules import Rule, map_parts
from embedding_geometry.transport.ways import Ends


class PromptTooLongError(ValueError):
    """A prompt has more tokens than the text encoder has places."""


@dataclass(frozen=True)
class Texts:
    """What the UNet reads of b texts, or at b places between texts.

    Attributes:
        clouds: token clouds.
        pooled: the vectors that SDXL reads beside them; None for the other models.
        end_rows: row of each text's end token: its words are the rows 1 … end - 1, padding
            follows; None between texts, where a row is no token.

    Raises:
        ValueError: another number of pooled vectors than of clouds.
    """

    clouds: Float[np.ndarray, "b n d"]
    pooled: Float[np.ndarray, "b p"] | None = None
    end_rows: Int[np.ndarray, " b"] | None = None

    def __post_init__(self) -> None:
        """Take arrays of any kind, and check that they stand beside each other."""
        for name in ("clouds", "pooled"):
            if (values := getattr(self, name)) is not None:
                object.__setattr__(self, name, _read(values, name))
        if self.pooled is not None and len(self.pooled) != len(self.clouds):
            raise ValueError(
                f"{len(self.pooled)} pooled vectors stand beside {len(self.clouds)} clouds"
            )

    @classmethod
    def of(
        cls,
        clouds: Float[np.ndarray, "b n d"] | Float[Tensor, "b n d"],
        pooled: Float[np.ndarray, "b p"] | Float[Tensor, "b p"] | None = None,
    ) -> "Texts":
        """Take embeddings from elsewhere, such as compel's: arrays, or tensors of any device."""
        return cls(_read(clouds, "clouds"), None if pooled is None else _read(pooled, "pooled"))

    def __len__(self) -> int:
        """Return b."""
        return len(self.clouds)

    def __getitem__(self, rows: slice | list[int]) -> "Texts":
        """Return some of them."""
        pooled = None if self.pooled is None else self.pooled[rows]
        end_rows = None if self.end_rows is None else self.end_rows[rows]
        return Texts(self.clouds[rows], pooled, end_rows)

    def __add__(self, other: "Texts") -> "Texts":
        """Return these and those; all have as many tokens."""
        pooled = None
        if self.pooled is not None and other.pooled is not None:
            pooled = np.concatenate([self.pooled, other.pooled])
        return Texts(np.concatenate([self.clouds, other.clouds]), pooled)

    @property
    def ends(self) -> Ends:
        """Two texts as a way between them sees them; row 0 is no end token, where none is known.

        Raises:
            ValueError: these are not two.
        """
        if len(self) != 2:
            raise ValueError(f"a way leads from one text to another; these are {len(self)}")
        rows = (0, 0) if self.end_rows is None else self.end_rows.tolist()
        return Ends(*self.clouds, *rows)

    @overload
    def along(self, path: CloudPath, times: Times) -> "Texts": ...
    @overload
    def along(self, path: CloudPath | Rule, times: Times) -> "Texts | Rule": ...
    def along(self, path: CloudPath | Rule, times: Times) -> "Texts | Rule":
        """Return what the UNet reads on a way from the first of two texts to the second.

        The pooled vectors go along a straight line, (1 - t) p0 + t p1, whatever the path. The
        parts of a rule, each a `Leg` of such a path, become the texts that it mixes.
        """
        if isinstance(path, Rule):
            return map_parts(path, lambda leg: self.along(leg.clouds, leg.times))
        return Texts(path, interpolate_pooled(self.pooled, times))

    def mixed(self, clouds: CloudPath, weights: Float[np.ndarray, "t b"]) -> "Texts":
        """Return mixtures of the texts: the clouds given, and weighted means of the vectors."""
        return Texts(clouds, _means(self.pooled, weights))


def encode(model: TextToImageModel, texts: Sequence[str], *, truncate: bool = False) -> Texts:
    """Return what the UNet reads of every text: its token cloud, and what goes beside it.

    The texts go through the encoder one at a time, so that a cloud depends on its own text
    alone, to the last bit. The empty text is a valid prompt: the unconditional one. Texts that are
    too long are cut if they may be truncated.

    Returns:
        Arrays in float32, or in float64 when the model computes in float64.

    Raises:
        PromptTooLongError: a text does not fit, its begin and end tokens counted.
        ValueError: no text, or one text where a sequence of them is wanted.

    Examples:
        >>> texts = eg.encode(model, ["a cat on the beach", "a panda in the snow"])
        >>> texts.clouds.shape
        (2, 77, 128)
        >>> texts.end_rows
        array([6, 6])
    """
    if isinstance(texts, str) or len(texts) == 0:
        raise ValueError(f"a non-empty list of texts is wanted, not {texts!r}")
    end_rows = np.array([end_row(model, text, truncate=truncate) for text in texts])
    once = {text: _encode(model, text) for text in dict.fromkeys(texts)}
    clouds, pooled = zip(*(once[text] for text in texts), strict=True)
    second = model.text_encoder_2 is not None
    return Texts(np.stack(clouds), np.stack(pooled) if second else None, end_rows)


def encode_prompts(
    model: TextToImageModel, texts: Sequence[str], *, truncate: bool = False
) -> Float[np.ndarray, "prompts n d"]:
    """Return the token clouds of the texts alone; see `encode`.

    Examples:
        >>> x, y = eg.encode_prompts(model, ["a cat on the beach", "a panda in the snow"])
        >>> x.shape
        (77, 128)
    """
    return encode(model, texts, truncate=truncate).clouds


def encode_pooled(
    model: TextToImageModel, texts: Sequence[str], *, truncate: bool = False
) -> Float[np.ndarray, "prompts p"] | None:
    """Return the pooled vectors alone, None for a model that reads none; see `encode`."""
    return encode(model, texts, truncate=truncate).pooled


def interpolate(ends: Texts, sigma: Coupling, times: Times) -> Texts:
    """Return what the UNet reads on the way between two texts along a coupling of their tokens.

    The clouds are those of `displacement_interpolation`, the pooled vectors those of
    `Texts.along`, which also takes a path of another kind.

    Raises:
        ValueError: not two texts, or as `displacement_interpolation`.

    Examples:
        >>> texts = eg.encode(model, ["a cat on the beach", "a panda in the snow"])
        >>> way = eg.interpolate(texts, eg.optimal_coupling(*texts.clouds), np.linspace(0, 1, 5))
        >>> way.clouds.shape
        (5, 77, 128)
    """
    path = displacement_interpolation(ends.ends.x, ends.ends.y, sigma, times)
    return ends.along(path, times)


def interpolate_pooled(
    pooled: Float[np.ndarray, "2 p"] | None, times: Times
) -> Float[np.ndarray, "t p"] | None:
    """Return (1 - t) p0 + t p1 at each time between two pooled vectors; of None, None."""
    return _means(pooled, np.stack([1 - times, times], axis=1))


def _means(
    pooled: Float[np.ndarray, "b p"] | None, weights: Float[np.ndarray, "t b"]
) -> Float[np.ndarray, "t p"] | None:
    if pooled is None:
        return None
    if weights.shape[1] != len(pooled):
        raise ValueError(f"{weights.shape[1]} weights are given for {len(pooled)} texts")
    return (weights[:, :, None] * pooled).sum(axis=1)


def check_texts(model: TextToImageModel, texts: Texts) -> None:
    """Raise a ValueError for texts that are not what the model reads."""
    clouds, pooled, name = texts.clouds, texts.pooled, model.provenance.name
    if clouds.ndim != 3 or min(clouds.shape) < 1 or clouds.shape[2] != model.text_width:
        raise ValueError(
            f"clouds have shape {clouds.shape}; {name} reads (frames, tokens, "
            f"{model.text_width}) with at least one frame"
        )
    bad = np.flatnonzero(~np.isfinite(clouds).all(axis=(1, 2)))
    if bad.size:
        raise ValueError(f"clouds {bad.tolist()} of {len(clouds)} hold NaN or infinity")
    if model.pooled_width is None and pooled is not None:
        raise ValueError(f"{name} reads clouds alone; leave out the pooled vectors")
    if model.pooled_width is not None and (
        pooled is None or pooled.shape[1] != model.pooled_width
    ):
        raise ValueError(
            f"{name} reads a pooled vector of width {model.pooled_width} beside each cloud, not "
            f"{None if pooled is None else pooled.shape}: encode(model, texts) makes both, and "
            "interpolate(...), .along(...) or .mixed(...) of them what is between"
        )


def as_tensor(model: TextToImageModel, array: np.ndarray) -> Tensor:
    """Return the array where the model is and in its dtype."""
    # torch knows no negative strides; rounded before it is moved: not every device has float64
    return torch.from_numpy(np.ascontiguousarray(array)).to(model.dtype).to(model.device)


def as_tensors(
    model: TextToImageModel, texts: Texts, latent: Float[Tensor, "1 c h w"]
) -> tuple[Float[Tensor, "b n d"], dict[str, Tensor] | None]:
    """Return the clouds, and what the UNet reads beside them under diffusers' names.

    SDXL reads the pooled vectors and, for each, the size of the picture before it was cropped, the
    corner of the crop and the size wanted (Podell et al., section 2.2), in pixels: here the
    picture is whole.
    """
    return as_tensor(model, texts.clouds), beside_clouds(model, texts.pooled, latent)


def beside_clouds(
    model: TextToImageModel,
    pooled: Float[np.ndarray, "b p"] | None,
    latent: Float[Tensor, "1 c h w"],
) -> dict[str, Tensor] | None:
    """Return what the UNet reads beside the clouds, as `as_tensors` does."""
    if pooled is None:
        return None
    height, width = (model.vae_scale_factor * side for side in latent.shape[-2:])
    vectors = as_tensor(model, pooled)
    sizes = torch.tensor([height, width, 0, 0, height, width]).to(vectors)
    return {"text_embeds": vectors, "time_ids": sizes.expand(len(vectors), -1)}


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
    return np.asarray(_tokenize(model, text, tokenizer or model.tokenizer).input_ids)


def not_finite(model: TextToImageModel, what: str) -> ValueError:
    """Return the error about NaN or infinity in what a network has made, with its remedy."""
    remedy = f"the weights of {model.provenance.name} are damaged, or what they were given is"
    if model.dtype == torch.float16:
        remedy = "load the model with dtype='float32' or 'bfloat16'"
    return ValueError(f"{what} hold NaN or infinity in {model.provenance.dtype}; {remedy}")


def _tokenize(model: TextToImageModel, text: str, tokenizer: CLIPTokenizer) -> BatchEncoding:
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


@torch.no_grad()
def _encode(
    model: TextToImageModel, text: str
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " p"] | None]:
    """Return a text's cloud and, of SDXL, its pooled vector."""

    def run(encoder: nn.Module, tokenizer: CLIPTokenizer) -> Any:
        tokens = _tokenize(model, text, tokenizer)
        columns = (tokens.input_ids, tokens.attention_mask)
        ids, mask = (torch.tensor([column], device=model.device) for column in columns)
        masked = getattr(encoder.config, "use_attention_mask", False)
        return encoder(ids, attention_mask=mask if masked else None, output_hidden_states=True)

    first = run(model.text_encoder, model.tokenizer)
    if model.text_encoder_2 is None:
        return _finite(model, first.last_hidden_state[0]), None
    # the second tokenizer makes the same words, and another padding
    second = run(model.text_encoder_2, model.tokenizer_2)
    cloud = torch.cat([each.hidden_states[-2][0] for each in (first, second)], dim=-1)
    return _finite(model, cloud), _finite(model, second.text_embeds[0])


def _finite(model: TextToImageModel, states: Tensor) -> np.ndarray:
    if not torch.isfinite(states).all():
        raise not_finite(model, "the text encoder's states")
    return _read(states, "the text encoder's states")


def _read(values: ArrayLike, name: str) -> np.ndarray:
    """Return an array of float32 or float64; whether it is finite, `check_texts` says."""
    return real_array(values, name, single=True, finite=False)
