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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jitgraph_codegen import loop_ir as ir
from jitgraph_codegen.blocks import BLOCK, blocked, flattened, inner_extents
from jitgraph_codegen.interchange import interchanged
from jitgraph_codegen.passes import accumulates, optimise, split, without_unused
from jitgraph_codegen.tiling import tiled
from jitgraph_codegen.transposing import COLUMNS

from .access import follow, is_one, operands, reads
from .affine import Index
from .evaluation import LARGE, OUTSIDE, Evaluation, Scope, cast, constant, takes_angle
from .fuse import Group
from .graph import Node
from .ops import Kind
from .ops.reductions import ARGMAX, ARGMIN
from .ops.views import FULL
from .schedule import write_index
from .spec import Spec
from .symbolic import Dim, add, floordiv, product, sub

TWICE_FLOPS = 64
STRIP = 32  # elements; of 8 bytes they fill four cache lines
ACROSS = 64  # columns whose totals a scan across rows keeps
BLOCK_ROWS, BLOCK_ELEMENTS = 64, 1 << 16  # of a block of rows, at least and about
STRIDED_FLOPS = 5  # what it costs to bring strided elements into a vector


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
    precise: float32 sums in float64, elementary functions to half a unit in the last place.
    on_cpu: keep an expensive value of an earlier pass in an output's memory instead of computing it
    again, and split loops over wrapped indices.
    """
    lowering = _Lowering(group, name, layouts, precise, on_cpu)
    if not on_cpu or precise or group.sinks or not any(takes_angle(m) for m in group.inside):
        return lowering.run()
    return _for_moderate_angles(_Lowering(group, name, layouts, precise, True, True), lowering)


def _for_moderate_angles(quick: _Lowering, whole: _Lowering) -> tuple[Lowered, ...]:
    """The quick nest, and the other one after it if it met a large angle:

    large = False
    for i in range(lo, hi):
        large = large | (abs(x[i]) > 32768.0)
        out[i] = sin_moderate(x[i])
    if large:
        for i in range(lo, hi): out[i] = sin(x[i])
    """
    firsts = quick.run()
    whole.counter = quick.counter
    return tuple(map(_or_again, firsts, whole.run()))


def _or_again(quick: Lowered, whole: Lowered) -> Lowered:
    kernel = quick.kernel
    if accumulates(kernel.body, LARGE):
        again = ir.If(ir.Var(LARGE, "bool"), whole.kernel.body)
        flag = ir.Accumulator(LARGE, "any", "bool")
        kernel = replace(kernel, body=(flag, *kernel.body, again))
    kernel.verify()
    return replace(quick, kernel=kernel)


class _Lowering(Evaluation):
    """The loops around a group's values."""

    def __init__(
        self,
        group: Group,
        name: str,
        layouts: Mapping[Node, str],
        precise: bool,
        on_cpu: bool,
        moderate: bool = False,
    ) -> None:
        super().__init__(group, name, layouts, precise, on_cpu, moderate)
        self.strided = on_cpu and self._reduces_strided()
        self.totals: list[ir.Buffer] = []  # of scans across rows, for the columns of a strip
        self.totals_start: list[ir.Stmt] = []

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
        order = sorted(self.index_names)
        first = min(k for k in order if k in self.group.reduced)
        leading = [k for k in order if k < first]
        length = self.group.domain[first]
        if not leading and not (isinstance(length, int) and length < 2 * BLOCK_ROWS):
            return self._along_blocks_of_rows(first)
        places = {m: (self.buffers[m], self.subscript(self.result(m))) for m in self._reductions()}
        start = self._add_up(places)
        rows = [k for k in order if k > first and k not in self.group.reduced]
        shared = (leading or rows)[0]  # the axis that threads share
        body: tuple[ir.Stmt, ...] = (
            *self._looped(rows, start, shared),
            *self._looped([k for k in order if k >= first], self.inner.body, shared),
        )
        body = self._looped(leading, [*self.row.body, *body], shared)
        (found,) = self._finished(body, self.group.domain[shared])
        return (replace(found, shares_columns=not leading),)

    def _reductions(self) -> list[Node]:
        return [m for m in self.group.place if m.kind is Kind.REDUCE]

    def _add_up(
        self, places: Mapping[Node, tuple[ir.Buffer, tuple[ir.Expr, ...]]]
    ) -> list[ir.Stmt]:
        """Have the innermost loop take each element into the accumulator at its place; gives what
        these start from.
        """
        start: list[ir.Stmt] = []
        updates: list[ir.Stmt] = []
        for node, (buffer, index) in places.items():
            combine, dtype = self._accumulator(node).combine, buffer.dtype
            start.append(ir.Store(buffer, index, constant(ir.neutral(combine, dtype), dtype)))
            value = cast(self.value(node.inputs[0], self.group.place[node]), dtype)
            both = (ir.Load(buffer, index), value)
            updates.append(ir.Store(buffer, index, ir.Apply(ir.COMBINED[combine], both, dtype)))
        self.inner.body += updates
        self.inner.body += self._stores(
            [o for o in self.group.outputs if not self.is_row(self.stored(o))]
        )
        return start

    def _along_blocks_of_rows(self, first: int) -> tuple[Lowered, ...]:
        """The same in blocks of rows, which threads share, and then the sum of what these give:

        for block in range(lo, hi):
            for j in range(n1): partial[block, j] = 0.0
            for i in range(block * n2, min(block * n2 + n2, n0)):
                for j in range(n1): partial[block, j] = partial[block, j] + x[i, j]
        """
        domain, order = self.group.domain, sorted(self.index_names)
        within = [k for k in order if k > first]
        rows = [k for k in within if k not in self.group.reduced]
        height = add(floordiv(BLOCK_ELEMENTS, product(domain[k] for k in within)), BLOCK_ROWS)
        blocks = floordiv(add(domain[first], sub(height, 1)), height)
        block, size = ir.Var("block", ir.INDEX), self._dim(height)
        accumulators = {node: self._accumulator(node) for node in self._reductions()}
        partials: dict[Node, Node] = {}
        places: dict[Node, tuple[ir.Buffer, tuple[ir.Expr, ...]]] = {}
        for node, accumulator in accumulators.items():
            spec = Spec((blocks, *node.spec.shape), np.dtype(accumulator.dtype))
            memory = partials[node] = Node(FULL, (), {}, spec)
            name = f"partial{len(places) or ''}"
            buffer = self.buffers[memory] = self._buffer(memory, name, "C", "inout")
            places[node] = buffer, (block, *self.subscript(self.result(node)))
        start = self._add_up(places)
        begin = ir.Apply("x * y", (block, size), ir.INDEX)
        end = ir.Apply("x * y + y", (block, size), ir.INDEX)
        stop = ir.Apply("min(x, y)", (end, self._dim(domain[first])), ir.INDEX)
        inner = self._looped(within, self.inner.body, first)
        loop = ir.For(self.index_names[first], self.extent(domain[first]), inner, begin, stop)
        body = (*self.row.body, *self._looped(rows, start, first), loop)
        together: list[ir.Stmt] = [*accumulators.values()]
        taken = [
            ir.Accumulate(accumulators[n].name, accumulators[n].combine, ir.Load(*place))
            for n, place in places.items()
        ]
        together.append(ir.For(block.name, self.extent(blocks), tuple(taken)))
        for node, accumulator in accumulators.items():
            value = cast(ir.Var(accumulator.name, accumulator.dtype), node.spec.dtype.name)
            index = self.subscript(self.result(node))
            together.append(ir.Store(self.buffers[node], index, value))
        nest = self._looped(rows, together, rows[0])
        parts = self._kernel(self.name, blocks, (ir.Range(block.name, body),))
        total = self._kernel(f"{self.name}_total", domain[rows[0]], nest)
        made = replace(self._lowered(parts), partials=tuple(partials.values()))
        over = (blocks, *(domain[k] for k in rows))
        return made, replace(self._lowered(total), domain=over)

    def _kernel(self, name: str, extent: Dim, body: tuple[ir.Stmt, ...]) -> ir.Kernel:
        last = self.extent(extent)  # may add a size, so it comes before the sizes are read
        buffers = tuple(dict.fromkeys(self.buffers.values()))
        return without_unused(ir.Kernel(name, buffers, tuple(self.sizes), last, body))

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
        neutral = constant(ir.neutral(combine, dtype), dtype)
        self.totals_start.append(ir.Store(buffer, place, neutral))
        ((source, at),) = operands(node, index)
        both = (ir.Load(buffer, place), cast(self.value(source, at), dtype))
        total = self._let(ir.Apply(ir.COMBINED[combine], both, dtype), index)
        self.inner.body.append(ir.Store(buffer, place, total))
        return cast(total, node.spec.dtype.name)

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

    def _pass(
        self, number: int, reductions: list[Node], stores: list[Node], last_store: int
    ) -> None:
        self.inner, self.current_pass = Scope(), number
        self.last_store = last_store
        accumulators: dict[Node, ir.Accumulator] = {}
        positions: dict[Node, ir.Accumulator] = {}
        again = self._comes_out_the_same(reductions, stores)
        for node in reductions:
            accumulator = self._accumulator(node)
            position = accumulator.combine.startswith("arg")
            if position and again and self._is_cheap(node.inputs[0]):
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

    def _comes_out_the_same(self, reductions: list[Node], stores: list[Node]) -> bool:
        """Whether what is looked for comes out the same, to the last bit, when it is computed again
        without all else: a product that is needed for something else too is not fused with a sum.
        """
        wanted = {r.inputs[0] for r in reductions if r.op in (ARGMAX, ARGMIN)}
        others = {r.inputs[0] for r in reductions} | {self.stored(o) for o in stores}
        return others <= wanted

    def _find_positions(self, best: Mapping[Node, ir.Accumulator]) -> None:
        """The first places where extremes are, in a loop of their own: both loops vectorise, which
        one that keeps value and place together does not.
        """
        self.inner = Scope()
        self.current_pass += 1  # the outputs of this pass are written already
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

    def _accumulate(self, accumulators: Mapping[Node, ir.Accumulator], scope: Scope) -> None:
        for node, accumulator in accumulators.items():
            value = cast(self.value(node.inputs[0], self.group.place[node]), accumulator.dtype)
            at = self._position(node) if accumulator.combine.startswith("arg") else None
            scope.body.append(ir.Accumulate(accumulator.name, accumulator.combine, value, at))

    def _note_results(self, accumulators: Mapping[Node, ir.Accumulator], scope: Scope) -> None:
        for node, accumulator in accumulators.items():
            found = ir.Var(accumulator.name, accumulator.dtype)
            if accumulator.combine.startswith("arg"):
                found = ir.Var(f"{accumulator.name}_at", ir.INDEX)
            scope.values[node, self.result(node)] = cast(found, node.spec.dtype.name)

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
        self.deep = Scope()
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
        across = any(
            n not in self.inside
            and i
            and i[-1].axis in axes[:-1]
            and any(axes[-1] in k.axes() for k in i[:-1])
            for n, i in loads
        )
        return across and len(self.group.outputs) == 1

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
            sizes = self.extent(length), self.extent(floordiv(add(length, COLUMNS - 1), COLUMNS))
            nest = tiled(self.index_names[others[0]], self.index_names[last], *sizes, tuple(body))
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


@dataclass(frozen=True, eq=False)
class _OpenLoop:
    """A pass whose statements are still collected."""

    axes: list[int]
    body: list[ir.Stmt]
