"""Lowering: one fusion group becomes one loop nest.

Every value of a group is a scalar expression under an index, so lowering is evaluation: starting
from what the kernel stores, operands are evaluated at the index they are read at, views by changing
the index, until memory is reached.

A group with reductions runs over its rows; each row takes several passes.  The pass of a value is
the number of reductions it has to wait for, one after the other:

    for i in range(lo, hi):                    rows
        m = -inf                               accumulators of pass 0
        for j in range(n1): m = maximum(m, x[i, j])
        s = 0.0                                accumulators of pass 1
        for j in range(n1): out[i, j] = exp(x[i, j] - m); s += out[i, j]
        for j in range(n1): out[i, j] = out[i, j] / s
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from jitgraph_codegen import loop_ir as ir
from jitgraph_codegen.angles import MODERATE
from jitgraph_codegen.blocks import BLOCK, blocked, flattened, inner_extents
from jitgraph_codegen.interchange import interchanged
from jitgraph_codegen.passes import Interior, accumulates, optimise, split
from jitgraph_codegen.tiling import TILE_WIDTH, tiled

from .access import domain_of, follow, is_one, operands, reads, result_place
from .affine import Affine, Index, Taken, Wrap
from .fuse import Group, external_inputs
from .graph import CONSTANT, SIZE, Node
from .naming import LOOP_NAMES, base_name, unique
from .ops import Kind
from .ops import elementwise as ew
from .ops.elementwise import POLYNOMIAL
from .ops.views import FULL
from .schedule import write_index
from .spec import Spec
from .symbolic import Dim, add, floordiv, product, sub, surely_nonnegative

LARGE = "large"  # the flag for angles that are not moderate
OUTSIDE = "outside"  # the flag for positions that an axis does not have
_OF_ANGLES = (ew.SIN, ew.COS, ew.TAN)
_COMBINED = {
    "sum": "x + y", "prod": "x * y", "max": "maximum(x, y)", "min": "minimum(x, y)",
    "any": "x | y", "all": "x & y",
}  # fmt: skip
TWICE_FLOPS = 64
STRIP = 32  # elements; of 8 bytes they fill four cache lines
ACROSS = 64  # columns whose totals a scan across rows keeps
STRIDED_FLOPS = 5  # what it costs to bring strided elements into a vector
LARGEST_POWER = 4  # integer exponents up to here are multiplied out


@dataclass(frozen=True)
class Lowered:
    """A kernel and what its arguments are: graph nodes for buffers, size expressions for sizes."""

    kernel: ir.Kernel
    buffers: tuple[Node, ...]  # in the order of the kernel's buffers
    sizes: Mapping[str, Dim]
    extent: Dim
    outputs: tuple[Node, ...]
    domain: tuple[Dim, ...]  # what its loops run over
    shares_columns: bool = False  # whether threads share the columns that are added up
    partials: tuple[Node, ...] = ()  # memory for what blocks of a whole array are reduced to
    outside: Node | None = None  # memory for whether a position was outside of its axis


def lower(
    group: Group, name: str, layouts: Mapping[Node, str], precise: bool, on_cpu: bool = True
) -> tuple[Lowered, ...]:
    """The loop nest of a group; for a reduction of a whole array, the one over its blocks and the
    one that takes their results together.

    layouts: "C", "R" or "A" for each value in memory, as a buffer has it.
    precise: float32 sums in float64, powers as the library computes them.
    on_cpu: keep an expensive value of an earlier pass in an output's memory instead of computing it
    again, and split loops over wrapped indices.
    """
    lowering = _Lowering(group, name, layouts, precise, on_cpu)
    if not on_cpu or group.sinks or not any(_takes_angle(m) for m in group.inside):
        return lowering.run()
    return _for_moderate_angles(_Lowering(group, name, layouts, precise, True, True), lowering)


def _takes_angle(node: Node) -> bool:
    return node.op in _OF_ANGLES and node.spec.dtype.name in MODERATE


def _for_moderate_angles(quick: _Lowering, whole: _Lowering) -> tuple[Lowered, ...]:
    """The quick nest, and the other one after it if it met a large angle:

    large = False
    for i in range(lo, hi):
        large = large | (abs(x[i]) > 32768.0)
        out[i] = sin_moderate(x[i])
    if large:
        for i in range(lo, hi): out[i] = sin(x[i])
    """
    first, *rest = quick.run()
    whole.counter = quick.counter
    second, *_ = whole.run()
    large = ir.Var(LARGE, "bool")
    body = (
        ir.Accumulator(LARGE, "any", "bool"),
        *first.kernel.body,
        ir.If(large, second.kernel.body),
    )
    kernel = replace(first.kernel, body=body)
    kernel.verify()
    return (replace(first, kernel=kernel), *rest)


class _Lowering:
    def __init__(
        self,
        group: Group,
        name: str,
        layouts: Mapping[Node, str],
        precise: bool,
        on_cpu: bool,
        moderate: bool = False,
    ) -> None:
        self.moderate = moderate  # whether angles are taken to be so, and counted if not
        self.group, self.name, self.precise, self.on_cpu = group, name, precise, on_cpu
        self.inside = group.inside
        self.sizes: dict[str, Dim] = {}
        self.index_names = self._loop_names()
        self.buffers: dict[Node, ir.Buffer] = {}
        self.along_rows = group.along_rows
        self._declare_buffers(layouts)
        self.levels: dict[tuple[Node, Index], int] = {}
        self.row, self.inner, self.deep = _Scope(), _Scope(), _Scope()
        self.earlier: dict[tuple[Node, Index], tuple[list[ir.Stmt], ir.Expr]] = {}
        self.stashed: dict[Node, tuple[Node, Index]] = {}  # output -> value kept in it
        self.wraps: dict[str, dict[ir.Expr, tuple[ir.Expr, int, Dim | None]]] = {}
        self.counter = 0
        self.current_pass = 0
        self.outside: Node | None = None
        self.strided = on_cpu and self._reduces_strided()
        self.totals: list[ir.Buffer] = []  # of scans across rows, for the columns of a strip
        self.totals_start: list[ir.Stmt] = []

    # names and buffers

    def _loop_names(self) -> dict[int, str]:
        group = self.group
        ordered = [*group.outer, *sorted(group.reduced), *sorted(group.nested)]
        looped = [k for k in ordered if not is_one(self.group.domain[k])]
        return {k: LOOP_NAMES[n] if n < len(LOOP_NAMES) else f"i{n}" for n, k in enumerate(looped)}

    def _declare_buffers(self, layouts: Mapping[Node, str]) -> None:
        taken: set[str] = set()
        for node in external_inputs(self.group):
            self.buffers[node] = self._buffer(
                node, unique(base_name(node), taken), layouts.get(node, "C"), "in"
            )
        outputs = self.group.outputs
        for k, node in enumerate(outputs):
            if node in self.group.sinks:
                self._declare_sink(node, layouts[node], taken)
                continue
            name = unique("out" if len(outputs) == 1 else f"out{k}", taken)
            adds_up = self.along_rows and node.kind is Kind.REDUCE
            self.buffers[node] = self._buffer(node, name, "C", "inout" if adds_up else "out")

    def _declare_sink(self, write: Node, layout: str, taken: set[str]) -> None:
        """One buffer for the array before and after a write, so that the compiler sees it is
        one.
        """
        base = write.inputs[0]
        name = self.buffers[base].name if base in self.buffers else unique(base_name(base), taken)
        buffer = self._buffer(base, name, layout, "inout")
        if base in self.buffers:
            self.buffers[base] = buffer
        self.buffers[write] = buffer

    def _buffer(self, node: Node, name: str, layout: str, role: str) -> ir.Buffer:
        shape = tuple(self.extent(d) for d in node.spec.shape)
        return ir.Buffer(name, node.spec.dtype.name, shape, layout if shape else "C", role)

    def extent(self, dim: Dim) -> ir.Extent:
        """A size as the kernel sees it: a literal or the name of an argument."""
        if isinstance(dim, int):
            return dim
        for name, known in self.sizes.items():
            if known == dim:
                return name
        name = f"n{len(self.sizes)}"
        self.sizes[name] = dim
        return name

    def fresh(self) -> str:
        self.counter += 1
        return f"t{self.counter - 1}"

    # the nest

    def run(self) -> tuple[Lowered, ...]:
        if self.along_rows:
            return self._run_along_rows()
        if self.group.across:
            return self._run_across()
        everyone = [m for m in self.group.place if m.kind is Kind.REDUCE]
        reductions = [m for m in everyone if not self._is_nested(m)]
        stores = {
            o: self.level(v, self.result(v))
            for o in self.group.outputs
            for v in [self.stored(o)]
            if not self.is_row(v)
        }
        sinks = [o for o in stores if o in self.group.sinks]
        waves = {r: self.level(*follow(r.inputs[0], self.group.place[r])) for r in reductions}
        for write in sinks:  # the old elements are read until the last pass
            stores[write] = max([*waves.values(), *stores.values()])
        for number in sorted({*waves.values(), *stores.values()}):
            self._pass(
                number,
                [r for r in reductions if waves[r] == number],
                [o for o in stores if stores[o] == number],
                max(stores.values(), default=-1),
            )
        self.row.body += self._stores(
            [o for o in self.group.outputs if self.is_row(self.stored(o))]
        )
        return self._nest()

    def _run_along_rows(self) -> tuple[Lowered, ...]:
        """Reductions whose results are their own accumulators:

        for j in range(lo, hi): out[j] = 0.0
        for i in range(n0):
            for j in range(lo, hi): out[j] = out[j] + x[i, j]
        """
        start: list[ir.Stmt] = []
        updates: list[ir.Stmt] = []
        for node in [m for m in self.group.place if m.kind is Kind.REDUCE]:
            accumulator = self._accumulator(node)
            combine, dtype = accumulator.combine, accumulator.dtype
            buffer, index = self.buffers[node], self.subscript(self.result(node))
            start.append(ir.Store(buffer, index, _constant(ir.neutral(combine, dtype), dtype)))
            value = _cast(self.value(node.inputs[0], self.group.place[node]), dtype)
            both = (ir.Load(buffer, index), value)
            updates.append(ir.Store(buffer, index, ir.Apply(_COMBINED[combine], both, dtype)))
        self.inner.body += updates
        self.inner.body += self._stores([o for o in self.group.outputs if not self.is_row(o)])
        order = sorted(self.index_names)
        first = min(k for k in order if k in self.group.reduced)
        leading = [k for k in order if k < first]
        rows = [k for k in order if k > first and k not in self.group.reduced]
        shared = (leading or rows)[0]  # the axis that threads share
        body: tuple[ir.Stmt, ...] = (
            *self._looped(rows, start, shared),
            *self._looped([k for k in order if k >= first], self.inner.body, shared),
        )
        body = self._looped(leading, [*self.row.body, *body], shared)
        (found,) = self._finished(body, self.group.domain[shared])
        return (replace(found, shares_columns=not leading),)

    def _run_across(self) -> tuple[Lowered, ...]:
        """Scans from row to row, over strips of columns whose totals stay in the cache:

        for strip in range(lo, hi):
            for j in range(strip * 64, ...): totals[0, j - strip * 64] = 0.0
            for i in range(n0):
                for j in range(strip * 64, ...):
                    t0 = totals[0, j - strip * 64] + x[i, j]
                    totals[0, j - strip * 64] = out[i, j] = t0
        """
        (along,) = self.group.reduced
        *_, last = (k for k in self.index_names if k != along)
        leading = [k for k in sorted(self.index_names) if k not in (along, last)]
        self.inner.body += self._stores(list(self.group.outputs))
        length = self.group.domain[last]
        strips = floordiv(add(length, ACROSS - 1), ACROSS)
        width, strip = ir.Const(ACROSS, ir.INDEX), ir.Var("strip", ir.INDEX)
        start = ir.Apply("x * y", (strip, width), ir.INDEX)
        end = ir.Apply("x * y + y", (strip, width), ir.INDEX)
        stop = ir.Apply("min(x, y)", (end, self._dim(length)), ir.INDEX)

        def over_columns(body: Sequence[ir.Stmt]) -> ir.For:
            return ir.For(self.index_names[last], self.extent(length), tuple(body), start, stop)

        rows = ir.For(
            self.index_names[along],
            self.extent(self.group.domain[along]),
            (over_columns(self.inner.body),),
        )
        body: tuple[ir.Stmt, ...] = (*self.row.body, over_columns(self.totals_start), rows)
        for k in reversed(leading):
            index = self.index_names[k]
            body = (ir.For(index, self.extent(self.group.domain[k]), body),)
        memory = tuple(map(ir.Scratch, self.totals))
        return self._finished((*memory, ir.Range(strip.name, body)), strips)

    def _total_across(self, node: Node, index: Index) -> ir.Expr:
        """The element of a scan from the total of its column, which is kept for the next row."""
        accumulator = self._accumulator(node)
        combine, dtype = accumulator.combine, accumulator.dtype
        number = len(self.totals) or ""
        buffer = ir.Buffer(f"totals{number}", dtype, (1, ACROSS), "C", "inout")
        self.totals.append(buffer)
        *_, last = (k for k in self.index_names if k not in self.group.reduced)
        column = ir.Var(self.index_names[last], ir.INDEX)
        arguments = (column, ir.Var("strip", ir.INDEX), ir.Const(ACROSS, ir.INDEX))
        place = (ir.Const(0, ir.INDEX), ir.Apply("x - y * z", arguments, ir.INDEX))
        neutral = _constant(ir.neutral(combine, dtype), dtype)
        self.totals_start.append(ir.Store(buffer, place, neutral))
        ((source, at),) = operands(node, index)
        both = (ir.Load(buffer, place), _cast(self.value(source, at), dtype))
        total = self._let(ir.Apply(_COMBINED[combine], both, dtype), index)
        self.inner.body.append(ir.Store(buffer, place, total))
        return _cast(total, node.spec.dtype.name)

    def _looped(self, axes: list[int], body: Sequence[ir.Stmt], shared: int) -> tuple[ir.Stmt, ...]:
        """Loops over axes, the first one outermost; the shared one runs over a part."""
        nest = tuple(body)
        for k in reversed(axes):
            index = self.index_names[k]
            if k == shared:
                nest = (ir.Range(index, nest),)
            else:
                nest = (ir.For(index, self.extent(self.group.domain[k]), nest),)
        return nest

    def stored(self, output: Node) -> Node:
        """The member whose elements an output holds."""
        return self.group.sinks.get(output, output)

    def _stores(self, outputs: list[Node]) -> list[ir.Stmt]:
        """Stores of outputs, once all their values are there: one may be what another reads."""
        return [self._store(output) for output in outputs]

    def _store(self, output: Node) -> ir.Store:
        node = self.stored(output)
        value = self.value(node, self.result(node))
        index = self.result(node) if node is output else write_index(output, node, self.group)
        return ir.Store(self.buffers[output], self.subscript(index), value)

    def result(self, node: Node) -> Index:
        return result_place(node, self.group.place[node])

    def is_row(self, node: Node) -> bool:
        return not any(i.axes() & self.group.reduced for i in self.result(node))

    def _scope(self, index: Index) -> _Scope:
        """Where a value at this index is computed: once a row, once a step of a pass over it, or
        once a step of a nested reduction.
        """
        axes = {axis for i in index for axis in i.axes()}
        if self.along_rows or self.group.across:
            return self.inner if axes else self.row
        if axes & self.group.nested:
            return self.deep
        return self.inner if axes & self.group.reduced else self.row

    def _is_nested(self, node: Node) -> bool:
        return self._scope(self.group.place[node]) is self.deep

    def _pass(
        self, number: int, reductions: list[Node], stores: list[Node], last_store: int
    ) -> None:
        self.inner, self.current_pass = _Scope(), number
        self.last_store = last_store
        accumulators: dict[Node, ir.Accumulator] = {}
        positions: dict[Node, ir.Accumulator] = {}
        for node in reductions:
            accumulator = self._accumulator(node)
            if accumulator.combine.startswith("arg") and self._is_cheap(node.inputs[0]):
                extreme = accumulator.combine.removeprefix("arg")
                accumulator = positions[node] = replace(accumulator, combine=extreme)
            accumulators[node] = accumulator
            self.row.body.append(accumulator)
        self._accumulate(accumulators, self.inner)
        self.inner.body += self._stores(stores)
        kept = {key: (self.inner.body, value) for key, value in self.inner.values.items()}
        self.earlier.update(kept)
        self.row.body.append(_OpenLoop(self._loops(self.group.reduced), self.inner.body))
        self._note_results(accumulators, self.row)
        if positions:
            self._find_positions(positions)

    def _find_positions(self, best: Mapping[Node, ir.Accumulator]) -> None:
        """The first places where extremes are, in a loop of their own: both loops vectorise, which
        one that keeps value and place together does not.
        """
        self.inner = _Scope()
        places: dict[Node, ir.Accumulator] = {}
        for node, extreme in best.items():
            place = places[node] = ir.Accumulator(self.fresh(), "min", ir.INDEX)
            self.row.body.append(place)
            value = self.value(node.inputs[0], self.group.place[node])
            same = "(x == y) | (x != x)" if value.dtype.startswith("float") else "x == y"
            found = ir.Apply(same, (value, ir.Var(extreme.name, extreme.dtype)), "bool")
            nowhere = ir.Const(int(ir.neutral("min", ir.INDEX)), ir.INDEX)
            at = ir.Apply("select(x, y, z)", (found, self._position(node), nowhere), ir.INDEX)
            self.inner.body.append(ir.Accumulate(place.name, place.combine, at))
        self.row.body.append(_OpenLoop(self._loops(self.group.reduced), self.inner.body))
        self._note_results(places, self.row)

    def _loops(self, axes: frozenset[int]) -> list[int]:
        return [k for k in sorted(axes) if k in self.index_names]

    def _reduces_strided(self) -> bool:
        """Whether rows are reduced over elements that do not lie side by side, and that are the
        same for all rows, as the components of centers are that each point is compared with.
        """
        group = self.group
        if group.nested or group.across or group.along_rows or not group.reduced:
            return False
        strided: set[tuple[Node, Index]] = set()
        for member, place in group.place.items():
            if member.kind is Kind.SCAN or (member.kind is not Kind.REDUCE and not place):
                return False
            for source, index in reads(member, place):
                axes = {axis for i in index for axis in i.axes()}
                if source in self.inside or not axes & group.reduced:
                    continue
                if axes - group.reduced:
                    return False
                if not index[-1].axes() and not is_one(source.spec.shape[-1]):
                    strided.add((source, index))
        return len(strided) * STRIDED_FLOPS > _flops(group)

    def _is_cheap(self, node: Node) -> bool:
        """Whether computing a value twice, in vectors, costs less than once with a branch."""
        if self.group.nested or self.group.sinks or not self.on_cpu or self.strided:
            return False
        if node.spec.dtype == np.bool_:
            return False
        stack, flops = [node], 0
        while stack:
            current = stack.pop()
            if current in self.inside and current.kind is not Kind.REDUCE:
                flops += current.op.loop.flops if current.op.loop else 1
                stack.extend(current.inputs)
        return flops <= TWICE_FLOPS

    def _accumulate(self, accumulators: Mapping[Node, ir.Accumulator], scope: _Scope) -> None:
        for node, accumulator in accumulators.items():
            value = _cast(self.value(node.inputs[0], self.group.place[node]), accumulator.dtype)
            at = self._position(node) if accumulator.combine.startswith("arg") else None
            scope.body.append(ir.Accumulate(accumulator.name, accumulator.combine, value, at))

    def _note_results(self, accumulators: Mapping[Node, ir.Accumulator], scope: _Scope) -> None:
        for node, accumulator in accumulators.items():
            found = ir.Var(accumulator.name, accumulator.dtype)
            if accumulator.combine.startswith("arg"):
                found = ir.Var(f"{accumulator.name}_at", ir.INDEX)
            scope.values[node, self.result(node)] = _cast(found, node.spec.dtype.name)

    def _nested_reductions(self, node: Node) -> None:
        """A loop over the nested axes, in the open pass, for a reduction and those that can be made
        along with it; those it waits for have loops of their own before.
        """
        depth = self._nested_depth(node)
        together = [m for m in self._nested() if (m, self.result(m)) not in self.inner.values]
        for waited in together:
            if self._nested_depth(waited) < depth and self._needs(node, waited):
                self.value(waited, self.result(waited))
        accumulators: dict[Node, ir.Accumulator] = {}
        for member in together:
            known = (member, self.result(member)) in self.inner.values
            if self._nested_depth(member) == depth and not known and self._ready(member):
                accumulators[member] = self._accumulator(member)
                self.inner.body.append(accumulators[member])
        self.deep = _Scope()
        self._accumulate(accumulators, self.deep)
        loop = _OpenLoop(self._loops(self.group.nested), self.deep.body)
        self.inner.body += self._closed([loop])
        self._note_results(accumulators, self.inner)

    def _nested(self) -> list[Node]:
        return [m for m in self.group.place if m.kind is Kind.REDUCE and self._is_nested(m)]

    def _nested_depth(self, node: Node) -> int:
        """How many nested reductions a nested reduction waits for, one after the other."""
        waited = [
            m
            for m in self.group.place
            if m is not node
            and m.kind is Kind.REDUCE
            and self._is_nested(m)
            and self._needs(node, m)
        ]
        return 1 + max(map(self._nested_depth, waited), default=-1)

    def _needs(self, node: Node, other: Node) -> bool:
        stack, seen = list(node.inputs), set[Node]()
        while stack:
            current = stack.pop()
            if current is other:
                return True
            if current not in seen:
                seen.add(current)
                stack.extend(current.inputs)
        return False

    def _ready(self, node: Node) -> bool:
        """Whether the open pass comes late enough for what a nested reduction takes in."""
        return self.level(node.inputs[0], self.group.place[node]) <= self.current_pass

    def _nest(self) -> tuple[Lowered, ...]:
        body = self._closed(self.row.body)
        outer = [k for k in self.group.outer if k in self.index_names]
        if not outer:
            return self._in_blocks(body) or self._finished(body, 1)
        if self.strided and len(outer) == 1:
            rows = self._looped(outer, body, outer[0])
            (found,) = self._finished(rows, self.group.domain[outer[0]])
            if (kernel := interchanged(found.kernel)) is not None:
                kernel.verify()
                found = replace(found, kernel=kernel)
            return (found,)
        if self._crosses(outer):
            return self._finished(self._in_strips(outer, body), self.group.domain[outer[0]])
        return self._finished(self._looped(outer, body, outer[0]), self.group.domain[outer[0]])

    def _crosses(self, axes: list[int]) -> bool:
        """Whether an array is read across its rows while the innermost loop runs along others'."""
        if len(axes) < 2 or self.group.reduced or self.wraps or not self.on_cpu:
            return False
        loads = [key for scope in (self.row, self.inner) for key in scope.values]
        lasts = {i[-1].axis for n, i in loads if n not in self.inside and i}
        return bool(lasts & set(axes[:-1])) and len(self.group.outputs) == 1

    def _in_strips(self, axes: list[int], body: Sequence[ir.Stmt]) -> tuple[ir.Stmt, ...]:
        """The innermost loop in strips, outside of all others: a strip of rows that are read across
        stays in the cache until its cache lines are used up.

            for strip in range((n1 + 31) // 32):
                for i in range(lo, hi):
                    for j in range(strip * 32, min(strip * 32 + 32, n1)): out[i, j] = x[j, i]
        """
        *others, last = axes
        length = self.group.domain[last]
        if len(others) == 1 and not isinstance(length, int):
            whole = self.extent(length), self.extent(floordiv(length, TILE_WIDTH))
            nest = tiled(self.index_names[others[0]], self.index_names[last], *whole, tuple(body))
            if nest is not None:
                return nest
        count = self.extent(floordiv(add(length, STRIP - 1), STRIP))
        width, strip = ir.Const(STRIP, ir.INDEX), ir.Var("strip", ir.INDEX)
        start = ir.Apply("x * y", (strip, width), ir.INDEX)
        end = ir.Apply("x * y + y", (strip, width), ir.INDEX)
        stop = ir.Apply("min(x, y)", (end, self._dim(length)), ir.INDEX)
        inner = ir.For(self.index_names[last], self.extent(length), tuple(body), start, stop)
        return (ir.For(strip.name, count, self._looped(others, [inner], others[0])),)

    def _finished(self, body: tuple[ir.Stmt, ...], extent: Dim) -> tuple[Lowered, ...]:
        body = split(body, self._interiors())
        last = self.extent(extent)  # may add a size, so it comes before the sizes are read
        buffers = tuple(dict.fromkeys(self.buffers.values()))
        return (self._lowered(ir.Kernel(self.name, buffers, tuple(self.sizes), last, body)),)

    def _in_blocks(self, body: tuple[ir.Stmt, ...]) -> tuple[Lowered, ...] | None:
        """The kernels of a reduction of a whole array that may be large; None for others."""
        count = product(self.group.domain)
        if not self.on_cpu or (isinstance(count, int) and count < 2 * BLOCK):
            return None
        buffers = tuple(dict.fromkeys(self.buffers.values()))
        kernel = flattened(ir.Kernel(self.name, buffers, tuple(self.sizes), 1, body))
        if kernel is None:
            return None
        loop = next(s for s in kernel.body if isinstance(s, ir.For))
        across = product(self._size(e) for e in inner_extents(loop))
        rows = floordiv(add(across, BLOCK - 1), across) if across != 1 else BLOCK
        count = self._size(loop.extent)
        blocks = floordiv(add(count, sub(rows, 1)), rows)
        found = blocked(kernel, self.extent(rows), self.extent(blocks))
        nodes: dict[ir.Buffer, Node] = {}
        for buffer in found.partials:
            spec = Spec((blocks,), np.dtype(buffer.dtype))
            nodes[buffer] = Node(FULL, (), {}, spec)
            self.buffers[nodes[buffer]] = buffer
        parts, total = self._lowered(found.parts), self._lowered(found.total)
        parts = replace(parts, partials=tuple(nodes.values()))
        return parts, replace(total, domain=(blocks,))

    def _lowered(self, kernel: ir.Kernel) -> Lowered:
        optimised = optimise(kernel)
        if outside := self.outside if accumulates(kernel.body, OUTSIDE) else None:
            buffer = self.buffers[outside] = ir.Buffer(OUTSIDE + "_", "bool", (), "C", "out")
            kernel, optimised = (_telling(k, buffer) for k in (kernel, optimised))
        if not self.moderate:  # else once both nests are together
            kernel.verify()
            optimised.verify()
        sizes = {name: self._size(name) for name in optimised.sizes}
        holders = {b.name: n for n, b in self.buffers.items()}  # the last name is the newest
        nodes = tuple(holders[b.name] for b in optimised.buffers)
        final = self._size(optimised.extent)
        return Lowered(
            optimised, nodes, sizes, final, tuple(self.group.outputs), self.group.domain,
            outside=outside,
        )  # fmt: skip

    def _size(self, extent: ir.Extent) -> Dim:
        if isinstance(extent, int):
            return extent
        return product(
            int(part) if part.isdigit() else self.sizes[part] for part in extent.split("x")
        )

    def _closed(self, stmts: list[ir.Stmt | _OpenLoop]) -> tuple[ir.Stmt, ...]:
        closed: list[ir.Stmt] = []
        for stmt in stmts:
            if not isinstance(stmt, _OpenLoop):
                closed.append(stmt)
                continue
            body = tuple(stmt.body)
            for k in reversed(stmt.axes):
                body = (ir.For(self.index_names[k], self.extent(self.group.domain[k]), body),)
            closed.extend(body)
        return tuple(closed)

    # reductions

    def _accumulator(self, node: Node) -> ir.Accumulator:
        assert node.op.combine is not None
        combine, dtype = node.op.combine.name, node.spec.dtype
        source = node.inputs[0].spec.dtype
        if combine in ("argmax", "argmin"):
            dtype = source
        elif source == np.bool_ and combine in ("max", "min"):
            combine = {"max": "any", "min": "all"}[combine]
        elif self.precise and combine in ("sum", "prod") and dtype == np.float32:
            dtype = np.dtype(np.float64)
        return ir.Accumulator(self.fresh(), combine, dtype.name)

    def _position(self, node: Node) -> ir.Expr:
        """Where in the reduced axes an element stands, counted in C order."""
        place, shape = self.group.place[node], domain_of(node)
        position: ir.Expr = ir.Const(0, ir.INDEX)
        for k in node.attrs["axis"]:
            here = self.subscript((place[k],))[0]
            if isinstance(position, ir.Const):
                position = here
                continue
            extent = self.extent(shape[k])
            size: ir.Expr = (
                ir.Const(extent, ir.INDEX) if isinstance(extent, int) else ir.Var(extent, ir.INDEX)
            )
            position = ir.Apply("x * y + z", (position, size, here), ir.INDEX)
        return position

    # values

    def level(self, node: Node, index: Index) -> int:
        """The pass a value is known in: after how many reductions."""
        node, index = follow(node, index)
        taken = [t for i in index for t in i.taken()]
        known = max((self.level(t.positions, t.at) for t in taken), default=0)
        if node not in self.inside:
            return known
        key = node, index
        if key not in self.levels:
            if node.kind is Kind.REDUCE:
                found = self.level(node.inputs[0], self.group.place[node])
                found += not self._is_nested(node)
            else:
                found = max((self.level(s, i) for s, i in operands(node, index)), default=0)
            self.levels[key] = max(found, known)
        return self.levels[key]

    def value(self, node: Node, index: Index) -> ir.Expr:
        """The scalar that `node` has at `index`, computed in the row or the open pass."""
        node, index = follow(node, index)
        if node.op is CONSTANT:
            return _constant(node.attrs["value"], node.spec.dtype.name)
        if node.op is SIZE:
            return self._dim(node.attrs["dim"])
        if node not in self.inside:
            return self._load(node, index)
        key = node, index
        if key not in self._scope(index).values:
            if node.kind is Kind.REDUCE:
                self._nested_reductions(node)
            else:
                found = self._recalled(key) or self._computed(node, index)
                self._scope(index).values[key] = found
        return self._scope(index).values[key]

    def _dim(self, dim: Dim) -> ir.Expr:
        extent = self.extent(dim)
        return ir.Const(extent, ir.INDEX) if isinstance(extent, int) else ir.Var(extent, ir.INDEX)

    def _load(self, node: Node, index: Index) -> ir.Expr:
        key, scope = (node, index), self._scope(index)
        if key not in scope.values:
            load = ir.Load(self.buffers[node], self.subscript(index))
            scope.values[key] = self._let(load, index)
        return scope.values[key]

    def _computed(self, node: Node, index: Index) -> ir.Expr:
        if node.op is ew.IOTA:
            return self._let(_cast(self.subscript(index)[0], node.spec.dtype.name), index)
        if node.kind is Kind.SCAN:
            return self._scanned(node, index)
        assert node.op.loop is not None and node.op.loop_dtypes is not None
        *dtypes, result = node.op.loop_dtypes(*[i.spec for i in node.inputs], **node.attrs)
        if node.op is ew.CAST:
            ((source, at),) = operands(node, index)
            return self._let(_cast(self.value(source, at), result.name), index)
        tanh = self._tanh_that_one_is_added_to(node)
        if tanh is not None:
            ((source, at),) = operands(tanh, index)
            value = _cast(self.value(source, at), result.name)
            return self._let(ir.Apply("one_plus_tanh(x)", (value,), result.name), index)
        args = [
            _cast(self.value(source, at), dtype.name)
            for (source, at), dtype in zip(operands(node, index), dtypes, strict=True)
        ]
        if self.moderate and _takes_angle(node):
            limit = _constant(MODERATE[args[0].dtype], args[0].dtype)
            beyond = ir.Apply("abs(x) > y", (args[0], limit), "bool")
            self._scope(index).body.append(ir.Accumulate(LARGE, "any", beyond))
        template = self._template(node, dtypes, args)
        used = tuple(args[: 1 + max(("xyz".find(c) for c in _letters(template)), default=-1)])
        return self._let(ir.Apply(template, used, result.name), index)

    def _tanh_that_one_is_added_to(self, node: Node) -> Node | None:
        """The tanh of `1 + tanh(x)`, if nothing else reads it."""
        if node.op is not ew.ADD or self.precise or not self.on_cpu:
            return None
        ones = [i for i in node.inputs if i.op is CONSTANT and i.attrs["value"] == 1]
        found = [i for i in node.inputs if i.op is ew.TANH and i in self.inside]
        if len(ones) != 1 or len(found) != 1 or found[0].spec != node.spec:
            return None
        readers = sum(found[0] in m.inputs for m in self.inside)
        if readers > 1 or found[0] in self.group.outputs or node.spec.dtype.name not in MODERATE:
            return None
        return found[0]

    def _scanned(self, node: Node, index: Index) -> ir.Expr:
        """The accumulator of a pass over a row, which at each step is the element of the scan."""
        if self.group.across:
            return self._total_across(node, index)
        accumulator = self._accumulator(node)
        self.row.body.append(accumulator)
        ((source, at),) = operands(node, index)
        value = _cast(self.value(source, at), accumulator.dtype)
        self.inner.body.append(ir.Accumulate(accumulator.name, accumulator.combine, value))
        return self._let(
            _cast(ir.Var(accumulator.name, accumulator.dtype), node.spec.dtype.name), index
        )

    def _template(self, node: Node, dtypes: list[np.dtype[Any]], args: list[ir.Expr]) -> str:
        assert node.op.loop is not None
        if node.op is ew.POWER and isinstance(args[1], ir.Const) and not self.precise:
            exponent = args[1].value
            assert not isinstance(exponent, complex)
            if float(exponent).is_integer() and 1 <= exponent <= LARGEST_POWER:
                return " * ".join(["x"] * int(exponent))
        if self.moderate and _takes_angle(node):
            return f"{node.op.name}_moderate(x)"
        return node.op.loop.template("".join(d.kind for d in dtypes))

    def _recalled(self, key: tuple[Node, Index]) -> ir.Expr | None:
        """An expensive value of an earlier pass, from memory: its own output, or one not yet
        written.
        """
        node, index = key
        if key not in self.earlier or not _is_expensive(node):
            return None
        stmts, value = self.earlier[key]
        if node in self.group.outputs and index == self.result(node):
            return self._let(ir.Load(self.buffers[node], self.subscript(index)), index)
        home = self._free_output(key)
        if home is None:
            return None
        buffer, place = self.buffers[home], self.subscript(index)
        if home not in self.stashed:
            self.stashed[home] = key
            stmts.append(ir.Store(buffer, place, value))
        return self._let(ir.Load(buffer, place), index)

    def _free_output(self, key: tuple[Node, Index]) -> Node | None:
        node, index = key
        if not self.on_cpu:  # outputs of a GPU's kernel are written once
            return None
        for output in self.group.outputs:
            if output in self.group.sinks:
                continue
            holds = self.stashed.get(output, key) == key
            fits = output.spec.dtype == node.spec.dtype and self.result(output) == index
            if holds and fits and self.level(output, index) == self.last_store >= self.current_pass:
                return output
        return None

    def _let(self, value: ir.Expr, index: Index) -> ir.Expr:
        if isinstance(value, (ir.Const, ir.Var)):
            return value
        name = self.fresh()
        self._scope(index).body.append(ir.Let(name, value))
        return ir.Var(name, value.dtype)

    def subscript(self, index: Index) -> tuple[ir.Expr, ...]:
        return tuple(self._affine(i) for i in index)

    def _affine(self, index: Affine) -> ir.Expr:
        total: ir.Expr | None = None
        for atom, coefficient in index.terms:
            term: ir.Expr
            if isinstance(atom, Wrap):
                args = (self._affine(atom.inner), self._dim(atom.size))
                term = ir.Apply("wrapped(x, y)", args, ir.INDEX)
                self._note_wrap(atom, term)
            elif isinstance(atom, Taken):
                term = self._taken(atom)
            else:
                term = ir.Var(self.index_names[atom], ir.INDEX)
            if coefficient != 1:
                term = ir.Apply("x * y", (ir.Const(coefficient, ir.INDEX), term), ir.INDEX)
            total = term if total is None else ir.Apply("x + y", (total, term), ir.INDEX)
        if total is None:
            return self._dim(index.offset)
        if index.offset == 0:
            return total
        if isinstance(index.offset, int) and index.offset < 0:
            return ir.Apply("x - y", (total, ir.Const(-index.offset, ir.INDEX)), ir.INDEX)
        return ir.Apply("x + y", (total, self._dim(index.offset)), ir.INDEX)

    def _taken(self, atom: Taken) -> ir.Expr:
        """A position from an array: counted from the start, and 0 where the axis has none such, so
        that memory is only read where it is.
        """
        scope = self._scope(atom.at)
        key = atom.positions, (Affine(((atom, 1),)),)
        if key not in scope.values:
            given = _cast(self.value(atom.positions, atom.at), ir.INDEX)
            size = self._dim(atom.size)
            if atom.positions.spec.dtype.kind == "i" and atom.positions.op is not ew.IOTA:
                given = ir.Apply("select(x < 0, x + y, x)", (given, size), ir.INDEX)
            position = self._let(given, atom.at)
            beyond = ir.Apply("(x < 0) | (x >= y)", (position, size), "bool")
            outside = self._let(beyond, atom.at)
            scope.body.append(ir.Accumulate(OUTSIDE, "any", outside))
            zero = ir.Const(0, ir.INDEX)
            found = ir.Apply("select(x, y, z)", (outside, zero, position), ir.INDEX)
            scope.values[key] = self._let(found, atom.at)
            if self.outside is None:
                self.outside = Node(FULL, (), {}, Spec((), np.dtype(bool)))
        return scope.values[key]

    def _note_wrap(self, wrap: Wrap, printed: ir.Expr) -> None:
        """Where a wrapped index is a plain one: below its size, or from its size on."""
        inner = wrap.inner
        if len(inner.terms) != 1 or not isinstance(inner.terms[0][0], int) or not self.on_cpu:
            return
        axis, coefficient = inner.terms[0]
        assert isinstance(axis, int)
        excess = sub(inner.offset, wrap.size)
        plain = None
        if coefficient == 1 and isinstance(inner.offset, int) and inner.offset >= 0:
            plain, start, stop = Affine(inner.terms, inner.offset), 0, sub(wrap.size, inner.offset)
        elif coefficient == 1 and isinstance(excess, int):
            plain, start, stop = Affine(inner.terms, excess), max(-excess, 0), None
        if plain is not None:
            found = self.wraps.setdefault(self.index_names[axis], {})
            found[printed] = (self._affine(plain), start, stop)

    def _interiors(self) -> dict[str, Interior]:
        """For each loop the part of it in which none of its indices wraps around."""
        interiors: dict[str, Interior] = {}
        for index, wraps in self.wraps.items():
            first: Dim | None = None  # the least of the stops
            for _, _, stop in wraps.values():
                if stop is not None and (first is None or surely_nonnegative(sub(first, stop))):
                    first = stop
            if any(s is not None and not _surely_least(first, s) for _, _, s in wraps.values()):
                continue
            interiors[index] = Interior(
                max(start for _, start, _ in wraps.values()),
                None if first is None else self._dim(first),
                {printed: plain for printed, (plain, _, _) in wraps.items()},
            )
        return interiors


def _telling(kernel: ir.Kernel, buffer: ir.Buffer) -> ir.Kernel:
    """The kernel, noting whether it met a position that an axis does not have."""
    store = ir.Store(buffer, (), ir.Const(True, "bool"))
    body = (
        ir.Accumulator(OUTSIDE, "any", "bool"),
        *kernel.body,
        ir.If(ir.Var(OUTSIDE, "bool"), (store,)),
    )
    return replace(kernel, buffers=(*kernel.buffers, buffer), body=body)


def _flops(group: Group) -> int:
    return sum(m.op.loop.flops if m.op.loop else 1 for m in group.inside)


@dataclass(eq=False)
class _Scope:
    """Statements that run at one place of the nest, and the values known there."""

    body: list[Any] = field(default_factory=list)
    values: dict[tuple[Node, Index], ir.Expr] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _OpenLoop:
    """A pass whose statements are still collected."""

    axes: list[int]
    body: list[ir.Stmt]


def _is_expensive(node: Node) -> bool:
    """Whether an element is rather kept than computed once more."""
    return node.kind is Kind.SCAN or (node.op.loop is not None and node.op.loop.flops >= POLYNOMIAL)


def _surely_least(a: Dim | None, b: Dim) -> bool:
    return a is not None and surely_nonnegative(sub(b, a))


def _letters(template: str) -> set[str]:
    return {
        name for name in re.findall(r"[A-Za-z_][A-Za-z_0-9.]*", template) if name in ("x", "y", "z")
    }


def _cast(value: ir.Expr, dtype: str) -> ir.Expr:
    if value.dtype == dtype:
        return value
    return _constant(value.value, dtype) if isinstance(value, ir.Const) else ir.Cast(value, dtype)


def _constant(value: Any, dtype: str) -> ir.Const:
    kind = np.dtype(dtype).kind
    plain = value.item() if isinstance(value, np.generic) else value
    if kind == "c":
        return ir.Const(complex(plain), dtype)
    if kind == "f":
        return ir.Const(float(plain), dtype)
    return ir.Const(bool(plain) if kind == "b" else int(plain), dtype)
