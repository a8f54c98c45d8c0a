"""Reshapes that copy, as kernels: what joins axes that are not next to each other in memory.

    (n, heads, length, width) -> swap the middle ones -> (n, length, heads * width)

has no view, and what has one is an array of a program's only if it is in C order.  The elements are
copied in a loop over the axes as they are, which threads share and other operations may join; the
reshape of the copy is free.
"""

from __future__ import annotations

from dataclasses import replace

from .graph import Graph, Node
from .ops import views
from .ops.elementwise import CAST
from .spec import FUSABLE
from .symbolic import Dim, Shape, mul


def copy_before_reshapes(graph: Graph) -> Graph:
    """The graph with a copy before each reshape that NumPy would copy for."""
    if not any(map(_is_copied, graph.nodes)):
        return graph
    made: dict[Node, Node] = {}
    copies: dict[Node, Node] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(made.get(i, i) for i in node.inputs)
        if _is_copied(node):
            (x,) = inputs
            if x not in copies:
                copies[x] = Node(CAST, (x,), {"dtype": x.spec.dtype}, x.spec, node.where)
                nodes.append(copies[x])
            inputs = (copies[x],)
        made[node] = node if inputs == node.inputs else replace(node, inputs=inputs)
        nodes.append(made[node])
    return graph.with_nodes(nodes, made)


def _is_copied(node: Node) -> bool:
    """Whether a reshape only joins axes, of a transposed array."""
    if node.op is not views.RESHAPE or node.inputs[0].op is not views.TRANSPOSE:
        return False
    transposed = node.inputs[0].spec
    known = transposed.dtype.char in FUSABLE and not any(map(_is_zero, transposed.shape))
    return known and _only_joins(transposed.shape, node.spec.shape)


def _is_zero(dim: Dim) -> bool:
    return isinstance(dim, int) and dim == 0


def _only_joins(old: Shape, new: Shape) -> bool:
    """Whether each new axis is made of some of the old ones, in order."""
    first = 0
    for size in new[:-1]:
        total: Dim = 1
        while total != size:
            if first == len(old):
                return False
            total = mul(total, old[first])
            first += 1
    return bool(new)  # the last one is made of all that are left
