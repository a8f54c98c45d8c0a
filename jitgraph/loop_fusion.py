"""Neighbouring loops of as many steps as one loop, where that is legal and they share an array.

    for i in range(1, n):                         for i in range(1, n):
        speed[i] = speed[i - 1] + force[i]            speed[i] = speed[i - 1] + force[i]
    for i in range(1, n):                   is        place[i] = place[i - 1] + speed[i]
        place[i] = place[i - 1] + speed[i]

The second may read what the first wrote where that is final by its step: each step of the first
writes one place along an axis, and those of the second read no later one.  It may not want anything
else that the first leaves, nor write over what the first reads, which would want a copy.

What they share is read once, while it is in the cache.  Loops that share nothing stay apart:
together, their arrays would drive each other out of the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from .access import WRITES, memory_of
from .graph import Graph, Node, bodies, everywhere, node_with_sizes, with_sizes
from .hoisting import may_raise
from .ops import Kind
from .ops.control import CONTROL_RESULT, LOOP
from .ops.host import HOST, HOST_RESULT
from .ops.views import SLICE, UPDATE
from .symbolic import Dim, add, sub, symbol, symbols

_Slices = tuple[tuple[Dim, Dim, Dim], ...]  # start, step and size for each axis


def fuse_loops(graph: Graph) -> Graph:
    """The graph with each loop joined to the one before it that it may run with."""
    while True:
        loops = [node for node in graph.nodes if node.op is LOOP]
        pairs = (_Pair(graph, first, second) for first, second in pairwise(loops))
        pair = next((pair for pair in pairs if pair.is_legal() and pair.shares_arrays()), None)
        if pair is None:
            return graph
        graph = pair.fused()


class _Loop:
    """A loop's inputs by what they are for."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.body: Graph = node.attrs["body"]
        self.last: int = node.attrs["last"]
        self.writes = len(self.body.writes)
        carried = self.writes + len(self.body.outputs) - self.last
        self.carried, self.fixed = self.body.inputs[:carried], self.body.inputs[carried:]
        self.given = dict(zip(self.body.inputs, node.inputs, strict=True))

    def memory(self, inputs: Sequence[Node]) -> set[Node]:
        return {memory_of(self.given[i]) for i in inputs if i.spec.ndim}


class _Pair:
    """Two loops of which the second is the next after the first."""

    def __init__(self, graph: Graph, first: Node, second: Node) -> None:
        self.graph, self.first, self.second = graph, _Loop(first), _Loop(second)
        nodes = graph.nodes
        self.between = nodes[nodes.index(first) + 1 : nodes.index(second)]
        self.after = {first}  # and what depends on it
        for node in self.between:
            if self.after.intersection(node.inputs):
                self.after.add(node)
        self.results = {
            node.attrs["position"]: node
            for node in self.between
            if node.op is CONTROL_RESULT and node.inputs == (first,)
        }
        self.passed = {
            i: self.first.body.writes[value.attrs["position"]][1]
            for i, value in self.second.given.items()
            if value in self.results.values() and value.attrs["position"] < self.first.writes
        }  # what the second reads of what the first writes
        self.moved = self._needed_before()

    def is_legal(self) -> bool:
        first, second = self.first, self.second
        attrs, others = first.node.attrs, second.node.attrs
        if not attrs["index"] or not others["index"] or attrs["count"] != others["count"]:
            return False
        if attrs.get("test") or others.get("test"):
            return False
        if any(_does_more(node) for loop in (first, second) for node in everywhere([loop.node])):
            return False
        if any(bodies(n) or n.op in (HOST, HOST_RESULT) for n in self.between):
            return False
        if any(node in self.after or node.op in WRITES for node in self.moved):
            return False
        for i, value in second.given.items():
            if value in self.after and not (i in self.passed and self._is_final(i)):
                return False
        one, other = (loop.memory(loop.carried[: loop.writes]) for loop in (first, second))
        in_the_way = one & second.memory(second.body.inputs)
        return not in_the_way and not first.memory(first.fixed) & other

    def shares_arrays(self) -> bool:
        first, second = self.first, self.second
        return bool(self.passed or first.memory(first.fixed) & second.memory(second.fixed))

    def _needed_before(self) -> list[Node]:
        """What the second loop is computed from among the nodes between."""
        needed = {v for v in self.second.given.values() if v not in self.results.values()}
        for node in reversed(self.between):
            if node in needed:
                needed.update(node.inputs)
        return [node for node in self.between if node in needed]

    def _is_final(self, given: Node) -> bool:
        """Whether all that a step reads of an array has been written by this step."""
        index = symbol(self.first.node.attrs["index"])
        there, node = [], self.passed[given]
        inputs = self.first.body.inputs
        while node not in inputs:
            if node.op is not UPDATE:
                return False
            there.append(node.attrs["slices"])
            node = node.inputs[0]
        readers = [n for n in self.second.body.nodes if given in n.inputs]
        if given in self.second.body.needed or any(n.op is not SLICE for n in readers):
            return False
        own = {self.second.node.attrs["index"]: index}
        here = [with_sizes(n.attrs["slices"], own) for n in readers]
        return any(_never_ahead(here, there, axis, index) for axis in range(given.spec.ndim))

    def fused(self) -> Graph:
        first, second = self.first, self.second
        names = iter(f"x{k}" for k in range(len(first.given) + len(second.given)))
        made: dict[Node, Node] = {}  # of both bodies
        inputs: dict[Node, Node] = {}  # of the fused one, and what they are given
        shared: dict[Node, Node] = {}  # by the value that both are given
        kinds = [
            *((first, i) for i in first.carried[: first.writes]),
            *((second, i) for i in second.carried[: second.writes]),
            *((first, i) for i in first.carried[first.writes :]),
            *((second, i) for i in second.carried[second.writes :]),
            *((first, i) for i in first.fixed),
            *((second, i) for i in second.fixed if i not in self.passed),
        ]
        for loop, i in kinds:
            value = loop.given[i]
            if i in loop.fixed and value in shared:
                made[i] = shared[value]
                continue
            made[i] = Node(i.op, (), dict(i.attrs) | {"name": next(names)}, i.spec, i.where)
            inputs[made[i]] = value
            if i in loop.fixed:
                shared[value] = made[i]
        sizes = {second.node.attrs["index"]: symbol(first.node.attrs["index"])}
        nodes = []
        for node in first.body.nodes:
            made[node] = replace(node, inputs=tuple(made[i] for i in node.inputs))
            nodes.append(made[node])
        made |= {i: made[value] for i, value in self.passed.items()}
        for node in second.body.nodes:
            made[node] = node_with_sizes(node, tuple(made[i] for i in node.inputs), sizes)
            nodes.append(made[node])
        outputs, places = self._outputs()
        body = Graph(
            first.body.name, tuple(inputs), tuple(nodes), tuple(made[o] for o in outputs), (),
            tuple((made[i], made[v]) for i, v in (*first.body.writes, *second.body.writes)),
        )  # fmt: skip
        attrs = dict(first.node.attrs) | {"body": body, "last": first.last + second.last}
        where = _both(first.node.where, second.node.where)
        joined = Node(LOOP, tuple(inputs.values()), attrs, first.node.spec, where)
        return self._around(joined, places)

    def _outputs(self) -> tuple[list[Node], dict[tuple[Node, int], int]]:
        """Those that a step hands on, those at the end; and where each loop's results are now."""
        outputs: list[Node] = []
        places: dict[tuple[Node, int], int] = {}
        base = 0
        for loop in (self.first, self.second):
            places |= {(loop.node, k): base + k for k in range(loop.writes)}
            base += loop.writes
        for at_the_end in (False, True):
            for loop in (self.first, self.second):
                handed_on = len(loop.body.outputs) - loop.last
                for k, output in enumerate(loop.body.outputs):
                    if (k >= handed_on) == at_the_end:
                        places[loop.node, loop.writes + k] = base + len(outputs)
                        outputs.append(output)
        return outputs, places

    def _around(self, loop: Node, places: dict[tuple[Node, int], int]) -> Graph:
        first, second, graph = self.first.node, self.second.node, self.graph
        k = graph.nodes.index(first)
        rest = [n for n in graph.nodes[k + 1 :] if n is not second and n not in self.moved]
        made: dict[Node, Node] = {}
        nodes = [*graph.nodes[:k], *self.moved, loop]
        for node in rest:
            if node.op is CONTROL_RESULT and node.inputs[0] in (first, second):
                attrs = dict(node.attrs)
                attrs["position"] = places[node.inputs[0], attrs["position"]]
                made[node] = replace(node, inputs=(loop,), attrs=attrs)
            elif any(i in made for i in node.inputs):
                made[node] = replace(node, inputs=tuple(made.get(i, i) for i in node.inputs))
            nodes.append(made.get(node, node))
        return graph.with_nodes(nodes, made)


def _never_ahead(here: Sequence[_Slices], there: Sequence[_Slices], axis: int, index: Dim) -> bool:
    """Whether steps write one place along an axis, the next one each, and read none after it."""
    for start, _, size in (slices[axis] for slices in there):
        if size != 1 or symbols(sub(start, index)) & symbols(index):
            return False
        for first, step, count in (slices[axis] for slices in here):
            if not isinstance(count, int) or not isinstance(step, int):
                return False
            furthest = first if step < 0 else add(first, step * (count - 1))
            ahead = sub(furthest, start)
            if not isinstance(ahead, int) or ahead > 0:
                return False
    return True


def _does_more(node: Node) -> bool:
    """What a step of the other loop must not come before."""
    if node.op is LOOP:
        return bool(node.attrs["body"].effects)
    raises = node.kind is Kind.OPAQUE and node.op is not UPDATE and may_raise(node)
    return raises or node.op in (HOST, HOST_RESULT)


def _both(one: str, other: str) -> str:
    """Two places as a text; the file only once."""
    file, _, line = other.rpartition(":")
    return f"{one}, {line}" if one.rpartition(":")[0].startswith(file) else f"{one}, {other}"
