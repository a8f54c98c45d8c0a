"""Loops that a program repeats: one step is written down, for any number of steps.

While the step runs, every array of the trace stands for itself at the start of any step, and so do
the names that a step hands to the next.  What the step leaves behind is compared with that: arrays
that it wrote to and names that it bound are carried, all else stays as it is.

A loop that no graph can hold raises `RefusedError`; the function is then captured again with
this loop run in Python, step by step.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..batching import Batched
from ..graph import CONSTANT, SIZE, Graph, Node, bodies, constant
from ..ops import Kind, views
from ..ops import elementwise as ew
from ..ops.control import COND, CONTROL_RESULT, LOOP
from ..ops.indexing import INDEX, INDEX_ADD, INDEX_PUT
from ..spec import PYTHON_SCALARS, Spec, as_shape, spec_of
from ..symbolic import SMALLEST, Dim, add, floordiv, mul, sub
from ..symbolic_int import SymbolicInt, to_dim, user_int
from ..tree import LEAF, Tree, flatten
from .nested import LARGEST, Nested, but_for_constants
from .refusal import OfNumbersError, RefusedError
from .tracer import TRACERS, Storage, Tracer
from .watched import UnwatchableError, Watched

if TYPE_CHECKING:
    from .trace import Trace

UNROLLED = 8  # steps that are written down one by one: kernels may then span some of them


@dataclass(eq=False)
class ControlPolicy:
    """What one capture after another learns about a function's loops and branches.

    refused: those that Python runs.  promoted: what a name is from the first step on, by loop and
    name; batched: the same for names that become batches.  counted: loops that Python's own numbers
    end, after many steps.  trains: whether the function has backward passes of its own.
    of_numbers: whether those that compute a number at a time are run in Python, or end the capture.
    """

    trains: bool = False
    allowed: bool = True
    of_numbers: bool = False
    refused: dict[str, str] = field(default_factory=dict)
    promoted: dict[tuple[str, str], Spec] = field(default_factory=dict)
    batched: dict[tuple[str, str], Tree] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)


@dataclass(eq=False)
class _Carried:
    """A name: its value before the loop and what stands for it in a step."""

    name: str
    before: Node | None  # None for a value that no step changes
    inside: Node | None
    value: Any
    storage: Storage | None = None
    source: Storage | None = None  # of the value before the loop


class LoopStatement(Nested):
    """One run of a loop, of which a step is written down, or all of them are run."""

    def __init__(
        self, trace: Trace, key: str, carried: Sequence[str], last: Sequence[str],
        augmented: Sequence[str], flag: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(trace, key)
        self.may_be_left = bool(flag)
        self.names, self.last, self.augmented = tuple(carried), tuple(last), frozenset(augmented)
        self.index = ""  # of a loop of known length
        self.count: Dim = 0
        self.endless = False  # but for its `break`
        self.done = 0  # steps of a `while` that were run in Python
        self.at_first: Tracer | None = None  # whether a `while` has a step
        self.carried: list[_Carried] = []
        self.trees: list[Tree] = []  # of the carried names, then of those that a step binds
        self.test: Graph | None = None
        self.found: tuple[Any, ...] = ()
        self.aliases: set[str] = set()  # names that may be bound to an array from before the loop

    # for

    def over(self, function: Any, *args: Any) -> Iterator[Any]:
        """The values of the loop's variable: all of them, or one that stands for any."""
        bounds = None if function is not builtins.range else _bounds(args)
        if bounds is None or not self._may_be_traced() or not self._is_long(bounds):
            values = range(*args) if function is builtins.range else function(*args)
            yield from values
            return
        yield self._any(*bounds)

    def along(self, iterated: Any) -> Iterator[Any]:
        """What a loop runs over: all of it, or an element of an array that stands for any."""
        whole = type(iterated) in (Tracer, Batched) and iterated.ndim
        length = as_shape(iterated.shape)[0] if whole else 0
        bounds = 0, length, 1
        if not length or not self._may_be_traced() or not self._is_long(bounds):
            yield from iterated
            return
        yield iterated[self._any(*bounds)]

    def _any(self, start: Dim, stop: Dim, step: int) -> Any:
        """The number that stands for any of a range."""
        self.count = _count(start, stop, step)
        self._begin()
        index = self.trace.env.index(self.count)
        self.index = str(index)
        return user_int(add(start, mul(step, sub(index, SMALLEST))), self.trace.env)

    def _is_long(self, bounds: tuple[Dim, Dim, int]) -> bool:
        env = self.trace.env
        if any(env.has_index(d) for d in bounds[:2]):
            return False
        count = _count(*bounds)
        if self.may_be_left:  # which no number of steps tells
            return env.hint(count) > 0 and env.at_least(count, 1)
        if env.hint(count) <= UNROLLED:
            return False
        return isinstance(count, int) or env.at_least(count, UNROLLED + 1)

    # while

    def goes_on(self) -> bool:
        """Whether to look at the condition (again)."""
        return not self.traced

    def asked(self, condition: Any) -> bool:
        """The condition before the first step, which tells whether the program decides it."""
        trace = self.trace
        if not self._may_be_traced():
            return bool(condition)
        traced = type(condition) in TRACERS and not condition.ndim
        if traced and trace.settled(condition.node) is None:
            self.at_first = condition
            self._begin()
            return True
        if self.may_be_left and type(condition) is bool and condition:
            self.endless = True
            self._begin()  # the program may decide to leave it
        elif isinstance(condition, (bool, np.bool_)) and condition:
            self._count_on()
        return bool(condition)

    def _count_on(self) -> None:
        """One more step of a loop that Python's own numbers end, as in `while time < end`.  If
        there are many, the program counts.
        """
        if self.key in self.trace.policy.counted:
            self._begin()
            return
        self.done += 1
        if self.done > UNROLLED:
            self.trace.policy.counted.add(self.key)
            raise RefusedError("", "its numbers are the program's from the start")

    def tested(self, condition: Any) -> bool:
        """The condition on what a step starts from."""
        if type(condition) not in TRACERS or condition.ndim:
            self.refuse(
                f"the condition of a loop is no traced value in a later step ({self.where})"
            )
        if condition.dtype != np.bool_:
            condition = ew.NOT_EQUAL(condition, 0)
        if self.expected:
            self.refuse("its condition asserts something")
        output = condition.node
        self.test = self._step("test", [output], [])
        self.trace.nodes = []
        self.trace.renew()
        return True

    # a step

    def enter(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """What the names are in a step, from what they are before the first one."""
        try:
            self.watched = Watched(sys._getframe(1).f_locals)
        except UnwatchableError as error:
            self.refuse(str(error))
        flat = [flatten(value, Batched) for value in values]
        self.trees = [
            self.trace.policy.batched.get((self.key, name), tree) if tree == LEAF else tree
            for name, (_, tree) in zip(self.names, flat, strict=True)
        ]
        for name, (leaves, _), tree in zip(self.names, flat, self.trees, strict=True):
            inside = [name] if tree == LEAF else [f"{name}.{k}" for k in range(len(leaves))]
            self.carried += map(self._entered, inside, leaves)
        return tuple(self._rebuilt([c.value for c in self.carried]))

    def _rebuilt(self, leaves: Sequence[Any]) -> Iterator[Any]:
        """The names' values from what is in them."""
        rest = iter(leaves)
        for tree in self.trees:
            yield tree.unflatten([next(rest) for _ in range(tree.size)])

    def _leaves(self, values: Sequence[Any]) -> list[Any]:
        """What is in the names' values at the end of a step."""
        found: list[Any] = []
        for name, value, tree in zip(self.names, values, self.trees, strict=True):
            leaves, now = flatten(value, Batched)
            if now != tree:
                self._check_batched(name, tree, now, leaves)
            found += leaves
        return found

    def _check_batched(self, name: str, before: Tree, after: Tree, leaves: Sequence[Any]) -> None:
        """What is one value at first may become one for each element of a batch: it is that from
        the start then.
        """
        inner = after
        while inner.kind is Batched:
            (inner,) = inner.children
        known = next((c for c in self.carried if c.name == name and c.before), None)
        if before != LEAF or inner != LEAF or known is None or known.inside is None:
            self.refuse(f"{name!r} has another structure after a step")
        own, whole, policy = known.inside.spec, leaves[0].node.spec, self.trace.policy
        if own.dtype != whole.dtype and not self._widens(known, whole.dtype):
            self.refuse(f"{name!r} is {own} before a step and {whole} after")
        policy.batched[self.key, name], policy.promoted[self.key, f"{name}.0"] = after, whole
        raise RefusedError("", f"{name!r} is a batch from the start")

    def _entered(self, name: str, value: Any) -> _Carried:
        trace = self.trace
        if type(value) in TRACERS:
            storage = value.storage
            if name in self.augmented and type(value) is Tracer and storage.mutable:
                return _Carried(name, None, None, value)  # changes in place, as its array does
            before = self._outside(value)
        elif type(value) in PYTHON_SCALARS or isinstance(value, np.generic):
            before = constant(value, spec_of(value), self.where)
            self.outer.append(before)
        elif isinstance(value, SymbolicInt):
            spec = Spec((), np.dtype(np.int64), weak=True)
            before = Node(SIZE, (), {"dim": value.dim}, spec, self.where)
            self.outer.append(before)
        else:
            return _Carried(name, None, None, value)
        spec = trace.policy.promoted.get((self.key, name), before.spec)
        if spec != before.spec:
            of_one = Spec(before.spec.shape, spec.dtype, spec.weak)
            before = Node(ew.CAST, (before,), {"dtype": spec.dtype}, of_one, self.where)
            self.outer.append(before)
        if spec.shape != before.spec.shape:
            repeated = views.BROADCAST_TO if before.spec.ndim else views.FULL
            before = Node(repeated, (before,), {"shape": spec.shape}, spec, self.where)
            self.outer.append(before)
        inside = self._placeholder(spec)
        trace.values.stand_in(inside, before)
        tracer = trace.tracer(inside)
        if type(value) in TRACERS:
            tracer.storage.mutable = value.storage.mutable and tracer.storage.mutable
        source = value.storage if type(value) in TRACERS else None
        return _Carried(name, before, inside, tracer, tracer.storage, source)

    def _outside(self, value: Tracer) -> Node:
        """The value before the loop, written down there."""
        trace, inside = self.trace, self.trace.nodes
        known = self.stood.get(value.storage)
        start = known[0] if known is not None else value.storage.node
        trace.nodes = self.outer
        node = trace.viewed(start, value.chain)
        trace.nodes = inside
        return node

    def leave(self, values: tuple[Any, ...]) -> None:
        """The end of a step, with what the names are then."""
        changed = self._changed()
        if kind := self.watched.changed():
            self.refuse(f"a {kind} is changed in it")
        if self.key in self.trace.policy.counted and any(map(_at_a_number, self.trace.nodes)):
            self.refuse("a number that Python can count is a position in an array")
        carried = self._leaves(values[: len(self.names)])
        flat = [flatten(value, Batched) for value in values[len(self.names) :]]
        self.trees += [tree for _, tree in flat]
        bound = [leaf for leaves, _ in flat for leaf in leaves]
        self._check_apart([*carried, *bound], changed)
        self._check_integers()
        outputs = self._outputs(carried, changed)
        last = [self._last(v) for v in bound]
        writes = [(self.stood[s][1], self._written(s)) for s in changed]
        body = self._step("body", [*(o for _, o in outputs), *last], writes)
        self._finish(body, changed, [c for c, _ in outputs], bound)

    def _check_apart(self, values: Sequence[Any], changed: Sequence[Storage]) -> None:
        """Each name that a step binds has an array of its own at the end."""
        seen: list[Storage] = []
        unbound = [c.value for c in self.carried if c.before is None]
        bound = zip(self.last, self.trees[len(self.names) :], strict=True)
        last = [name for name, tree in bound for _ in range(tree.size)]
        for name, value in zip([*(c.name for c in self.carried), *last], values, strict=True):
            if type(value) not in TRACERS or any(value is v for v in unbound):
                continue
            if value.storage in changed or value.storage in seen:
                self.refuse(f"{name!r} shares an array with another name")
            if value.storage in self.stood and value.storage.mutable and value.ndim:
                self.refuse(f"{name!r} is bound to an array from before the loop")
            seen.append(value.storage)

    def _check_integers(self) -> None:
        """An integer of the program's that meets small ones may not fit."""
        for node in self.trace.nodes:
            own = [i for i in node.inputs if i.spec.weak and i.op not in (CONSTANT, SIZE)]
            if not any(i.spec.dtype.kind == "i" for i in own):
                continue
            others = [i.spec.dtype for i in node.inputs if not i.spec.weak]
            if any(d.kind == "u" or (d.kind == "i" and d.itemsize < 8) for d in others):
                self.refuse("an integer that changes meets an array of small ones")

    def _outputs(
        self, values: Sequence[Any], changed: Sequence[Storage]
    ) -> list[tuple[_Carried, Node]]:
        outputs = []
        for carried, value in zip(self.carried, values, strict=True):
            if carried.before is None:
                if value is not carried.value:
                    self.refuse(f"{carried.name!r} becomes another object in a step")
                continue
            if carried.source in changed:
                self.refuse(f"an array that {carried.name!r} is bound to at first is written")
            if carried.storage is not None and carried.storage.node is not carried.inside:
                self.refuse(f"an array that {carried.name!r} was bound to is written in place")
            if type(value) in TRACERS:
                handed_on = any(value.storage is c.storage for c in self.carried)
                handed_on = handed_on or bool(value.storage.of_loop)
                if value.ndim and (handed_on or not self.count):
                    self.aliases.add(carried.name)
            outputs.append((carried, self._fitting(carried, value)))
        return outputs

    def _fitting(self, carried: _Carried, value: Any) -> Node:
        """A name's value at the end of a step, which must be what it is at the start of one."""
        assert carried.inside is not None and carried.before is not None
        if type(value) not in (*TRACERS, SymbolicInt, *PYTHON_SCALARS) and not isinstance(
            value, np.generic
        ):
            self.refuse(f"{carried.name!r} becomes a value of type {type(value).__name__}")
        node = self.trace.node_of(value, self.where)
        wanted, env = carried.inside.spec, self.trace.env
        alike = node.spec.ndim == wanted.ndim and all(map(env.same, node.spec.shape, wanted.shape))
        if alike and (node.spec.dtype, node.spec.weak) == (wanted.dtype, wanted.weak):
            if wanted.weak and wanted.dtype.kind == "i" and not _counts(node, carried):
                self.refuse(f"{carried.name!r} is an integer that may grow beyond 64 bits")
            return node
        key = self.key, carried.name
        surely = self.count != 0 or (not node.spec.ndim and wanted.dtype == node.spec.dtype)
        new = key not in self.trace.policy.promoted
        if new and surely and self._widens(carried, node.spec.dtype):
            self.trace.policy.promoted[key] = node.spec
            raise RefusedError("", f"{carried.name!r} is {node.spec} from the start")
        raise RefusedError(
            self.key, f"{carried.name!r} is {wanted} before a step and {node.spec} after"
        )

    def promote(self, number: Node | None, spec: Spec) -> None:
        carried = next((c for c in self.carried if c.inside is number and c.before), None)
        known = carried is None or (self.key, carried.name) in self.trace.policy.promoted
        if carried is not None and not known and self._widens(carried, spec.dtype):
            self.trace.policy.promoted[self.key, carried.name] = spec
            raise RefusedError("", f"{carried.name!r} is {spec} from the start")

    def _widens(self, carried: _Carried, dtype: np.dtype[Any]) -> bool:
        """Whether what a name is before is a number of Python's that may have this dtype then."""
        assert carried.before is not None and carried.inside is not None
        own = carried.inside.spec
        if not own.weak or carried.before.op is not CONSTANT:
            return False
        if dtype.kind in "iu":
            bounds = np.iinfo(dtype)
            if not bounds.min <= carried.before.attrs["value"] <= bounds.max:
                return False
        widens = np.can_cast(own.dtype, dtype, "safe") or own.dtype.kind == "i"
        return widens or self._takes_the_others_dtype(carried, dtype)

    def _takes_the_others_dtype(self, carried: _Carried, dtype: np.dtype[Any]) -> bool:
        """Whether a number of Python's meets numbers of this dtype alone, whose dtype it takes at
        each of these operations; or of wider ones too, if this one holds its value.
        """
        assert carried.before is not None
        value = carried.before.attrs["value"]
        if dtype.kind != "f" or type(value) is not float or abs(value) > np.finfo(dtype).max:
            return False
        is_exact = float(dtype.type(value)) == value
        for node in self.trace.nodes:
            if carried.inside in node.inputs:
                met = {i.spec.dtype for i in node.inputs if not i.spec.weak}
                fitting = met == {dtype} or (
                    is_exact and any(d.kind == "f" and np.can_cast(dtype, d) for d in met)
                )
                if node.kind is not Kind.ELEMENTWISE or not fitting:
                    return False
        return True

    def _last(self, value: Any) -> Node:
        if type(value) not in TRACERS or value.storage in self.stood:
            self.refuse("a name is bound in it, to no array of its own, that is read after it")
        return self.trace.node_of(value, self.where)

    def _step(self, name: str, outputs: list[Node], writes: list[tuple[Node, Node]]) -> Graph:
        nodes = self.trace.nodes
        if name == "body" and not any(map(is_of_arrays, nodes)):
            if not self.trace.policy.of_numbers:
                raise OfNumbersError(f"a loop computes single numbers ({self.where})")
            self.refuse("a step computes single numbers")
        return self._graph(name, nodes, outputs, writes)

    def _finish(
        self, body: Graph, changed: Sequence[Storage], names: Sequence[_Carried],
        last: Sequence[Any],
    ) -> None:  # fmt: skip
        """Back to what is around the loop, with a node for it and its results."""
        trace = self.trace
        self._end()
        if last and self.at_first is not None:  # else a name is unbound, which Python tells
            trace.expect(ew.LOGICAL_NOT(self.at_first))
        given_as = self._given_as()
        given_as |= {c.inside: c.before for c in names if c.inside and c.before}
        first = [*(self.stood[s][1] for s in changed), *(c.inside for c in names if c.inside)]
        read = self._read(body) if self.test is None else self._read(self.test, body)
        rest = [i for i in self.inputs if i in read and i not in first]
        inputs = (*first, *rest)
        body = replace(body, inputs=inputs)
        attrs: dict[str, Any] = {
            "index": self.index, "count": self.count, "last": len(last), "body": body
        }  # fmt: skip
        if self.test is not None:
            attrs["test"] = replace(self.test, inputs=inputs)
        token = self._added(LOOP, [given_as[i] for i in inputs], attrs)
        specs = [i.spec for i in first] + [o.spec for o in body.outputs[len(names) :]]
        results = [self._result(token, k, spec) for k, spec in enumerate(specs)]
        for storage, result in zip(changed, results, strict=False):
            trace.writes.replace(storage, result)
        rest_of = iter(results[len(changed) :])
        found: list[Any] = []
        for c in self.carried:
            if c.before is None:
                found.append(c.value)
                continue
            tracer = self._named(next(rest_of), c.storage)
            found.append(tracer)
            if c.name in self.aliases:
                tracer.storage.of_loop = self.key
                if c.source is not None:
                    c.source.of_loop = self.key
        after = [self._after(r, v.storage) for r, v in zip(rest_of, last, strict=True)]
        self.found = tuple(self._rebuilt([*found, *after]))

    def _after(self, node: Node, bound: Storage) -> Tracer:
        """What a name is after the loop that its last step has bound."""
        tracer = self._named(node, bound)
        shared = any(bound is c.storage for c in self.carried)
        if bound.of_loop or shared:
            tracer.storage.of_loop = self.key
        return tracer

    def results(self) -> tuple[Any, ...]:
        """What the names are after the loop."""
        return self.found


def _at_a_number(node: Node) -> bool:
    """Whether an array is read or written at a position that is a number of Python's."""
    given = {INDEX: 1, INDEX_PUT: 2, INDEX_ADD: 2}.get(node.op)
    return given is not None and any(i.spec.weak for i in node.inputs[given:])


def _counts(node: Node, carried: _Carried) -> bool:
    """Whether an integer changes by a constant in a step, from a moderate one on."""
    before = carried.before
    if before is not None and before.op is CONSTANT and abs(before.attrs["value"]) > LARGEST:
        return False
    return carried.inside is not None and _is_near(node, {carried.inside})


def _is_near(node: Node, starts: Collection[Node]) -> bool:
    """Whether an integer is one of these and some constants."""
    start = but_for_constants(node, starts)
    if start is None or start in starts:
        return start is not None
    decided = start.op is CONTROL_RESULT and start.inputs[0].op is COND
    return decided and _is_near_on_both_sides(start, starts)


def _is_near_on_both_sides(node: Node, starts: Collection[Node]) -> bool:
    branch = node.inputs[0]
    position = node.attrs["position"] - branch.attrs["written"]
    for side in bodies(branch):
        given = zip(side.inputs, branch.inputs[1:], strict=True)
        inner = {inside for inside, outside in given if outside in starts}
        if not _is_near(side.outputs[position], inner):
            return False
    return True


def is_of_arrays(node: Node) -> bool:
    """Whether an operation is worth a kernel or a call."""
    if node.kind in (Kind.VIEW, Kind.SOURCE):
        return False
    if node.op is LOOP:
        return True
    if node.op is COND:
        return any(is_of_arrays(n) for inner in bodies(node) for n in inner.nodes)
    write = node.op in (views.UPDATE, INDEX_PUT, INDEX_ADD)
    seen = node.inputs[1:] if write else (node, *node.inputs)
    return any(d != 1 for n in seen for d in n.spec.shape)


def _bounds(args: Sequence[Any]) -> tuple[Dim, Dim, int] | None:
    """start, stop and step of a range."""
    if not all(type(a) is int or isinstance(a, SymbolicInt) for a in args):
        return None
    start, stop, step = (0, *args, 1) if len(args) == 1 else (*args, 1)[:3]
    if type(step) is not int or step == 0 or len(args) > 3 or not args:
        return None
    return to_dim(start), to_dim(stop), step


def _count(start: Dim, stop: Dim, step: int) -> Dim:
    """How many numbers a range has, if it is not empty."""
    if step > 0:
        return floordiv(add(sub(stop, start), step - 1), step)
    return floordiv(add(sub(start, stop), -step - 1), -step)
