"""Scalar expressions of a fusion group: what a member is at an index, down to memory.

Operands are evaluated at the index they are read at, views by changing the index.  A value is
computed once at each place of the nest where it is needed: once a row, once a step of a pass over
it, or once a step of a nested reduction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jitgraph_codegen import loop_ir as ir
from jitgraph_codegen.angles import MODERATE
from jitgraph_codegen.passes import Interior

from .access import domain_of, follow, is_one, operands, result_place
from .affine import Affine, Index, Taken, Wrap
from .fuse import Group, external_inputs
from .graph import CONSTANT, SIZE, Node
from .naming import LOOP_NAMES, base_name, unique
from .ops import Kind
from .ops import elementwise as ew
from .ops.elementwise import POLYNOMIAL
from .ops.views import FULL
from .spec import Spec
from .symbolic import Dim, sub, surely_nonnegative

LARGE = "large"  # the flag for angles that are not moderate
OUTSIDE = "outside"  # the flag for positions that an axis does not have
_OF_ANGLES = (ew.SIN, ew.COS, ew.TAN)
LARGEST_POWER = 4  # integer exponents up to here are multiplied out


def takes_angle(node: Node) -> bool:
    return node.op in _OF_ANGLES and node.spec.dtype.name in MODERATE


class Evaluation:
    """Evaluates a group's members at indices, into statements of the places where they belong."""

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
        # results can't be their own accumulators where these are of another dtype
        self.along_rows = group.along_rows and not (precise and _sums_of_single(group))
        self._declare_buffers(layouts)
        self.levels: dict[tuple[Node, Index], int] = {}
        self.row, self.inner, self.deep = Scope(), Scope(), Scope()
        self.earlier: dict[tuple[Node, Index], tuple[list[ir.Stmt], ir.Expr]] = {}
        self.stashed: dict[Node, tuple[Node, Index]] = {}  # output -> value kept in it
        self.wraps: dict[str, dict[ir.Expr, tuple[ir.Expr, int, Dim | None]]] = {}
        self.counter = 0
        self.current_pass = 0
        self.outside: Node | None = None
        self.last_store = -1  # the last pass with a store

    # what the nest provides

    def _nested_reductions(self, node: Node) -> None:
        """Let the value of a nested reduction be known in the open pass."""
        raise NotImplementedError

    def _total_across(self, node: Node, index: Index) -> ir.Expr:
        """The element of a scan across rows."""
        raise NotImplementedError

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

    def result(self, node: Node) -> Index:
        return result_place(node, self.group.place[node])

    def is_row(self, node: Node) -> bool:
        return not any(i.axes() & self.group.reduced for i in self.result(node))

    def _scope(self, index: Index) -> Scope:
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
            return constant(node.attrs["value"], node.spec.dtype.name)
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
            return self._let(cast(self.subscript(index)[0], node.spec.dtype.name), index)
        if node.kind is Kind.SCAN:
            return self._scanned(node, index)
        assert node.op.loop is not None and node.op.loop_dtypes is not None
        *dtypes, result = node.op.loop_dtypes(*[i.spec for i in node.inputs], **node.attrs)
        if node.op is ew.CAST:
            ((source, at),) = operands(node, index)
            return self._let(cast(self.value(source, at), result.name), index)
        tanh = self._tanh_that_one_is_added_to(node)
        if tanh is not None:
            ((source, at),) = operands(tanh, index)
            value = cast(self.value(source, at), result.name)
            return self._let(ir.Apply("one_plus_tanh(x)", (value,), result.name), index)
        args = [
            cast(self.value(source, at), dtype.name)
            for (source, at), dtype in zip(operands(node, index), dtypes, strict=True)
        ]
        if self.moderate and takes_angle(node):
            limit = constant(MODERATE[args[0].dtype], args[0].dtype)
            beyond = ir.Apply("abs(x) > y", (args[0], limit), "bool")
            self._scope(index).body.append(ir.Accumulate(LARGE, "any", beyond))
        if self.precise and self.on_cpu and (exact := _exact(node, args)) is not None:
            return self._let(exact, index)
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
        value = cast(self.value(source, at), accumulator.dtype)
        self.inner.body.append(ir.Accumulate(accumulator.name, accumulator.combine, value))
        return self._let(
            cast(ir.Var(accumulator.name, accumulator.dtype), node.spec.dtype.name), index
        )

    def _template(self, node: Node, dtypes: list[np.dtype[Any]], args: list[ir.Expr]) -> str:
        assert node.op.loop is not None
        if node.op is ew.POWER and isinstance(args[1], ir.Const) and not self.precise:
            exponent = args[1].value
            assert not isinstance(exponent, complex)
            if float(exponent).is_integer() and 1 <= exponent <= LARGEST_POWER:
                return " * ".join(["x"] * int(exponent))
        if self.moderate and takes_angle(node):
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
        if atom not in scope.positions:
            given = cast(self.value(atom.positions, atom.at), ir.INDEX)
            size = self._dim(atom.size)
            if atom.positions.spec.dtype.kind == "i" and atom.positions.op is not ew.IOTA:
                given = ir.Apply("select(x < 0, x + y, x)", (given, size), ir.INDEX)
            position = self._let(given, atom.at)
            beyond = ir.Apply("(x < 0) | (x >= y)", (position, size), "bool")
            outside = self._let(beyond, atom.at)
            scope.body.append(ir.Accumulate(OUTSIDE, "any", outside))
            zero = ir.Const(0, ir.INDEX)
            found = ir.Apply("select(x, y, z)", (outside, zero, position), ir.INDEX)
            scope.positions[atom] = self._let(found, atom.at)
            if self.outside is None:
                self.outside = Node(FULL, (), {}, Spec((), np.dtype(bool)))
        return scope.positions[atom]

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


_LIBRARY = {
    **{n: f"math.{n}(x)" for n in ("exp", "log", "sin", "cos", "tan")},
    "arcsin": "math.asin(x)", "arccos": "math.acos(x)", "arctan": "math.atan(x)",
    "arctan2": "math.atan2(x, y)", "power": "math.pow(x, y)",
}  # fmt: skip  # where the C library's error is the smaller one


def _exact(node: Node, args: list[ir.Expr]) -> ir.Expr | None:
    """An elementary function with an error of little more than half a unit in the last place: of
    float32 by way of float64, of float64 by the C library.
    """
    assert node.op.loop is not None
    dtype = args[0].dtype if args else ""
    if node.op.loop.flops < POLYNOMIAL or dtype not in ("float32", "float64"):
        return None
    if any(a.dtype != dtype for a in args):
        return None
    if dtype == "float64":
        library = _LIBRARY.get(node.op.name)
        return None if library is None else ir.Apply(library, tuple(args), dtype)
    wide = tuple(cast(a, "float64") for a in args)
    template = node.op.loop.template("f" * len(args))
    return ir.Cast(ir.Apply(template, wide, "float64"), dtype)


@dataclass(eq=False)
class Scope:
    """Statements that run at one place of the nest, and the values known there."""

    body: list[Any] = field(default_factory=list)
    values: dict[tuple[Node, Index], ir.Expr] = field(default_factory=dict)
    positions: dict[Taken, ir.Expr] = field(default_factory=dict)  # counted from the start


def _is_expensive(node: Node) -> bool:
    """Whether an element is rather kept than computed once more."""
    return node.kind is Kind.SCAN or (node.op.loop is not None and node.op.loop.flops >= POLYNOMIAL)


def _surely_least(a: Dim | None, b: Dim) -> bool:
    return a is not None and surely_nonnegative(sub(b, a))


def _sums_of_single(group: Group) -> bool:
    return any(m.kind is Kind.REDUCE and m.spec.dtype == np.float32 for m in group.place)


def _letters(template: str) -> set[str]:
    return {
        name for name in re.findall(r"[A-Za-z_][A-Za-z_0-9.]*", template) if name in ("x", "y", "z")
    }


def cast(value: ir.Expr, dtype: str) -> ir.Expr:
    if value.dtype == dtype:
        return value
    return constant(value.value, dtype) if isinstance(value, ir.Const) else ir.Cast(value, dtype)


def constant(value: Any, dtype: str) -> ir.Const:
    kind = np.dtype(dtype).kind
    plain = value.item() if isinstance(value, np.generic) else value
    if kind == "c":
        return ir.Const(complex(plain), dtype)
    if kind == "f":
        return ir.Const(float(plain), dtype)
    return ir.Const(bool(plain) if kind == "b" else int(plain), dtype)
