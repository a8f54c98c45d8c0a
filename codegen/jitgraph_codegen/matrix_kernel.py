"""Products of small and middling matrices in machine code, shared among the threads of the pool.

A part is some columns of the result, as wide as a tile, in some rows.  The columns of y are packed
side by side for it; a tile of the result stays in registers while a run of `inner` goes by:

    for run of inner:
        packed = y[run, columns]
        for rows in steps of a tile's height:
            tile = result[rows, columns] or 0
            for k in run: tile += x[rows, k] (a column) * packed[k] (a row)
            result[rows, columns] = tile

These are the inner loops of Goto and van de Geijn, "Anatomy of high-performance matrix
multiplication" (2008); x is not packed, which pays where a run is short.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from llvmlite import ir

from . import store
from .machine_code import LinkedCode, machine_name, object_code

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
ENTRY = ir.FunctionType(ir.VoidType(), [I64, I64, I64, I64])
SIZES = (
    "rows", "inner", "columns", "x_down", "x_along", "y_down", "y_along", "height",
    "parts_down", "parts_along", "stacked", "x_stack", "x_stacked", "y_stack", "y_stacked",
)  # fmt: skip
RUN = 256  # of inner, so that the packed columns stay in the second cache at most


@dataclass(frozen=True)
class Tile:
    """Registers of the result: rows of so many vectors of so many lanes."""

    rows: int
    vectors: int
    lanes: int

    @property
    def columns(self) -> int:
        return self.vectors * self.lanes


_REALS: dict[str, ir.Type] = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
_SUFFIXES = {"float32": "f32", "float64": "f64"}


@cache
def tile(dtype: str) -> Tile | None:
    """The tile for this processor, which leaves registers for a row of y; None where BLAS is to do
    it all.
    """
    import llvmlite.binding as llvm

    if dtype not in _REALS or not llvm.get_host_cpu_features().get("avx512f"):
        return None
    return Tile(8, 3, 16 if dtype == "float32" else 8)


def name(dtype: str) -> str:
    return f"product_{dtype}"


@cache
def addresses() -> dict[str, int]:
    """Addresses of the kernels by name; none where this processor has none."""
    return {name(dtype): _code(dtype).address for dtype in _REALS if tile(dtype) is not None}


@cache
def _code(dtype: str) -> LinkedCode:
    """`void kernel(void **buffers, int64 *sizes, int64 lo, int64 hi)`.

    buffers: x, y and the result, which lies in C order.  sizes: as in SIZES, steps in elements: of
    rows and columns; height: how many rows a part has; parts_down, parts_along: how many parts
    there are of a matrix; stacked: the size of the last axis of a stack of matrices, x_stack to
    y_stacked: steps along its two axes.  lo, hi: the first part and that after the last.
    """
    found = tile(dtype)
    assert found is not None
    here = Path(__file__)
    key = store.key("product", dtype, machine_name(), store.fingerprint(here.parent, [here.name]))
    kept = store.read(key, "product")
    data = object_code(_Builder(dtype, found).text()) if kept is None else kept[1]
    if kept is None:
        store.write(key, "product", {}, data)
    return LinkedCode(data, name(dtype), {})


class _Builder:
    """Writes the kernel for one dtype and tile."""

    def __init__(self, dtype: str, shape: Tile) -> None:
        self.tile, self.real = shape, _REALS[dtype]
        self.size = 4 if dtype == "float32" else 8
        self.module = ir.Module(name(dtype))
        self.function = ir.Function(self.module, ENTRY, name(dtype))
        self.builder = ir.IRBuilder(self.function.append_basic_block("start"))
        lanes = shape.lanes
        self.vector = ir.VectorType(self.real, lanes)
        self.flags = ir.VectorType(I1, lanes)
        self.indices = ir.VectorType(I64, lanes)
        self.pointers = ir.VectorType(self.real.as_pointer(), lanes)
        kind = f"v{lanes}{_SUFFIXES[dtype]}"
        at = self.vector.as_pointer()
        self.fma = self._declare(f"llvm.fma.{kind}", self.vector, [self.vector] * 3)
        self.load = self._declare(
            f"llvm.masked.load.{kind}.p0", self.vector, [at, I32, self.flags, self.vector]
        )
        self.store = self._declare(
            f"llvm.masked.store.{kind}.p0", ir.VoidType(), [self.vector, at, I32, self.flags]
        )
        self.gather = self._declare(
            f"llvm.masked.gather.{kind}.v{lanes}p0",
            self.vector,
            [self.pointers, I32, self.flags, self.vector],
        )
        self.zeros = ir.Constant(self.vector, [0.0] * lanes)

    def _declare(self, name: str, result: ir.Type, arguments: list[ir.Type]) -> ir.Function:
        return ir.Function(self.module, ir.FunctionType(result, arguments), name)

    def text(self) -> str:
        b = self.builder
        buffers, sizes, lo, hi = self.function.args
        self.x, self.y, self.result = (
            b.inttoptr(self._word(buffers, k), self.real.as_pointer()) for k in range(3)
        )
        given = {n: self._word(sizes, k) for k, n in enumerate(SIZES)}
        self.inner, self.columns = given["inner"], given["columns"]
        self.x_down, self.x_along = given["x_down"], given["x_along"]
        self.y_down, self.y_along = given["y_down"], given["y_along"]
        self.packed = b.alloca(self.real, RUN * self.tile.columns)
        self.packed.align = 64
        whole = self.x, self.y, self.result

        def part(number: ir.Value) -> None:
            above, along = self._divided(number, given["parts_along"])
            matrix, down = self._divided(above, given["parts_down"])
            stack, stacked = self._divided(matrix, given["stacked"])
            of_matrix = b.mul(matrix, b.mul(given["rows"], self.columns))
            steps = (
                b.add(b.mul(stack, given["x_stack"]), b.mul(stacked, given["x_stacked"])),
                b.add(b.mul(stack, given["y_stack"]), b.mul(stacked, given["y_stacked"])),
                of_matrix,
            )
            self.x, self.y, self.result = (
                b.gep(array, [step]) for array, step in zip(whole, steps, strict=True)
            )
            self.first = b.mul(down, given["height"])
            self.last = self._smaller(b.add(self.first, given["height"]), given["rows"])
            self._some_columns(b.mul(along, _number(self.tile.columns)))

        self._loop("parts", lo, hi, 1, part)
        b.ret_void()
        return str(self.module)

    def _divided(self, a: ir.Value, b: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Quotient and rest."""
        return self.builder.udiv(a, b), self.builder.urem(a, b)

    def _word(self, array: ir.Value, k: int) -> ir.Value:
        b = self.builder
        return b.load(b.gep(b.inttoptr(array, I64.as_pointer()), [_number(k)]))

    def _some_columns(self, column: ir.Value) -> None:
        b, after = self.builder, self.function.append_basic_block("columns_end")
        left = b.sub(self.columns, column)
        for vectors in range(1, self.tile.vectors):
            few, more = map(self.function.append_basic_block, ("few", "more"))
            b.cbranch(b.icmp_signed("<=", left, _number(vectors * self.tile.lanes)), few, more)
            b.position_at_end(few)
            self._vectors(column, left, vectors)
            b.branch(after)
            b.position_at_end(more)
        self._vectors(column, left, self.tile.vectors)
        b.branch(after)
        b.position_at_end(after)

    def _vectors(self, column: ir.Value, left: ir.Value, vectors: int) -> None:
        """Columns, of which so many are left, as so many vectors."""
        b, lanes, left = self.builder, self.tile.lanes, self._spread(left, I64)
        masks = []
        for j in range(vectors):
            numbers = ir.Constant(self.indices, [j * lanes + lane for lane in range(lanes)])
            masks.append(b.icmp_signed("<", numbers, left))

        def run(start: ir.Value) -> None:
            count = self._smaller(b.sub(self.inner, start), _number(RUN))
            self._pack(column, start, count, masks)
            before = self.first
            for rows in (self.tile.rows, self.tile.rows // 2, 1):
                stop = b.sub(self.last, b.srem(b.sub(self.last, before), _number(rows)))
                self._loop(
                    f"rows{rows}", before, stop, rows,
                    lambda row, rows=rows: self._tile(rows, row, column, start, count, masks),  # type: ignore[misc]
                )  # fmt: skip
                before = stop

        self._loop("inner", _number(0), self.inner, RUN, run)

    def _pack(
        self, column: ir.Value, start: ir.Value, count: ir.Value, masks: list[ir.Value]
    ) -> None:
        """The columns of y in a run, row by row; zeros beyond the last."""
        b = self.builder
        along, across, packed = map(
            self.function.append_basic_block, ("pack_along", "pack_across", "packed")
        )
        b.cbranch(b.icmp_signed("==", self.y_along, _number(1)), along, across)
        apart: ir.Value = None

        def row(load: Callable[[ir.Value, int], ir.Value]) -> Callable[[ir.Value], None]:
            def one(k: ir.Value) -> None:
                place = b.add(b.mul(b.add(start, k), self.y_down), b.mul(column, self.y_along))
                source = b.gep(self.y, [place])
                target = b.gep(self.packed, [b.mul(k, _number(len(masks) * self.tile.lanes))])
                for j in range(len(masks)):
                    b.store(load(source, j), self._vector_at(target, j), align=self.size)

            return one

        def adjacent(source: ir.Value, j: int) -> ir.Value:
            return self._masked(self._vector_at(source, j), masks[j])

        def distant(source: ir.Value, j: int) -> ir.Value:
            first = b.gep(source, [b.mul(self.y_along, _number(j * self.tile.lanes))])
            places = b.add(self._spread(b.ptrtoint(first, I64), I64), apart)
            align = ir.Constant(I32, self.size)
            return b.call(
                self.gather, [b.inttoptr(places, self.pointers), align, masks[j], self.zeros]
            )

        b.position_at_end(along)
        self._loop("along", _number(0), count, 1, row(adjacent))
        b.branch(packed)
        b.position_at_end(across)
        bytes_apart = self._spread(b.mul(self.y_along, _number(self.size)), I64)
        apart = b.mul(ir.Constant(self.indices, list(range(self.tile.lanes))), bytes_apart)
        self._loop("across", _number(0), count, 1, row(distant))
        b.branch(packed)
        b.position_at_end(packed)

    def _tile(
        self, rows: int, row: ir.Value, column: ir.Value, start: ir.Value, count: ir.Value,
        masks: list[ir.Value],
    ) -> None:  # fmt: skip
        """Rows of the result from a run of inner, added to what is there after the first run."""
        b, vectors = self.builder, range(len(masks))
        places = []
        for r in range(rows):
            at = b.add(b.mul(b.add(row, _number(r)), self.columns), column)
            places.append([self._vector_at(b.gep(self.result, [at]), j) for j in vectors])
        ahead = b.block
        going_on, steps, done = map(self.function.append_basic_block, ("going_on", "steps", "done"))
        x = b.gep(self.x, [b.add(b.mul(row, self.x_down), b.mul(start, self.x_along))])
        below = [b.mul(_number(r), self.x_down) for r in range(rows)]
        b.cbranch(b.icmp_signed("==", start, _number(0)), steps, going_on)
        b.position_at_end(going_on)
        so_far = [[self._masked(p, m) for p, m in zip(of, masks, strict=True)] for of in places]
        b.branch(steps)
        b.position_at_end(steps)
        k = b.phi(I64)
        sums = [[b.phi(self.vector) for _ in vectors] for _ in range(rows)]
        y = b.gep(self.packed, [b.mul(k, _number(len(masks) * self.tile.lanes))])
        of_y = [b.load(self._vector_at(y, j), align=self.size) for j in vectors]
        here = b.gep(x, [b.mul(k, self.x_along)])
        new = []
        for r in range(rows):
            factor = self._spread(b.load(b.gep(here, [below[r]])), self.real)
            new.append([b.call(self.fma, [factor, of_y[j], sums[r][j]]) for j in vectors])
        following = b.add(k, _number(1))
        k.add_incoming(_number(0), ahead)
        k.add_incoming(_number(0), going_on)
        k.add_incoming(following, steps)
        for r in range(rows):
            for j in vectors:
                sums[r][j].add_incoming(self.zeros, ahead)
                sums[r][j].add_incoming(so_far[r][j], going_on)
                sums[r][j].add_incoming(new[r][j], steps)
        b.cbranch(b.icmp_signed("<", following, count), steps, done)
        b.position_at_end(done)
        align = ir.Constant(I32, self.size)
        for r in range(rows):
            for j in vectors:
                b.call(self.store, [new[r][j], places[r][j], align, masks[j]])

    def _masked(self, place: ir.Value, mask: ir.Value) -> ir.Value:
        return self.builder.call(self.load, [place, ir.Constant(I32, self.size), mask, self.zeros])

    def _vector_at(self, place: ir.Value, j: int) -> ir.Value:
        b = self.builder
        first = b.gep(place, [_number(j * self.tile.lanes)])
        return b.bitcast(first, self.vector.as_pointer())

    def _spread(self, value: ir.Value, kind: ir.Type) -> ir.Value:
        """A vector with the value in all lanes."""
        b, lanes = self.builder, self.tile.lanes
        nothing = ir.Constant(ir.VectorType(kind, lanes), ir.Undefined)
        first = b.insert_element(nothing, value, ir.Constant(I32, 0))
        places = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
        return b.shuffle_vector(first, nothing, places)

    def _smaller(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.select(self.builder.icmp_signed("<", a, b), a, b)

    def _loop(
        self, name: str, start: ir.Value, stop: ir.Value, step: int,
        body: Callable[[ir.Value], None],
    ) -> None:  # fmt: skip
        b, before = self.builder, self.builder.block
        test, inside, after = (
            self.function.append_basic_block(f"{name}{part}") for part in ("", "_body", "_end")
        )
        b.branch(test)
        b.position_at_end(test)
        index = b.phi(I64)
        index.add_incoming(start, before)
        b.cbranch(b.icmp_signed("<", index, stop), inside, after)
        b.position_at_end(inside)
        body(index)
        index.add_incoming(b.add(index, _number(step)), b.block)
        b.branch(test)
        b.position_at_end(after)


def _number(value: int) -> ir.Constant:
    return ir.Constant(I64, value)
