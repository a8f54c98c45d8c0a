"""Which calls the entry stub can take: the signature of a specialisation in its terms."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from types import CellType
from typing import Any

import numpy as np

from jitgraph_codegen.native import (
    ArrayParam,
    FloatParam,
    IntParam,
    Outer,
    Param,
    SameParam,
    Signature,
)

from .capture.surroundings import Place
from .program import Specialisation
from .signature import ARRAY, FLOAT, INTEGER, NUMBER, STATIC
from .tree import LEAF


@dataclass(frozen=True)
class NativeCall:
    """held: objects by the names that the signature gives them."""

    signature: Signature
    held: dict[str, Any]


def native_call(
    found: Specialisation, entries: Sequence[Hashable], structure: Any
) -> NativeCall | str:
    """The signature of the calls that a specialisation serves; or why it can't be native.

    structure: of the arguments, by parameter.
    """
    if found.wanted or found.captured.hosts:
        return "gradients and calls of Python functions go through Python"
    if any(child is not LEAF for child in structure.children):
        return "an argument is a container"
    single = found.tree is LEAF or found.tree.kind is type(None)
    flat = found.tree.kind is tuple and all(child is LEAF for child in found.tree.children)
    if not (single or flat) or not all(isinstance(r, int) for r in found.results):
        return "it returns more than arrays"
    if list(found.results) != list(range(len(found.captured.graph.outputs))):
        return "it returns a value twice"
    builder = _Builder(found)
    params = [builder.argument(entry) for entry in entries]
    if None in params:
        return "an argument is no array or number"
    outer = [*builder.lifted(), *builder.fixtures()]
    if None in outer:
        return "it depends on an attribute that its object does not hold"
    arrays = tuple(found.stays_array(k) for k in range(len(found.results)))
    signature = Signature(
        tuple(p for p in params if p is not None), tuple(o for o in outer if o is not None),
        single, arrays,
    )  # fmt: skip
    return NativeCall(signature, builder.held)


class _Builder:
    def __init__(self, found: Specialisation) -> None:
        self.found = found
        self.sizes = iter(found.symbols)
        self.arrays = 0
        self.held: dict[str, Any] = {}

    def hold(self, value: Any) -> str:
        name = f"held{len(self.held)}"
        self.held[name] = value
        return name

    def argument(self, entry: Any) -> Param | None:
        if entry == FLOAT:
            return FloatParam(self._name())
        if entry == INTEGER:
            return IntParam(next(self.sizes))
        kind, *rest = entry if isinstance(entry, tuple) else (entry,)
        if kind == STATIC:
            return SameParam(self.hold(rest[1]))
        if kind not in (ARRAY, NUMBER):
            return None
        char, ndim, contiguous, small = rest
        return self._array(char, ndim, contiguous, small, scalar=kind == NUMBER)

    def _name(self) -> str:
        self.arrays += 1
        return f"a{self.arrays - 1}"

    def _array(
        self, char: str, ndim: int, contiguous: bool, small: Any, scalar: bool
    ) -> ArrayParam:
        fixed = dict(small)
        sizes = tuple(fixed[k] if k in fixed else next(self.sizes) for k in range(ndim))
        return ArrayParam(self._name(), np.dtype(char).name, sizes, contiguous, scalar)

    def lifted(self) -> Iterator[Outer | None]:
        for value, entry in zip(self.found.captured.lifted, self.found.lifted_entries, strict=True):
            if not isinstance(entry, tuple) or entry[0] is not np.ndarray:
                yield None
                continue
            _, char, ndim, contiguous, small, _ = entry
            param = self._array(char, ndim, contiguous, small, scalar=False)
            if value.place is None:
                yield Outer("", self.hold(value.value), param)
            else:
                yield self._outer(value.place, param)

    def fixtures(self) -> Iterator[Outer | None]:
        for fixture in self.found.captured.fixtures:
            yield self._outer(fixture.place, SameParam(self.hold(fixture.value)))

    def _outer(self, place: Place, param: ArrayParam | SameParam) -> Outer | None:
        if type(place.owner) is dict:
            return Outer(self.hold(place.owner), self.hold(place.name), param)
        if type(place.owner) is CellType:
            return Outer(self.hold(place.owner), None, param)
        if place.name in getattr(place.owner, "__dict__", ()):
            return Outer(self.hold(place.owner), self.hold(place.name), param, attribute=True)
        return None
