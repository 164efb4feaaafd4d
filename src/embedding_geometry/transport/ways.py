r"""Couplings and ways from one token cloud to another, each under its name.

A *coupling* is a function ``(ends, rng) -> sigma`` of the two ends, a *way* a function ``(ends,
times, rng) -> path`` of the ends and of times in [0, 1]. Straight lines along any coupling in
`COUPLINGS` are a way of its name, so that another coupling takes part in every comparison as soon
as it has an entry there. Beside them stand ways that differ in

- the *curve* of a token: a great circle (`slerp-…`);
- its *goal*: the mean of where an entropic plan sends it (`entropic-…`), or its own place moved
  as all others are (`pooled`). These two do not arrive at the second cloud.

Instead of a path of clouds a way may return a rule that mixes the two texts later, at a place of
`rules`, or reads them beside a path (`aid-…`). These stand in `RULES`.

A way of the user's own is a function of these three arguments, and a coupling of one's own ``(x,
y) -> sigma`` is the way straight along it. Either goes by ``module:function``, or by any name that
comes with it.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from embedding_geometry.ground.plugins import Plugin
from embedding_geometry.ground.types import (
    Cloud,
    CloudLike,
    CloudPath,
    Coupling,
    Random,
    Times,
    generator,
    real_array,
)
from embedding_geometry.transport.checks import check_cloud_pair, check_coupling
from embedding_geometry.transport.couplings import (
    cost_matrix,
    optimal_coupling,
    random_coupling,
    row_coupling,
    wasserstein_distance,
    worst_coupling,
)
from embedding_geometry.transport.curves import great_circle, straight
from embedding_geometry.transport.other_couplings import (
    centred_coupling,
    check_end_rows,
    cosine_coupling,
    entropic_plan,
    go_toward,
    whitened_coupling,
    words_coupling,
)
from embedding_geometry.transport.rules import (
    Fused,
    Kind,
    Leg,
    Mixture,
    Place,
    Rule,
    cloud_alone,
    shares,
)

ROUNDING = 1e-6  # clouds this near, as a share of their norm, give the same image

# Couplings of graded cost: optimal-random-25 lies a quarter of the way from optimal to random.
SCALES = (("optimal", "random"), ("random", "worst"), ("optimal", "row"))
PERCENTS = (25, 50, 75)
EPSILONS = (0.01, 0.1, 1.0)  # entropic regularisation, as shares of the mean cost


@dataclass(frozen=True)
class Ends:
    """The two prompts that a way joins, as it sees them.

    Attributes:
        x: cloud (n, d) of the source.
        y: cloud (n, d) of the target.
        x_end: row of the source's end token: its words are rows 1 … x_end - 1, padding follows.
        y_end: row of the target's end token.
    """

    x: Cloud
    y: Cloud
    x_end: int
    y_end: int

    @property
    def legs(self) -> tuple[Leg, Leg]:
        """The two texts as what a rule mixes."""
        return Leg(self.x[None], np.zeros(1)), Leg(self.y[None], np.ones(1))

    def arrives(self, path: CloudPath | Rule) -> bool:
        """Whether the path ends at the target: at the same points, in any order, to rounding."""
        last = cloud_alone(path, -1)
        if last is None or last.shape != self.y.shape:
            return False
        gap = wasserstein_distance(last, self.y, normalized=False)
        return gap <= ROUNDING * float(np.linalg.norm(self.y))


Named = TypeVar("Named")
Chosen = Callable[[Ends, np.random.Generator], Coupling]  # a coupling, in this file
Goal = Callable[[Ends, np.random.Generator], Cloud]  # for each token of x, where it goes
Way = Callable[[Ends, Times, np.random.Generator], CloudPath | Rule]


# --- couplings ----------------------------------------------------------------------------------


def of_clouds(coupling: Callable[[Cloud, Cloud], Coupling]) -> Chosen:
    """A coupling that looks at the clouds alone."""
    return lambda ends, rng: coupling(ends.x, ends.y)


def between(start: str, end: str, percent: int) -> Chosen:
    """A coupling between two others, of a cost between theirs.

    The generator first draws the random coupling, if it is one of the two, so that it is the one
    of the name "random"; then the geodesic on which `go_toward` goes.
    """

    def coupling(ends: Ends, rng: np.random.Generator) -> Coupling:
        from_sigma, to_sigma = (COUPLINGS[name](ends, rng) for name in (start, end))
        return go_toward(from_sigma, to_sigma, percent / 100, rng)

    return coupling


COUPLINGS: dict[str, Chosen] = {
    "row": of_clouds(row_coupling),
    "optimal": of_clouds(optimal_coupling),
    "random": lambda ends, rng: random_coupling(ends.x, ends.y, rng),
    "worst": of_clouds(worst_coupling),
    "words": lambda ends, rng: words_coupling(ends.x, ends.y, (ends.x_end, ends.y_end)),
    "whitened": of_clouds(whitened_coupling),
    "centred": of_clouds(centred_coupling),
    "cosine": of_clouds(cosine_coupling),
    **{f"{a}-{b}-{percent}": between(a, b, percent) for a, b in SCALES for percent in PERCENTS},
}


def couple(
    name: str, x: CloudLike, y: CloudLike, rng: Random, end_rows: tuple[int, int] = (0, 0)
) -> Coupling:
    """Coupling of the given name.

    Args:
        name: a key of `COUPLINGS`: row, optimal, random, worst ...
        x: cloud (n, d).
        y: cloud (n, d).
        rng: drawn from by "random" and by the couplings of graded cost alone; or its seed.
        end_rows: rows of the two end tokens, which "words" alone asks for.

    Raises:
        ValueError: The name is unknown, the clouds differ in shape, or hold NaN or infinity.

    Examples:
        >>> x, y = np.array([[0.0], [1.0], [2.0]]), np.array([[2.1], [0.1], [1.1]])
        >>> eg.couple("worst", x, y, np.random.default_rng(0))
        array([0, 2, 1])
    """
    x, y = check_cloud_pair(x, y)
    return _named(COUPLINGS, name)(Ends(x, y, *end_rows), generator(rng))


# --- ways ---------------------------------------------------------------------------------------


def toward(goal: Goal, curve: Callable[[Cloud, Cloud, Times], CloudPath] = straight) -> Way:
    """The way on which every token follows the curve to its goal.

    The goal checks the clouds, the curve the times: a ValueError where one of them will not do.
    """
    return lambda ends, times, rng: curve(ends.x, goal(ends, rng), times)


def partners(coupling: Chosen) -> Goal:
    """The tokens of y that a coupling pairs those of x with."""
    return lambda ends, rng: ends.y[coupling(ends, rng)]


def projection(share: float) -> Goal:
    r"""Barycentric projection of an entropic transport plan, regularised by a share of mean cost.

    .. math:: T(x)_i = \frac{\sum_j P_{ij}\, y_j}{\sum_j P_{ij}}

    with the plan P of `entropic_plan` (Peyré & Cuturi 2020, *Computational Optimal Transport*,
    Remark 4.11 and section 4). A mean of tokens lies inside their hull, so T(x) is a contracted
    cloud: no way to it arrives at y, unless the regularisation is so small that P is a
    permutation. For a large one every token ends at the mean of y.
    """

    def goal(ends: Ends, rng: np.random.Generator) -> Cloud:
        x, y = check_cloud_pair(ends.x, ends.y)
        plan = entropic_plan(cost_matrix(x, y), share)
        return plan / plan.sum(axis=1, keepdims=True) @ y

    return goal


def pooled(ends: Ends, rng: np.random.Generator) -> Cloud:
    r"""The cloud x moved by the difference of the two end tokens, :math:`x + y_e - x_e`.

    CLIP pools a text into its end token (Radford et al. 2021, *Learning Transferable Visual Models
    From Natural Language Supervision*, section 2.4). The cloud moves as a whole and keeps its
    shape.
    """
    x, y = check_cloud_pair(ends.x, ends.y)
    x_end, y_end = check_end_rows((ends.x_end, ends.y_end), len(x))
    return x + (y[y_end] - x[x_end])


def matrix_slerp(ends: Ends, times: Times, rng: np.random.Generator) -> CloudPath:
    """Great circle of the two embedding matrices, each taken as one vector of n · d numbers.

    Row i ends at row i.

    Raises:
        ValueError: The clouds differ in shape, or hold NaN or infinity; times leave [0, 1].
    """
    x, y = check_cloud_pair(ends.x, ends.y)
    return great_circle(x.reshape(1, -1), y.reshape(1, -1), times).reshape(-1, *x.shape)


def mixed(place: Place) -> Way:
    """The way on which the two texts are mixed at a place, with the weights 1 - t and t."""

    def way(ends: Ends, times: Times, rng: np.random.Generator) -> Mixture:
        check_cloud_pair(ends.x, ends.y)
        return Mixture(place, ends.legs, shares(times))

    return way


def fused(kind: Kind) -> Way:
    """The row order's way, whose frames read the two ends beside their own cloud; see `Fused`."""

    def way(ends: Ends, times: Times, rng: np.random.Generator) -> Fused:
        x, y = check_cloud_pair(ends.x, ends.y)
        return Fused(kind, ends.legs, Leg(straight(x, y, times), times), shares(times))

    return way


RULES: dict[str, Way] = {
    "measures": mixed("measure"),
    "outer": mixed("attention"),
    "scores": mixed("prediction"),
    "late-switch": mixed("late"),
    "alternate": mixed("alternate"),
    "latent-slerp": mixed("latent"),
    "cross-fade": mixed("image"),
    "aid-outer": fused("outer"),
    "aid-inner": fused("inner"),
}

WAYS: dict[str, Way] = {
    **{name: toward(partners(coupling)) for name, coupling in COUPLINGS.items()},
    "slerp-matrix": matrix_slerp,
    "slerp-tokens": toward(partners(COUPLINGS["row"]), great_circle),
    "slerp-optimal": toward(partners(COUPLINGS["optimal"]), great_circle),
    **{f"entropic-{share:g}": toward(projection(share)) for share in EPSILONS},
    "pooled": toward(pooled),
    **RULES,
}


SHIPPED = dict(WAYS)  # known by name alone; recorded studies hold cells of them
Own = Mapping[str, Plugin | Callable[..., Any]]  # the user's functions by name
NONE_OWN: Own = {}


def own_ways(names: Iterable[str], own: Own = NONE_OWN) -> dict[str, Plugin]:
    """Those of the names that stand for a function of the user's, with it.

    It comes with its name in `own`, was put into `WAYS`, or is called ``module:function``.
    """
    found = {}
    for name in names:
        if name in own:
            found[name] = Plugin.of(own[name])
        elif WAYS.get(name) is not SHIPPED.get(name):
            found[name] = Plugin.of(WAYS[name])
        elif ":" in name:
            found[name] = Plugin.of(name)
    return found


def find_way(name: str, own: Own = NONE_OWN) -> Way:
    """The way of that name; of the user's own, one whose paths are checked.

    Args:
        name: a key of `WAYS` or of `own`, or ``module:function``.
        own: ways and couplings of the user's own.

    Raises:
        ValueError: There is none; the message lists those that there are.
    """
    plugin = own_ways([name], own).get(name)
    return _named(WAYS, name) if plugin is None else _checked(name, plugin.function)


def _checked(name: str, function: Callable[..., Any]) -> Way:
    """A user's way or coupling as a way that says what is wrong with its paths, if anything is."""
    parameters = inspect.signature(function).parameters.values()
    count = sum(each.default is each.empty for each in parameters)
    if count not in (2, 3):
        raise ValueError(
            f"{name} takes {count} arguments; a coupling takes the clouds (x, y) and returns a "
            "permutation, a way takes (ends, times, rng) and returns the clouds at these times, "
            "or a rule"
        )

    def coupling(x: Cloud, y: Cloud) -> Coupling:
        return check_coupling(function(x, y), len(x))

    way = toward(partners(of_clouds(coupling))) if count == 2 else function

    def checked(ends: Ends, times: Times, rng: np.random.Generator) -> CloudPath | Rule:
        path = way(ends, times, rng)
        if isinstance(path, Rule):
            _check_rule(name, path, len(times))
        else:
            path = real_array(path, f"the path of {name}")
            if path.shape != (len(times), *ends.x.shape):
                raise ValueError(
                    f"the path of {name} has shape {path.shape}; a cloud for each time is wanted, "
                    f"{(len(times), *ends.x.shape)}"
                )
        for frame in np.flatnonzero(np.equal(times, 0)).tolist():
            first = cloud_alone(path, frame)
            off = np.inf if first is None else np.abs(first - ends.x).max()
            if not off <= ROUNDING * np.abs(ends.x).max():
                raise ValueError(f"the path of {name} starts {off:.3g} off its source, ends.x")
        return path

    return checked


def _check_rule(name: str, rule: Rule, frames: int) -> None:
    for part in (*rule.parts, *([rule.own] if isinstance(rule, Fused) else [])):
        if not isinstance(part, Leg):
            raise ValueError(
                f"the rule of {name} mixes a {type(part).__name__}; a Leg is wanted, clouds with "
                "their times, such as those of ends.legs"
            )
    if len(rule) != frames:
        raise ValueError(f"the rule of {name} has {len(rule)} frames for {frames} times")


def _named(table: dict[str, Named], name: str) -> Named:
    if name not in table:
        raise ValueError(f"coupling {name!r} is unknown; there are {', '.join(table)}")
    return table[name]
