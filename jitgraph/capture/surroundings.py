"""What a captured function found outside its arguments: globals, closures, attributes.

Arrays are read from the same place at every call.  Other values are part of what was compiled: a
program is used while they are what they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import BuiltinFunctionType, CellType, FunctionType, ModuleType
from typing import Any

import numpy as np

_MISSING = object()
_COMPARED = (int, float, complex, str, bytes, bool, tuple, frozenset)
_CONSTANT = (ModuleType, BuiltinFunctionType, type, np.ufunc)  # nobody rebinds these names


@dataclass(frozen=True)
class Place:
    """A name in a module's globals, a closure's cell, or an object's attribute."""

    owner: Any
    name: str

    @property
    def key(self) -> tuple[int, str]:
        return id(self.owner), self.name

    def read(self) -> Any:
        owner = self.owner
        if type(owner) is dict:
            return owner.get(self.name, _MISSING)
        if type(owner) is CellType:
            return owner.cell_contents
        return getattr(owner, self.name, _MISSING)


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
class Fixture:
    """A value the capture relied on."""

    place: Place
    value: Any

    def holds(self) -> bool:
        now = self.place.read()
        if now is self.value:
            return True
        if type(now) is not type(self.value) or not isinstance(now, _COMPARED):
            return False
        return bool(now == self.value) and repr(now) == repr(self.value)


def is_constant(value: Any) -> bool:
    """Whether a name is sure to keep its value: a module, a class, a builtin, a library's."""
    if isinstance(value, _CONSTANT):
        return True
    if not isinstance(value, (FunctionType, type(np.sum))):
        return False
    return value.__module__.split(".")[0] in ("numpy", "jitgraph", "math")
