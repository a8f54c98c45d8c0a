"""The same loop IR as Python for `numba.cuda`.

Elements are spread over the threads of a grid.  A kernel that reduces rows gives each row to a
block: its threads stride along the row, each with accumulators of its own, which the block combines
after every pass.

    LAUNCH = "rows"

    @cuda.jit
    def softmax_0(x, out, n1, extent):
        for i in range(cuda.blockIdx.x, extent, cuda.gridDim.x):
            t0 = float32(-math.inf)
            for j in range(cuda.threadIdx.x, n1, cuda.blockDim.x):
                t0 = maximum(t0, x[i, j])
            t0 = block_max(t0, cuda.shared.array(THREADS, float32))
            ...
"""

from __future__ import annotations

import ast
import re

from . import printing as p
from .loop_ir import Accumulate, Accumulator, Buffer, For, Kernel, Let, Range, Stmt, Store
from .source import Source

THREADS = 128
MATH_MODULE = "jitgraph_codegen.cuda_math"
_KNOWN = frozenset((
    "range", "abs", "max", "min", "bool", "bool_", "math", "np", "cuda", "extent", "round",
    "THREADS",
))  # fmt: skip

# NumPy's functions in templates by what device code has.
_RENAMED = {
    "np.floor": "math.floor",
    "np.ceil": "math.ceil",
    "np.trunc": "math.trunc",
    "np.rint": "round",
}


class UnsupportedError(ValueError):
    """An operation that has no CUDA form yet."""


def print_kernel(kernel: Kernel, doc: str) -> Source:
    """CUDA source of a kernel; `UnsupportedError` for what has no device form."""
    rows = _reduces(kernel.body)
    body = _renamed(p.unparsed(_block(kernel.body, rows)))
    parameters = [b.name for b in kernel.buffers] + list(kernel.arguments_of_function)
    local = p.defined(kernel) | set(parameters)
    used = p.names_in(ast.parse(body)) - local
    functions = sorted(used - _KNOWN - set(p.DTYPES))
    known = [k for k, s in enumerate(kernel.sizes) if s in kernel.arguments_of_function]
    lines = [
        "import math", "", "import numpy as np", "from numba import cuda",
        *([f"from {MATH_MODULE} import {', '.join(functions)}"] if functions else []),
        "",
        *[f"{d} = np.{d}" for d in (*p.DTYPES, "bool_") if d in used],
        f'LAUNCH = "{"rows" if rows else "elements"}"  # how blocks are counted',
        f"THREADS = {THREADS}  # of a block",
        f"ARGUMENTS = {tuple(known)}  # of the sizes, those the kernel takes",
        "", "",
        f"def shapes({', '.join(kernel.sizes)}):",
        f"    return ({''.join(f'{_shape(b)}, ' for b in kernel.buffers)})",
        "", "",
        "@cuda.jit",
        f"def {kernel.name}({', '.join([*parameters, 'extent'])}):",
        *p.indented(p.docstring(doc)),
        *p.indented(body.splitlines()),
    ]  # fmt: skip
    module = "\n".join(lines) + "\n"
    return Source(kernel.name, module, module)


def _shape(buffer: Buffer) -> str:
    return f"({''.join(f'{d}, ' for d in buffer.shape)})"


def _renamed(body: str) -> str:
    for host, device in _RENAMED.items():
        body = body.replace(f"{host}(", f"{device}(")
    if found := re.search(r"np\.\w+", body):
        raise UnsupportedError(f"{found[0]} has no CUDA form yet")
    return body


def _reduces(body: tuple[Stmt, ...]) -> bool:
    return any(
        isinstance(s, Accumulator) or (isinstance(s, (For, Range)) and _reduces(s.body))
        for s in body
    )


def _block(body: tuple[Stmt, ...], rows: bool) -> list[ast.stmt]:
    """Statements of one block; `rows` while the kernel's threads share them."""
    own_row = rows and any(isinstance(s, Accumulator) for s in body)
    accumulators = {s.name: s for s in body if isinstance(s, Accumulator)}
    result: list[ast.stmt] = []
    for stmt in body:
        if own_row and isinstance(stmt, For):
            result += _pass(stmt, accumulators)
        elif own_row and isinstance(stmt, Store):
            first = ast.Compare(_thread(), [ast.Eq()], [ast.Constant(0)])
            result.append(ast.If(first, _statement(stmt, False), []))
        else:
            result += _statement(stmt, rows)
    return result


def _thread() -> ast.expr:
    return ast.parse("cuda.threadIdx.x", mode="eval").body


def _pass(loop: For, accumulators: dict[str, Accumulator]) -> list[ast.stmt]:
    """A pass along the row: a strided loop, then the accumulators it filled are combined."""
    bounds = [_thread(), p.extent(loop.extent), ast.parse("cuda.blockDim.x", mode="eval").body]
    result = [p.loop(loop.index, bounds, _block(loop.body, False))]
    for name in sorted(_filled(loop.body)):
        accumulator = accumulators[name]
        dtype = "bool_" if accumulator.dtype == "bool" else accumulator.dtype
        shared = f"cuda.shared.array(THREADS, {dtype})"
        call = f"{name} = block_{accumulator.combine}({name}, {shared})"
        result += ast.parse(call).body
    return result


def _filled(body: tuple[Stmt, ...]) -> set[str]:
    found: set[str] = set()
    for stmt in body:
        if isinstance(stmt, Accumulate):
            found.add(stmt.name)
        elif isinstance(stmt, (For, Range)):
            found |= _filled(stmt.body)
    return found


_UPDATES = {
    "sum": "x + y", "prod": "x * y", "max": "maximum(x, y)", "min": "minimum(x, y)", "any": "x | y",
    "all": "x & y",
}  # fmt: skip


def _statement(stmt: Stmt, rows: bool) -> list[ast.stmt]:
    match stmt:
        case Range(index, body):
            start, step = (
                ("cuda.blockIdx.x", "cuda.gridDim.x")
                if rows
                else ("cuda.grid(1)", "cuda.gridsize(1)")
            )
            bounds = [ast.parse(t, mode="eval").body for t in (start, "extent", step)]
            return [p.loop(index, bounds, _block(body, rows))]
        case For(index, extent, body):
            return [p.loop(index, [p.extent(extent)], _block(body, rows))]
        case Let(name, value):
            return [p.assign(name, p.expression(value))]
        case Accumulator(name, combine, dtype):
            if combine not in _UPDATES:
                raise UnsupportedError(f"{combine} has no CUDA form yet")
            return [p.assign(name, p.neutral(combine, dtype))]
        case Accumulate(name, combine, value, _):
            updated = p.filled(_UPDATES[combine], [p.name(name), p.expression(value)], value.dtype)
            return [p.assign(name, updated)]
        case Store(buffer, index, value):
            return [p.assign(p.subscript(buffer.name, index, store=True), p.expression(value))]
    raise TypeError(f"no statement: {stmt!r}")
