"""Index expressions: integer combinations of the axes of an iteration domain plus a size
expression.
"""

from __future__ import annotations

from dataclasses import dataclass

from .symbolic import Dim, add, mul


@dataclass(frozen=True)
class Affine:
    """sum of coefficient * axis, plus an offset; view rules use `+ Dim` and `* Dim` on it."""

    terms: tuple[tuple[int, int], ...]  # (axis of the domain, coefficient)
    offset: Dim = 0

    def __add__(self, offset: Dim) -> Affine:
        return Affine(self.terms, add(self.offset, offset))

    def __mul__(self, factor: int) -> Affine:
        return Affine(tuple((axis, c * factor) for axis, c in self.terms), mul(self.offset, factor))

    @property
    def axis(self) -> int | None:
        """The axis it is, if it is nothing else."""
        return self.terms[0][0] if len(self.terms) == 1 and self == axis(self.terms[0][0]) else None

    def axes(self) -> set[int]:
        return {axis for axis, _ in self.terms}


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
