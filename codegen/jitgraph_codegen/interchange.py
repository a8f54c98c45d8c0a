"""Reductions for many rows at a time, where the elements that are reduced do not lie side by side.

    for i in range(lo, hi):
        t1 = p[i, 0]
        t0 = inf
        for j in range(n1): t0 = minimum(t0, t1 - c[j, 0])
        out[i] = t0

becomes, with the values of 64 rows in memory on the stack,

    for block in range(lo, hi, 64):
        for i in range(block, ...):
            rows[0, i - block] = p[i, 0]
            rows[1, i - block] = inf
        for j in range(n1):
            for i in range(block, ...):
                rows[1, i - block] = minimum(rows[1, i - block], rows[0, i - block] - c[j, 0])
        for i in range(block, ...): out[i] = rows[1, i - block]

so that the innermost loop runs over adjacent memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .loop_ir import (
    COMBINED,
    INDEX,
    Accumulate,
    Accumulator,
    Apply,
    Buffer,
    Const,
    Expr,
    For,
    Kernel,
    Let,
    Load,
    Range,
    Scratch,
    Stmt,
    Store,
    Var,
    map_expressions,
    neutral,
    rebuild,
)
from .passes import variables

ROWS = 64
MOST = 24  # values of a row that are kept

_BETTER = {"argmax": "x > y", "argmin": "x < y"}


def interchanged(kernel: Kernel) -> Kernel | None:
    """The kernel with its rows in blocks; None where it is no reduction of each row in one loop."""
    if len(kernel.body) != 1 or not isinstance(outer := kernel.body[0], Range):
        return None
    loops = [k for k, s in enumerate(outer.body) if isinstance(s, For)]
    if len(loops) != 1 or any(isinstance(s, Range) for s in outer.body):
        return None
    (at,) = loops
    loop, before, after = outer.body[at], outer.body[:at], outer.body[at + 1 :]
    assert isinstance(loop, For)
    plain = all(isinstance(s, Let | Accumulate) for s in loop.body)
    if not plain or not all(isinstance(s, Let | Accumulator) for s in before):
        return None
    return _Blocks(kernel, outer, before, loop, after).kernel()


class _Blocks:
    def __init__(
        self,
        kernel: Kernel,
        outer: Range,
        before: Sequence[Stmt],
        loop: For,
        after: Sequence[Stmt],
    ) -> None:
        self.whole, self.outer, self.loop, self.after = kernel, outer, loop, after
        self.lets = [s for s in before if isinstance(s, Let)]
        self.accumulators = [s for s in before if isinstance(s, Accumulator)]
        self.kept: dict[str, tuple[str, int]] = {}  # variable -> its dtype and row
        self.counts: dict[str, int] = {}

    def kernel(self) -> Kernel | None:
        needed = variables((*self.loop.body, *self.after))
        for let in self.lets:
            if let.name in needed:
                self._keep(let.name, let.value.dtype)
        for accumulator in self.accumulators:
            self._keep(accumulator.name, accumulator.dtype)
            if accumulator.combine.startswith("arg"):
                self._keep(f"{accumulator.name}_at", INDEX)
        if len(self.kept) > MOST:
            return None
        start: list[Stmt] = [*self.lets]
        start += [self._store(s.name, Var(s.name, s.value.dtype)) for s in self.lets
                  if s.name in self.kept]  # fmt: skip
        for accumulator in self.accumulators:
            first = neutral(accumulator.combine, accumulator.dtype)
            start.append(self._store(accumulator.name, Const(first, accumulator.dtype)))
            if accumulator.combine.startswith("arg"):
                start.append(self._store(f"{accumulator.name}_at", Const(0, INDEX)))
        inner: list[Stmt] = []
        for stmt in map_expressions(self.loop.body, self._from_memory):
            inner += self._accumulated(stmt) if isinstance(stmt, Accumulate) else [stmt]
        end = map_expressions(tuple(self.after), self._from_memory)
        block, last = Var("block", INDEX), Var("block_end", INDEX)
        limit = Apply("min(x + y, z)", (block, Const(ROWS, INDEX), Var("hi", INDEX)), INDEX)
        body: tuple[Stmt, ...] = (
            Let(last.name, limit),
            self._rows(start),
            replace(self.loop, body=(self._rows(inner),)),
            self._rows(end),
        )
        memory = tuple(Scratch(self._buffer(dtype)) for dtype in self.counts)
        return replace(self.whole, body=(*memory, Range(block.name, body, step=ROWS)))

    def _keep(self, name: str, dtype: str) -> None:
        row = self.counts.get(dtype, 0)
        self.counts[dtype] = row + 1
        self.kept[name] = dtype, row

    def _buffer(self, dtype: str) -> Buffer:
        return Buffer(f"rows_{dtype}", dtype, (self.counts[dtype], ROWS), "C", "inout")

    def _place(self, name: str) -> tuple[Buffer, tuple[Expr, ...]]:
        dtype, row = self.kept[name]
        column = Apply("x - y", (Var(self.outer.index, INDEX), Var("block", INDEX)), INDEX)
        return self._buffer(dtype), (Const(row, INDEX), column)

    def _load(self, name: str) -> Load:
        return Load(*self._place(name))

    def _store(self, name: str, value: Expr) -> Store:
        return Store(*self._place(name), value)

    def _rows(self, body: Sequence[Stmt]) -> For:
        start, stop = Var("block", INDEX), Var("block_end", INDEX)
        return For(self.outer.index, ROWS, tuple(body), start, stop)

    def _from_memory(self, expr: Expr) -> Expr:
        if isinstance(expr, Var) and expr.name in self.kept:
            return self._load(expr.name)
        return rebuild(expr, self._from_memory)

    def _accumulated(self, stmt: Accumulate) -> Iterator[Stmt]:
        best = self._load(stmt.name)
        if stmt.combine not in _BETTER:
            both = (best, stmt.value)
            yield self._store(stmt.name, Apply(COMBINED[stmt.combine], both, best.dtype))
            return
        assert stmt.at is not None
        value = Var(f"{stmt.name}_new", best.dtype)
        better = Var(f"{stmt.name}_better", "bool")
        test = _BETTER[stmt.combine]
        if best.dtype.startswith("float"):  # of several NaN the first one stays
            test = f"({test}) | (x != x) & (y == y)"
        yield Let(value.name, stmt.value)
        yield Let(better.name, Apply(test, (value, best), "bool"))
        for name, new in ((f"{stmt.name}_at", stmt.at), (stmt.name, value)):
            old = self._load(name)
            chosen = Apply("select(x, y, z)", (better, new, old), old.dtype)
            yield self._store(name, chosen)
