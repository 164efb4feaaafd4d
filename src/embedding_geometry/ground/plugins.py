"""Functions of the user's own in place of the package's, told apart by what they do.

A finished cell is never computed again, so what computed it is part of its identity: of the
package's functions the name, of a user's also the code, or a version that its author gives.
"""

import inspect
import json
import os
import pkgutil
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

from embedding_geometry.ground.disk import digest

LIBRARIES = tuple(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib"))


@dataclass(frozen=True)
class Plugin:
    """A way, a coupling or a metric of the user's own.

    Attributes:
        function: what computes it.
        version: changes whenever the function does. If not given, a digest of its code and of the
            functions and constants of the user's own that the code names.

    Raises:
        ValueError: The code does not show all that it does: it is not written in Python, or names
            an object such as an array or a network.
    """

    function: Callable[..., Any]
    version: str = ""

    def __post_init__(self) -> None:
        """Read the code here and now: a worker of a cluster may not have its file."""
        object.__setattr__(self, "version", self.version or digest([*_code(self.function, [])]))

    @classmethod
    def of(cls, found: Any) -> "Plugin":
        """Return a plugin as it is, a function as one, and what ``module:function`` names.

        Raises:
            ValueError: It is not there, neither in the current folder nor where Python looks.
        """
        if not {"", os.getcwd()} & set(sys.path):
            sys.path.append(os.getcwd())
        try:
            found = pkgutil.resolve_name(found) if isinstance(found, str) else found
        except (ImportError, AttributeError) as error:
            raise ValueError(
                f"{found!r} is not found ({error}); module:function names a function of a module "
                f"in {os.getcwd()}, or in a folder of PYTHONPATH"
            ) from error
        return found if isinstance(found, Plugin) else cls(found)


def _code(function: Any, seen: list[Any]) -> Iterator[str]:
    """The source of a function, and of the functions and constants of the user's that it names."""
    seen.append(function)
    if not inspect.isfunction(function):
        raise _hidden(function, "it is no function written in Python")
    yield inspect.getsource(function)
    around = inspect.getclosurevars(function).nonlocals
    known = function.__globals__
    for name in sorted(known.keys() & _names(function.__code__) | around.keys()):
        value = around[name] if name in around else known[name]
        if inspect.isfunction(value) and value not in seen:
            if name in around or not value.__code__.co_filename.startswith(LIBRARIES):
                yield from _code(value, seen)
        elif not hasattr(value, "__name__"):  # as functions, classes and modules have
            try:
                yield f"{name} = {json.dumps(value, sort_keys=True)}"
            except TypeError as error:
                raise _hidden(function, f"it names {name}, a {type(value).__name__}") from error


def _names(code: CodeType) -> set[str]:
    """The names that a function's code looks up, inner functions' included."""
    inner = (_names(each) for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*inner)


def _hidden(function: Any, reason: str) -> ValueError:
    return ValueError(
        f"the code of {getattr(function, '__qualname__', function)!r} does not show all that it "
        f"does: {reason}. Give it a version, a new one whenever it changes: Plugin(function, '1')"
    )
