r"""Rules that mix texts: where, between the text and the picture, several of them become one.

A path of clouds mixes at the very beginning: frame t is the picture of one cloud between two. But
whatever is computed from a cloud can be averaged, too. With weights :math:`w_b \ge 0` of b texts,
:math:`\sum_b w_b = 1`, a `Mixture` averages at one *place*, here in the order of the computation:

``measure``
    In every cross-attention layer the image asks all tokens of all texts at once, those of text b,
    :math:`n_b` of them, with :math:`\log (w_b / n_b)` added to their logits. Attention is a
    function of the measure on the tokens (see `diffusion.attention`), and what it reads here is
    :math:`\sum_b w_b \mu_b`: the straight line of measures, on which mass is not moved, as along a
    coupling, but fades out here and in there.
``attention``
    The outputs of each cross-attention layer, :math:`\sum_b w_b\, A(Q, K_b, V_b)`: the outer
    interpolation of He et al. (NeurIPS 2024, *AID: Attention Interpolation of Text-to-Image
    Diffusion*), in cross-attention alone.
``prediction``
    The predicted noise, :math:`\epsilon_\emptyset + g \sum_b w_b (\epsilon_b -
    \epsilon_\emptyset)` (Liu et al., ECCV 2022, *Compositional Visual Generation with Composable
    Diffusion Models*).
``late``
    The denoising steps: first text 1 for its share of them, then text 2 for its own ... Step s of
    S reads text 1 while :math:`s < S w_1` ("prompt editing").
``alternate``
    The denoising steps, the texts in turns: each step reads the text that is furthest behind its
    share of the steps so far.
``latent``
    The denoised latents of two texts, along a great circle.
``image``
    The pictures, pixel by pixel: a cross-fade.

**None of these knows a coupling.** For each place of the image all that a layer computes of text b
is, with the query q,

.. math:: \frac1{n_b} \sum_i e^{\langle q, k_i \rangle / \sqrt d}\, v_i
          \quad\text{and}\quad \frac1{n_b} \sum_i e^{\langle q, k_i \rangle / \sqrt d},

key and value of a token depending on that token alone: attention is the quotient of the two, the
measures' that of their averages by :math:`w_b`. So no frame changes where the tokens of either
text are permuted, nor where each token of one text is doubled; which token of the other it might
be paired with does not enter.

**The inner interpolation of AID in cross-attention alone is the row order.** It reads the keys
:math:`(1-t) K_A + t K_B` and likewise the values. Both are linear in the cloud, :math:`K = X W_K`,
so they are the keys and values of the cloud :math:`(1-t) A + t B`, which the row coupling gives.
What AID adds to that is a `Fused` reading.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from embedding_geometry.ground.types import ArrayLike, Cloud, CloudPath, Times, real_array
from embedding_geometry.transport.curves import check_times

Place = Literal["measure", "attention", "prediction", "late", "alternate", "latent", "image"]
Kind = Literal["outer", "inner"]
Part = Any  # a `Leg` here, texts in `diffusion`: a length, and rows that can be taken
EXACT = 1e-9  # how far weights may be from a sum of 1


@dataclass(frozen=True)
class Leg:
    """Clouds, and the times on the way between two prompts at which they lie.

    What goes straight from one prompt to the other whatever the way, SDXL's pooled vectors, is
    taken at these times: 0 is the source's own, 1 the target's.

    Attributes:
        clouds: (t, n, d), or (1, n, d) where all frames read the same.
        times: of each cloud.

    Raises:
        ValueError: no clouds, NaN or infinity in one, or times that do not belong to them.
    """

    clouds: CloudPath
    times: Times

    def __post_init__(self) -> None:
        """Take arrays of any kind, and check that they stand beside each other."""
        clouds, times = real_array(self.clouds, "clouds", single=True), check_times(self.times)
        if clouds.ndim != 3 or len(clouds) != len(times):
            raise ValueError(
                f"clouds have shape {clouds.shape} and times {times.shape}; (t, n, d) and (t,) "
                "are wanted, one cloud for all frames has t = 1"
            )
        object.__setattr__(self, "clouds", clouds)
        object.__setattr__(self, "times", times)

    def __len__(self) -> int:
        """Return the number of clouds."""
        return len(self.clouds)

    def __getitem__(self, rows: list[int]) -> "Leg":
        """Return some of them."""
        return Leg(self.clouds[rows], self.times[rows])


@dataclass(frozen=True)
class Mixture:
    """Frames in which texts are averaged, by weights of each frame, at one place.

    Attributes:
        place: where; the module lists what there is.
        parts: the b >= 2 texts, each one for all frames or one for each: what a way returns are
            `Leg`, what is rendered `Texts`.
        weights: (t, b) from 0 to 1, of sum 1 for each frame.

    Raises:
        ValueError: a place that there is not, fewer than two parts, three on a great circle, a
            part of another number of frames, or weights that are none.

    Examples:
        >>> texts = eg.encode(model, ["a cat on the beach", "a panda in the snow"])
        >>> weights = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
        >>> mixed = eg.Mixture("prediction", (texts[:1], texts[1:]), weights)
        >>> latent, settings = eg.initial_latent(model, seed=0), eg.default_settings(model)
        >>> eg.render(model, mixed, latent, settings).shape
        (3, 64, 64, 3)
    """

    place: Place
    parts: tuple[Part, ...]
    weights: Float[np.ndarray, "t b"]

    def __post_init__(self) -> None:
        """Take weights of any kind, and check that all fits together."""
        if self.place not in get_args(Place):
            raise ValueError(f"place is {self.place!r}; use one of {', '.join(get_args(Place))}")
        if len(self.parts) < 2 or (self.place == "latent" and len(self.parts) > 2):
            few = "two texts" if self.place == "latent" else "two texts or more"
            raise ValueError(f"{few} are mixed at the place {self.place}, not {len(self.parts)}")
        _check_weights(self)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.weights)


@dataclass(frozen=True)
class Fused:
    r"""Frames that read a cloud of their own, and two ends beside it, as published for AID.

    In *all* attention layers, those in which the image asks itself included, with the keys and
    values :math:`K_t` of the frame and :math:`K_A, K_B` of the two ends, which are denoised beside
    it (He et al. 2024, see above):

    .. math::

        &(1-t)\, A(Q, [K_t; K_A], [V_t; V_A]) \\
        &+ t\, A(Q, [K_t; K_B], [V_t; V_B])

    or, inner, :math:`A(Q, [K_t; K], [V_t; V])` with :math:`K = (1-t) K_A + t K_B` and V alike.
    Where guidance is on it is so in the half that reads the texts, and for a share of the steps,
    the first ones.

    Attributes:
        kind: outer or inner.
        parts: the two ends, one text each.
        own: a text for each frame.
        weights: (t, 2) from 0 to 1, of sum 1 for each frame.
        share: of the steps, from 0 to 1.

    Raises:
        ValueError: another kind, other than two single ends, weights or a share that are none.
    """

    kind: Kind
    parts: tuple[Part, ...]
    own: Part
    weights: Float[np.ndarray, "t 2"]
    share: float = 0.5

    def __post_init__(self) -> None:
        """Take weights of any kind, and check that all fits together."""
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind is {self.kind!r}; use outer or inner")
        counts = [len(part) for part in self.parts]
        if counts != [1, 1]:
            raise ValueError(f"a frame lies between two ends, one text each, not {counts}")
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is {self.share}; use a share of the steps, from 0 to 1")
        _check_weights(self)
        if len(self.own) != len(self):
            raise ValueError(
                f"{len(self.own)} texts of their own are given for {len(self)} frames"
            )

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.weights)


Rule = Mixture | Fused


def _check_weights(rule: Rule) -> None:
    """Make an array of the weights; a ValueError where they are none for these parts."""
    weights = real_array(rule.weights, "weights", finite=False)
    object.__setattr__(rule, "weights", weights)
    if weights.ndim != 2 or weights.shape[1] != len(rule.parts) or not len(weights):
        raise ValueError(
            f"weights have shape {weights.shape}; {(len(weights), len(rule.parts))} is wanted, a "
            "weight for each text in each frame"
        )
    sums = weights.sum(axis=1)
    if not ((weights >= 0) & (weights <= 1)).all() or np.abs(sums - 1).max() > EXACT:
        raise ValueError(
            "weights lie between 0 and 1 and have the sum 1 in each frame; got "
            f"{weights.min()} to {weights.max()}, sums {sums}"
        )
    for part in rule.parts:
        if len(part) not in (1, len(weights)):
            raise ValueError(f"{len(part)} texts are given for {len(weights)} frames, or one")


def shares(times: ArrayLike) -> Float[np.ndarray, "t 2"]:
    """The weights 1 - t and t of two texts at times in [0, 1]."""
    times = check_times(times)
    return np.stack([1 - times, times], axis=1)


def map_parts(rule: Rule, change: Callable[[Part], Part]) -> Rule:
    """The rule with every text of it changed."""
    rule = replace(rule, parts=tuple(change(part) for part in rule.parts))
    return replace(rule, own=change(rule.own)) if isinstance(rule, Fused) else rule


def at_frames(part: Part, frames: Sequence[int]) -> Part:
    """The texts of a part for some of the frames, one for each."""
    return part[list(frames)] if len(part) > 1 else part[[0] * len(frames)]


def some_frames(rule: Rule, frames: list[int]) -> Rule:
    """The rule for some of its frames."""
    parts = tuple(part if len(part) == 1 else part[frames] for part in rule.parts)
    own = {"own": rule.own[frames]} if isinstance(rule, Fused) else {}
    return replace(rule, parts=parts, weights=rule.weights[frames], **own)


def cloud_alone(way: CloudPath | Rule, frame: int) -> Cloud | None:
    """The cloud that alone makes a frame of a way, of weight 1; None where several do."""
    if not isinstance(way, Rule):
        return way[frame]
    frame = range(len(way))[frame]
    alone = np.flatnonzero(way.weights[frame] == 1)
    return at_frames(way.parts[alone[0]], [frame]).clouds[0] if len(alone) else None


def step_weights(rule: Mixture, steps: int) -> Float[np.ndarray, "s t b"]:
    """The weights of the texts in each of so many denoising steps: 0 and 1 where they take turns.

    Elsewhere they are the same in all of them.
    """
    weights = rule.weights
    if rule.place == "late":
        begins = steps * (np.cumsum(weights, axis=1) - weights)  # step at which each text begins
        turns = (np.arange(steps)[:, None, None] >= begins - EXACT).sum(axis=2) - 1
    elif rule.place == "alternate":
        turns = _in_turns(weights, steps)
    else:
        return np.tile(weights, (steps, 1, 1))
    return np.eye(weights.shape[1])[turns]


def _in_turns(weights: Float[np.ndarray, "t b"], steps: int) -> Int[np.ndarray, "s t"]:
    """The text that each step reads, the one furthest behind its share; of several the first."""
    taken, turns = np.zeros(weights.shape), np.empty((steps, len(weights)), int)
    for step in range(steps):
        behind = (weights * (step + 1) - taken).round(9)
        turns[step] = behind.argmax(axis=1)
        taken[np.arange(len(weights)), turns[step]] += 1
    return turns
