"""Branches that a program takes: both sides are written down, and the program runs one of them.

Each side starts from what holds before the branch.  Names that it binds and arrays that it writes
to are then what the side that is taken makes of them; both sides have to leave the same kinds of
values.  A branch that no graph can hold raises `RefusedError`; the function is then captured again
with this condition asked in Python, which tells why that can't be.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..batching import Batched
from ..errors import CaptureError
from ..graph import CONSTANT, INPUT, SIZE, Graph, Node, constant
from ..ops import elementwise as ew
from ..ops.control import COND
from ..spec import PYTHON_SCALARS, Spec, spec_of
from ..symbolic_int import SymbolicInt
from ..tree import Tree, flatten
from .nested import LARGEST, Nested, but_for_constants
from .tracer import TRACERS, Storage
from .watched import UnwatchableError, Watched

if TYPE_CHECKING:
    from .trace import Trace


class Unbound:
    """What a name is that no value can be given: any use of it ends the capture."""

    def _used(self, *others: Any) -> NoReturn:
        raise CaptureError("a name is read that one side of a branch leaves unbound")

    __bool__ = __eq__ = __hash__ = __iter__ = __len__ = _used

    def __repr__(self) -> str:
        return "a name that is bound on one side of a branch only"


UNBOUND = Unbound()


@dataclass(eq=False)
class _Side:
    """What one of the two graphs leaves behind."""

    nodes: list[Node]
    values: list[Any]
    flat: list[tuple[list[Any], Tree]]
    computed: dict[int, Node] = field(default_factory=dict)  # of traced leaves, by identity
    writes: dict[Storage, Node] = field(default_factory=dict)
    expected: list[Node] = field(default_factory=list)  # what it makes sure of
    last_call: Node | None = None


class BranchStatement(Nested):
    """One run of an `if`.

    bound: names that one of its sides binds; after: those that are read later.
    """

    def __init__(
        self, trace: Trace, key: str, bound: Sequence[str] = (), after: Sequence[str] = ()
    ) -> None:
        super().__init__(trace, key)
        self.bound, self.after = tuple(bound), tuple(after)
        self.sides: list[_Side] = []
        self.asked: Any = None

    # the statements around the two sides

    def taken(self, condition: Any) -> bool:
        """Whether to do what the first side says."""
        trace = self.trace
        traced = type(condition) in TRACERS and not condition.ndim and self._may_be_traced()
        if not traced or trace.settled(condition.node) is not None:
            self.asked = bool(condition)
            return bool(self.asked)
        if condition.dtype != np.bool_:
            condition = ew.NOT_EQUAL(condition, 0)
        self.asked = condition.node
        names = sys._getframe(1).f_locals
        self.before = {n: names.get(n, UNBOUND) for n in self.bound}
        self._begin()
        self._watch(names)
        return True

    def otherwise(self) -> bool:
        """Whether to do what the second side says."""
        return self.traced or not self.asked

    def restored(self) -> tuple[Any, ...]:
        """What the names are when the second side starts."""
        self._watch(sys._getframe(1).f_locals)
        return tuple(self.before[n] for n in self.bound)

    def end(self) -> None:
        """The end of a side."""
        names = sys._getframe(1).f_locals
        self.ended([names.get(n, UNBOUND) for n in self.after])

    def results(self) -> tuple[Any, ...]:
        """What the names are after the branch."""
        found = dict(zip(self.after, self.merged(), strict=True))
        return tuple(found.get(n, UNBOUND) for n in self.bound)

    # a side

    def _watch(self, names: Any) -> None:
        try:
            self.watched = Watched(names)
        except UnwatchableError as error:
            self.refuse(str(error))

    def ended(self, values: Sequence[Any]) -> None:
        """A side is written down; values: what it leaves behind."""
        trace = self.trace
        if kind := self.watched.changed():
            self.refuse(f"a {kind} is changed in it")
        side = _Side(trace.nodes, list(values), [flatten(v, Batched) for v in values])
        for leaf in (leaf for leaves, _ in side.flat for leaf in leaves):
            if type(leaf) in TRACERS:
                side.computed[id(leaf)] = trace.node_of(leaf, self.where)
        side.writes = {s: self._written(s) for s in self._changed()}
        self.sides.append(side)
        side.expected, self.expected = self.expected, []
        side.last_call, trace.last_call = trace.last_call, self.first_call
        trace.nodes = []
        for storage, (_, inside) in self.stood.items():
            storage.assign(inside)
        trace.renew()

    def merged(self) -> list[Any]:
        """The node of the branch, and what it leaves behind in the values' own structure."""
        first, second = self.sides
        pairs: list[tuple[Any, Any]] = []  # of leaves that differ
        for a, b in self._different():
            if a[1] != b[1]:
                self.refuse("its sides leave values of different structures")
            pairs += [p for p in zip(a[0], b[0], strict=True) if not _is_same(*p)]
        shared = self._shared([a for a, _ in pairs]) | self._shared([b for _, b in pairs])
        outputs = [(self._output(first, a), self._output(second, b)) for a, b in pairs]
        for (a, b), (x, y) in zip(pairs, outputs, strict=True):
            self._check_alike(a, b, x.spec, y.spec)
            self._check_moderate(x)
            self._check_moderate(y)
        changed = [s for s in self.stood if s in first.writes or s in second.writes]
        graphs = []
        for k, (name, side) in enumerate((("taken", first), ("otherwise", second))):
            writes = [(self.stood[s][1], side.writes[s]) for s in changed if s in side.writes]
            self.expected, self.trace.last_call = side.expected, side.last_call
            graphs.append(self._graph(name, side.nodes, [o[k] for o in outputs], writes))
        self._end()
        results = self._node(graphs, changed, [x.spec for x, _ in outputs])
        for storage, result in zip(changed, results, strict=False):
            self.trace.writes.replace(storage, result)
        made = []
        for k, result in enumerate(results[len(changed) :]):
            tracer = self._named(result, _storage(pairs[k][0]))
            if result.spec.weak and result.spec.dtype.kind in "ib":
                self.trace.decided.add(result)
            if k in shared:
                tracer.storage.of_loop = self.key
            made.append(tracer)
        return self._rebuilt(iter(made))

    def _different(self) -> list[tuple[tuple[list[Any], Tree], tuple[list[Any], Tree]]]:
        first, second = self.sides
        return [
            (a, b)
            for x, y, a, b in zip(first.values, second.values, first.flat, second.flat, strict=True)
            if x is not y
        ]

    def _rebuilt(self, made: Iterator[Any]) -> list[Any]:
        first, second = self.sides
        values = []
        for x, y, a, b in zip(first.values, second.values, first.flat, second.flat, strict=True):
            if x is y:
                values.append(x)
                continue
            pairs = zip(a[0], b[0], strict=True)
            values.append(a[1].unflatten([p[0] if _is_same(*p) else next(made) for p in pairs]))
        return values

    def _node(
        self, graphs: Sequence[Graph], changed: Sequence[Storage], specs: Sequence[Spec]
    ) -> list[Node]:
        """The branch, around which everything is as before; gives its results."""
        written = [self.stood[s][1] for s in changed]
        read = self._read(*graphs)
        inputs = (*written, *(i for i in self.inputs if i in read and i not in written))
        given_as = self._given_as()
        attrs: dict[str, Any] = {"written": len(changed)}
        for key, graph in zip(("taken", "otherwise"), graphs, strict=True):
            attrs[key] = replace(graph, inputs=inputs)
        token = self._added(COND, [self.asked, *(given_as[i] for i in inputs)], attrs)
        specs = [*(i.spec for i in written), *specs]
        return [self._result(token, k, spec) for k, spec in enumerate(specs)]

    def _output(self, side: _Side, leaf: Any) -> Node:
        """A leaf as a value that a side's graph computes."""
        if type(leaf) in TRACERS:
            return side.computed[id(leaf)]
        if type(leaf) in PYTHON_SCALARS or isinstance(leaf, np.generic):
            node = constant(leaf, spec_of(leaf), self.where)
            side.nodes.append(node)
            return node
        if isinstance(leaf, SymbolicInt):
            around, self.trace.nodes = self.trace.nodes, side.nodes
            node = self.trace.node_of(leaf, self.where)
            self.trace.nodes = around
            return node
        kind = "nothing" if leaf is UNBOUND else f"a value of type {type(leaf).__name__}"
        return self.refuse(f"a name is {kind} on one side of it")

    def _check_alike(self, a: Any, b: Any, first: Spec, second: Spec) -> None:
        """Both sides leave the same kind of value, as a graph has to know it."""
        same = first.ndim == second.ndim and all(
            map(self.trace.env.same, first.shape, second.shape)
        )
        if not same or (first.dtype, first.weak) != (second.dtype, second.weak):
            self._promote(a, first, second)
            self._promote(b, second, first)
            self.refuse(f"a name is {first} on one side of it and {second} on the other")
        if first.weak and first.dtype.kind == "c":
            self.refuse("a complex number of Python's differs between its sides")
        mutable = {s.mutable for s in (_storage(a), _storage(b)) if s is not None}
        if not first.ndim and not first.weak and True in mutable:
            self.refuse("a name is an array of no axes after it")

    def _promote(self, leaf: Any, own: Spec, other: Spec) -> None:
        """A number of Python's that a loop carries, and that an array of no axes takes the place of
        on the other side, is one from the start.
        """
        if type(leaf) not in TRACERS or not own.weak or other.weak or other.ndim:
            return
        before = self.stood.get(leaf.storage, (None, None))[0]
        for around in self.trace.nested:
            around.promote(before, other)

    def _check_moderate(self, node: Node) -> None:
        """An integer of Python's has no end; one of a branch is a constant, or changed by some."""
        if node.spec.weak and node.spec.dtype.kind == "i" and not is_moderate(node, self.trace):
            self.refuse("an integer that it decides may grow beyond 64 bits")

    def _shared(self, leaves: Sequence[Any]) -> set[int]:
        """Places of those that may be bound to memory that something else is bound to as well."""
        seen: dict[Storage, int] = {}
        found: set[int] = set()
        for k, leaf in enumerate(leaves):
            storage = _storage(leaf)
            if storage is None or not leaf.ndim:
                continue
            if storage in seen or storage in self.stood or storage.of_loop:
                found |= {k, seen.get(storage, k)}
            if storage in self.stood:
                storage.of_loop = self.key
            seen[storage] = k
        return found


def is_moderate(node: Node, trace: Trace) -> bool:
    """Whether an integer is a small constant, an argument or a value carried by a loop, or one that
    a branch decides, plus small constants.
    """
    start = but_for_constants(node)
    if start is None:
        return False
    if start.op is CONSTANT:
        return bool(abs(start.attrs["value"]) <= LARGEST)
    return start.op in (INPUT, SIZE) or start in trace.decided


def _is_same(a: Any, b: Any) -> bool:
    """Whether a value is the same one on both sides, and so after the branch."""
    if a is b:
        return True
    if isinstance(a, SymbolicInt) and isinstance(b, SymbolicInt):
        return bool(a.dim == b.dim)
    plain = type(a) is type(b) and type(a) in (*PYTHON_SCALARS, str, bytes)
    return plain and repr(a) == repr(b)


def _storage(value: Any) -> Storage | None:
    return value.storage if type(value) in TRACERS else None


def chosen(
    trace: Trace, key: str, condition: Any, first: Callable[[], Any], second: Callable[[], Any]
) -> Any:
    """`first() if condition else second()`"""
    branch = BranchStatement(trace, key)
    if not branch.taken(condition):
        return second()
    if not branch.traced:
        return first()
    branch.ended([first()])
    branch.ended([second()])
    return branch.merged()[0]
