"""Arrays that are read across their rows, by way of tiles.

for block in range(lo, hi, 64):
    block_end = min(block + 64, hi)
    for tile in range(n1 // 8):
        for i in range(block, block_end):          eight rows of y at once, as LLVM interleaves them
            t[i - block, 0] = y[tile * 8, i]
            ...
            t[i - block, 7] = y[tile * 8 + 7, i]
        for i in range(block, block_end):
            for column in range(8):
                j = tile * 8 + column
                out[i, j] = x[i, j] + t[i - block, column]
    for i in range(block, block_end):
        for j in range(n1 // 8 * 8, n1): out[i, j] = x[i, j] + y[j, i]
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
    Var,
    children,
    expressions,
    map_expressions,
    rebuild,
)

TILE_WIDTH, BLOCK = 8, 64


def tiled(
    outer: str, inner: str, extent: Extent, tiles: Extent, body: tuple[Stmt, ...]
) -> tuple[Stmt, ...] | None:
    """The nest of two loops over `body` in tiles; None where its reads across rows are not plain.

    extent: of the inner loop; tiles: how many whole tiles that has.
    """
    if any(isinstance(stmt, (For, Range, If)) for stmt in body):
        return None
    i, j = Var(outer, INDEX), Var(inner, INDEX)
    crossing = {load for top in expressions(body) for load in _loads(top) if _crosses(load, i, j)}
    if not crossing or any(_stored_to(body, load.buffer) for load in crossing):
        return None
    block, end, tile, column = (Var(n, INDEX) for n in ("block", "block_end", "tile", "column"))
    width = Const(TILE_WIDTH, INDEX)
    row = Apply("x - y", (i, block), INDEX)
    scratches: dict[Load, Buffer] = {}
    for load in sorted(crossing, key=lambda load: (load.buffer.name, repr(load.index))):
        name = f"{load.buffer.name}_tile" + (str(len(scratches)) if scratches else "")
        scratches[load] = Buffer(name, load.dtype, (BLOCK, TILE_WIDTH), "C", "inout")

    def from_tile(expr: Expr) -> Expr:
        if isinstance(expr, Load) and expr in scratches:
            return Load(scratches[expr], (row, column))
        return rebuild(expr, from_tile)

    def at(load: Load, offset: int) -> Load:
        place = Apply("x * y + z", (tile, width, Const(offset, INDEX)), INDEX)

        def placed(expr: Expr) -> Expr:
            return place if expr == j else rebuild(expr, placed)

        return Load(load.buffer, tuple(map(placed, load.index)))

    fill = [
        Store(buffer, (row, Const(k, INDEX)), at(load, k))
        for load, buffer in scratches.items()
        for k in range(TILE_WIDTH)
    ]
    position = Apply("x * y + z", (tile, width, column), INDEX)
    compute = For(
        column.name, TILE_WIDTH, (Let(inner, position), *map_expressions(body, from_tile))
    )
    done: Expr = (
        Const(tiles * TILE_WIDTH, INDEX)
        if isinstance(tiles, int)
        else Apply("x * y", (Var(tiles, INDEX), width), INDEX)
    )
    last = Apply("min(x + y, z)", (block, Const(BLOCK, INDEX), Var("hi", INDEX)), INDEX)
    nest = (
        Let(end.name, last),
        For(
            tile.name,
            tiles,
            (For(outer, BLOCK, tuple(fill), block, end), For(outer, BLOCK, (compute,), block, end)),
        ),
        For(outer, BLOCK, (For(inner, extent, body, done),), block, end),
    )
    scratch = tuple(map(Scratch, scratches.values()))
    return (*scratch, Range(block.name, nest, step=BLOCK))


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
