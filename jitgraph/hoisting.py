"""Invariants of loops: what a step computes from values that no step changes, computed before it.

    for _ in range(n):                       decay = np.exp(-rate * dt)
        x = x * np.exp(-rate * dt)     is    for _ in range(n):
                                                 x = x * decay

Numbers are worth it always, arrays where more than a little arithmetic goes into an element: others
are computed again where they are used, which takes less time than to read them from memory.

What may raise is computed only if there is a first step:

    while c > 0: x = x / np.float64(a) ** 2  is    if c > 0: square = a ** 2
                                                   while c > 0: x = x / square
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .access import WRITES, is_one
from .graph import CONSTANT, SIZE, Graph, Node, constant, pruned
from .ops import Kind, scalars
from .ops.control import COND, CONTROL_RESULT, LOOP
from .ops.host import HOST, HOST_RESULT
from .ops.library import CONCATENATE, MATMUL
from .ops.views import FULL, UNINITIALISED
from .spec import Spec
from .symbolic import Size, symbols

FLOPS = 8  # of an element of an array that is worth keeping
_PURE = (Kind.ELEMENTWISE, Kind.REDUCE, Kind.SCAN, Kind.VIEW, Kind.OPAQUE)
_NEVER_RAISE = (MATMUL, CONCATENATE, scalars.ITEM)


def hoist_invariants(graph: Graph) -> Graph:
    """The graph with what is invariant in its loops computed before them."""
    if not any(node.op is LOOP for node in graph.nodes):
        return graph
    made: dict[Node, Node] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(made.get(i, i) for i in node.inputs)
        new = node if inputs == node.inputs else replace(node, inputs=inputs)
        if node.op is LOOP:
            new = _Loop(new, nodes).hoisted()
        nodes.append(new)
        made[node] = new
    return graph.with_nodes(nodes, made)


class _Loop:
    """One loop; what is computed before it is added to the nodes around it."""

    def __init__(self, node: Node, around: list[Node]) -> None:
        self.node, self.around = node, around
        self.body: Graph = node.attrs["body"]
        self.test: Graph | None = node.attrs.get("test")
        if self.test is not None:  # its inputs are the body's
            own = dict(zip(self.test.inputs, self.body.inputs, strict=True))
            self.test = replace(_reading(self.test, own), inputs=self.body.inputs)
        self.first = len(self.body.writes) + len(self.body.outputs) - node.attrs["last"]
        inputs = self.body.inputs
        self.given = dict(zip(inputs, node.inputs, strict=True))
        self.fixed = set(inputs[self.first :])  # and what is computed from these alone
        self.placeholders: dict[Node, Node] = {}

    def hoisted(self) -> Node:
        in_test = [] if self.test is None else self._invariants(self.test)
        in_body = self._invariants(self.body)
        if not in_test and not in_body:
            return self.node
        known = self._computed(in_test, {})
        rest = [n for n in in_body if n not in known]
        may_be_none = not self.node.attrs["index"]
        raising = any(map(may_raise, _with_operands(rest, self.body.nodes)))
        if may_be_none and raising and self.test is not None:
            known |= self._computed_if_any(rest)
        else:
            known |= self._computed(rest, known)
        return self._with(known)

    def _invariants(self, graph: Graph) -> list[Node]:
        """The values to compute before the loop."""
        index = self.node.attrs["index"]
        for node in graph.nodes:
            if _is_pure(node) and index not in _sizes(node) and self.fixed.issuperset(node.inputs):
                self.fixed.add(node)
        wanted: dict[Node, None] = {}
        reading = (n for n in graph.nodes if n not in self.fixed)
        stack = [*(i for n in reading for i in n.inputs), *graph.needed]
        seen = set(self.given)
        while stack:
            node = stack.pop()
            if node in seen or node not in self.fixed or node.kind is Kind.SOURCE:
                continue
            seen.add(node)
            if self._is_worth_it(node):
                wanted[node] = None
            else:
                stack += node.inputs
        return [node for node in graph.nodes if node in wanted]

    def _is_worth_it(self, node: Node) -> bool:
        if node.kind is Kind.VIEW:
            return False
        if all(map(is_one, node.spec.shape)) or node.kind is not Kind.ELEMENTWISE:
            return True
        flops, stack, seen = 0, [node], set[Node]()
        while stack and flops < FLOPS:
            node = stack.pop()
            if node in seen or node in self.given or node.kind is Kind.SOURCE:
                continue
            seen.add(node)
            flops += node.op.loop.flops if node.op.loop and node.spec.ndim else 0
            stack += node.inputs
        return flops >= FLOPS

    def _computed(self, wanted: Sequence[Node], known: dict[Node, Node]) -> dict[Node, Node]:
        """Copies of values and what they need among the nodes around the loop."""
        return _copied(wanted, self._nodes(), self.given | known, self.around)

    def _computed_if_any(self, wanted: Sequence[Node]) -> dict[Node, Node]:
        """The same, in a branch that asks whether there is a first step."""
        assert self.test is not None
        asked = _copied(self.test.outputs, list(self.test.nodes), self.given, self.around)
        needed = _with_operands(wanted, self._nodes())
        read = [i for i in self.body.inputs if any(i in n.inputs for n in needed)]
        inputs = [Node(i.op, (), {"name": f"x{k}"}, i.spec) for k, i in enumerate(read)]
        inside: list[Node] = []
        values = _copied(wanted, self._nodes(), dict(zip(read, inputs, strict=True)), inside)
        outputs = tuple(values[n] for n in wanted)
        taken = Graph(f"before_{self.body.name}", tuple(inputs), tuple(inside), outputs)
        nothing: list[Node] = []
        zeros = tuple(_zeros(n, nothing) for n in wanted)
        otherwise = Graph(f"without_{self.body.name}", tuple(inputs), tuple(nothing), zeros)
        attrs = {"written": 0, "taken": taken, "otherwise": otherwise}
        (condition,) = (asked[o] for o in self.test.outputs)
        given = (condition, *(self.given[i] for i in read))
        token = Node(COND, given, attrs, Spec((), np.dtype(bool)), self.node.where)
        self.around.append(token)
        found: dict[Node, Node] = {}
        for k, node in enumerate(wanted):
            spec = node.spec
            attrs = {"position": k, "shape": spec.shape, "dtype": spec.dtype, "weak": spec.weak}
            found[node] = Node(CONTROL_RESULT, (token,), attrs, spec, node.where)
            self.around.append(found[node])
        return found

    def _nodes(self) -> list[Node]:
        return [*(() if self.test is None else self.test.nodes), *self.body.nodes]

    def _with(self, known: dict[Node, Node]) -> Node:
        """The loop that is given these values."""
        names = {str(i.attrs["name"]) for i in self.body.inputs}
        fresh = (f"x{k}" for k in range(len(names) + len(known)) if f"x{k}" not in names)
        new = {n: Node(self.body.inputs[0].op, (), {"name": next(fresh)}, n.spec) for n in known}
        body, test = _reading(self.body, new), self.test and _reading(self.test, new)
        read = {i for graph in (body, test) if graph for n in graph.nodes for i in n.inputs}
        read |= {n for graph in (body, test) if graph for n in graph.needed}
        given = self.given | {new[n]: known[n] for n in known}
        carried, rest = self.body.inputs[: self.first], self.body.inputs[self.first :]
        inputs = (*carried, *(i for i in (*rest, *new.values()) if i in read))
        attrs = dict(self.node.attrs) | {"body": replace(body, inputs=inputs)}
        if test is not None:
            attrs["test"] = replace(test, inputs=inputs)
        return replace(self.node, inputs=tuple(given[i] for i in inputs), attrs=attrs)


def _copied(
    wanted: Iterable[Node], nodes: Sequence[Node], known: dict[Node, Node], into: list[Node]
) -> dict[Node, Node]:
    """Values and what they need, written down again for other inputs."""
    wanted, made = list(wanted), dict(known)
    for node in _with_operands(wanted, nodes, known):
        made[node] = replace(node, inputs=tuple(made[i] for i in node.inputs))
        into.append(made[node])
    return {n: made[n] for n in wanted}


def _with_operands(
    wanted: Iterable[Node], nodes: Sequence[Node], known: Collection[Node] = ()
) -> list[Node]:
    """Values and all that they are computed from among some nodes."""
    needed, stack, within = set[Node](), list(wanted), set(nodes)
    while stack:
        node = stack.pop()
        if node in within and node not in needed and node not in known:
            needed.add(node)
            stack += node.inputs
    return [n for n in nodes if n in needed]


def _reading(graph: Graph, new: dict[Node, Node]) -> Graph:
    """A step that reads values where it computed them."""
    made = dict(new)
    nodes = []
    for node in graph.nodes:
        if node in new:
            continue
        inputs = tuple(made.get(i, i) for i in node.inputs)
        made[node] = node if inputs == node.inputs else replace(node, inputs=inputs)
        nodes.append(made[node])
    return pruned(graph.with_nodes(nodes, made))


def _is_pure(node: Node) -> bool:
    if node.op in (CONSTANT, SIZE):
        return True
    return node.kind in _PURE and node.op not in (*WRITES, HOST, HOST_RESULT, UNINITIALISED)


def may_raise(node: Node) -> bool:
    return node.kind is Kind.OPAQUE and node.op not in _NEVER_RAISE


def _sizes(node: Node) -> set[str]:
    """Names of the sizes that a node mentions."""
    found: set[str] = set()
    stack: list[Any] = [node.spec.shape, *node.attrs.values()]
    while stack:
        value = stack.pop()
        if isinstance(value, Size):
            found |= symbols(value)
        elif isinstance(value, tuple):
            stack += value
    return found


def _zeros(node: Node, into: list[Node]) -> Node:
    spec = node.spec
    zero = spec.dtype.type(0)
    number = Spec((), spec.dtype, spec.weak)
    made = constant(zero.item() if spec.weak else zero, number, node.where)
    into.append(made)
    if spec.ndim:
        made = Node(FULL, (made,), {"shape": spec.shape}, spec, node.where)
        into.append(made)
    return made
