"""Index expressions: integer combinations of the axes of an iteration domain plus a size
expression; some are wrapped around at the end of an axis, some are elements of integer arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .symbolic import Dim, add, mul


@dataclass(frozen=True)
class Wrap:
    """An index of [0, 2 * size) that starts again from 0 at `size`."""

    inner: Affine
    size: Dim


@dataclass(frozen=True)
class Taken:
    """An element of an integer array, the node `positions`, as a position along an axis of `size`;
    negative ones count from its end.
    """

    positions: Any
    at: Index
    size: Dim


Atom = int | Wrap | Taken


@dataclass(frozen=True)
class Affine:
    """sum of coefficient * axis, plus an offset; view rules use `+ Dim` and `* Dim` on it."""

    terms: tuple[tuple[Atom, int], ...]  # (axis of the domain or other index, coefficient)
    offset: Dim = 0

    def __add__(self, offset: Dim) -> Affine:
        return Affine(self.terms, add(self.offset, offset))

    def __mul__(self, factor: int) -> Affine:
        return Affine(tuple((atom, c * factor) for atom, c in self.terms), mul(self.offset, factor))

    def wrapped(self, size: Dim) -> Affine:
        """This index, which is less than twice `size`, modulo `size`."""
        return Affine(((Wrap(self, size), 1),))

    @property
    def axis(self) -> int | None:
        """The axis it is, if it is nothing else."""
        if len(self.terms) != 1 or self.offset != 0:
            return None
        atom, coefficient = self.terms[0]
        return atom if isinstance(atom, int) and coefficient == 1 else None

    def axes(self) -> set[int]:
        found: set[int] = set()
        for atom, _ in self.terms:
            match atom:
                case Wrap(inner, _):
                    found |= inner.axes()
                case Taken(_, at, _):
                    found |= {axis for index in at for axis in index.axes()}
                case _:
                    found.add(atom)
        return found

    def taken(self) -> Iterator[Taken]:
        """The elements of arrays in it."""
        for atom, _ in self.terms:
            if isinstance(atom, Taken):
                yield atom
            elif isinstance(atom, Wrap):
                yield from atom.inner.taken()


Index = tuple[Affine, ...]


def axis(k: int) -> Affine:
    return Affine(((k, 1),))


def fixed(dim: Dim) -> Affine:
    return Affine((), dim)


def as_index(values: tuple[Affine | Dim, ...]) -> Index:
    return tuple(v if isinstance(v, Affine) else fixed(v) for v in values)


def identity(shape: tuple[Dim, ...]) -> Index:
    """The index of each element of a domain; 0 along axes of size one."""
    return tuple(
        fixed(0) if isinstance(d, int) and d == 1 else axis(k) for k, d in enumerate(shape)
    )
