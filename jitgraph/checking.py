"""What a function asserts, before anything that could not be undone.

A call that ends at an assertion is made once more in Python, which raises what the function says,
with the arguments as they were.  So the program writes to them after all its checks; where a check
reads what was written, that is computed in a copy.
"""

from __future__ import annotations

from dataclasses import replace

from .access import WRITES
from .graph import Graph, Node, bodies, everywhere, reachable
from .ops import elementwise as ew
from .ops import views
from .ops.control import EXPECT, LOOP
from .ops.host import HOST


def checks(node: Node) -> bool:
    """Whether a node may end the call; loops and branches may where a graph in them does."""
    inner = [effect for graph in bodies(node) for effect in graph.effects]
    return node.op is EXPECT or any(map(checks, inner))


def calls(node: Node) -> bool:
    """Whether a node calls a function that the graph does not know, or a graph in it does."""
    return any(inner.op is HOST for inner in everywhere([node]))


def may_not_end(node: Node) -> bool:
    """Whether only values tell how many steps it takes."""
    return any(inner.op is LOOP and "test" in inner.attrs for inner in everywhere([node]))


def check_before_writes(graph: Graph) -> Graph:
    """The graph with no check that needs an argument to be written to."""
    checked = reachable(node for node in graph.effects if checks(node))
    changed: dict[Node, Node] = {}
    copies: list[Node] = []
    for argument, final in graph.writes:
        chain = [final]
        while chain[-1].op in WRITES and chain[-1].inputs[0].op in WRITES:
            chain.append(chain[-1].inputs[0])
        first = chain[-1]
        if first.op in WRITES and first.inputs[0] is argument and checked.intersection(chain):
            spec = argument.spec
            copy = Node(ew.CAST, (argument,), {"dtype": spec.dtype}, spec, first.where)
            copies.append(copy)
            changed[first] = replace(first, inputs=(copy, *first.inputs[1:]))
    if not copies:
        return graph
    nodes = list(copies)
    for node in graph.nodes:
        start = changed.get(node, node)
        inputs = tuple(changed.get(i, i) for i in start.inputs)
        changed[node] = start if inputs == start.inputs else replace(start, inputs=inputs)
        nodes.append(changed[node])
    writes = []
    for argument, final in graph.writes:
        value = changed.get(final, final)
        start = value
        while start.op in WRITES:
            start = start.inputs[0]
        if start in copies:
            whole = {"slices": views.whole_slices(argument.spec.shape)}
            value = Node(views.UPDATE, (argument, value), whole, argument.spec, final.where)
            nodes.append(value)
        writes.append((argument, value))
    return replace(
        graph, nodes=tuple(nodes), outputs=tuple(changed.get(o, o) for o in graph.outputs),
        writes=tuple(writes), effects=tuple(changed[e] for e in graph.effects),
    )  # fmt: skip
