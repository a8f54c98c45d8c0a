"""Reductions of whole arrays in blocks, so that threads share them and yet the order is fixed.

    t0 = 0.0                                   becomes a kernel that runs in parallel
    for i in range(n0): t0 = t0 + x[i]
    out[()] = t0 / n0                              for block in range(lo, hi):
                                                       t0 = 0.0
                                                       for i in range(block * 16384, ...): ...
                                                       partial[block] = t0

                                               and one that takes the blocks' results together:

                                                   t0 = 0.0
                                                   for block in range(blocks): t0 += partial[block]
                                                   out[()] = t0 / n0

A position is looked for in the one block that has the extreme value.  Blocks depend on the array's
size, never on the number of threads: a sum comes out the same each time, and with smaller errors
than one made in a single go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .loop_ir import (
    INDEX,
    Accumulate,
    Accumulator,
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
    expressions,
    neutral,
)
from .passes import collapse, variables, walk, without_unused

BLOCK = 16384  # elements that a block has at least

_REDUCED = frozenset(("sum", "prod", "max", "min", "any", "all", "argmax", "argmin"))


@dataclass(frozen=True)
class Blocked:
    """partials: the buffers that the first kernel writes and the second one reads."""

    parts: Kernel
    total: Kernel
    partials: tuple[Buffer, ...]


def flattened(kernel: Kernel) -> Kernel | None:
    """The kernel with its loop over as many axes as go together; None where it is no reduction of a
    whole array in one pass.
    """
    loops = [k for k, s in enumerate(kernel.body) if isinstance(s, For)]
    accumulators = [s for s in kernel.body if isinstance(s, Accumulator)]
    if not loops or not accumulators or any(isinstance(s, Range) for s in kernel.body):
        return None
    if any(a.combine not in _REDUCED for a in accumulators):
        return None
    first = kernel.body[loops[0]]
    if variables((first,)) & {a.name for a in accumulators}:
        return None  # a scan: its elements depend on those before
    if any(isinstance(s, Store) for s in kernel.body[: loops[-1]]):
        return None
    if len(loops) > 1:
        return kernel if _only_seeks(kernel) else None
    (at,) = loops
    loop = kernel.body[at]
    assert isinstance(loop, For)
    alone = replace(kernel, extent=loop.extent, body=(Range(loop.index, loop.body),))
    merged = collapse(alone)
    (outer,) = merged.body
    assert isinstance(outer, Range)
    changed = {b.name for b, c in zip(kernel.buffers, merged.buffers, strict=True) if b != c}
    if _accessed((*kernel.body[:at], *kernel.body[at + 1 :])) & changed:
        return kernel
    whole = For(outer.index, merged.extent, outer.body)
    sizes = tuple(dict.fromkeys((*kernel.sizes, *merged.sizes)))
    body = (*kernel.body[:at], whole, *kernel.body[at + 1 :])
    return replace(merged, sizes=sizes, extent=1, body=body)


def inner_extents(loop: For) -> list[Extent]:
    """Extents of the loops within a loop, as far as one is in the other."""
    inner = next((s for s in loop.body if isinstance(s, For)), None)
    return [] if inner is None else [inner.extent, *inner_extents(inner)]


def blocked(kernel: Kernel, rows: Extent, blocks: Extent) -> Blocked:
    """The two kernels of a flattened one.

    rows: iterations of its outer loop in a block; blocks: how many there are.
    """
    loops = [k for k, s in enumerate(kernel.body) if isinstance(s, For)]
    first, last = loops[0], loops[-1]
    block = Var("block", INDEX)
    positions = _positions(kernel)
    looped = kernel.body[first]
    assert isinstance(looped, For)
    inner = [*kernel.body[:first], _limited(_extremes(looped), block, rows)]
    finish: list[Stmt] = [s for s in kernel.body[:last] if isinstance(s, Let)]
    partials: list[Buffer] = []
    for k, stmt in enumerate(inner[:-1]):
        if not isinstance(stmt, Accumulator):
            continue
        number = len(partials) or ""
        buffer = Buffer(f"partial{number}", stmt.dtype, (blocks,), "C", "out")
        partials.append(buffer)
        inner[k] = replace(stmt, combine=_extreme(stmt.combine, stmt.dtype))
        inner.append(Store(buffer, (block,), Var(stmt.name, stmt.dtype)))
        source = Load(replace(buffer, role="in"), (block,))
        if stmt.name in positions:
            position = positions[stmt.name]
            # a loop that compares with the extreme value finds it under its own name
            name = f"{stmt.name}_block" if position.accumulator is stmt else stmt.name
            finish += _located(replace(stmt, name=name), source, blocks)
            best = Var(f"{name}_at", INDEX)
            finish += [position.accumulator, _limited(position.loop, best, rows)]
        else:
            value = Accumulate(stmt.name, stmt.combine, source)
            finish += [stmt, For(block.name, blocks, (value,))]
    added = tuple(e for e in (rows, blocks) if isinstance(e, str) and e not in kernel.sizes)
    parts = replace(
        kernel,
        buffers=(*kernel.buffers, *partials),
        sizes=(*kernel.sizes, *added),
        extent=blocks,
        body=(Range(block.name, tuple(inner)),),
    )
    total = replace(
        parts,
        name=f"{kernel.name}_total",
        buffers=(*kernel.buffers, *(replace(b, role="in") for b in partials)),
        extent=1,
        body=(*finish, *kernel.body[last + 1 :]),
    )
    return Blocked(without_unused(parts), without_unused(total), tuple(partials))


@dataclass(frozen=True)
class _Position:
    """Where the position of an extreme value is found: an accumulator and its loop."""

    accumulator: Accumulator
    loop: For


def _positions(kernel: Kernel) -> dict[str, _Position]:
    """For accumulators of extreme values whose positions are wanted, how those are found: in the
    same loop, or by a comparison in a second one.
    """
    accumulators = {s.name: s for s in kernel.body if isinstance(s, Accumulator)}
    loops = [s for s in kernel.body if isinstance(s, For)]
    found: dict[str, _Position] = {}
    for accumulator in accumulators.values():
        if accumulator.combine.startswith("arg"):
            found[accumulator.name] = _Position(accumulator, _only(loops[0], accumulator.name))
    for second in loops[1:]:
        for update in _updates(second.body):
            extreme = _sought(update)
            if extreme in accumulators:
                alone = without_unused(replace(kernel, body=(_only(second, update.name),)))
                (loop,) = alone.body
                assert isinstance(loop, For)
                found[extreme] = _Position(accumulators[update.name], loop)
    return found


def _only_seeks(kernel: Kernel) -> bool:
    """Whether all loops but the first look for positions of extreme values, and do nothing else."""
    loops = [s for s in kernel.body if isinstance(s, For)]
    extremes = {
        s.name for s in kernel.body if isinstance(s, Accumulator) and s.combine in ("max", "min")
    }
    updates = [update for loop in loops[1:] for update in _updates(loop.body)]
    return not any(map(_stores, loops[1:])) and all(_sought(u) in extremes for u in updates)


def _sought(update: Accumulate) -> str:
    """The accumulator whose value's first position an accumulation finds; empty for others."""
    match update.value:
        case Apply("select(x, y, z)", (Apply(_, (_, Var(name, _)), "bool"), _, Const(beyond, _))):
            if update.combine == "min" and beyond == int(neutral("min", INDEX)):
                return name
    return ""


def _stores(loop: For) -> bool:
    return any(isinstance(s, Store) or (isinstance(s, For) and _stores(s)) for s in loop.body)


def _located(extreme: Accumulator, source: Load, blocks: Extent) -> list[Stmt]:
    """The extreme value and the first block that has it."""
    combine = f"arg{extreme.combine.removeprefix('arg')}"
    value = Accumulate(extreme.name, combine, source, Var("block", INDEX))
    return [replace(extreme, combine=combine), For("block", blocks, (value,))]


def _limited(loop: For, block: Var, rows: Extent) -> For:
    """The part of a loop that belongs to a block."""
    count: Expr = Const(rows, INDEX) if isinstance(rows, int) else Var(rows, INDEX)
    whole: Expr = (
        Const(loop.extent, INDEX) if isinstance(loop.extent, int) else Var(loop.extent, INDEX)
    )
    start = Apply("x * y", (block, count), INDEX)
    end = Apply("x * y + y", (block, count), INDEX)
    return replace(loop, start=start, stop=Apply("min(x, y)", (end, whole), INDEX))


def _extreme(combine: str, dtype: str) -> str:
    """The combination without the position."""
    plain = combine.removeprefix("arg")
    if plain != combine and dtype == "bool":
        return {"max": "any", "min": "all"}[plain]
    return plain


def _extremes(loop: For) -> For:
    """The loop with the values of what it wants the positions of."""
    body = tuple(
        _extremes(s)
        if isinstance(s, For)
        else replace(s, combine=_extreme(s.combine, s.value.dtype), at=None)
        if isinstance(s, Accumulate)
        else s
        for s in loop.body
    )
    return replace(loop, body=body)


def _only(loop: For, name: str) -> For:
    """The loop with one accumulation and nothing else that has an effect."""
    body = tuple(
        _only(s, name) if isinstance(s, For) else s
        for s in loop.body
        if not isinstance(s, Store) and not (isinstance(s, Accumulate) and s.name != name)
    )
    return replace(loop, body=body)


def _updates(body: Sequence[Stmt]) -> list[Accumulate]:
    found: list[Accumulate] = []
    for stmt in body:
        if isinstance(stmt, Accumulate):
            found.append(stmt)
        elif isinstance(stmt, For):
            found += _updates(stmt.body)
    return found


def _accessed(body: tuple[Stmt, ...]) -> set[str]:
    loads = {e.buffer.name for top in expressions(body) for e in walk(top) if isinstance(e, Load)}
    return loads | {s.buffer.name for s in body if isinstance(s, Store)}
