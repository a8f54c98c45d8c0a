"""Which calls the entry stub can take: the signature of a specialisation in its terms."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from types import CellType
from typing import Any

import numpy as np

from jitgraph_codegen import blas
from jitgraph_codegen.machine_code import MachineCode
from jitgraph_codegen.native import (
    ArrayParam,
    FloatParam,
    IntParam,
    NativeProgram,
    Outer,
    Param,
    SameParam,
    Signature,
)
from jitgraph_codegen.program import DeoptimisedError

from .capture.surroundings import Place
from .program import Specialisation
from .signature import ARRAY, FLOAT, INTEGER, NUMBER, STATIC, Same
from .symbolic import is_known_before
from .tree import LEAF


@dataclass(frozen=True)
class NativeCall:
    """held: objects by the names that the signature gives them."""

    program: NativeProgram
    signature: Signature
    kernels: list[MachineCode]
    held: dict[str, Any]


def native_call(
    found: Specialisation,
    entries: Sequence[Hashable],
    structure: Any,
    dynamically: Callable[..., Any],
) -> NativeCall | str:
    """How a stub takes the calls that a specialisation serves; or why none can.

    structure: of the arguments, by parameter.  dynamically: what runs a call that turns out not to
    be what the program was compiled for.
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
    single = found.tree is LEAF or found.tree.kind is type(None)
    arrays = tuple(found.stays_array(k) for k in range(len(found.results)) if _plain(found))
    signature = Signature(
        tuple(p for p in params if p is not None), tuple(o for o in outer if o is not None),
        single, arrays,
    )  # fmt: skip
    native = found.native() if _plain(found) else None
    if native is not None and (blas.addresses() or not native.program.multiplies):
        return NativeCall(native.program, signature, native.kernels, builder.held)
    graph = found.graph
    guards = tuple(str(g) for g in graph.guards if is_known_before(g.dim))
    written = tuple(f"a{graph.inputs.index(i)}" for i, _ in graph.writes)
    program = NativeProgram(guards, (), written, (), by_python=True)
    driver = _driver(found, signature, dynamically)
    return NativeCall(program, signature, [], builder.held | {"driver": driver})


def _plain(found: Specialisation) -> bool:
    """Whether a function's value is an array, a tuple of them, or None."""
    single = found.tree is LEAF or found.tree.kind is type(None)
    flat = found.tree.kind is tuple and all(child is LEAF for child in found.tree.children)
    outputs = len(found.captured.graph.outputs)
    return (single or flat) and list(found.results) == list(range(outputs))


def _driver(
    found: Specialisation, signature: Signature, dynamically: Callable[..., Any]
) -> Callable[..., Any]:
    """The program as a function of the arguments, for calls whose arguments were checked.

    For a matrix and a number it is

        def call(p0, p1):
            (s0, s1), a1 = p0.shape, asarray(p1)
            try:
                return built(program(p0, a1, (s0, s1)), (s0, s1))
            except Deoptimised as error: ...
    """
    lines: list[str] = []
    arrays: list[str] = []
    lifted = [f"fetch{k}()" for k in range(len(found.captured.lifted))]
    for k, param in enumerate(signature.positional):
        match param:
            case ArrayParam(name, _, sizes, scalar=scalar):
                lines.append(f"{name} = asarray(p{k})" if scalar else f"{name} = p{k}")
                lines += _unpacked(name, sizes)
                arrays.append(name)
            case FloatParam(name):
                lines.append(f"{name} = asarray(p{k})")
                arrays.append(name)
            case IntParam(size):
                lines.append(f"{size} = p{k}")
    outer = [o.param for o in signature.outer if isinstance(o.param, ArrayParam)]
    for param, fetch in zip(outer, lifted, strict=True):
        lines.append(f"{param.name} = {fetch}")
        lines += _unpacked(param.name, param.sizes)
        arrays.append(param.name)
    parameters = ", ".join(f"p{k}" for k in range(len(signature.positional)))
    sizes_text = f"({''.join(f'{s}, ' for s in found.symbols)})"
    text = [
        f"def call({parameters}):",
        *[f"    {line}" for line in lines],
        f"    sizes = {sizes_text}",
        "    try:",
        f"        return built(program({', '.join([*arrays, 'sizes'])}), sizes)",
        "    except Deoptimised as error:",
        f"        return dynamically(str(error), ({parameters}{',' if parameters else ''}), {{}})",
    ]
    namespace: dict[str, Any] = {
        "asarray": np.asarray, "program": found.forward, "built": found.built,
        "Deoptimised": DeoptimisedError, "dynamically": dynamically,
    }  # fmt: skip
    namespace |= {f"fetch{k}": value.fetch for k, value in enumerate(found.captured.lifted)}
    exec("\n".join(text), namespace)
    call: Callable[..., Any] = namespace["call"]
    return call


def _unpacked(name: str, sizes: tuple[str | int, ...]) -> list[str]:
    if not any(isinstance(s, str) for s in sizes):
        return []
    targets = "".join(f"{s if isinstance(s, str) else '_'}, " for s in sizes)
    return [f"{targets}= {name}.shape"]


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
