"""Which calls the entry stub can take: the signature of a specialisation in its terms."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from types import CellType, MemberDescriptorType
from typing import Any

import numpy as np

from jitgraph_codegen.machine_code import MachineCode
from jitgraph_codegen.native import (
    AliasParam,
    ArrayParam,
    Call,
    FloatParam,
    IntParam,
    NativeProgram,
    Outer,
    Param,
    SameParam,
    Signature,
    everywhere,
)

from .capture.surroundings import Fixture, Lifted
from .interpreter import is_recording
from .place import Place
from .program import Specialisation
from .signature import ALIAS, ARRAY, FLOAT, INTEGER, NUMBER, STATIC, TENSOR, Same
from .tensor import Tensor
from .tree import LEAF, Tree
from .unpacking import CallForm, unpacking


@dataclass(frozen=True)
class NativeCall:
    """held: objects by the names that the signature gives them."""

    program: NativeProgram
    signature: Signature
    kernels: list[MachineCode]
    held: dict[str, Any]

    @property
    def python_steps(self) -> int:
        return sum(isinstance(step, Call) for step in everywhere(self.program.steps))


@dataclass(frozen=True)
class Caller:
    """A call that a specialisation served, for others like it.

    named: whether the structure of its arguments has the parameters' names.
    dynamically: runs a call that turns out not to be what the program was compiled for.
    again: the function as it is written.
    """

    entries: Sequence[Hashable]
    structure: Tree
    named: bool
    form: CallForm
    signature: inspect.Signature
    dynamically: Callable[..., Any]
    again: Callable[..., Any]


def native_call(found: Specialisation, caller: Caller) -> NativeCall | str:
    """How a stub takes the calls that a specialisation serves; or why none can."""
    if found.wanted:
        return "the gradient is recorded"
    builder = _Builder(found)
    leaves = [builder.argument(entry) for entry in caller.entries]
    if None in leaves:
        return "an argument is no array or number"
    fetched: list[Callable[[], Any]] = []
    outer: list[Outer] = []
    for value, entry in zip(found.captured.lifted, found.lifted_entries, strict=True):
        if isinstance(entry, tuple) and entry[0] is float:
            fetched.append(value.fetch)
            leaves.append(builder.argument(FLOAT))
            continue
        if not isinstance(entry, tuple) or entry[0] not in (np.ndarray, Tensor):
            return "a value of the surroundings is no array"
        param = builder.lifted(entry)
        if entry[0] is Tensor:
            fetched.append(partial(_array_in, value))
            leaves.append(param)
            continue
        place = builder.outer(value, param)
        if place is not None:
            outer.append(place)
        else:
            fetched.append(value.fetch)
            leaves.append(param)
    checks = []
    for fixture in found.captured.fixtures:
        place = builder.fixed(fixture)
        if place is not None:
            outer.append(place)
        else:
            checks.append(builder.hold(fixture.holds))
    native = found.native()
    if native is None:
        return "it runs on a device" if found.options.target != "cpu" else "a guard has no value"
    form = caller.form
    tensors = [k for k, entry in enumerate(caller.entries) if _is_tensor(entry)]
    unpacked = unpacking(caller.signature, caller.structure, caller.named, form, fetched, tensors)
    held = builder.held | native.functions
    held["unpack"] = unpacked.function
    held["again"] = lambda *values: caller.again(*values[: form.positional], **_named(form, values))
    held["dynamically"] = lambda reason, *values: caller.dynamically(
        reason, values[: form.positional], _named(form, values)
    )
    keywords = tuple(f"keyword{k}" for k in range(len(form.keywords)))
    held |= {k: sys.intern(name) for k, name in zip(keywords, form.keywords, strict=True)}
    arrays: tuple[bool, ...] = ()
    built: tuple[str, ...] | None = None
    if _plain(found):
        arrays = tuple(found.stays_array(k) for k in range(len(found.results)))
    else:
        built = found.symbols
        held["built"] = lambda values, *sizes: found.built(values, sizes)
    signature = Signature(
        tuple(p for p in leaves if p is not None), unpacked.order, form.positional, keywords,
        tuple(outer), tuple(checks), found.tree is LEAF or found.tree.kind is type(None), arrays,
        built,
    )  # fmt: skip
    return NativeCall(native.program, signature, native.kernels, held)


def _named(form: CallForm, values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(form.keywords, values[form.positional :], strict=True))


def _is_tensor(entry: Hashable) -> bool:
    return isinstance(entry, tuple) and entry[0] == TENSOR


def _array_in(lifted: Lifted) -> Any:
    """The array in a Tensor of the surroundings; None where its gradient would be recorded."""
    tensor = lifted.fetch()
    if type(tensor) is not Tensor or (tensor.requires_grad and is_recording()):
        return None
    return tensor.data


def _plain(found: Specialisation) -> bool:
    """Whether a function's value is an array, a tuple of them, or None, and no Python number."""
    single = found.tree is LEAF or found.tree.kind is type(None)
    flat = found.tree.kind is tuple and all(child is LEAF for child in found.tree.children)
    outputs = found.graph.outputs
    numbers = any(o.spec.weak for o in outputs) or found.of_tensors
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
        if kind == ALIAS:
            return AliasParam(rest[0])
        if kind not in (ARRAY, NUMBER, TENSOR):
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

    def lifted(self, entry: Any) -> ArrayParam:
        _, char, ndim, layout, small, _ = entry
        return self._array(char, ndim, layout, small, scalar=False)

    def outer(self, value: Lifted, param: ArrayParam) -> Outer | None:
        if value.place is None:
            return Outer("", self.hold(value.value), param)
        return self._outer(value.place, param)

    def fixed(self, fixture: Fixture) -> Outer | None:
        if fixture.is_container:
            return None
        return self._outer(fixture.place, SameParam(self.hold(fixture.value)))

    def _outer(self, place: Place, param: ArrayParam | SameParam) -> Outer | None:
        if type(place) is not Place:
            return None
        if type(place.owner) is dict:
            return Outer(self.hold(place.owner), self.hold(place.name), param)
        if type(place.owner) is CellType:
            return Outer(self.hold(place.owner), None, param)
        slot = inspect.getattr_static(type(place.owner), place.name, None)
        if place.name in getattr(place.owner, "__dict__", ()) or isinstance(
            slot, MemberDescriptorType
        ):
            return Outer(self.hold(place.owner), self.hold(place.name), param, attribute=True)
        return None
