"""A tile of an array, transposed in registers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing import signature
from numba.extending import lower_builtin, type_callable
from numba.np.arrayobj import make_array

from .array_view import Memory, element, indices_of, told_apart

ROWS, COLUMNS = 128, 64  # of a tile: long pieces of the rows that are read across, from memory
_MOST_LANES = 16  # as many registers as rows of a square
_WORD = ir.IntType(64)


def transpose_tile(tile: Any, array: Any, index: Any, axis: int, columns: int, rows: int) -> None:
    """``tile[r, c] = array[...]``, the element at ``index`` moved on by c along ``axis``, which is
    a literal, and by r along the last axis; for r < rows and c < columns, which are at most `ROWS`
    and `COLUMNS`.
    """
    for c in range(columns):
        start = [*index[:axis], index[axis] + c, *index[axis + 1 :]]
        for r in range(rows):
            tile[r, c] = array[(*start[:-1], start[-1] + r)]


@type_callable(transpose_tile)
def _type_transpose_tile(context: Any) -> Callable[..., types.Type | None]:
    def typer(
        tile: Any, array: Any, index: Any, axis: Any, columns: Any, rows: Any
    ) -> types.Type | None:
        plain = isinstance(array, Memory) and isinstance(axis, types.IntegerLiteral)
        return signature(types.void, tile, array, index, axis, columns, rows) if plain else None

    return typer


@lower_builtin(
    transpose_tile, Memory, Memory, types.BaseTuple, types.IntegerLiteral, types.Any, types.Any
)
def _lower_transpose_tile(
    context: Any, builder: ir.IRBuilder, signature: Any, operands: Any
) -> Any:
    tile_kind, kind, index_kind, axis_kind = signature.args[:4]
    tile, array = operands[:2]
    indices = indices_of(context, builder, index_kind, operands[2])
    columns, rows = (
        context.cast(builder, operand, given, types.intp)
        for operand, given in zip(operands[4:], signature.args[4:], strict=True)
    )
    source = make_array(kind)(context, builder, array)
    step = builder.extract_value(source.strides, axis_kind.literal_value)
    item = context.get_data_type(kind.dtype)
    start = _bytes(builder, element(context, builder, kind, array, indices))
    target = _bytes(builder, make_array(tile_kind)(context, builder, tile).data)
    work = _Tile(builder, item, context.get_abi_sizeof(item), start, step, target, kind)
    lanes = work.lanes()
    none, one = _word(0), _word(1)
    full_columns, full_rows = (builder.and_(n, _word(-lanes)) for n in (columns, rows))
    if lanes == 1:
        full_columns = none
    else:
        squares = cgutils.for_range_slice(builder, none, full_columns, _word(lanes))
        with squares as (column, _):
            along = cgutils.for_range_slice(builder, none, full_rows, _word(lanes))
            with along as (row, _):
                work.transpose_square(column, row, lanes)
            below = cgutils.for_range_slice(builder, full_rows, rows, one)
            beside = cgutils.for_range(builder, _word(lanes))
            with below as (row, _), beside as loop:
                work.copy(builder.add(column, loop.index), row)
    rest = cgutils.for_range_slice(builder, full_columns, columns, one)
    with rest as (column, _), cgutils.for_range(builder, rows) as loop:
        work.copy(column, loop.index)
    return context.get_dummy_value()


class _Tile:
    """Where the elements are: `start` is the first one's address, `step` the bytes to the next
    column's.
    """

    def __init__(
        self,
        builder: ir.IRBuilder,
        item: ir.Type,
        itemsize: int,
        start: ir.Value,
        step: ir.Value,
        target: ir.Value,
        kind: Memory,
    ) -> None:
        self.builder, self.item, self.itemsize, self.kind = builder, item, itemsize, kind
        self.start, self.step, self.target = start, step, target

    def lanes(self) -> int:
        """Elements of a register, which are the rows of a square; 1 where they are no numbers."""
        if not isinstance(self.item, ir.IntType | ir.FloatType | ir.DoubleType):
            return 1
        return min(_register() // self.itemsize, _MOST_LANES)

    def transpose_square(self, column: ir.Value, row: ir.Value, lanes: int) -> None:
        vector = ir.VectorType(self.item, lanes)
        before = len(self.builder.block.instructions)
        columns = [
            self.builder.load(
                self._source(vector, self.builder.add(column, _word(k)), row),
                align=self.itemsize,
            )
            for k in range(lanes)
        ]
        told_apart(self.builder, self.kind, before)
        for k, values in enumerate(_transposed(self.builder, columns)):
            place = self._target(vector, column, self.builder.add(row, _word(k)))
            self.builder.store(values, place, align=self.itemsize * lanes)

    def copy(self, column: ir.Value, row: ir.Value) -> None:
        before = len(self.builder.block.instructions)
        value = self.builder.load(self._source(self.item, column, row), align=self.itemsize)
        told_apart(self.builder, self.kind, before)
        self.builder.store(value, self._target(self.item, column, row), align=self.itemsize)

    def _source(self, kind: ir.Type, column: ir.Value, row: ir.Value) -> ir.Value:
        along = self.builder.mul(row, _word(self.itemsize))
        offset = self.builder.add(self.builder.mul(column, self.step), along)
        return self.builder.bitcast(self.builder.gep(self.start, [offset]), kind.as_pointer())

    def _target(self, kind: ir.Type, column: ir.Value, row: ir.Value) -> ir.Value:
        place = self.builder.add(self.builder.mul(row, _word(COLUMNS)), column)
        offset = self.builder.mul(place, _word(self.itemsize))
        return self.builder.bitcast(self.builder.gep(self.target, [offset]), kind.as_pointer())


def _transposed(builder: ir.IRBuilder, rows: Sequence[ir.Value]) -> list[ir.Value]:
    """Elements that face each other across the diagonal are swapped in squares of two, then squares
    of two in those of four, and so on; the other way round LLVM loads the halves of a row apart.
    """
    rows, lanes = list(rows), len(rows)
    distance = 1
    while distance < lanes:
        for k in range(lanes):
            if k & distance:
                continue
            upper, lower = rows[k], rows[k + distance]
            high = [e if not e & distance else lanes + e - distance for e in range(lanes)]
            low = [e + distance if not e & distance else lanes + e for e in range(lanes)]
            rows[k] = builder.shuffle_vector(upper, lower, _mask(high))
            rows[k + distance] = builder.shuffle_vector(upper, lower, _mask(low))
        distance *= 2
    return rows


def _mask(places: list[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places)


def _register() -> int:
    """Bytes."""
    features = llvm.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx") else 16


def _bytes(builder: ir.IRBuilder, pointer: ir.Value) -> ir.Value:
    return builder.bitcast(pointer, cgutils.voidptr_t)


def _word(number: int) -> ir.Constant:
    return ir.Constant(_WORD, number)
