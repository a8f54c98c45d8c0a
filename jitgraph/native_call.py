"""Which calls the entry stub can take: the signature of a specialisation in its terms."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from types import CellType
from typing import Any

import numpy as np

from jitgraph_codegen.machine_code import MachineCode
from jitgraph_codegen.native import (
    ArrayParam,
    Call,
    FloatParam,
    IntParam,
    NativeProgram,
    Outer,
    Param,
    SameParam,
    Signature,
)

from .capture.surroundings import Place
from .program import Specialisation
from .signature import ARRAY, FLOAT, INTEGER, NUMBER, STATIC, Same
from .tree import LEAF


@dataclass(frozen=True)
class NativeCall:
    """held: objects by the names that the signature gives them."""

    program: NativeProgram
    signature: Signature
    kernels: list[MachineCode]
    held: dict[str, Any]

    @property
    def python_steps(self) -> int:
        return sum(isinstance(step, Call) for step in self.program.steps)


def native_call(
    found: Specialisation,
    entries: Sequence[Hashable],
    structure: Any,
    dynamically: Callable[..., Any],
    again: Callable[..., Any],
) -> NativeCall | str:
    """How a stub takes the calls that a specialisation serves; or why none can.

    structure: of the arguments, by parameter.  dynamically: what runs a call that turns out not to
    be what the program was compiled for.  again: the function as it is written.
    """
    if found.wanted:
        return "the gradient is recorded"
    if any(child is not LEAF for child in structure.children):
        return "an argument is a container"
    builder = _Builder(found)
    params = [builder.argument(entry) for entry in entries]
    if None in params:
        return "an argument is no array or number"
    outer = [*builder.lifted(), *builder.fixtures()]
    if None in outer:
        return "it depends on an attribute that its object does not hold"
    native = found.native()
    if native is None:
        return "it runs on a device" if found.options.target != "cpu" else "a guard has no value"
    held = builder.held | native.functions
    held["again"] = again
    held["dynamically"] = lambda reason, *args: dynamically(reason, args, {})
    arrays: tuple[bool, ...] = ()
    built: tuple[str, ...] | None = None
    if _plain(found):
        arrays = tuple(found.stays_array(k) for k in range(len(found.results)))
    else:
        built = found.symbols
        held["built"] = lambda values, *sizes: found.built(values, sizes)
    signature = Signature(
        tuple(p for p in params if p is not None), tuple(o for o in outer if o is not None),
        found.tree is LEAF or found.tree.kind is type(None), arrays, built,
    )  # fmt: skip
    return NativeCall(native.program, signature, native.kernels, held)


def _plain(found: Specialisation) -> bool:
    """Whether a function's value is an array, a tuple of them, or None, and no Python number."""
    single = found.tree is LEAF or found.tree.kind is type(None)
    flat = found.tree.kind is tuple and all(child is LEAF for child in found.tree.children)
    outputs = found.graph.outputs
    numbers = any(o.spec.weak for o in outputs)
    return (single or flat) and not numbers and list(found.results) == list(range(len(outputs)))


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
            held = rest[1].value if isinstance(rest[1], Same) else rest[1]
            return SameParam(self.hold(held))
        if kind not in (ARRAY, NUMBER):
            return None
        char, ndim, layout, small = rest
        return self._array(char, ndim, layout, small, scalar=kind == NUMBER)

    def _name(self) -> str:
        self.arrays += 1
        return f"a{self.arrays - 1}"

    def _array(self, char: str, ndim: int, layout: str, small: Any, scalar: bool) -> ArrayParam:
        fixed = dict(small)
        sizes = tuple(fixed[k] if k in fixed else next(self.sizes) for k in range(ndim))
        return ArrayParam(self._name(), np.dtype(char).name, sizes, layout, scalar)

    def lifted(self) -> Iterator[Outer | None]:
        for value, entry in zip(self.found.captured.lifted, self.found.lifted_entries, strict=True):
            if not isinstance(entry, tuple) or entry[0] is not np.ndarray:
                yield None
                continue
            _, char, ndim, layout, small, _ = entry
            param = self._array(char, ndim, layout, small, scalar=False)
            if value.place is None:
                yield Outer("", self.hold(value.value), param)
            else:
                yield self._outer(value.place, param)

    def fixtures(self) -> Iterator[Outer | None]:
        for fixture in self.found.captured.fixtures:
            if fixture.is_container:
                yield None
            else:
                yield self._outer(fixture.place, SameParam(self.hold(fixture.value)))

    def _outer(self, place: Place, param: ArrayParam | SameParam) -> Outer | None:
        if type(place.owner) is dict:
            return Outer(self.hold(place.owner), self.hold(place.name), param)
        if type(place.owner) is CellType:
            return Outer(self.hold(place.owner), None, param)
        if place.name in getattr(place.owner, "__dict__", ()):
            return Outer(self.hold(place.owner), self.hold(place.name), param, attribute=True)
        return None
