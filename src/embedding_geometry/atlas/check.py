r"""The check: hand a model its tokens in another order, or twice, and see whether it notices.

A backbone is described by a factory, its inputs, and which of them *travel*: the tokens themselves
and what belongs to each token, such as its mask. Everything else (pooled vectors, the places that
a pipeline numbers from the left) stays where it is. Three outcomes are possible:

- **measure**: permuting the tokens and doubling each of them change nothing;
- **multiset**: permuting changes nothing, doubling does;
- **sequence**: permuting changes the output.

A swap of two neighbours and a cyclic shift generate every permutation, so passing both, whatever
the cloud, is passing all n!. A cause of a sequence is named only where taking it out of the model
brings the invariance back.
"""

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from embedding_geometry.diffusion.attention import OrderSensitivity, order_sensitivity

Verdict = Literal["measure", "multiset", "sequence"]
Call = Callable[[nn.Module, dict[str, Any]], Any]

UNCHANGED = {torch.float64: 1e-12, torch.float32: 1e-5}  # what rounding leaves of "the same"
CHANGED = 1e-3  # what a real change amounts to at least, relative to the largest output


class UncheckableError(ValueError):
    """The check cannot be made on this model with these inputs, or is not conclusive."""


def plain_call(model: nn.Module, inputs: dict[str, Any]) -> Any:
    """Hand the inputs to the model by name."""
    return model(**inputs)


@dataclass(frozen=True)
class Cause:
    """Why a model sees a sequence.

    Attributes:
        name: in words.
        remove: takes it out of a fresh model, or out of its inputs; changes them in place.
    """

    name: str
    remove: Callable[[Any, dict[str, Any]], None]


@dataclass(frozen=True)
class Backbone:
    """A model, what it is called with, and where its text tokens are.

    Attributes:
        name: by which people know it.
        build: makes the model, or returns one that is there: a copy is cast to `dtype`; called
            again where a changed model is to prove the cause.
        inputs: everything the model is called with. Real tensors are cast to `dtype`; a function
            is called with the number of tokens, for what a pipeline makes from it.
        tokens: the inputs that travel, each with the axis along which its tokens lie; the first
            is the text itself.
        call: how the model takes the inputs, where not by name.
        other: for the text itself the tokens of another text; drawn at random if not given.
        dtype: the precision of the check, float64 or float32.
        causes: for a sequence, why; taken out together they must bring the invariance back.
        fixed_length: the model takes this number of tokens only, so that they cannot be doubled
            (NaN); taking out the causes must free it.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: Mapping[str, Any]
    tokens: Mapping[str, int]
    call: Call = plain_call
    other: Tensor | None = None
    dtype: torch.dtype = torch.float64
    causes: tuple[Cause, ...] = ()
    fixed_length: bool = False


@dataclass(frozen=True)
class Finding:
    """What the check found.

    Attributes:
        change: relative changes of the output.
        verdict: how the model sees its text.
        removed: the same again after the causes were taken out; None without a cause.
    """

    change: OrderSensitivity
    verdict: Verdict
    removed: "Finding | None" = None

    @property
    def permuting(self) -> float:
        """The largest change under any permutation that was tried."""
        return float(np.max([self.change.swap, self.change.cycle, self.change.random]))


def examine(backbone: Backbone, *, seed: int = 0, permutations: int = 2) -> Finding:
    """Find out whether a model sees its text as a measure, a multiset or a sequence.

    Args:
        backbone: the model with its inputs.
        seed: of the other text and the random permutations.
        permutations: how many random permutations there are besides the swap and the cycle.

    Raises:
        UncheckableError: the tokens are not where the description says, the model cannot be
            called so or returns no tensor, the precision is too coarse, another text changes
            nothing, or a change is neither rounding nor clear.
    """
    try:
        finding = _examine(backbone, seed, permutations)
        if not backbone.causes:
            return finding
        freed = replace(backbone, fixed_length=False)
        return replace(finding, removed=_examine(freed, seed, permutations, backbone.causes))
    except ValueError as error:
        raise UncheckableError(f"{backbone.name}: {error}") from error


def _examine(
    backbone: Backbone, seed: int, permutations: int, causes: Iterable[Cause] = ()
) -> Finding:
    """What is found once these causes are taken out."""
    # to cast and to change: `build` may have returned a model that is in use elsewhere
    model, inputs = copy.deepcopy(backbone.build()), dict(backbone.inputs)
    for cause in causes:
        cause.remove(model, inputs)
    _check_description(backbone, model, inputs)
    nn.Module.to(model, backbone.dtype)  # diffusers' own method would warn of what is wanted here
    model.eval()
    inputs = {name: _cast(value, backbone.dtype) for name, value in inputs.items()}
    pool = _two_texts(backbone, inputs, seed)

    text, axis = next(iter(backbone.tokens.items()))
    n, both = inputs[text].shape[axis], pool[text].shape[axis]

    @torch.no_grad()
    def response(places: np.ndarray) -> np.ndarray:
        if backbone.fixed_length and len(places) != n:
            return np.array(np.nan)
        chosen = torch.from_numpy(places[:, 0]).long()
        moved = {
            name: pool[name].index_select(axis, chosen) for name, axis in backbone.tokens.items()
        }
        made = {name: value(len(places)) for name, value in inputs.items() if callable(value)}
        try:
            output = backbone.call(model, {**inputs, **made, **moved})
        except Exception as error:
            raise UncheckableError(
                f"the model cannot be called with {len(places)} tokens and {', '.join(inputs)}: "
                f"{type(error).__name__}: {error}. Correct the description; a model that takes "
                f"{n} tokens only has fixed_length=True"
            ) from error
        return _as_array(output)

    first, second = np.split(np.arange(float(both))[:, None], [n])
    rng = np.random.default_rng(seed)
    change = order_sensitivity(response, first, second, rng, permutations=permutations)
    return Finding(change, verdict(change, backbone.dtype))


def verdict(change: OrderSensitivity, dtype: torch.dtype) -> Verdict:
    """Read the verdict off the changes, which were found in this precision.

    Raises:
        UncheckableError: another text changes nothing, a change but that of doubling is NaN, or
            a change is neither rounding nor clear.
    """
    needed = {name: value for name, value in vars(change).items() if name != "doubling"}
    if undefined := [name for name, value in needed.items() if math.isnan(value)]:
        raise UncheckableError(
            f"the output holds NaN under {', '.join(undefined)}; give a mask that leaves tokens "
            "to see, or inputs of size 1"
        )
    if change.other_text < CHANGED:
        raise UncheckableError(
            f"another text changes the output by {change.other_text:.1g} of its size, less than "
            f"{CHANGED:g}; the check would pass whatever the model does with it. Use larger text, "
            "or weights without zero gates"
        )
    if _is_clear(dtype, "permuting", max(change.swap, change.cycle, change.random)):
        return "sequence"
    if math.isnan(change.doubling):
        raise UncheckableError(
            "its order does not matter, but it takes a fixed number of tokens, so a measure "
            "cannot be told from a multiset. Let it take twice the tokens"
        )
    return "multiset" if _is_clear(dtype, "doubling", change.doubling) else "measure"


def _is_clear(dtype: torch.dtype, what: str, change: float) -> bool:
    """Tell a real change from rounding."""
    if UNCHANGED[dtype] < change < CHANGED:
        raise UncheckableError(
            f"{what} the tokens changes the output by {change:.1g} of its size, which is neither "
            f"rounding (at most {UNCHANGED[dtype]:g} in {dtype}) nor clear (at least "
            f"{CHANGED:g}). Try float64, or inputs of size 1"
        )
    return change >= CHANGED


def _check_description(backbone: Backbone, model: Any, inputs: dict[str, Any]) -> None:
    if not isinstance(model, nn.Module):
        raise UncheckableError(
            f"build() returned a {type(model).__name__}; a torch.nn.Module is wanted"
        )
    if backbone.dtype not in UNCHANGED:
        raise UncheckableError(
            f"{backbone.dtype} rounds too coarsely to show an invariance; use torch.float64 or "
            "torch.float32"
        )
    if not backbone.tokens:
        raise UncheckableError("no input travels; name the text's in `tokens`")
    lengths = {}
    for name, axis in backbone.tokens.items():
        value = inputs.get(name)
        if not isinstance(value, Tensor) or value.ndim <= axis:
            found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise UncheckableError(
                f"the tokens should lie along axis {axis} of the input {name!r}, which is "
                f"{found}; the inputs are {', '.join(inputs)}"
            )
        lengths[name] = value.shape[axis]
    if len(set(lengths.values())) != 1:
        raise UncheckableError(
            f"the inputs that travel have different numbers of tokens: {lengths}"
        )


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """Cast real tensors, also inside the containers that diffusers' models take."""
    match value:
        case Tensor() if value.is_floating_point():
            return value.to(dtype)
        case dict():
            return {name: _cast(inner, dtype) for name, inner in value.items()}
        case list() | tuple():
            return type(value)(_cast(inner, dtype) for inner in value)
        case _:
            return value


def _two_texts(backbone: Backbone, inputs: dict[str, Any], seed: int) -> dict[str, Tensor]:
    """What travels, for the text and after it for another one."""
    name, axis = next(iter(backbone.tokens.items()))
    text, other = inputs[name], backbone.other
    if other is None:
        if not text.is_floating_point():
            raise UncheckableError(
                f"the tokens {name!r} are {text.dtype}, so that no other text can be drawn at "
                "random; give one as `other`"
            )
        generator = torch.Generator().manual_seed(seed)
        other = text.std() * torch.randn(text.shape, generator=generator, dtype=torch.float64)
    shape = list(other.shape)
    shape[axis : axis + 1] = [text.shape[axis]]
    if shape != list(text.shape):
        raise UncheckableError(
            f"the other text is {tuple(other.shape)}, the text {name!r} {tuple(text.shape)}; "
            f"they may differ along axis {axis} only"
        )
    pool = {also: torch.cat([inputs[also]] * 2, dim) for also, dim in backbone.tokens.items()}
    return pool | {name: torch.cat([text, _cast(other, backbone.dtype)], axis)}


def _as_array(output: Any) -> np.ndarray:
    """The first output of a model as one array."""
    while isinstance(output, dict | list | tuple) and output:
        output = next(iter(output.values())) if isinstance(output, dict) else output[0]
    if isinstance(output, Tensor):
        return output.cpu().double().numpy()
    raise UncheckableError(
        f"the model returned a {type(output).__name__}; a tensor, or a tuple or ModelOutput that "
        "starts with one, is wanted. Give a `call` that returns the tensor"
    )
