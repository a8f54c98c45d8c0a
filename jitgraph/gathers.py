"""Gathers computed where their elements are used."""

from __future__ import annotations

from .checking import checks
from .graph import Graph, Node
from .ops.indexing import GATHER, INDEX
from .spec import FUSABLE


def with_gathers(graph: Graph) -> Graph:
    """The graph with gathers that kernels may read through.

    A kernel finds a position outside of its axis when others are computed already; the call then
    runs once more in NumPy, which raises.  So nothing may have changed outside of the program.
    """
    lasting = graph.writes or not all(map(checks, graph.effects))
    if lasting or not any(n.op is INDEX for n in graph.nodes):
        return graph
    made: dict[Node, Node] = {}
    nodes = []
    for node in graph.nodes:
        inputs = tuple(made.get(i, i) for i in node.inputs)
        op = GATHER if node.op is INDEX and _is_plain(node) else node.op
        kept = op is node.op and inputs == node.inputs
        made[node] = node if kept else Node(op, inputs, node.attrs, node.spec, node.where)
        nodes.append(made[node])
    return graph.with_nodes(nodes, made)


def _is_plain(node: Node) -> bool:
    array, *positions = node.inputs
    sizes = [d for n in (array, *positions, node) for d in n.spec.shape]
    if any(d == 0 for d in sizes) or array.spec.dtype.char not in FUSABLE:
        return False
    known = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
    return all(p.spec.dtype.name in known for p in positions)
