"""The loop IR: a nest of loops over buffers, before it is Python.

    kernel ::= Kernel(name, buffers, sizes, extent, body) buffer ::= Buffer(name, dtype, shape,
    layout, role) stmt   ::= Range(index, body)                 the outermost loop; runs over a part
    [lo, hi) of its extent
             | For(index, extent, body)           a loop run whole
             both may be limited to [start, stop) of their range
             | Let(name, value)                   a scalar, assigned once
             | Accumulator(name, combine, dtype)  starts at the neutral element of `combine`
             | Accumulate(name, combine, value, at)
             | Store(buffer, index, value)
             | If(condition, body)
             | Scratch(buffer)                    memory of fixed size for one call of the kernel
             | Transpose(tile, source, axis, columns, rows)
                                                  a tile filled across, see `transpose_tile`
    expr   ::= Const(value, dtype) | Var(name, dtype) | Load(buffer, index) | Cast(value, dtype)
             | Apply(template, args, dtype)       Python over x, y, z, the positions of `args`
    size   ::= int | name of a run-time int64 argument

A kernel of no `Range` handles its extent of 1 in one go.  Dtypes are NumPy names ("float32").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

Extent = int | str

COMBINES = frozenset(("sum", "prod", "max", "min", "any", "all", "argmax", "argmin", "last"))
COMBINED = {
    "sum": "x + y", "prod": "x * y", "max": "maximum(x, y)", "min": "minimum(x, y)",
    "any": "x | y", "all": "x & y",
}  # fmt: skip  # an accumulator x that takes in y
INDEX = "int64"


@dataclass(frozen=True)
class Buffer:
    """One array argument.

    layout: "C"; "R" where the elements of a row lie side by side; or "A" for strides of any kind.
    role: "in", "out" or "inout".
    """

    name: str
    dtype: str
    shape: tuple[Extent, ...]
    layout: str
    role: str

    @property
    def strides(self) -> tuple[str, ...]:
        """Names of the arguments that give the byte strides that the layout leaves open."""
        given = {"C": 0, "R": len(self.shape) - 1, "A": len(self.shape)}[self.layout]
        return tuple(f"{self.name}_stride{k}" for k in range(given))


@dataclass(frozen=True)
class Const:
    value: bool | int | float | complex
    dtype: str


@dataclass(frozen=True)
class Var:
    name: str
    dtype: str


@dataclass(frozen=True)
class Load:
    buffer: Buffer
    index: tuple[Expr, ...]

    @property
    def dtype(self) -> str:
        return self.buffer.dtype


@dataclass(frozen=True)
class Cast:
    value: Expr
    dtype: str


@dataclass(frozen=True)
class Apply:
    template: str
    args: tuple[Expr, ...]
    dtype: str


Expr = Const | Var | Load | Cast | Apply


@dataclass(frozen=True)
class Let:
    name: str
    value: Expr


@dataclass(frozen=True)
class Accumulator:
    name: str
    combine: str
    dtype: str


@dataclass(frozen=True)
class Accumulate:
    name: str
    combine: str
    value: Expr
    at: Expr | None = None  # the position, for argmax and argmin


@dataclass(frozen=True)
class Store:
    buffer: Buffer
    index: tuple[Expr, ...]
    value: Expr


@dataclass(frozen=True)
class For:
    index: str
    extent: Extent
    body: tuple[Stmt, ...]
    start: Expr | None = None
    stop: Expr | None = None


@dataclass(frozen=True)
class Range:
    """step: by how much its index advances; the part's end is named `hi` inside."""

    index: str
    body: tuple[Stmt, ...]
    start: Expr | None = None
    stop: Expr | None = None
    step: int = 1


@dataclass(frozen=True)
class If:
    condition: Expr
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class Scratch:
    buffer: Buffer


@dataclass(frozen=True)
class Transpose:
    """source: the load of its first element, whose columns are along `axis`."""

    tile: Buffer
    source: Load
    axis: int
    columns: Expr
    rows: Expr


Stmt = Let | Accumulator | Accumulate | Store | For | Range | If | Scratch | Transpose
NESTS = (For, Range, If)  # statements with a body


@dataclass(frozen=True)
class Kernel:
    """A loop nest; `extent` is that of its `Range`."""

    name: str
    buffers: tuple[Buffer, ...]
    sizes: tuple[str, ...]
    extent: Extent
    body: tuple[Stmt, ...]

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of all int64 arguments: sizes, then the strides of buffers."""
        return self.sizes + tuple(s for b in self.buffers for s in b.strides)

    @property
    def arguments_of_function(self) -> tuple[str, ...]:
        """The sizes that the loop nest names; the others only describe arrays."""
        named = set(_sizes_named(self.body))
        return tuple(s for s in self.sizes if s in named)

    def verify(self) -> None:
        """Raise ValueError unless names are defined before use, buffers declared and indices
        complete.
        """
        _Verifier(self).block(self.body, {})


def _sizes_named(body: tuple[Stmt, ...]) -> Iterator[str]:
    for stmt in body:
        if isinstance(stmt, For) and isinstance(stmt.extent, str):
            yield stmt.extent
        if isinstance(stmt, NESTS):
            yield from _sizes_named(stmt.body)
    plain = [replace(s, body=()) if isinstance(s, NESTS) else s for s in body]
    stack = list(expressions(tuple(plain)))
    while stack:
        expr = stack.pop()
        if isinstance(expr, Var):
            yield expr.name
        stack.extend(children(expr))


class _Verifier:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.buffers = {b.name: b for b in kernel.buffers}
        if len(self.buffers) != len(kernel.buffers):
            self.fail("two buffers have one name")

    def fail(self, why: str) -> None:
        raise ValueError(f"kernel {self.kernel.name}: {why}")

    def extent(self, extent: Extent) -> None:
        if isinstance(extent, str) and extent not in self.kernel.sizes:
            self.fail(f"{extent} is no size argument")

    def block(self, body: tuple[Stmt, ...], outer: dict[str, str]) -> None:
        scope = dict(outer)
        for stmt in body:
            match stmt:
                case Range(index, inner, start, stop):
                    self.extent(self.kernel.extent)
                    self.limits(start, stop, scope)
                    self.block(inner, scope | {index: INDEX, "hi": INDEX})
                case Scratch(buffer):
                    known = self.buffers.setdefault(buffer.name, buffer)
                    if known != buffer or any(isinstance(d, str) for d in buffer.shape):
                        self.fail(f"{buffer.name} is no scratch memory")
                case For(index, extent, inner, start, stop):
                    self.extent(extent)
                    self.limits(start, stop, scope)
                    self.block(inner, scope | {index: INDEX})
                case If(condition, inner):
                    self.expr(condition, scope)
                    self.block(inner, scope)
                case Transpose(tile, source, _, columns, rows):
                    self.access(tile, (columns, rows), scope)
                    self.expr(source, scope)
                case Let(name, value):
                    self.expr(value, scope)
                    if name in scope:
                        self.fail(f"{name} is assigned twice")
                    scope[name] = value.dtype
                case Accumulator(name, combine, dtype):
                    if combine not in COMBINES:
                        self.fail(f"unknown combination {combine}")
                    scope[name] = dtype
                    if combine.startswith("arg"):
                        scope[f"{name}_at"] = INDEX
                case Accumulate(name, _, value, at):
                    if name not in scope:
                        self.fail(f"accumulator {name} is not declared")
                    self.expr(value, scope)
                    if at is not None:
                        self.expr(at, scope)
                case Store(buffer, index, value):
                    self.access(buffer, index, scope)
                    if buffer.role == "in":
                        self.fail(f"{buffer.name} is written but is no output")
                    if value.dtype != buffer.dtype:
                        self.fail(f"{buffer.name} of {buffer.dtype} is given {value.dtype}")
                    self.expr(value, scope)

    def limits(self, start: Expr | None, stop: Expr | None, scope: dict[str, str]) -> None:
        for limit in (start, stop):
            if limit is not None:
                self.expr(limit, scope)

    def access(self, buffer: Buffer, index: tuple[Expr, ...], scope: dict[str, str]) -> None:
        if self.buffers.get(buffer.name) != buffer:
            self.fail(f"{buffer.name} is no declared buffer")
        if len(index) != len(buffer.shape):
            self.fail(f"{buffer.name} has {len(buffer.shape)} axes, not {len(index)}")
        for i in index:
            self.expr(i, scope)

    def expr(self, expr: Expr, scope: dict[str, str]) -> None:
        match expr:
            case Var(name, dtype):
                known = INDEX if name in self.kernel.sizes else scope.get(name)
                if known != dtype:
                    self.fail(
                        f"{name} of {dtype} is " + (f"of {known}" if known else "not defined")
                    )
            case Load(buffer, index):
                self.access(buffer, index, scope)
            case Cast(value, _):
                self.expr(value, scope)
            case Apply(_, args, _):
                for arg in args:
                    self.expr(arg, scope)


def neutral(combine: str, dtype: str) -> bool | int | float:
    """What an accumulator starts from."""
    if combine in ("any", "all"):
        return combine == "all"
    if combine in ("sum", "prod", "last"):
        return combine == "prod" if dtype == "bool" else int(combine == "prod")
    lowest = combine in ("max", "argmax")
    if dtype == "bool":
        return not lowest
    if dtype.startswith("float"):
        return -math.inf if lowest else math.inf
    bits = int(dtype.lstrip("uint"))
    top: int = 2 ** (bits - 1)
    if dtype.startswith("u"):
        return 0 if lowest else 2 * top - 1
    return -top if lowest else top - 1


def children(expr: Expr) -> tuple[Expr, ...]:
    match expr:
        case Load(_, index):
            return index
        case Cast(value, _):
            return (value,)
        case Apply(_, args, _):
            return args
    return ()


def rebuild(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The expression with `change` applied to its children."""
    match expr:
        case Load(buffer, index):
            return Load(buffer, tuple(map(change, index)))
        case Cast(value, dtype):
            return Cast(change(value), dtype)
        case Apply(template, args, dtype):
            return Apply(template, tuple(map(change, args)), dtype)
    return expr


def expressions(body: tuple[Stmt, ...]) -> Iterator[Expr]:
    """The expressions of all statements, outermost ones only."""
    for stmt in body:
        match stmt:
            case Let(_, value):
                yield value
            case Accumulate(_, _, value, at):
                yield value
                if at is not None:
                    yield at
            case Store(_, index, value):
                yield from index
                yield value
            case For(_, _, inner, start, stop) | Range(_, inner, start, stop, _):
                yield from (limit for limit in (start, stop) if limit is not None)
                yield from expressions(inner)
            case If(condition, inner):
                yield condition
                yield from expressions(inner)
            case Transpose(_, source, _, columns, rows):
                yield from (source, columns, rows)


def map_expressions(body: tuple[Stmt, ...], change: Callable[[Expr], Expr]) -> tuple[Stmt, ...]:
    """The statements with `change` applied to their outermost expressions."""
    result: list[Stmt] = []
    for stmt in body:
        match stmt:
            case Let():
                result.append(replace(stmt, value=change(stmt.value)))
            case Accumulate():
                at = None if stmt.at is None else change(stmt.at)
                result.append(replace(stmt, value=change(stmt.value), at=at))
            case Store():
                index = tuple(map(change, stmt.index))
                result.append(replace(stmt, index=index, value=change(stmt.value)))
            case For() | Range():
                result.append(replace(stmt, body=map_expressions(stmt.body, change)))
            case If():
                inner = map_expressions(stmt.body, change)
                result.append(If(change(stmt.condition), inner))
            case Transpose():
                source = rebuild(stmt.source, change)
                assert isinstance(source, Load)
                columns, rows = change(stmt.columns), change(stmt.rows)
                result.append(replace(stmt, source=source, columns=columns, rows=rows))
            case _:
                result.append(stmt)
    return tuple(result)
