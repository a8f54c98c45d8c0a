"""Strided copies in entry stubs: a loop for each axis, or `memmove` of whole rows.

A copy is a function of its own with the signature of a kernel, over the range of its first axis, so
that several threads may share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from llvmlite import ir

from .native import Copy, Strided
from .stub import I32, I64, StubBuilder, number

KERNEL = ir.FunctionType(ir.VoidType(), [I64, I64, I64, I64])
_WORK = 4  # additions that the copy of an element is worth
_LINE = 64  # bytes

# starts a kernel: its name, buffers, sizes, extent and work
Launch = Callable[[str, ir.Value, ir.Value, ir.Value, ir.Value], None]


def copy_sizes(step: Copy) -> list[str]:
    """The sizes in a copy, as texts."""
    return [t for p in (step.target, step.source) for t in (p.offset, *p.steps)] + [*step.shape]


def copy(stub: StubBuilder, step: Copy, launch: Launch) -> None:
    """`target[...] = source[...]`, or of one constant element."""
    b, itemsize = stub.builder, np.dtype(step.dtype).itemsize
    target = _start(stub, step.target, itemsize)
    source = number(0) if step.element else _start(stub, step.source, itemsize)
    if not step.shape:
        _element(stub, step, target, source)
        return
    shape = [stub.expression(text) for text in step.shape]
    work: ir.Value = number(_WORK)
    for size in shape:
        work = b.mul(work, size)
    steps = [
        b.mul(stub.expression(text), number(itemsize))
        for place in (step.target, step.source)
        for text in place.steps
    ]
    buffers, sizes = stub.array_of([target, source]), stub.array_of([*shape, *steps])
    launch(_kernel(stub, step), buffers, sizes, shape[0], work)


def clear(stub: StubBuilder, address: ir.Value, count: ir.Value, launch: Launch) -> None:
    """Zeros in so many bytes."""
    b = stub.builder
    if "clear" not in stub.module.globals:
        with _function(stub, "clear") as (buffers, sizes, low, high):
            inner, start = stub.builder, stub.load(buffers, 0, I64)
            first, last = (inner.mul(k, number(_LINE)) for k in (low, high))
            end = stub.load(sizes, 0, I64)
            last = inner.select(inner.icmp_signed("<", last, end), last, end)
            zero = ir.Constant(I32, 0)
            stub.call("memset", I64, inner.add(start, first), zero, inner.sub(last, first))
    lines = b.sdiv(b.add(count, number(_LINE - 1)), number(_LINE))
    launch(
        "clear", stub.array_of([address]), stub.array_of([count]), lines, b.sdiv(count, number(4))
    )


@contextmanager
def _function(stub: StubBuilder, name: str) -> Iterator[tuple[ir.Value, ...]]:
    """What the stub builds meanwhile is a function with the signature of a kernel."""
    function = ir.Function(stub.module, KERNEL, name)
    function.linkage = "internal"
    outer = stub.function, stub.builder
    stub.function, stub.builder = function, ir.IRBuilder(function.append_basic_block("start"))
    yield tuple(function.args)
    stub.builder.ret_void()
    stub.function, stub.builder = outer


def _kernel(stub: StubBuilder, step: Copy) -> str:
    """The function of a copy, by name."""
    name = f"copy{sum(n.startswith('copy') for n in stub.module.globals)}"
    count = len(step.shape)
    with _function(stub, name) as (buffers, sizes, low, high):
        _copy_rows(stub, step, count, buffers, sizes, low, high)
    return name


def _copy_rows(
    stub: StubBuilder, step: Copy, count: int, buffers: ir.Value, sizes: ir.Value, low: ir.Value,
    high: ir.Value,
) -> None:  # fmt: skip
    target, source = (stub.load(buffers, 8 * k, I64) for k in range(2))
    shape, to, of = ([stub.load(sizes, 8 * (p * count + k), I64) for k in range(count)]
                     for p in range(3))  # fmt: skip
    b = stub.builder
    target, source = b.add(target, b.mul(low, to[0])), b.add(source, b.mul(low, of[0]))
    _loop(
        stub, step, [b.sub(high, low), *shape[1:]], list(zip(to, of, strict=True)), target, source
    )


def _start(stub: StubBuilder, place: Strided, itemsize: int) -> ir.Value:
    offset = stub.builder.mul(stub.expression(place.offset), number(itemsize))
    return stub.builder.add(stub.data[place.array], offset)


def _loop(
    stub: StubBuilder, step: Copy, counts: Sequence[ir.Value],
    steps: Sequence[tuple[ir.Value, ir.Value]], target: ir.Value, source: ir.Value,
) -> None:  # fmt: skip
    """Over the first of the axes, with those after it inside."""
    b, itemsize = stub.builder, np.dtype(step.dtype).itemsize
    if not counts:
        _element(stub, step, target, source)
        return
    count = counts[0]
    adjacent = step.target.steps[-1] == step.source.steps[-1] == "1"
    if len(counts) == 1 and adjacent and not step.element:
        stub.call("memmove", I64, target, source, b.mul(count, number(itemsize)))
        return
    head, body, end = (stub.function.append_basic_block(n) for n in ("axis", "items", "end"))
    before = b.block
    b.branch(head)
    b.position_at_end(head)
    k, to, of = (b.phi(I64) for _ in range(3))
    for value, first in ((k, number(0)), (to, target), (of, source)):
        value.add_incoming(first, before)
    b.cbranch(b.icmp_signed("<", k, count), body, end)
    b.position_at_end(body)
    _loop(stub, step, counts[1:], steps[1:], to, of)
    following = [b.add(k, number(1)), b.add(to, steps[0][0]), b.add(of, steps[0][1])]
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
