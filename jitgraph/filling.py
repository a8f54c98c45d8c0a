"""Arrays that are filled, or copied, and then written over: only what is left is filled.

out = np.zeros_like(x)                 out = np.empty_like(x)
out[1:-1] = x[2:] - x[:-2]     is      out[:1] = 0
                                       out[-1:] = 0
                                       out[1:-1] = x[2:] - x[:-2]
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from .access import writes_to_arguments
from .graph import Graph, Node, sizes_assumed
from .ops.elementwise import CAST
from .ops.views import BROADCAST_TO, FULL, SLICE, UNINITIALISED, UPDATE, Slice
from .spec import Spec
from .symbolic import Dim, Guard, Shape, ShapeEnv, add, sub

Part = tuple[Slice, ...]
_UPDATES = 8  # that are looked at, for one array

Cells = tuple[tuple[int, int], ...]  # a part of an array: for each axis the numbers of two cuts


def fill_what_is_left(graph: Graph, guards: Sequence[Guard]) -> Graph:
    """The graph with fills, and with copies of whole arrays, limited to the elements that are not
    written before anything reads them.

    guards: what is known of the sizes.
    """
    return _Filling(graph, sizes_assumed(guards)).run()


class _Filling:
    def __init__(self, graph: Graph, sizes: ShapeEnv) -> None:
        self.graph, self.sizes = graph, sizes
        self.users, self.kept = graph.users(), set(graph.needed)
        self.in_place = writes_to_arguments(graph)
        self.made: dict[Node, Node] = {}
        self.nodes: list[Node] = []

    def run(self) -> Graph:
        graph, changed = self.graph, False
        for node in graph.nodes:
            inputs = tuple(self.made.get(i, i) for i in node.inputs)
            new = node
            if inputs != node.inputs:
                new = Node(node.op, inputs, node.attrs, node.spec, node.where)
            found = self._found(node)
            if found is not None:
                changed = True
                array = self._filled(new, *found)
                new = array if node.op is not UPDATE else replace(new, inputs=(array, *inputs[1:]))
            if found is None or node.op is UPDATE:
                self.nodes.append(new)
            self.made[node] = new
        if not changed:
            return graph
        return graph.with_nodes(self.nodes, self.made)

    def _found(self, node: Node) -> tuple[Node, list[Part]] | None:
        """What an array is filled with at first, or copied from, and the parts that are left."""
        if not node.spec.ndim or not node.inputs:
            return None
        first, parts = node.inputs[0], list(self._updates(node))
        if node.op is UPDATE:
            if node in self.in_place or first not in self.graph.inputs:
                return None
            parts.insert(0, node.attrs["slices"])
        elif node.op is not FULL and (node.op is not CAST or first.spec != node.spec):
            return None
        left = _left(node.spec.shape, parts, self.sizes)
        return None if left is None else (self.made.get(first, first), left)

    def _updates(self, node: Node) -> Iterator[Part]:
        """The parts that are written one after the other while nobody reads the array."""
        for _ in range(_UPDATES):
            match self.users.get(node, []):
                case [update] if node not in self.kept and update.op is UPDATE:
                    if update.inputs[0] is not node:
                        return
                    yield update.attrs["slices"]
                    node = update
                case _:
                    return

    def _filled(self, node: Node, value: Node, parts: Sequence[Part]) -> Node:
        """New memory, with some parts filled with a number or copied from another array."""
        spec, where = node.spec, node.where
        attrs: dict[str, Any] = {"shape": spec.shape, "dtype": spec.dtype}
        array = Node(UNINITIALISED, (), attrs, spec, where)
        self.nodes.append(array)
        for part in parts:
            shape = tuple(count for _, _, count in part)
            op, attrs = SLICE, {"slices": part}
            if not value.spec.ndim:
                op, attrs = BROADCAST_TO, {"shape": shape}
            some = Node(op, (value,), attrs, Spec(shape, spec.dtype), where)
            array = Node(UPDATE, (array, some), {"slices": part}, spec, where)
            self.nodes += [some, array]
        return array


def _left(shape: Shape, parts: Sequence[Part], sizes: ShapeEnv) -> list[Part] | None:
    """What these parts leave of an array, in few parts; None where none do, or it can't be told."""
    parts = [p for p in parts if all(step == 1 for _, step, _ in p)]
    if not parts:
        return None
    cuts: list[list[Dim]] = []
    for axis, size in enumerate(shape):
        ends = [end for p in parts for start, _, count in [p[axis]]
                for end in (start, add(start, count))]  # fmt: skip
        found = _in_order([0, size, *ends], sizes)
        if found is None:
            return None
        cuts.append(found)
    covered = [_cells(part, cuts) for part in parts]
    single = itertools.product(*([(k, k + 1) for k in range(len(c) - 1)] for c in cuts))
    rest = [cell for cell in single if not any(_within(cell, part) for part in covered)]
    for axis in reversed(range(len(shape))):
        rest = _joined(rest, axis)
    if len(rest) > 2 * len(shape):
        return None
    return [
        tuple((c[low], 1, sub(c[high], c[low])) for (low, high), c in zip(cells, cuts, strict=True))
        for cells in rest
    ]


def _in_order(cuts: Sequence[Dim], sizes: ShapeEnv) -> list[Dim] | None:
    """The positions without repetitions, in an order that holds for all sizes; None if there is
    none.
    """
    order: list[Dim] = []
    for cut in dict.fromkeys(cuts):
        at = 0
        while at < len(order) and sizes.at_least(cut, order[at]):
            at += 1
        if not all(sizes.at_least(after, cut) for after in order[at:]):
            return None
        order.insert(at, cut)
    return order


def _cells(part: Part, cuts: Sequence[list[Dim]]) -> Cells:
    return tuple(
        (c.index(start), c.index(add(start, count)))
        for (start, _, count), c in zip(part, cuts, strict=True)
    )


def _within(cell: Cells, part: Cells) -> bool:
    return all(a <= low and high <= b for (low, high), (a, b) in zip(cell, part, strict=True))


def _joined(parts: list[Cells], axis: int) -> list[Cells]:
    """Neighbours along an axis made one."""
    found: dict[tuple[Cells, int], Cells] = {}  # by the other axes and where it ends
    for part in sorted(parts, key=lambda p: p[axis]):
        (low, high), others = part[axis], (*part[:axis], *part[axis + 1 :])
        before = found.pop((others, low), None)
        start = low if before is None else before[axis][0]
        found[others, high] = (*part[:axis], (start, high), *part[axis + 1 :])
    return sorted(found.values())
