"""Strided copies in entry stubs: a loop for each axis, or `memmove` of whole rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llvmlite import ir

from .native import Copy, Strided
from .stub import I64, StubBuilder, number


def copy_sizes(step: Copy) -> list[str]:
    """The sizes in a copy, as texts."""
    return [t for p in (step.target, step.source) for t in (p.offset, *p.steps)] + [*step.shape]


def copy(stub: StubBuilder, step: Copy) -> None:
    """`target[...] = source[...]`, or of one constant element."""
    itemsize = np.dtype(step.dtype).itemsize
    target = _start(stub, step.target, itemsize)
    source = number(0) if step.element else _start(stub, step.source, itemsize)
    _loop(stub, step, list(range(len(step.shape))), target, source)


def _start(stub: StubBuilder, place: Strided, itemsize: int) -> ir.Value:
    offset = stub.builder.mul(stub.expression(place.offset), number(itemsize))
    return stub.builder.add(stub.data[place.array], offset)


def _loop(
    stub: StubBuilder, step: Copy, axes: Sequence[int], target: ir.Value, source: ir.Value
) -> None:
    """Over the first of the axes, with those after it inside."""
    b, itemsize = stub.builder, np.dtype(step.dtype).itemsize
    if not axes:
        _element(stub, step, target, source)
        return
    axis, *rest = axes
    count = stub.expression(step.shape[axis])
    adjacent = step.target.steps[axis] == step.source.steps[axis] == "1"
    if not rest and adjacent and not step.element:
        stub.call("memmove", I64, target, source, b.mul(count, number(itemsize)))
        return
    head, body, end = (stub.function.append_basic_block(n) for n in ("axis", "items", "end"))
    steps = [
        b.mul(stub.expression(place.steps[axis]), number(itemsize))
        for place in (step.target, step.source)
    ]
    before = b.block
    b.branch(head)
    b.position_at_end(head)
    k, to, of = (b.phi(I64) for _ in range(3))
    for value, first in ((k, number(0)), (to, target), (of, source)):
        value.add_incoming(first, before)
    b.cbranch(b.icmp_signed("<", k, count), body, end)
    b.position_at_end(body)
    _loop(stub, step, rest, to, of)
    following = [b.add(k, number(1)), b.add(to, steps[0]), b.add(of, steps[1])]
    for value, new in zip((k, to, of), following, strict=True):
        value.add_incoming(new, b.block)
    b.branch(head)
    b.position_at_end(end)


def _element(stub: StubBuilder, step: Copy, target: ir.Value, source: ir.Value) -> None:
    kind = ir.IntType(8 * np.dtype(step.dtype).itemsize)
    if step.element:
        bits = int.from_bytes(bytes.fromhex(step.element), "little")
        value: ir.Value = ir.Constant(kind, bits)
    else:
        value = stub.load(source, 0, kind)
    stub.builder.store(value, stub.pointer(target, kind))
