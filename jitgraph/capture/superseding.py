"""Loops that others have taken the place of, which do the same and leave more behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..graph import INPUT, Node
from ..ops.control import CONTROL_RESULT


def with_superseded(
    nodes: Sequence[Node], superseded: Mapping[tuple[Node, int], Node]
) -> tuple[list[Node], dict[Node, Node]]:
    """Nodes with loops' results read from those that took their place, in an order that holds; and
    what became of each.
    """
    if not superseded:
        return list(nodes), {}
    made: dict[Node, Node] = {}
    order: list[Node] = []

    def instead(node: Node) -> Node:
        while node.op is CONTROL_RESULT:
            other = superseded.get((node.inputs[0], node.attrs["position"]))
            if other is None:
                break
            node = other
        return node

    for start in nodes:
        stack = [instead(start)]
        while stack:
            node = stack[-1]
            missing = [i for i in map(instead, node.inputs) if i not in made and i.op is not INPUT]
            if node in made or not missing:
                stack.pop()
                if node not in made:
                    inputs = tuple(made.get(instead(i), instead(i)) for i in node.inputs)
                    same = inputs == node.inputs
                    made[node] = node if same else Node(
                        node.op, inputs, node.attrs, node.spec, node.where
                    )  # fmt: skip
                    order.append(made[node])
                continue
            stack += missing
    return order, {node: made[instead(node)] for node in nodes}
