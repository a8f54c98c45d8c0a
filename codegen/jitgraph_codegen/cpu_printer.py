"""The loop IR as Python for Numba on the CPU.

For `softmax(x)` of rows it prints

    @njit(error_model="numpy", fastmath={"contract"})
    def softmax_0(x, out, n1, lo, hi):
        for i in range(lo, hi):
            assume(i >= 0)
            t0 = float32(-math.inf)
            for j in range(n1):
                t0 = maximum(t0, x[i, j])
            ...

which is all a person needs: it runs under Numba, and as plain Python with
NUMBA_DISABLE_JIT=1.  What is compiled is the same body behind the kernel ABI `(buffers, sizes, lo,
hi)`, in one function because two would take Numba twice the time.
"""

from __future__ import annotations

import ast

import numpy as np

from . import printing as p
from .loop_ir import (
    Accumulate,
    Accumulator,
    Const,
    For,
    If,
    Kernel,
    Let,
    Range,
    Scratch,
    Stmt,
    Store,
    Transpose,
    Var,
)
from .source import Source

MATH_MODULE = "jitgraph_codegen.loop_math"
_KNOWN = frozenset(("range", "abs", "max", "min", "bool", "complex", "math", "np", "lo", "hi"))


def print_kernel(kernel: Kernel, doc: str, precise: bool) -> Source:
    """Python source of a kernel. doc: what it computes; precise: no fused multiply-adds."""
    body = p.unparsed([s for stmt in kernel.body for s in _statement(stmt)])
    header = _header(kernel, body)
    options = 'error_model="numpy"' if precise else 'error_model="numpy", fastmath={"contract"}'
    parameters = [b.name for b in kernel.buffers] + list(kernel.arguments_of_function)
    module = [
        "import math", "", "import numpy as np", "from numba import njit", *header, "", "",
        f"@njit({options})",
        f"def {kernel.name}({', '.join([*parameters, 'lo', 'hi'])}):",
        *p.indented(p.docstring(doc)),
        *p.indented(body.splitlines()),
    ]  # fmt: skip
    entry = [
        "import math", "", "import numpy as np", *header, "", "",
        f"@entry_point({options})",
        "def entry(buffers, sizes, lo, hi):",
        *p.indented(_unpacked(kernel)),
        *p.indented(body.splitlines()),
    ]  # fmt: skip
    return Source(kernel.name, "\n".join(module) + "\n", "\n".join(entry) + "\n")


def _header(kernel: Kernel, body: str) -> list[str]:
    """Imports and dtype names for what the body mentions and does not define."""
    local = p.defined(kernel) | {b.name for b in kernel.buffers} | set(kernel.sizes)
    used = p.names_in(ast.parse(body)) - local
    functions = sorted(used - _KNOWN - set(p.DTYPES))
    imports = [f"from {MATH_MODULE} import {', '.join(functions)}"] if functions else []
    return [*imports, "", *[f"{d} = np.{d}" for d in p.DTYPES if d in used]]


def _statement(stmt: Stmt) -> list[ast.stmt]:
    match stmt:
        case Range(index, body, start, stop, step):
            inner = [s for b in body for s in _statement(b)]
            # without it Numba's wraparound of negative indices keeps a loop of one axis scalar
            positive = ast.Compare(p.name(index), [ast.GtE()], [ast.Constant(0)])
            inner.insert(0, ast.Expr(p.call("assume", positive)))
            low = (
                p.name("lo") if start is None else p.call("max", p.name("lo"), p.expression(start))
            )
            high = p.name("hi") if stop is None else p.call("min", p.name("hi"), p.expression(stop))
            return [p.loop(index, [low, high, *([ast.Constant(step)] if step != 1 else [])], inner)]
        case For(index, extent, body, first, end):
            high = p.extent(extent) if end is None else p.expression(end)
            bounds = [high] if first is None else [p.expression(first), high]
            inner = [s for b in body for s in _statement(b)]
            if first is not None and not isinstance(first, Const):
                least = p.name(first.name) if isinstance(first, Var) else ast.Constant(0)
                above = ast.Compare(p.name(index), [ast.GtE()], [least])
                inner.insert(0, ast.Expr(p.call("assume", above)))
            return [p.loop(index, bounds, inner)]
        case Scratch(buffer):
            shape = [ast.Constant(d) for d in buffer.shape]
            dtype = p.name("np.bool_" if buffer.dtype == "bool" else buffer.dtype)
            return [p.assign(buffer.name, p.call("scratch", *shape, dtype))]
        case Transpose(tile, source, axis, columns, rows):
            place = ast.Tuple([p.expression(i) for i in source.index], ast.Load())
            arrays = (p.name(tile.name), p.name(source.buffer.name))
            size = (p.expression(columns), p.expression(rows))
            fill = p.call("transpose_tile", *arrays, place, ast.Constant(axis), *size)
            return [ast.Expr(fill)]
        case If(condition, body):
            return [ast.If(p.expression(condition), [s for b in body for s in _statement(b)], [])]
        case Let(name, value):
            return [p.assign(name, p.expression(value))]
        case Accumulator(name, combine, dtype):
            neutral = [p.assign(name, p.neutral(combine, dtype))]
            return neutral + (
                [p.assign(f"{name}_at", ast.Constant(0))] if combine.startswith("arg") else []
            )
        case Accumulate():
            return _accumulate(stmt)
        case Store(buffer, index, value):
            return [p.assign(p.subscript(buffer.name, index, store=True), p.expression(value))]
    raise TypeError(f"no statement: {stmt!r}")


_UPDATES = {
    "max": "maximum(x, y)", "min": "minimum(x, y)", "any": "x | y", "all": "x & y", "last": "y",
}  # fmt: skip


def _accumulate(stmt: Accumulate) -> list[ast.stmt]:
    value, dtype = p.expression(stmt.value), stmt.value.dtype
    if stmt.combine in ("argmax", "argmin"):
        return _argument(stmt, value)
    if stmt.combine in ("sum", "prod"):
        floating = dtype.startswith("float")
        symbol = "+" if stmt.combine == "sum" else "*"
        template = (
            f"{'add' if symbol == '+' else 'mul'}_reassoc(x, y)" if floating else f"x {symbol} y"
        )
    else:
        template = _UPDATES[stmt.combine]
    updated = p.filled(template, [p.name(stmt.name), value], dtype)
    if dtype in p.NARROW_INTEGERS:
        updated = p.call(dtype, updated)
    return [p.assign(stmt.name, updated)]


def _argument(stmt: Accumulate, value: ast.expr) -> list[ast.stmt]:
    """`if not v <= best and best == best: best, best_at = v, at`: of several NaN the first wins.

    A comparison that a NaN makes false costs one test where `v > best or v != v` costs two.
    """
    assert stmt.at is not None
    test = "x > y" if stmt.combine == "argmax" else "x < y"
    if stmt.value.dtype.startswith("float"):
        test = f"not x {'<=' if stmt.combine == 'argmax' else '>='} y and y == y"
    candidate = f"{stmt.name}_new"
    better = p.filled(test, [p.name(candidate), p.name(stmt.name)], stmt.value.dtype)
    take = [
        p.assign(stmt.name, p.name(candidate)),
        p.assign(f"{stmt.name}_at", p.expression(stmt.at)),
    ]
    return [p.assign(candidate, value), ast.If(better, take, [])]


def _unpacked(kernel: Kernel) -> list[str]:
    """Arrays made from the ABI's raw pointers, and sizes by name."""
    position = {name: f"sizes[{k}]" for k, name in enumerate(kernel.arguments)}

    def size(value: int | str) -> str:
        return str(value) if isinstance(value, int) else position[value]

    lines = []
    for k, buffer in enumerate(kernel.buffers):
        shape = "".join(f"{size(d)}, " for d in buffer.shape)
        layout = ""
        if buffer.layout != "C":
            strides = [position[s] for s in buffer.strides]
            if buffer.layout == "R":
                strides.append(str(np.dtype(buffer.dtype).itemsize))
            layout = f", ({''.join(f'{s}, ' for s in strides)})"
        dtype = f"np.{_numpy_name(buffer.dtype)}"
        lines.append(f"{buffer.name} = array_view(buffers, {k}, {dtype}, ({shape}){layout})")
    return lines + [f"{s} = {position[s]}" for s in kernel.arguments_of_function]


def _numpy_name(dtype: str) -> str:
    return "bool_" if dtype == "bool" else dtype
