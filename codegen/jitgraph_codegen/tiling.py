"""Arrays that are read across their rows, by way of tiles.

for block in range(lo, hi, 128):
    block_end = min(block + 128, hi)
    for tile in range((n1 + 63) // 64):
        first = tile * 64
        last = min(first + 64, n1)
        transpose_tile(y_tile, y, (first, block), 0, last - first, block_end - block)
        for i in range(block, block_end):
            for j in range(first, last):
                out[i, j] = x[i, j] + y_tile[i - block, j - first]
"""

from __future__ import annotations

from .loop_ir import (
    INDEX,
    Apply,
    Buffer,
    Const,
    Expr,
    Extent,
    For,
    If,
    Let,
    Load,
    Range,
    Scratch,
    Stmt,
    Store,
    Transpose,
    Var,
    children,
    expressions,
    map_expressions,
    rebuild,
)
from .transposing import COLUMNS, ROWS


def tiled(
    outer: str, inner: str, extent: Extent, tiles: Extent, body: tuple[Stmt, ...]
) -> tuple[Stmt, ...] | None:
    """The nest of two loops over `body` in tiles; None where its reads across rows are not plain.

    extent: of the inner loop; tiles: how many of `COLUMNS` that takes.
    """
    if any(isinstance(stmt, (For, Range, If)) for stmt in body):
        return None
    i, j = Var(outer, INDEX), Var(inner, INDEX)
    crossing = {load for top in expressions(body) for load in _loads(top) if _crosses(load, i, j)}
    if not crossing or any(_stored_to(body, load.buffer) for load in crossing):
        return None
    block, block_end, tile, first, last = (
        Var(n, INDEX) for n in ("block", "block_end", "tile", "first", "last")
    )
    scratches: dict[Load, Buffer] = {}
    for load in sorted(crossing, key=lambda load: (load.buffer.name, repr(load.index))):
        leading = load.index[:-1]
        if leading.count(j) != 1 or sum(_mentions(k, j) or _mentions(k, i) for k in leading) != 1:
            return None
        name = f"{load.buffer.name}_tile" + (str(len(scratches)) if scratches else "")
        scratches[load] = Buffer(name, load.dtype, (ROWS, COLUMNS), "C", "inout")

    def from_tile(expr: Expr) -> Expr:
        if isinstance(expr, Load) and expr in scratches:
            row, column = (Apply("x - y", pair, INDEX) for pair in ((i, block), (j, first)))
            return Load(scratches[expr], (row, column))
        return rebuild(expr, from_tile)

    def at_start(load: Load) -> Load:
        start: dict[Expr, Expr] = {j: first, i: block}
        return Load(load.buffer, tuple(start.get(index, index) for index in load.index))

    size = (Apply("x - y", (last, first), INDEX), Apply("x - y", (block_end, block), INDEX))
    fill = [
        Transpose(buffer, at_start(load), load.index.index(j), *size)
        for load, buffer in scratches.items()
    ]
    columns, rows = Const(COLUMNS, INDEX), Const(ROWS, INDEX)
    length = Const(extent, INDEX) if isinstance(extent, int) else Var(extent, INDEX)
    compute = For(inner, extent, map_expressions(body, from_tile), first, last)
    nest = (
        Let(block_end.name, Apply("min(x + y, z)", (block, rows, Var("hi", INDEX)), INDEX)),
        For(
            tile.name,
            tiles,
            (
                Let(first.name, Apply("x * y", (tile, columns), INDEX)),
                Let(last.name, Apply("min(x + y, z)", (first, columns, length), INDEX)),
                *fill,
                For(outer, ROWS, (compute,), block, block_end),
            ),
        ),
    )
    scratch = tuple(map(Scratch, scratches.values()))
    return (*scratch, Range(block.name, nest, step=ROWS))


def _loads(expr: Expr) -> list[Load]:
    found = [expr] if isinstance(expr, Load) else []
    return found + [load for child in children(expr) for load in _loads(child)]


def _crosses(load: Load, i: Var, j: Var) -> bool:
    """Whether the inner loop jumps from row to row of a buffer that the outer runs along."""
    return (
        bool(load.index)
        and load.buffer.layout in ("C", "R")
        and load.index[-1] == i
        and any(_mentions(index, j) for index in load.index[:-1])
    )


def _mentions(expr: Expr, variable: Var) -> bool:
    return expr == variable or any(_mentions(child, variable) for child in children(expr))


def _stored_to(body: tuple[Stmt, ...], buffer: Buffer) -> bool:
    return any(isinstance(stmt, Store) and stmt.buffer.name == buffer.name for stmt in body)
