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
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import CLIPTokenizer

from embedding_geometry.diffusion.loading import TextToImageModel, not_finite
from embedding_geometry.diffusion.tokens import end_row, tokenize
from embedding_geometry.ground.types import ArrayLike, CloudPath, Coupling, Times, real_array
from embedding_geometry.transport.paths import displacement_interpolation
from embedding_geometry.transport.rules import Rule, map_parts
from embedding_geometry.transport.ways import Ends


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


@torch.no_grad()
def _encode(
    model: TextToImageModel, text: str
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " p"] | None]:
    """Return a text's cloud and, of SDXL, its pooled vector."""

    def run(encoder: nn.Module, tokenizer: CLIPTokenizer) -> Any:
        tokens = tokenize(model, text, tokenizer)
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
