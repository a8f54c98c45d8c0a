"""Graphs of loops' steps and branches' sides, made ready for the program around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .access import WRITES, memory_of
from .graph import Graph, Node
from .ops import Kind
from .ops.elementwise import CAST
from .ops.views import RESHAPE, UPDATE, whole_slices


def with_own_outputs(graph: Graph) -> Graph:
    """The graph of a step or a side, each output in memory that nothing else has."""
    nodes, outputs = list(graph.nodes), []
    for node in graph.outputs:
        own = memory_of(node) is node and node.op not in WRITES and node.op is not RESHAPE
        if not own or node.kind is Kind.SOURCE or node in outputs:
            spec = replace(node.spec, weak=False)
            node = Node(CAST, (node,), {"dtype": spec.dtype}, spec, node.where)
            nodes.append(node)
        outputs.append(node)
    return replace(graph, nodes=tuple(nodes), outputs=tuple(outputs))


def is_whole(write: Node) -> bool:
    """Whether a write leaves nothing of an array as it was."""
    whole = write.op is UPDATE and write.attrs["slices"] == whole_slices(write.spec.shape)
    return whole and write.inputs[1].spec == write.spec


def handed_on(body: Graph, anew: Sequence[int]) -> tuple[Graph, list[int]]:
    """The step with some of its writes as values that are handed to the next step, which needs no
    copy; and where its inputs were before.
    """
    values = {write: write.inputs[1] for _, write in (body.writes[k] for k in anew)}
    changed: dict[Node, Node] = dict(values)
    nodes = []
    for node in body.nodes:
        if node in values:
            changed[node] = changed.get(values[node], values[node])
            continue
        inputs = tuple(changed.get(i, i) for i in node.inputs)
        made = Node(node.op, inputs, node.attrs, node.spec, node.where)
        changed[node] = made
        nodes.append(made)
    kept = [k for k in range(len(body.writes)) if k not in anew]
    order = [*kept, *anew, *range(len(body.writes), len(body.inputs))]
    outputs = (*(body.writes[k][1] for k in anew), *body.outputs)
    made_body = replace(
        body,
        inputs=tuple(body.inputs[k] for k in order),
        nodes=tuple(nodes),
        outputs=tuple(changed.get(o, o) for o in outputs),
        writes=tuple((body.writes[k][0], changed[body.writes[k][1]]) for k in kept),
        effects=tuple(changed[e] for e in body.effects),
    )
    return made_body, order
