"""Python's own objects around a step of a loop or a side of a branch, which is run once to be
written down: none of them may change, or other steps would have changed it too, or none.
"""

from __future__ import annotations

import functools
from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Set
from types import FunctionType, MethodType
from typing import Any

from .surroundings import is_library
from .tracer import TRACERS

_HIDDEN = ("__loop", "__branch", "__jitgraph__")


class UnwatchableError(Exception):
    """An object that a step may use up, which nothing tells."""


class Watched:
    """All containers, objects and functions that names of a function lead to, as they are now."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.states: list[tuple[Any, list[Any]]] = []
        seen: set[int] = set()
        waiting = [v for name, v in names.items() if not name.startswith(_HIDDEN)]
        while waiting:
            value = waiting.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            inside = _inside(value)
            if inside is not None:
                self.states.append((value, inside))
                waiting += inside

    def changed(self) -> str:
        """The type of one that is not as it was, or nothing."""
        for value, before in self.states:
            now = _inside(value)
            same = now is not None and len(now) == len(before)
            if not same or any(a is not b for a, b in zip(now or (), before, strict=False)):
                return type(value).__name__
        return ""


def _inside(value: Any) -> list[Any] | None:
    """What an object holds; None for one that holds nothing of the function's."""
    kind = type(value)
    if kind in TRACERS:
        return None
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple, Set, deque)):
        return list(value)
    if isinstance(value, (bytearray, memoryview, array)):
        raise UnwatchableError(f"a {kind.__name__} that a step may change is at hand")
    if isinstance(value, Iterator):
        raise UnwatchableError(f"a {kind.__name__} that a step may use up is at hand")
    if isinstance(value, MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, type):
        return None if is_library(value.__module__) else list(vars(value).values())
    if is_library(getattr(kind, "__module__", None) or "") and kind is not FunctionType:
        return None
    if isinstance(value, FunctionType):
        if is_library(value.__module__ or ""):
            return None
        cells = [c.cell_contents for c in value.__closure__ or () if _is_filled(c)]
        return [*cells, *(value.__defaults__ or ()), *vars(value).values()]
    names = [n for k in kind.__mro__ for n in _slots(k)]
    slots = [getattr(value, n) for n in names if hasattr(value, n)]
    return [*getattr(value, "__dict__", {}).values(), *slots]


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(n for n in names if n not in ("__dict__", "__weakref__"))


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
