"""Functions of the user's own in place of the package's, told apart by what they do.

A finished cell is never computed again, so what computed it is part of its identity: of the
package's own functions the name, of a user's also the code, or a version that its author gives.
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
    """A function of the user's own.

    Attributes:
        function: what it is of: a way, a coupling, a metric.
        version: changes whenever the function does. If not given, a digest of its code and of the
            functions and constants of the user's own that the code names.

    Raises:
        ValueError: It is no function, or the code does not show all that it does: it is written in
            another language, or names an object such as an array or a network.
    """

    function: Callable[..., Any]
    version: str = ""

    def __post_init__(self) -> None:
        """Read the code here and now: a worker of a cluster may not have its file."""
        if not callable(self.function):
            raise ValueError(f"{self.function!r} is no function that takes a part in a study")
        object.__setattr__(self, "version", self.version or digest(list(_code(self.function))))

    @property
    def name(self) -> str:
        """What the function is called where it was written."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    @classmethod
    def of(cls, found: Any) -> "Plugin":
        """Return a function as a plugin; one that is a plugin already stays as it is."""
        return found if isinstance(found, Plugin) else cls(found)

    @classmethod
    def imported(cls, name: str) -> "Plugin":
        """Find ``module:function``, in the current folder or where Python finds modules.

        Raises:
            ValueError: It is not there, or as above.
        """
        if not {"", os.getcwd()} & set(sys.path):
            sys.path.append(os.getcwd())
        try:
            return cls.of(pkgutil.resolve_name(name))
        except (ImportError, AttributeError) as error:
            raise ValueError(
                f"{name!r} is not found ({error}); module:function names a function of a module "
                f"in {os.getcwd()}, or in a folder of PYTHONPATH"
            ) from error


def _code(function: Callable[..., Any]) -> Iterator[str]:
    """The source of a function, and of what it names: functions, classes and constants."""
    pending: list[Any] = [function]
    for each in pending:  # which grows on the way
        if not inspect.isfunction(each) and not inspect.isclass(each):
            raise _hidden(function, f"{each!r} is no function written in Python")
        try:
            yield inspect.getsource(each)
        except (OSError, TypeError) as error:
            raise _hidden(function, str(error)) from error
        for name, value in sorted(_named(each).items()):
            if hasattr(value, "__name__"):
                pending += [value] if _is_users(value) and value not in pending else []
                continue
            try:
                yield f"{name} = {json.dumps(value, sort_keys=True)}"
            except TypeError as error:
                raise _hidden(function, f"it does not show what {name} is") from error


def _named(function: Any) -> dict[str, Any]:
    """What a function names outside itself, by name; of a class its source says enough."""
    if inspect.isclass(function):
        return {}
    around = dict(inspect.getclosurevars(function).nonlocals)
    names = set(_names(function.__code__)) & function.__globals__.keys()
    return {name: function.__globals__[name] for name in names} | around


def _names(code: CodeType) -> Iterator[str]:
    """The names that a function's code looks up, comprehensions and inner functions included."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _is_users(value: Any) -> bool:
    """Whether a function or class belongs to no library; what is local belongs to its user."""
    if not inspect.isfunction(value) and not inspect.isclass(value):
        return False
    if "<locals>" in value.__qualname__:
        return True
    root = value.__module__.partition(".")[0]
    file = getattr(sys.modules.get(root), "__file__", None) or ""
    return root not in {*sys.stdlib_module_names, __package__.partition(".")[0]} and not (
        file.startswith(LIBRARIES)
    )


def _hidden(function: Callable[..., Any], reason: str) -> ValueError:
    return ValueError(
        f"the code of {getattr(function, '__qualname__', function)} does not show all that it "
        f"does: {reason}. Give it a version, a new one whenever it changes: Plugin(function, '1')"
    )
