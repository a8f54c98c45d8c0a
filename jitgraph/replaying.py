"""Nodes written down again for other values, in graphs of their own: what gradients of loops and
branches are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .batching import Together
from .capture import Trace, Tracer
from .errors import GradientError
from .graph import INPUT, Graph, Node, node_with_sizes
from .ops import views
from .ops.control import CONTROL_RESULT, EXPECT, LOOP
from .spec import Spec
from .symbolic import Dim

# (nodes, cotangents of results, values wanted, the tracer of a node) -> their cotangents
Pull = Callable[..., list[Tracer | None]]
Otherwise = Callable[[Node, Mapping[Node, Node]], Node | None]


class Inner:
    """A graph inside the trace's, while it is written down."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.inputs: list[Node] = []
        self.value: dict[Node, Tracer] = {}

    def __enter__(self) -> Inner:
        self.around, self.trace.nodes = self.trace.nodes, []
        return self

    def __exit__(self, *error: object) -> None:
        self.trace.nodes = self.around

    def input(self, spec: Spec) -> Node:
        node = Node(INPUT, (), {"name": f"x{len(self.inputs)}"}, spec)
        self.inputs.append(node)
        return node

    def tracer(self, node: Node) -> Tracer:
        if node not in self.value:
            self.value[node] = self.trace.tracer(node)
        return self.value[node]

    def graph(
        self, name: str, outputs: Sequence[Node], writes: Any = (), effects: Sequence[Node] = ()
    ) -> Graph:
        inputs, nodes = tuple(self.inputs), tuple(self.trace.nodes)
        return Graph(name, inputs, nodes, tuple(outputs), (), tuple(writes), tuple(effects))


def replayed(
    trace: Trace, nodes: Sequence[Node], known: Mapping[Node, Node], sizes: Mapping[str, Dim],
    checking: bool = False, otherwise: Otherwise | None = None,
) -> dict[Node, Node]:  # fmt: skip
    """Nodes written down again, for other inputs.

    sizes: what symbols stand for in them.  checking: whether they make sure of what is asserted,
    which was done before where they go back.  otherwise: gives another node for some of them.
    """
    made = dict(known)
    for node in nodes:
        if node.op is EXPECT and not checking:
            continue
        rule = trace.rules.get(node)
        if rule is not None and rule.needed:
            raise GradientError(
                f"{rule.name} has a rule of its own, which is not followed in a loop or a "
                f"branch of a graph ({node.where})"
            )
        other = None if otherwise is None else otherwise(node, made)
        if other is None:
            new = node_with_sizes(node, tuple(made[i] for i in node.inputs), sizes)
            other = trace.add(new)
        made[node] = other
    return made


@dataclass
class Step:
    """What a step of a loop leaves, or all of them: the values that it changes, those that it binds
    for the time after the loop, and what makes sure of what it asserts.
    """

    states: Sequence[Tracer]
    last: Sequence[Tracer] = ()
    effects: Sequence[Node] = ()


@dataclass
class ControlGradient:
    """What a loop or a branch does to cotangents.

    given: cotangents of its results by position, of all elements where they belong to batches;
    batches: these.  active: which of its inputs want one; reached: which of its results depend on
    these.
    """

    trace: Trace
    node: Node
    given: Mapping[int, Tracer]
    active: Sequence[bool]
    reached: Sequence[bool]
    pull: Pull
    batches: Together

    def cotangents(self) -> list[Tracer | None]:
        """Of the inputs."""
        raise NotImplementedError

    def spec_of_cotangent(self, spec: Spec) -> Spec:
        return Spec((*self.batches.sizes, *spec.shape), spec.dtype)

    def zeros(self, spec: Spec) -> Tracer:
        """The cotangent of what nothing depends on, in the graph that is being written down."""
        spec = self.spec_of_cotangent(spec)
        zero = spec.dtype.type(0)
        if not spec.ndim:
            return self.trace.tracer(self.trace.node_of(zero, self.node.where))
        made: Tracer = self.trace.apply(views.FULL, (zero,), {"shape": spec.shape})
        return made

    def pulled(
        self, nodes: Sequence[Node], seeds: Sequence[tuple[Node, Tracer]],
        wanted: Sequence[Node], value: Callable[[Node], Tracer],
    ) -> list[Tracer | None]:  # fmt: skip
        """Cotangents of what nodes start from, of all elements of the batches."""
        given = [(node, self.batches.any(g)) for node, g in seeds]
        parts = self.pull(nodes, given, wanted, value, self.trace)
        return [None if part is None else self.batches.whole(part) for part in parts]

    def uninitialised(self, spec: Spec) -> Tracer:
        """Memory for what is written to all of it before it is read."""
        attrs = {"shape": spec.shape, "dtype": spec.dtype}
        return self.trace.tracer(self.trace.add(Node(views.UNINITIALISED, (), attrs, spec)))

    def added(self, op: Any, inputs: tuple[Node, ...], attrs: dict[str, Any]) -> Node:
        spec = Spec((), np.dtype(bool))
        return self.trace.add(Node(op, inputs, attrs, spec, self.node.where))

    def result(self, token: Node, position: int, spec: Spec) -> Tracer:
        attrs = {"position": position, "shape": spec.shape, "dtype": spec.dtype, "weak": spec.weak}
        node = Node(CONTROL_RESULT, (token,), attrs, spec, self.node.where)
        return self.trace.tracer(self.trace.add(node))

    def overwritten(self, old: Tracer, new: Tracer) -> Tracer:
        slices = views.whole_slices(old.shape)
        made: Tracer = views.UPDATE(old, new, slices=slices)
        return made

    def number(self) -> int:
        """For a name of a graph's own."""
        self.trace.next_nested += 1
        return self.trace.next_nested

    def while_loop(
        self, name: str, written: Sequence[Tracer], anew: Sequence[Tracer],
        test: Callable[[Sequence[Tracer]], Tracer], step: Callable[[Sequence[Tracer]], Step],
    ) -> Step:  # fmt: skip
        """A loop as long as a test holds, of functions of its states: those that a step writes to,
        then those that it computes anew.  Both may read what is around the loop.
        """
        start = [*written, *anew]
        with Inner(self.trace) as inner:
            states = [inner.input(s.node.spec) for s in start]
            flag = test(list(map(self.trace.tracer, states)))
            tested = list(self.trace.nodes)
        with Inner(self.trace):
            done = step(list(map(self.trace.tracer, states)))
            nodes = list(self.trace.nodes)
        new = [s.node for s in done.states]
        last = [v.node for v in done.last]
        effects = list(done.effects)
        given = _from_outside([*tested, *nodes], [*new, *last, flag.node], states)
        instead = {node: inner.input(node.spec) for node in given}
        asked, inside = _for_other_inputs(tested, instead), _for_other_inputs(nodes, instead)
        inputs, label = tuple(inner.inputs), f"{name}{self.number()}"
        body = Graph(
            label, inputs, tuple(inside[n] for n in nodes),
            tuple(inside.get(v, v) for v in [*new[len(written) :], *last]), (),
            tuple((i, inside[v]) for i, v in zip(states, new[: len(written)], strict=False)),
            tuple(inside[e] for e in effects),
        )  # fmt: skip
        going = Graph(
            f"{label}_test", inputs, tuple(asked[n] for n in tested),
            (asked.get(flag.node, flag.node),),
        )  # fmt: skip
        attrs = {"index": "", "count": 0, "last": len(last), "body": body, "test": going}
        token = self.added(LOOP, (*(s.node for s in start), *given), attrs)
        specs = [*(s.node.spec for s in start), *(v.spec for v in last)]
        found = [self.result(token, k, spec) for k, spec in enumerate(specs)]
        count = len(start)
        return Step(found[:count], found[count:], [token] if effects else [])


class LoopGradient(ControlGradient):
    """That of a loop."""

    @property
    def body(self) -> Graph:
        body: Graph = self.node.attrs["body"]
        return body

    @property
    def carried(self) -> int:
        """How many of the inputs the steps change."""
        return len(self.body.writes) + len(self.body.outputs) - int(self.node.attrs["last"])


def _from_outside(
    nodes: Sequence[Node], needed: Sequence[Node], inputs: Sequence[Node]
) -> list[Node]:
    """The values around a graph that its nodes read, or that it gives as they are."""
    own = {*nodes, *inputs}
    read = [i for node in nodes for i in node.inputs]
    return list(dict.fromkeys(i for i in [*read, *needed] if i not in own))


def _for_other_inputs(nodes: Iterable[Node], instead: Mapping[Node, Node]) -> dict[Node, Node]:
    made = dict(instead)
    for node in nodes:
        inputs = tuple(made.get(i, i) for i in node.inputs)
        made[node] = Node(node.op, inputs, node.attrs, node.spec, node.where)
    return made
