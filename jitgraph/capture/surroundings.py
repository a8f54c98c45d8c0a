"""What a captured function found outside its arguments: globals, closures, attributes.

Arrays are read from the same place at every call.  Other values are part of what was compiled: a
program is used while they are what they were, containers while they hold what they held.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping, Set
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np

from ..place import Place

LIBRARIES = frozenset(("numpy", "scipy", "jitgraph", "numba", "jitgraph_codegen"))
_COMPARED = (int, float, complex, str, bytes, bool, tuple, frozenset)
_CONSTANT = (ModuleType, BuiltinFunctionType, np.ufunc)  # nobody rebinds these names


@dataclass(frozen=True)
class Lifted:
    """An array or Tensor of the surroundings, an input of the graph.

    place: where it is read anew at every call; None for one that only the program holds.
    """

    value: Any
    place: Place | None

    def fetch(self) -> Any:
        return self.value if self.place is None else self.place.read()


@dataclass(frozen=True)
class Contents:
    """A container with what it held: items are values, or the contents of containers."""

    value: Any
    keys: tuple[Any, ...] | frozenset[Any]
    items: tuple[Any, ...]

    def restore(self) -> Any:
        """Let the container hold again what it held."""
        items = [i.restore() if isinstance(i, Contents) else i for i in self.items]
        if isinstance(self.value, (list, deque)):
            self.value.clear()
            self.value.extend(items)
        elif isinstance(self.value, Mapping):
            self.value.clear()  # type: ignore[attr-defined]
            self.value.update(zip(self.keys, items, strict=True))  # type: ignore[attr-defined]
        elif isinstance(self.value, Set):
            self.value.clear()  # type: ignore[attr-defined]
            self.value.update(self.keys)  # type: ignore[attr-defined]
        return self.value


def contents(value: Any) -> Any:
    """The contents of a container that can change; other values as they are."""
    if isinstance(value, (list, tuple, deque)):
        items = tuple(map(contents, value))
        if isinstance(value, tuple) and not any(isinstance(i, Contents) for i in items):
            return value
        return Contents(value, (), items)
    if isinstance(value, Mapping):
        return Contents(value, tuple(value), tuple(map(contents, value.values())))
    if isinstance(value, Set) and not isinstance(value, frozenset):
        return Contents(value, frozenset(value), ())
    return value


def _same(now: Any, before: Any) -> bool:
    if isinstance(before, Contents):
        return (
            isinstance(now, Contents)
            and type(now.value) is type(before.value)
            and now.keys == before.keys
            and len(now.items) == len(before.items)
            and all(map(_same, now.items, before.items))
        )
    if now is before:
        return True
    if type(now) is not type(before) or not isinstance(now, _COMPARED):
        return False
    return bool(now == before) and repr(now) == repr(before)


@dataclass(frozen=True)
class Fixture:
    """A value the capture relied on, with its contents if it is a container."""

    place: Place
    value: Any

    @classmethod
    def at(cls, place: Place, value: Any) -> Fixture:
        return cls(place, contents(value))

    @property
    def is_container(self) -> bool:
        return isinstance(self.value, Contents)

    def holds(self) -> bool:
        now = self.place.read()
        return now is self.value or _same(contents(now), self.value)


def is_library(module: str | None) -> bool:
    """Whether a module is none of the user's: its names keep their values."""
    top = (module or "").split(".")[0]
    return top in LIBRARIES or top in sys.stdlib_module_names


def is_constant(value: Any) -> bool:
    """Whether a name is sure to keep its value: a module, a builtin, a library's class."""
    if isinstance(value, _CONSTANT):
        return True
    if isinstance(value, type):
        return is_library(value.__module__)
    if not isinstance(value, (FunctionType, type(np.sum))):
        return False
    return value.__module__.split(".")[0] in ("numpy", "jitgraph", "math")
