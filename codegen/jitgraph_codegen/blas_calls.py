"""Matrix products in entry stubs: calls of CBLAS, and of the kernel for smaller matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from llvmlite import ir

from .blas import DTYPES
from .matrix_kernel import name as kernel_name
from .matrix_kernel import tile
from .native import Matrix, Product
from .stub import I32, I64, StubBuilder, number

_BY_ROWS, _AS_IT_IS, _TRANSPOSED = 101, 111, 112  # CBLAS's order and transpositions
_LARGE = 1 << 18  # multiplications that other threads of the interpreter may run beside
_LONGEST, _LONGEST_SHARED = 256, 1024  # inner sizes for the kernel, alone and by several threads
_MIDDLING = 1 << 19  # elements of x, which is read again from the second cache
_NARROW = 192  # columns of x read across, of which more inner ones are at hand
_FEWEST_ROWS = 16  # that make up for packing columns
_HIGH, _LOW = 384, 64  # rows by which parts are cut
Launch = Callable[[str, ir.Value, ir.Value, ir.Value, ir.Value], None]
_REAL = {"float32": ir.FloatType(), "float64": ir.DoubleType()}


def product_sizes(step: Product) -> list[str]:
    """The sizes in a product, as texts."""
    of_matrices = [t for m in (step.x, step.y) for t in (m.offset, m.step, *m.stack)]
    return [*of_matrices, *step.stack, step.rows, step.inner, step.columns]


def multiply(stub: StubBuilder, step: Product, launch: Launch, threads: ir.Value) -> None:
    """The product, by the kernel or by one call of BLAS for each matrix of a stack.

    launch: emits the launch of a kernel by name, see `entry`.  threads: how many may share it.
    """
    b = stub.builder
    work = number(1)
    for text in (*step.stack, step.rows, step.inner, step.columns):
        work = b.mul(work, stub.expression(text))
    if step.routine != "gemm" or len(step.stack) > 2 or tile(step.dtype) is None:
        _by_blas(stub, step, work)
        return
    by_kernel, by_blas, after = (
        stub.function.append_basic_block(name) for name in ("by_kernel", "by_blas", "multiplied")
    )
    b.cbranch(_suits_kernel(stub, step, threads), by_kernel, by_blas)
    b.position_at_end(by_kernel)
    _by_kernel(stub, step, work, launch, threads)
    b.branch(after)
    b.position_at_end(by_blas)
    _by_blas(stub, step, work)
    b.branch(after)
    b.position_at_end(after)


def _suits_kernel(stub: StubBuilder, step: Product, threads: ir.Value) -> ir.Value:
    """Whether rows are short enough to be at their best without packing x, and enough to pack y."""
    b = stub.builder
    rows, inner = stub.expression(step.rows), stub.expression(step.inner)
    long = b.icmp_signed(">", threads, number(1))
    if step.x.crossed:
        long = b.or_(long, b.icmp_signed("<=", rows, number(_NARROW)))
    long = b.and_(long, b.icmp_signed("<", b.mul(rows, inner), number(_MIDDLING)))
    longest = b.select(long, number(_LONGEST_SHARED), number(_LONGEST))
    short = b.icmp_signed("<=", inner, longest)
    return b.and_(short, b.icmp_signed(">=", rows, number(_FEWEST_ROWS)))


def _by_kernel(
    stub: StubBuilder, step: Product, work: ir.Value, launch: Launch, threads: ir.Value
) -> None:
    b, shape = stub.builder, tile(step.dtype)
    assert shape is not None
    rows, inner, columns = map(stub.expression, (step.rows, step.inner, step.columns))
    itemsize = number(np.dtype(step.dtype).itemsize)
    buffers = [
        b.add(stub.data[m.array], b.mul(stub.expression(m.offset), itemsize))
        for m in (step.x, step.y)
    ]
    high = b.select(b.icmp_signed(">=", rows, number(_HIGH)), number(_HIGH // 2), number(_LOW))
    height = b.select(b.icmp_signed(">", threads, number(1)), high, rows)
    parts_down = b.sdiv(b.sub(b.add(rows, height), number(1)), height)
    width = number(shape.columns)
    parts_along = b.sdiv(b.sub(b.add(columns, width), number(1)), width)
    stack = [number(1)] * (2 - len(step.stack)) + list(map(stub.expression, step.stack))
    steps = [
        distance
        for m in (step.x, step.y)
        for distance in ([number(0)] * (2 - len(m.stack)) + list(map(stub.expression, m.stack)))
    ]
    sizes = [
        rows, inner, columns, *_down_and_along(stub, step.x), *_down_and_along(stub, step.y),
        height, parts_down, parts_along, stack[1], *steps,
    ]  # fmt: skip
    extent = b.mul(b.mul(stack[0], stack[1]), b.mul(parts_down, parts_along))
    arrays = stub.array_of([*buffers, stub.data[step.result]])
    launch(kernel_name(step.dtype), arrays, stub.array_of(sizes), extent, work)


def _down_and_along(stub: StubBuilder, matrix: Matrix) -> tuple[ir.Value, ir.Value]:
    distance = stub.expression(matrix.step)
    return (number(1), distance) if matrix.crossed else (distance, number(1))


def _by_blas(stub: StubBuilder, step: Product, work: ir.Value) -> None:
    b = stub.builder
    large, small, after = (
        stub.function.append_basic_block(name) for name in ("large", "small", "after")
    )
    b.cbranch(b.icmp_signed(">=", work, number(_LARGE)), large, small)
    b.position_at_end(large)
    with stub.others_may_run():
        _each(stub, step)
    b.branch(after)
    b.position_at_end(small)
    _each(stub, step)
    b.branch(after)
    b.position_at_end(after)


def _each(stub: StubBuilder, step: Product) -> None:
    """
    for k in range(stack): gemm(x[k], y[k], result[k])
    """
    if not step.stack:
        _one(stub, step, number(0))
        return
    b = stub.builder
    count = number(1)
    for text in step.stack:
        count = b.mul(count, stub.expression(text))
    start, body, end = (
        stub.function.append_basic_block(name) for name in ("stack", "matrix", "done")
    )
    b.branch(start)
    b.position_at_end(start)
    b.branch(body)
    b.position_at_end(body)
    k = b.phi(I64)
    k.add_incoming(number(0), start)
    _one(stub, step, k)
    following = b.add(k, number(1))
    k.add_incoming(following, b.block)
    b.cbranch(b.icmp_signed("<", following, count), body, end)
    b.position_at_end(end)


def _one(stub: StubBuilder, step: Product, k: ir.Value) -> None:
    real, name = _REAL[step.dtype], DTYPES[step.dtype] + step.routine
    rows, inner, columns = map(stub.expression, (step.rows, step.inner, step.columns))
    x, y = _address(stub, step, step.x, k), _address(stub, step, step.y, k)
    step_x, step_y = stub.expression(step.x.step), stub.expression(step.y.step)
    b, itemsize = stub.builder, np.dtype(step.dtype).itemsize
    of_each = b.mul(b.mul(rows, columns), number(itemsize))
    result = b.add(stub.data[step.result], b.mul(k, of_each))
    order, one, zero = ir.Constant(I32, _BY_ROWS), ir.Constant(real, 1.0), ir.Constant(real, 0.0)
    match step.routine:
        case "dot":
            found = stub.call(name, real, inner, x, step_x, y, step_y)
            b.store(found, stub.pointer(result, real))
        case "gemv":
            sizes = (inner, rows) if step.x.crossed else (rows, inner)
            stub.call(
                name, ir.VoidType(), order, _turned(step.x), *sizes, one, x, step_x, y, step_y,
                zero, result, number(1),
            )  # fmt: skip
        case _:
            stub.call(
                name, ir.VoidType(), order, _turned(step.x), _turned(step.y), rows, columns, inner,
                one, x, step_x, y, step_y, zero, result, columns,
            )  # fmt: skip


def _address(stub: StubBuilder, step: Product, matrix: Matrix, k: ir.Value) -> ir.Value:
    """Of the first element of matrix number k, counted in C order along the axes of the stack."""
    b, elements, rest = stub.builder, stub.expression(matrix.offset), k
    for text, distance in reversed(list(zip(step.stack, matrix.stack, strict=True))):
        size = stub.expression(text)
        place, rest = b.srem(rest, size), b.sdiv(rest, size)
        elements = b.add(elements, b.mul(place, stub.expression(distance)))
    return b.add(stub.data[matrix.array], b.mul(elements, number(np.dtype(step.dtype).itemsize)))


def _turned(matrix: Matrix) -> ir.Constant:
    return ir.Constant(I32, _TRANSPOSED if matrix.crossed else _AS_IT_IS)
