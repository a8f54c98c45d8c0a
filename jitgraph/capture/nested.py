"""Graphs inside a graph: what a loop repeats, and what a branch does or leaves.

While such a graph is written down, every array of the trace stands for itself as it is when the
graph starts.  What the graph writes to and what names it binds becomes known by comparing that with
how things are at its end.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..checking import calls, checks
from ..graph import CONSTANT, INPUT, Graph, Node
from ..ops import Op, scalars, views
from ..ops.control import CONTROL_RESULT
from ..ops.indexing import INDEX_ADD, INDEX_PUT
from ..spec import Spec
from .refusal import EndedError, RefusedError
from .tracer import Storage, Tracer

if TYPE_CHECKING:
    from .trace import Trace


MOST_NESTED = 300  # loops and branches of a graph
LARGEST = 1 << 31  # of integers that are counted with


class Nested:
    """One run of a statement of the user's function that may become a node with graphs inside.

    traced: whether its graphs are being written down, instead of Python doing what it says.
    """

    def __init__(self, trace: Trace, key: str) -> None:
        self.trace, self.key = trace, key
        self.traced = False
        file, line, _ = key.rsplit(":", 2)
        self.where = f"{Path(file).name}:{line}"

    def refuse(self, reason: str) -> NoReturn:
        raise RefusedError(self.key, reason)

    def promote(self, number: Node | None, spec: Spec) -> None:
        """What a number of Python's has to be from the start, if this is a loop that carries it."""

    def _may_be_traced(self) -> bool:
        policy = self.trace.policy
        return policy.allowed and self.key not in policy.refused

    def _begin(self) -> None:
        trace = self.trace
        self.traced = True
        self.number, trace.next_nested = trace.next_nested, trace.next_nested + 1
        if self.number > MOST_NESTED:
            raise EndedError("its loops, which are written out step by step, have many branches")
        trace.nested.append(self)
        self.outer, trace.nodes = trace.nodes, []
        self.written = trace.writes.checkpoint()
        self.expected: list[Node] = []  # what the graph makes sure of
        self.stood: dict[Storage, tuple[Node, Node]] = {}
        self.inputs: list[Node] = []
        for storage in trace.known_storages:
            self.adopt(storage)
        self.call_before = trace.last_call
        if trace.last_call is not None:  # calls inside come after it
            trace.last_call = self._placeholder(trace.last_call.spec)
        self.first_call = trace.last_call

    def adopt(self, storage: Storage) -> None:
        """Let an array from outside stand for itself at the start of the graph."""
        before = storage.node
        inside = self._placeholder(before.spec)
        self.trace.values.stand_in(inside, before)
        self.stood[storage] = before, inside
        storage.assign(inside)

    def _placeholder(self, spec: Spec) -> Node:
        node = Node(INPUT, (), {"name": f"x{len(self.inputs)}"}, spec)
        self.inputs.append(node)
        return node

    def _changed(self) -> list[Storage]:
        """Arrays from outside that have been written to."""
        return [s for s, (_, inside) in self.stood.items() if s.node is not inside]

    def _written(self, storage: Storage) -> Node:
        """The new value of an array that was written to, as a write to the old one."""
        inside = self.stood[storage][1]
        start = storage.node
        while start.op in (views.UPDATE, INDEX_PUT, INDEX_ADD):
            start = start.inputs[0]
        if start is inside:
            return storage.node
        whole = {"slices": views.whole_slices(inside.spec.shape)}
        node = Node(views.UPDATE, (inside, storage.node), whole, inside.spec, storage.node.where)
        return self.trace.add(node)

    def _graph(
        self, name: str, nodes: Sequence[Node], outputs: Sequence[Node],
        writes: Sequence[tuple[Node, Node]],
    ) -> Graph:  # fmt: skip
        for node in nodes:
            if any(self.trace.env.has_index(d) for d in node.spec.shape):
                self.refuse("an array has another size at each step")
        label = f"{name}{self.number}"
        effects, self.expected = self.trace.checks(self.expected), []
        if self.trace.last_call is not self.first_call:
            effects += filter(None, [self.trace.last_call])
        self.trace.last_call = self.first_call
        return Graph(
            label, tuple(self.inputs), tuple(nodes), tuple(outputs), (), tuple(writes),
            tuple(effects),
        )  # fmt: skip

    def _added(self, op: Op, given: Sequence[Node], attrs: dict[str, Any]) -> Node:
        """The statement as a node of the graph around it, which checks what its graphs do."""
        token = self.trace.add(Node(op, tuple(given), attrs, Spec((), np.dtype(bool)), self.where))
        self.trace.keys[token] = self.key
        if checks(token):
            self.trace.expected.append(token)
        if calls(token):
            self.trace.last_call = token
        return token

    def _given_as(self) -> dict[Node, Node]:
        """The values around the graph that its inputs stand for."""
        found = {inside: node for node, inside in self.stood.values()}
        if self.first_call is not None and self.call_before is not None:
            found[self.first_call] = self.call_before
        return found

    def _read(self, *graphs: Graph) -> set[Node]:
        """The inputs that graphs use."""
        read: set[Node] = set()
        for graph in graphs:
            read.update(graph.needed, *(node.inputs for node in graph.nodes))
        return read

    def _end(self) -> None:
        """Back to what is around the graph, with every array as it was."""
        trace = self.trace
        if trace.nested[-1] is not self:
            raise AssertionError("graphs end in another order than they began")
        trace.nested.pop()
        trace.nodes, trace.last_call = self.outer, self.call_before
        trace.writes.forget(self.written)
        for storage, (before, _) in self.stood.items():
            storage.assign(before)
        trace.renew()

    def _result(self, token: Node, position: int, spec: Spec) -> Node:
        attrs = {"position": position, "shape": spec.shape, "dtype": spec.dtype, "weak": spec.weak}
        return self.trace.add(Node(CONTROL_RESULT, (token,), attrs, spec, self.where))

    def _named(self, node: Node, like: Storage | None) -> Tracer:
        """What a name is bound to afterwards."""
        tracer = self.trace.tracer(node)
        if like is not None:
            tracer.storage.mutable = like.mutable and tracer.storage.mutable
        return tracer


def but_for_constants(node: Node, stop: Collection[Node] = ()) -> Node | None:
    """What small constants are added to in an integer; None where they are not small."""
    while node not in stop and node.op in (scalars.ADD, scalars.SUBTRACT):
        a, b = node.inputs
        if b.op is not CONSTANT and node.op is scalars.ADD:
            a, b = b, a
        if b.op is not CONSTANT or abs(b.attrs["value"]) > LARGEST:
            return None
        node = a
    return node
