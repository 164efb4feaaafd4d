"""What a study computes, checked before anything is loaded."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_args

from tyro.conf import Suppress, arg

from embedding_geometry.diffusion.settings import LoadSettings, RenderSettings
from embedding_geometry.ground.plugins import Plugin
from embedding_geometry.ground.types import COUPLINGS, NET, NetName, check_seed

FEATURES: NetName = "vgg"  # the net whose features fidelity is about


class StudySettingsError(ValueError):
    """Settings that cannot be run, or that differ from those of the study in the same folder."""


@dataclass(frozen=True)
class StudySettings:
    """What a study computes.

    Attributes:
        pairs: Table of prompt pairs (CSV: pair_id, source, target, similarity[, stratum]).
        net: Network of LPIPS: alex, vgg or squeeze; or a metric of your own,
            module:function.
        couplings: Computed on every initial latent: row, optimal, random or worst; or another way
            between the prompts, of those that `render --help` names, or of your own,
            module:function.
        extra_couplings_first_seed: Couplings computed on the first initial latent only.
        seeds: One initial latent each, the same for all couplings and pairs.
        frames: Images along a path, both ends included.
        loading: Which model computes, and where.
        rendering: How its images are made.
        nets_beside: Further nets that measure the same images, such as vgg; the names of their
            columns in the table end with the net's.
        reference: Another table of prompt pairs. Pictures of its sources are what the images
            between the ends are held against, by features of the net vgg: realism and kernel
            distance.
        judge: With a reference, how sure is a recogniser of what it sees in these images? A
            function of your own, module:function, from frames to a confidence in each.
        own: In Python, functions of your own by the names that they have among couplings, as net
            and as judge: couplings (x, y), ways (ends, times, rng), a metric and a judge (frames).

    Raises:
        StudySettingsError: A value is of a kind that cannot be understood.
    """

    pairs: Annotated[Path | str, arg(metavar="PATH")]
    net: NetName | str = NET
    couplings: Sequence[str] = COUPLINGS
    extra_couplings_first_seed: Sequence[str] = ("worst",)
    seeds: Sequence[int] = (0, 1)
    frames: int = 11
    loading: LoadSettings = LoadSettings()
    rendering: RenderSettings = RenderSettings()
    nets_beside: Sequence[str] = ()
    reference: Annotated[Path | str | None, arg(metavar="PATH")] = None
    judge: str | None = None
    own: Annotated[Mapping[str, Plugin | Callable[..., Any]], Suppress] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        """Bring every value to the one kind that stands in the identity of a cell."""
        kinds: dict[str, tuple[Callable[[Any], object], str]] = {
            "pairs": (Path, "the path of a table"),
            "nets_beside": (_names, "names, such as ('vgg',),"),
            "reference": (_path_or_none, "the path of a table"),
            "couplings": (_names, NAMES),
            "extra_couplings_first_seed": (_names, NAMES),
            "seeds": (_whole_numbers, "several whole numbers, such as (0, 1) or range(2),"),
            "frames": (operator.index, "a whole number"),
            "own": (_plugins, "a dict of functions, such as {'halfway': halfway},"),
        }
        for name, (convert, wanted) in kinds.items():
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, convert(value))
            except TypeError as error:
                raise StudySettingsError(f"{name} is {value!r}; {wanted} is wanted") from error

    def check(self) -> None:
        """Raise a ValueError for values that cannot be run, saying what would do."""
        named = self.named_couplings
        _require(bool(self.couplings), "couplings is empty; name at least one")
        _require(len(set(named)) == len(named), f"a coupling is named twice: {' '.join(named)}")
        _require(bool(self.seeds), "seeds is empty; give at least one")
        for seed in self.seeds:
            check_seed(seed)
        _require(len(set(self.seeds)) == len(self.seeds), f"seeds {self.seeds} repeats one")
        _require(
            self.frames >= 3,
            f"frames is {self.frames}; a path needs 3 or more, "
            "because its two ends are the same images for every coupling",
        )
        for name, kind in (("loading", LoadSettings), ("rendering", RenderSettings)):
            value = getattr(self, name)
            _require(isinstance(value, kind), f"{name} is {value!r}; give a {kind.__name__}")
        self.rendering.check()
        from embedding_geometry.transport.ways import find_way  # not for `--help`

        for name in named:
            find_way(name, self.own)
        nets, asked = get_args(NetName), (self.net, *self.nets_beside)
        _require(len(set(asked)) == len(asked), f"a net is named twice: {' '.join(asked)}")
        for net in asked:
            known = net in (*nets, *self.own) or ":" in net
            _require(known, f"net is {net!r}; use one of {', '.join(nets)}, or one of your own")
        _require(
            self.reference is None or FEATURES in asked,
            f"pictures are held against a reference by the net {FEATURES}, and the nets are "
            f"{' '.join(asked)}; take it beside them (--nets-beside {FEATURES})",
        )
        _require(
            self.judge is None or self.reference is not None,
            f"judge is {self.judge!r} and there is no reference; name one (--reference)",
        )
        _ = self.judge_version

    @property
    def named_couplings(self) -> tuple[str, ...]:
        """All couplings, those of the first seed alone included."""
        return (*self.couplings, *self.extra_couplings_first_seed)

    @property
    def judging(self) -> Plugin | None:
        """The judge; raises a ValueError where there is no function of its name."""
        return None if self.judge is None else Plugin.of(self.own.get(self.judge, self.judge))

    @property
    def judge_version(self) -> str | None:
        """By what kept pictures are known: None without a reference, empty without a judge."""
        if self.reference is None:
            return None
        return self.judging.version if self.judging else ""

    def couplings_of(self, seed: int) -> tuple[str, ...]:
        """Couplings computed on the initial latent of this seed."""
        return self.named_couplings if seed == self.seeds[0] else tuple(self.couplings)


NAMES = "names, such as ('row', 'optimal'), of which those of your own functions stand in `own`,"


def _path_or_none(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def _names(value: str | Iterable[str]) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(name, str) for name in names):
        raise TypeError("a name is a string")
    return names


def _whole_numbers(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(operator.index(value) for value in values)


def _plugins(functions: Mapping[str, Any]) -> dict[str, Plugin]:
    return {name: Plugin.of(function) for name, function in dict(functions).items()}


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise StudySettingsError(message)
