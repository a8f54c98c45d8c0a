"""What a forward pass keeps for the backward one, and what that computes again: a minimal cut.

Everything that the backward pass reads of the forward's values comes from what was kept.  An
operation element by element is computed again in the kernel that wants it, for nothing but the
bytes that it reads; so what is kept is the set of values of the fewest bytes that lies on every way
from what can't be computed again (arguments, products, reductions) to what the backward pass reads.

    h = x @ w;  y = np.maximum(h, 0) + b          keep  h > 0  (a byte an element), not  h

A value that is an array anyway counts once, to be read; another twice, as it is written for this.
Views are taken again of what is kept.
The cut is found by the largest flow through the values, each as wide as its bytes (Ford and
Fulkerson 1956, by shortest ways: Dinitz 1970).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

from .graph import INPUT, Graph, Node
from .ops import Kind
from .ops.elementwise import IOTA

_CHEAP = (Kind.ELEMENTWISE, Kind.VIEW)
_ENDLESS = 1 << 60


def kept_and_recomputed(
    graph: Graph, read: Iterable[Node], outputs: Collection[Node], nbytes: Callable[[Node], int]
) -> tuple[tuple[Node, ...], set[Node]]:
    """The values of a graph to keep for those who read some of them, and those between that are
    computed again.

    outputs: values that are handed out, and so are arrays anyway; nbytes: how large a value is.
    """
    wanted = dict.fromkeys(read)
    behind = _behind(wanted)
    flow = _Flow()
    for node in behind:
        inside, outside = (node, "in"), (node, "out")
        if _is_free(node):
            continue
        given = not _is_recomputed(node)
        written = not (given or node in outputs)
        width = max(nbytes(node), 1) * (2 if written else 1)
        flow.edge(inside, outside, width if node.op.fresh else _ENDLESS)
        if given:
            flow.edge("source", inside, _ENDLESS)
        else:
            for operand in node.inputs:
                if not _is_free(operand):
                    flow.edge((operand, "out"), inside, _ENDLESS)
        if node in wanted:
            flow.edge(outside, "sink", _ENDLESS)
    flow.fill("source", "sink")
    reached = flow.reached("source")
    cut = [n for n in behind if (n, "in") in reached and (n, "out") not in reached]
    kept = set(cut)
    recomputed: set[Node] = set()
    stack = [n for n in wanted if n not in kept]
    while stack:
        node = stack.pop()
        if node not in recomputed and node not in kept:
            recomputed.add(node)
            stack.extend(node.inputs)
    order = {n: k for k, n in enumerate((*graph.inputs, *graph.nodes))}
    return tuple(sorted(kept, key=order.__getitem__)), recomputed


def _is_free(node: Node) -> bool:
    """Constants, sizes and counting, which need no memory."""
    return node.op is IOTA or (node.kind is Kind.SOURCE and node.op is not INPUT)


def _is_recomputed(node: Node) -> bool:
    return node.kind in _CHEAP and bool(node.inputs)


def _behind(nodes: Iterable[Node]) -> list[Node]:
    """What values may be computed from again, themselves among it."""
    found: dict[Node, None] = {}
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node not in found:
            found[node] = None
            if _is_recomputed(node):
                stack.extend(node.inputs)
    return list(found)


class _Flow:
    """A network of edges with capacities."""

    def __init__(self) -> None:
        self._number: dict[object, int] = {}
        self._edges: list[list[int]] = []  # of each place, numbers of edges
        self._to: list[int] = []
        self._left: list[int] = []  # capacity; edge k ^ 1 goes back

    def _place(self, name: object) -> int:
        if name not in self._number:
            self._number[name] = len(self._edges)
            self._edges.append([])
        return self._number[name]

    def edge(self, start: object, end: object, capacity: int) -> None:
        a, b = self._place(start), self._place(end)
        for place, to, left in ((a, b, capacity), (b, a, 0)):
            self._edges[place].append(len(self._to))
            self._to.append(to)
            self._left.append(left)

    def fill(self, source: object, sink: object) -> None:
        """Send as much as goes through."""
        start, end = self._place(source), self._place(sink)
        while (distance := self._distances(start))[end] >= 0:
            following = [0] * len(self._edges)
            while self._sent(start, end, distance, following):
                pass

    def _distances(self, start: int) -> list[int]:
        found = [-1] * len(self._edges)
        found[start] = 0
        waiting = deque([start])
        while waiting:
            place = waiting.popleft()
            for k in self._edges[place]:
                if self._left[k] > 0 and found[self._to[k]] < 0:
                    found[self._to[k]] = found[place] + 1
                    waiting.append(self._to[k])
        return found

    def _sent(self, start: int, end: int, distance: Sequence[int], following: list[int]) -> bool:
        """Fill one of the shortest ways that are left."""
        way: list[int] = []
        place = start
        while place != end:
            edges = self._edges[place]
            while following[place] < len(edges):
                k = edges[following[place]]
                if self._left[k] > 0 and distance[self._to[k]] == distance[place] + 1:
                    break
                following[place] += 1
            else:
                if not way:
                    return False
                place = self._to[way.pop() ^ 1]
                following[place] += 1
                continue
            way.append(k)
            place = self._to[k]
        amount = min(self._left[k] for k in way)
        for k in way:
            self._left[k] -= amount
            self._left[k ^ 1] += amount
        return True

    def reached(self, source: object) -> set[object]:
        """The places that more could be sent to."""
        distance = self._distances(self._place(source))
        return {name for name, k in self._number.items() if distance[k] >= 0}
