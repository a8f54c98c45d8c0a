"""Simplification: rewrites that make a graph smaller and every result stay bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .access import runs_along_memory
from .graph import CONSTANT, INPUT, Graph, Node, constant, pruned, with_bodies
from .ops import Kind, views
from .ops import elementwise as ew
from .ops.library import MATMUL
from .ops.scans import LAST
from .spec import Spec, spec_of
from .symbolic import Shape, sub


def simplify(graph: Graph) -> Graph:
    """Constants folded, exact algebra applied, common subexpressions shared, dead code dropped."""
    graph = with_bodies(graph, simplify)
    instead: dict[Node, Node] = {}
    known: dict[Any, Node] = {}
    nodes: list[Node] = []
    emitted: set[Node] = set(graph.inputs)
    for node in graph.nodes:
        inputs = tuple(instead.get(i, i) for i in node.inputs)
        made = _simplified(Node(node.op, inputs, node.attrs, node.spec, node.where))
        shared = known.setdefault(_key(made), made)
        if shared not in emitted:
            emitted.add(shared)
            nodes.append(shared)
        instead[node] = shared
    outputs = []
    # memory, to what the function as written has there
    owner: dict[Node, Node] = {i: i for i in graph.inputs}
    owner |= {instead.get(value, value): value for _, value in graph.writes}
    lasting = set(owner)
    for output in graph.outputs:
        found, written = instead.get(output, output), _memory(output)
        if (
            owner.setdefault(_memory(found), written) is not written
        ):  # `x * 1` is a new array, and so is each `x + 1` of two
            found = Node(ew.CAST, (found,), {"dtype": found.spec.dtype}, found.spec, output.where)
            nodes.append(found)
        elif not output.op.fresh and (found in lasting or found in outputs):
            found = _whole(found, output.where)
            nodes.append(found)
        outputs.append(found)
    writes = tuple((i, instead.get(value, value)) for i, value in graph.writes)
    effects = tuple(instead.get(e, e) for e in graph.effects)
    return pruned(
        Graph(
            graph.name, graph.inputs, tuple(nodes), tuple(outputs), graph.guards, writes, effects
        )
    )  # fmt: skip


def without_detached(graph: Graph) -> Graph:
    """The graph of a function whose gradients have been taken: what was a constant for them is as
    all others.
    """
    if not any(node.op is views.DETACHED for node in graph.nodes):
        return graph
    instead: dict[Node, Node] = {}
    nodes = []
    for node in graph.nodes:
        inputs = tuple(instead.get(i, i) for i in node.inputs)
        if node.op is views.DETACHED:
            instead[node] = inputs[0]
            continue
        instead[node] = node if inputs == node.inputs else replace(node, inputs=inputs)
        nodes.append(instead[node])
    return graph.with_nodes(nodes, instead)


def read_what_was_written(graph: Graph) -> Graph:
    """Let operations element by element read what an array was overwritten with, not the array, so
    that one kernel may compute and store it, and what is computed from it.
    """
    made: dict[Node, Node] = {}
    nodes = []
    for node in graph.nodes:
        inputs = tuple(made.get(i, i) for i in node.inputs)
        if node.kind is Kind.ELEMENTWISE:
            inputs = tuple(
                i.inputs[1] if _overwrites(i) and i.spec.shape == node.spec.shape else i
                for i in inputs
            )
        made[node] = node if inputs == node.inputs else replace(node, inputs=inputs)
        nodes.append(made[node])
    return graph.with_nodes(nodes, made)


def _overwrites(node: Node) -> bool:
    """Whether it gives an array all of whose elements are those of a computed one."""
    if node.op is not views.UPDATE:
        return False
    value = node.inputs[1]
    whole = node.attrs["slices"] == views.whole_slices(node.spec.shape)
    return whole and value.spec == node.spec and value.kind is Kind.ELEMENTWISE


def share_final_values(graph: Graph) -> Graph:
    """Let those who read the new value of an argument read it from the argument, once it is there,
    so that it need not exist twice; what may be computed with it, element by element, need not.
    """
    instead: dict[Node, Node] = {}
    outputs = {_memory(o) for o in graph.outputs}
    users = graph.users()
    for argument, final in graph.writes:
        if final.op is not views.UPDATE or final.inputs[0] is not argument:
            continue
        value = final.inputs[1]
        others = [user for user in users.get(value, []) if user is not final]
        reads_old = any(argument in map(_memory, user.inputs) for user in others)
        with_it = all(
            u.kind is Kind.ELEMENTWISE and u.spec.shape == value.spec.shape for u in others
        )
        whole = value.spec.shape == argument.spec.shape and value.kind is Kind.ELEMENTWISE
        if others and whole and value not in outputs and not reads_old and not with_it:
            instead[value] = final
    if not instead:
        return graph
    return _with_values_replaced(graph, instead)


def _with_values_replaced(graph: Graph, instead: dict[Node, Node]) -> Graph:
    made: dict[Node, Node] = {i: i for i in graph.inputs}
    finals = set(instead.values())

    def rebuilt(start: Node) -> None:
        stack = [start]
        while stack:
            node = stack[-1]
            if node in made:
                stack.pop()
                continue
            inputs = [i if node in finals else instead.get(i, i) for i in node.inputs]
            missing = [i for i in inputs if i not in made]
            if missing:
                stack.extend(missing)
                continue
            made[node] = Node(
                node.op, tuple(made[i] for i in inputs), node.attrs, node.spec, node.where
            )
            order.append(made[node])
            stack.pop()

    order: list[Node] = []
    for node in (*graph.nodes, *graph.needed):
        rebuilt(node)
    return Graph(
        graph.name, graph.inputs, tuple(order), tuple(made[o] for o in graph.outputs),
        graph.guards, tuple((i, made[v]) for i, v in graph.writes),
        tuple(made[e] for e in graph.effects),
    )  # fmt: skip


def _memory(node: Node) -> Node:
    """The value whose elements a chain of views shows."""
    while not node.op.fresh:
        node = node.inputs[0]
    return node


def _whole(node: Node, where: str) -> Node:
    """A view of all elements: another object that shows the same memory."""
    return Node(
        views.SLICE, (node,), {"slices": views.whole_slices(node.spec.shape)}, node.spec, where
    )


def _key(node: Node) -> Any:
    """Equal for nodes that compute the same value."""
    if node.op in (INPUT, views.FULL, ew.AGAIN):
        return id(node)  # arrays to be filled are filled apart
    attrs = tuple((k, _literal(v)) for k, v in sorted(node.attrs.items()))
    return node.op.name, tuple(map(id, node.inputs)), attrs, node.spec


def _literal(value: Any) -> Any:
    """A constant by type and digits, so that 0.0 and -0.0, or 1 and True, stay apart."""
    if isinstance(value, (bool, int, float, np.generic)):
        return type(value).__name__, repr(value)
    return value


def _simplified(node: Node) -> Node:
    for rule in (_fold, _identity, _double, _view, _end_of_scan, _thin_product):
        found = rule(node)
        if found is not None:
            return found
    return node


def _fold(node: Node) -> Node | None:
    """An elementwise operation on constants alone."""
    constants = bool(node.inputs) and all(i.op is CONSTANT for i in node.inputs)
    if node.kind is not Kind.ELEMENTWISE or not constants:
        return None
    with np.errstate(all="ignore"):
        value = node.op.eval(*[i.attrs["value"] for i in node.inputs], **node.attrs)
    value = node.spec.dtype.type(value)
    if node.spec.weak:
        value = value.item()
    folded = spec_of(value)
    return constant(value, folded, node.where) if folded == node.spec else None


def _is_constant(node: Node, value: float) -> bool:
    return (
        node.op is CONSTANT
        and bool(node.attrs["value"] == value)
        and not np.signbit(np.real(node.attrs["value"]))
    )


def _identity(node: Node) -> Node | None:
    """x * 1, x / 1, x - 0 and their like, where neither dtype nor shape changes.

    x + 0 is not among them for floats: it turns -0.0 into 0.0.
    """
    if node.op is ew.CAST or node.op is ew.POSITIVE:
        x = node.inputs[0]
        element = not x.op.fresh and not x.spec.ndim  # x[0] as it is now
        return x if _same(x, node) and not element else None
    if len(node.inputs) != 2:
        return None
    x, y = node.inputs
    if _same(x, node) and (
        (node.op in (ew.MULTIPLY, ew.DIVIDE, ew.POWER) and _is_constant(y, 1))
        or (node.op is ew.SUBTRACT and _is_constant(y, 0))
        or (node.op is ew.ADD and node.spec.dtype.kind in "iu" and _is_constant(y, 0))
    ):
        return x
    if _same(y, node) and (
        (node.op is ew.MULTIPLY and _is_constant(x, 1))
        or (node.op is ew.ADD and node.spec.dtype.kind in "iu" and _is_constant(x, 0))
    ):
        return y
    return None


def _same(x: Node, node: Node) -> bool:
    return x.spec == node.spec


def _double(node: Node) -> Node | None:
    """-(-x) and not(not x)."""
    if node.op in (ew.NEGATIVE, ew.INVERT, ew.LOGICAL_NOT):
        inner = node.inputs[0]
        if inner.op is node.op and _same(inner.inputs[0], node):
            return inner.inputs[0]
    return None


def _view(node: Node) -> Node | None:
    """Views that change nothing, and pairs that undo or join each other."""
    if node.kind is not Kind.VIEW:
        return None
    x = node.inputs[0]
    if _changes_nothing(node, x.spec):
        return x
    if node.op is views.RESHAPE and (unit := _unit_axes_only(node, x)) is not None:
        return unit
    if x.op is not node.op:
        return None
    source = x.inputs[0]
    if node.op is views.TRANSPOSE:
        axes = tuple(x.attrs["axes"][k] for k in node.attrs["axes"])
        if axes == tuple(range(len(axes))):
            return source
        return Node(node.op, (source,), {"axes": axes}, node.spec, node.where)
    if node.op in (views.RESHAPE, views.BROADCAST_TO):
        if source.spec.shape == node.spec.shape:
            return source
        return Node(node.op, (source,), {"shape": node.spec.shape}, node.spec, node.where)
    return None


def _end_of_scan(node: Node) -> Node | None:
    """The last of a running total, which the loop over it knows at its end."""
    if node.op is not views.SLICE or node.inputs[0].kind is not Kind.SCAN:
        return None
    scan = node.inputs[0]
    axis = scan.attrs["axis"]
    if not runs_along_memory(scan):
        return None
    wanted = list(views.whole_slices(scan.spec.shape))
    wanted[axis] = (sub(scan.spec.shape[axis], 1), 1, 1)
    if node.attrs["slices"] != tuple(wanted):
        return None
    return Node(LAST, (scan,), {"axis": (axis,), "keepdims": True}, node.spec, node.where)


def _thin_product(node: Node) -> Node | None:
    """A product of matrices over an inner size of one: each element is a single product."""
    if node.op is not MATMUL:
        return None
    x, y = node.inputs
    one = isinstance(x.spec.shape[-1], int) and x.spec.shape[-1] == 1
    if not one or x.spec.ndim < 2 or y.spec.ndim < 2 or x.spec.dtype != y.spec.dtype:
        return None
    if node.spec.dtype.kind not in "fiu":
        return None
    return Node(ew.MULTIPLY, (x, y), {}, node.spec, node.where)


def _unit_axes_only(node: Node, x: Node) -> Node | None:
    """A reshape that only adds or drops axes of size one, as a view that loops can follow."""
    new, old = node.spec.shape, x.spec.shape
    if len(new) > len(old) and (axes := _inserted(old, new)) is not None:
        return Node(views.EXPAND_DIMS, (x,), {"axes": axes}, node.spec, node.where)
    if len(old) > len(new) and (axes := _inserted(new, old)) is not None:
        return Node(views.SQUEEZE, (x,), {"axes": axes}, node.spec, node.where)
    return None


def _inserted(short: Shape, long: Shape) -> tuple[int, ...] | None:
    """Positions of the ones that make `long` of `short`, if that is all the difference."""
    axes, k = [], 0
    for position, dim in enumerate(long):
        rest = len(long) - position - 1
        if k < len(short) and short[k] == dim and not (dim == 1 and rest < len(short) - k):
            k += 1
        elif dim == 1:
            axes.append(position)
        else:
            return None
    return tuple(axes) if k == len(short) else None


def _changes_nothing(node: Node, spec: Spec) -> bool:
    if node.spec.shape != spec.shape:
        return False
    if node.op in (views.RESHAPE, views.BROADCAST_TO):
        return True
    if node.op is views.TRANSPOSE:
        return bool(node.attrs["axes"] == tuple(range(spec.ndim)))
    if node.op is views.SLICE:
        return all(start == 0 and step == 1 for start, step, _ in node.attrs["slices"])
    return False
