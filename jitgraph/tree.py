"""Arrays inside lists, tuples, named tuples, dicts and dataclasses: flattened for a program,
rebuilt from its results.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Tree:
    """The structure of a value without its leaves; hashable, so that it can be part of a
    signature.
    """

    kind: type | None  # None for a leaf
    keys: tuple[Hashable, ...] = ()
    children: tuple[Tree, ...] = ()

    @cached_property
    def _hash(self) -> int:
        return hash((self.kind, self.keys, self.children))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def size(self) -> int:
        """How many leaves it has."""
        return 1 if self.kind is None else sum(child.size for child in self.children)

    def unflatten(self, leaves: list[Any]) -> Any:
        return self._build(iter(leaves))

    def _build(self, leaves: Any) -> Any:
        if self.kind is None:
            return next(leaves)
        if self.kind is type(None):
            return None
        values = [child._build(leaves) for child in self.children]
        if hasattr(self.kind, "put_together"):
            return self.kind.put_together(self.keys, values)
        if self.kind is dict:
            return dict(zip(self.keys, values, strict=True))
        if hasattr(self.kind, "_fields"):
            return self.kind(*values)
        if self.keys:  # a dataclass, as it is: its __post_init__ has run
            made: Any = object.__new__(self.kind)
            for name, value in zip(self.keys, values, strict=True):
                object.__setattr__(made, str(name), value)
            return made
        return self.kind(values)


LEAF = Tree(None)
_NONE = Tree(type(None))


def flatten(value: Any, through: type | None = None) -> tuple[list[Any], Tree]:
    """The leaves of a value in order, and its structure.

    through: a further class of values that hold others: `taken_apart` gives what is hashable of one
    and what it holds, of which `put_together` makes it again.
    """
    leaves: list[Any] = []
    return leaves, _flatten(value, leaves, through)


def _flatten(value: Any, leaves: list[Any], through: type | None) -> Tree:
    def inside(values: Iterable[Any]) -> tuple[Tree, ...]:
        return tuple(_flatten(item, leaves, through) for item in values)

    kind = type(value)
    if value is None:
        return _NONE
    if kind is dict:
        return Tree(dict, tuple(value), inside(value.values()))
    if kind in (list, tuple) or (isinstance(value, tuple) and hasattr(kind, "_fields")):
        return Tree(kind, (), inside(value))
    if kind is through:
        keys, held = value.taken_apart()
        return Tree(kind, keys, inside(held))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = tuple(f.name for f in dataclasses.fields(value))
        if names:
            return Tree(kind, names, inside([getattr(value, n) for n in names]))
    leaves.append(value)
    return LEAF


def map_leaves(function: Callable[[Any], Any], value: Any) -> Any:
    leaves, tree = flatten(value)
    return tree.unflatten([function(leaf) for leaf in leaves])
