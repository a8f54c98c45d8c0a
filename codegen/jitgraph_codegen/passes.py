"""Passes over the loop IR, `Kernel -> Kernel`, each leaving every stored value as it was."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from .loop_ir import (
    INDEX,
    NESTS,
    Accumulate,
    Apply,
    Buffer,
    Const,
    Expr,
    Extent,
    For,
    Kernel,
    Let,
    Load,
    Range,
    Stmt,
    Store,
    Var,
    children,
    expressions,
    map_expressions,
    rebuild,
)

LONGEST_INLINE = 7  # operations in one printed expression


def optimise(kernel: Kernel) -> Kernel:
    """All passes, in order."""
    return inline_lets(collapse(kernel))


def walk(expr: Expr) -> Iterator[Expr]:
    yield expr
    for child in children(expr):
        yield from walk(child)


def inline_lets(kernel: Kernel) -> Kernel:
    """Write a scalar where it is used, if that is once, in the same block, and stays readable."""
    return replace(kernel, body=_inlined(kernel.body))


def _mentions(expr: Expr) -> Iterator[str]:
    """Variables as often as the printed expression shows them: `x * x` shows its operand twice."""
    if isinstance(expr, Var):
        yield expr.name
    for position, child in enumerate(children(expr)):
        letter = "xyz"[position] if isinstance(expr, Apply) else ""
        times = len(re.findall(rf"\b{letter}\b", expr.template)) if isinstance(expr, Apply) else 1
        for _ in range(times):
            yield from _mentions(child)


def _inlined(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    uses = Counter(name for top in expressions(body) for name in _mentions(top))
    values: dict[str, Expr] = {}  # scalars that wait for their use
    kept: list[Stmt] = []
    room = 0  # operations that still fit on the line being written

    def change(expr: Expr) -> Expr:
        nonlocal room
        if not isinstance(expr, Var) or expr.name not in values:
            return rebuild(expr, change)
        value = values.pop(expr.name)
        if _operations(value) > room:
            kept.append(Let(expr.name, value))
            return expr
        room -= _operations(value)
        return value

    for position, stmt in enumerate(body):
        if isinstance(stmt, (For, Range)):
            kept.append(replace(stmt, body=_inlined(stmt.body)))
            continue
        room = LONGEST_INLINE - sum(map(_operations, expressions((stmt,))))
        (changed,) = map_expressions((stmt,), change)
        if isinstance(changed, Let) and _belongs_inline(changed, uses, body[position + 1 :]):
            values[changed.name] = changed.value
        else:
            kept.append(changed)
    return tuple(kept)


def _operations(expr: Expr) -> int:
    return sum(not isinstance(e, (Var, Const, Load)) for e in walk(expr))


def _belongs_inline(let: Let, uses: Counter[str], rest: tuple[Stmt, ...]) -> bool:
    """A use in an inner loop would be repeated at each step, one after a store might see it."""
    if isinstance(let.value, (Const, Var)):
        return uses[let.name] <= 1
    if uses[let.name] > 1:
        return False
    for stmt in rest:
        if isinstance(stmt, (For, Range)):
            return False
        (top,) = [list(expressions((stmt,)))]
        if any(isinstance(e, Var) and e.name == let.name for t in top for e in walk(t)):
            return True
        if isinstance(stmt, Store):
            return False
    return False


@dataclass(frozen=True)
class Interior:
    """Where in a loop the indices in `inside` need no wrapping around: [start, stop)."""

    start: int
    stop: Expr | None
    inside: Mapping[Expr, Expr]


def split(body: tuple[Stmt, ...], interiors: Mapping[str, Interior]) -> tuple[Stmt, ...]:
    """Innermost loops over wrapped indices as three loops: the few first and last iterations, and
    between them those in which nothing wraps around, which vectorise.
    """
    result: list[Stmt] = []
    for stmt in body:
        if not isinstance(stmt, (For, Range)):
            result.append(stmt)
        elif any(isinstance(s, (For, Range)) for s in stmt.body):
            result.append(replace(stmt, body=split(stmt.body, interiors)))
        elif (interior := interiors.get(stmt.index)) is None:
            result.append(stmt)
        else:
            result += _in_parts(stmt, interior)
    return tuple(result)


def _in_parts(loop: For | Range, interior: Interior) -> list[Stmt]:
    def unwrapped(expr: Expr) -> Expr:
        return interior.inside.get(expr) or rebuild(expr, unwrapped)

    start = Const(interior.start, INDEX) if interior.start else None
    inner = map_expressions(loop.body, unwrapped)
    parts: list[Stmt] = []
    if start is not None:
        parts.append(replace(loop, stop=start))
    parts.append(replace(loop, body=inner, start=start, stop=interior.stop))
    if interior.stop is not None:
        last: Expr = interior.stop
        if start is not None:
            last = Apply("max(x, y)", (start, last), INDEX)
        parts.append(replace(loop, start=last))
    return parts


def collapse(kernel: Kernel) -> Kernel:
    """Two loops that walk adjacent axes of every buffer together become one.

    That is legal where each access has both indices side by side, over axes of just these extents
    in C order, or has neither; the kernel then takes the product as a size.
    """
    while (merged := _collapse_outermost(kernel)) is not None:
        kernel = merged
    return kernel


def _collapse_outermost(kernel: Kernel) -> Kernel | None:
    if len(kernel.body) != 1 or not isinstance(outer := kernel.body[0], Range):
        return None
    if len(outer.body) != 1 or not isinstance(inner := outer.body[0], For):
        return None
    first, second = Var(outer.index, INDEX), Var(inner.index, INDEX)
    accesses = [
        (e.buffer, e.index)
        for top in expressions(inner.body)
        for e in walk(top)
        if isinstance(e, Load)
    ]
    accesses += [(s.buffer, s.index) for s in _stores(inner.body)]
    joined: dict[str, int] = {}
    for buffer, index in accesses:
        position = _adjacent(buffer, index, first, second, (kernel.extent, inner.extent))
        if position is None or joined.setdefault(buffer.name, position) != position:
            return None
    if _used_as_value(inner.body, first, second):
        return None
    return _merge(kernel, outer, inner, joined)


def _stores(body: tuple[Stmt, ...]) -> Iterator[Store]:
    for stmt in body:
        if isinstance(stmt, Store):
            yield stmt
        elif isinstance(stmt, (For, Range)):
            yield from _stores(stmt.body)


_UNUSED = -1


def _adjacent(
    buffer: Buffer, index: tuple[Expr, ...], first: Var, second: Var, extents: tuple[Extent, Extent]
) -> int | None:
    """Where both indices stand side by side, `_UNUSED` where neither occurs, None otherwise."""
    mentioned = [k for k, i in enumerate(index) if any(e in (first, second) for e in walk(i))]
    if not mentioned:
        return _UNUSED
    k = mentioned[0]
    if mentioned != [k, k + 1] or (index[k], index[k + 1]) != (first, second):
        return None
    return k if buffer.layout == "C" and buffer.shape[k : k + 2] == extents else None


def _used_as_value(body: tuple[Stmt, ...], first: Var, second: Var) -> bool:
    """Whether an index enters arithmetic outside of subscripts."""

    def outside(expr: Expr) -> bool:
        if isinstance(expr, Load):
            return False
        return expr in (first, second) or any(map(outside, children(expr)))

    for stmt in body:
        values = [stmt.value] if isinstance(stmt, Store) else list(expressions((stmt,)))
        if isinstance(stmt, (For, Range)):
            if _used_as_value(stmt.body, first, second):
                return True
        elif any(map(outside, values)):
            return True
    return False


def _merge(kernel: Kernel, outer: Range, inner: For, joined: dict[str, int]) -> Kernel:
    extent, size = _product(kernel.extent, inner.extent)
    renamed: dict[str, Buffer] = {}
    for buffer in kernel.buffers:
        k = joined.get(buffer.name, _UNUSED)
        shape = (
            buffer.shape if k == _UNUSED else (*buffer.shape[:k], extent, *buffer.shape[k + 2 :])
        )
        renamed[buffer.name] = replace(buffer, shape=shape)

    def shortened(buffer: Buffer, index: tuple[Expr, ...]) -> tuple[Expr, ...]:
        k = joined[buffer.name]
        return index if k == _UNUSED else (*index[:k], Var(outer.index, INDEX), *index[k + 2 :])

    def change(expr: Expr) -> Expr:
        if isinstance(expr, Load):
            return Load(
                renamed[expr.buffer.name], tuple(map(change, shortened(expr.buffer, expr.index)))
            )
        return rebuild(expr, change)

    def changed(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        result: list[Stmt] = []
        for stmt in body:
            if isinstance(stmt, Store):
                index = tuple(map(change, shortened(stmt.buffer, stmt.index)))
                result.append(Store(renamed[stmt.buffer.name], index, change(stmt.value)))
            elif isinstance(stmt, (For, Range)):
                result.append(replace(stmt, body=changed(stmt.body)))
            else:
                result.extend(map_expressions((stmt,), change))
        return tuple(result)

    sizes = kernel.sizes if size is None or size in kernel.sizes else (*kernel.sizes, size)
    body = (Range(outer.index, changed(inner.body)),)
    return _without_unused_sizes(Kernel(kernel.name, tuple(renamed.values()), sizes, extent, body))


def _product(a: Extent, b: Extent) -> tuple[Extent, str | None]:
    """The joined extent; a new size is named by its factors, as in `n0*n1`."""
    if isinstance(a, int) and isinstance(b, int):
        return a * b, None
    name = f"{a}x{b}" if isinstance(a, str) else f"{b}x{a}"
    return name, name


def without_unused(kernel: Kernel) -> Kernel:
    """The kernel without scalars, buffers and sizes that nothing needs."""
    body = kernel.body
    while (kept := _without_unused_lets(body, variables(body))) != body:
        body = kept
    named = {e.buffer.name for top in expressions(body) for e in walk(top) if isinstance(e, Load)}
    named |= {s.buffer.name for s in _stores(body)}
    buffers = tuple(b for b in kernel.buffers if b.name in named)
    return _without_unused_sizes(replace(kernel, buffers=buffers, body=body))


def accumulates(body: tuple[Stmt, ...], name: str) -> bool:
    """Whether anything is taken into an accumulator."""
    return any(
        stmt.name == name
        if isinstance(stmt, Accumulate)
        else isinstance(stmt, NESTS) and accumulates(stmt.body, name)
        for stmt in body
    )


def variables(body: tuple[Stmt, ...]) -> set[str]:
    """Names of the scalars that statements read."""
    return {e.name for top in expressions(body) for e in walk(top) if isinstance(e, Var)}


def _without_unused_lets(body: tuple[Stmt, ...], used: set[str]) -> tuple[Stmt, ...]:
    return tuple(
        replace(s, body=_without_unused_lets(s.body, used)) if isinstance(s, (For, Range)) else s
        for s in body
        if not isinstance(s, Let) or s.name in used
    )


def _without_unused_sizes(kernel: Kernel) -> Kernel:
    used: set[Extent] = {kernel.extent}
    for buffer in kernel.buffers:
        used.update(buffer.shape)
    used.update(_extents(kernel.body))
    used.update(variables(kernel.body))
    return replace(kernel, sizes=tuple(s for s in kernel.sizes if s in used))


def _extents(body: tuple[Stmt, ...]) -> Iterator[Extent]:
    for stmt in body:
        if isinstance(stmt, For):
            yield stmt.extent
        if isinstance(stmt, (For, Range)):
            yield from _extents(stmt.body)
