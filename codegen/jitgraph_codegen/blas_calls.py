"""Matrix products in entry stubs: calls of CBLAS."""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from .blas import DTYPES
from .native import Matrix, Product
from .stub import I32, I64, StubBuilder, number

_BY_ROWS, _AS_IT_IS, _TRANSPOSED = 101, 111, 112  # CBLAS's order and transpositions
_LARGE = 1 << 18  # multiplications that other threads of the interpreter may run beside
_REAL = {"float32": ir.FloatType(), "float64": ir.DoubleType()}


def product_sizes(step: Product) -> list[str]:
    """The sizes in a product, as texts."""
    of_matrices = [t for m in (step.x, step.y) for t in (m.offset, m.step, *m.stack)]
    return [*of_matrices, *step.stack, step.rows, step.inner, step.columns]


def multiply(stub: StubBuilder, step: Product) -> None:
    """The product, by one call of BLAS for each matrix of a stack."""
    b = stub.builder
    work = number(1)
    for text in (*step.stack, step.rows, step.inner, step.columns):
        work = b.mul(work, stub.expression(text))
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
