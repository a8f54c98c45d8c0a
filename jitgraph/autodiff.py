"""Reverse differentiation of graphs: a forward graph that keeps what a backward graph needs.

The graph is replayed on tracers and walked backwards with the same gradient rules the tape
uses.  Of the values the backward part reads, inputs and the results of reductions and library calls
are kept; elementwise results and views are computed again, where they fuse with what reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .capture import Trace, Tracer, with_superseded
from .capture.trace import GradientRule
from .control_gradients import control_cotangents, results_of_side
from .errors import GradientError
from .graph import CONSTANT, INPUT, Graph, Node, reachable, sizes_assumed
from .interpreter import set_trace
from .keeping import kept_and_recomputed
from .ops import Kind, views
from .ops.control import COND, CONTROL_RESULT, LOOP
from .ops.elementwise import CAST
from .ops.host import HOST, HOST_RESULT
from .ops.library import MATMUL
from .rewrite import simplify
from .spec import Spec, dims, is_inexact
from .symbolic import evaluate, product, symbols
from .vjp import Selections, cotangents, passes_gradients, selections

UNKNOWN = 64  # a size that nothing is known of


@dataclass(frozen=True)
class Differentiated:
    """forward: outputs, then the residuals; backward: (residuals, cotangents) -> gradients;
    pullback: (inputs, cotangents) -> gradients, which can be differentiated again.

    A gradient is absent (its index not in `reached`) where no output depends on the input.
    """

    forward: Graph
    backward: Graph
    pullback: Graph
    outputs: int
    reached: tuple[int, ...]  # positions among the wanted inputs that have a gradient
    kept_bytes: int
    recomputed: tuple[Node, ...]  # operations of the forward pass that are done again


def differentiate(graph: Graph, wanted: Sequence[int], hints: Mapping[str, int]) -> Differentiated:
    """Split a graph's derivative with respect to the inputs at `wanted` into two graphs.

    hints: typical sizes, by which it is decided what to keep.
    """
    trace = Trace(sizes_assumed(graph.guards), of_tensors=True)
    dims.push(trace.env)
    outer = set_trace(trace)
    try:
        value: dict[Node, Tracer] = {
            n: trace.input(str(n.attrs["name"]), n.spec) for n in graph.inputs
        }
        for node in graph.nodes:
            value[node] = _replayed(node, value, trace)
        before = len(trace.inputs)
        seeds = [
            trace.input(f"g{k}", Spec(o.spec.shape, o.spec.dtype))
            if is_inexact(o.spec.dtype)
            else None
            for k, o in enumerate(graph.outputs)
        ]
        gradients = _backward(graph, value, seeds, [graph.inputs[k] for k in wanted], trace)
    finally:
        set_trace(outer)
        dims.pop()
    return _split(graph, trace, value, before, gradients, hints)


def _replayed(node: Node, value: Mapping[Node, Tracer], trace: Trace) -> Tracer:
    made = Node(
        node.op, tuple(value[i].node for i in node.inputs), node.attrs, node.spec, node.where
    )
    return trace.tracer(trace.add(made))


def _backward(
    graph: Graph,
    value: Mapping[Node, Tracer],
    seeds: Sequence[Tracer | None],
    wanted: Sequence[Node],
    trace: Trace,
) -> list[Tracer | None]:
    made = {tracer.node: tracer for tracer in value.values()}
    given = [(value[o].node, s) for o, s in zip(graph.outputs, seeds, strict=True) if s is not None]
    wanted = [value[n].node for n in wanted]
    return pulled_back(list(trace.nodes), given, wanted, made.__getitem__, trace)


def pulled_back(
    nodes: Sequence[Node],
    seeds: Sequence[tuple[Node, Tracer]],
    wanted: Sequence[Node],
    value: Callable[[Node], Tracer],
    trace: Trace,
) -> list[Tracer | None]:
    """Cotangents of wanted values from those of some results; None where no result depends on one.

    nodes: what lies between, in order.  value: the tracer of a node, for the rules to compute with.
    Raises `GradientError` where a gradient reaches an operation that has no rule.
    """
    active = _active(nodes, set(wanted), trace)
    known = Selections()
    controlled: dict[Node, dict[int, Tracer]] = {}  # cotangents of loops' and branches' results
    pending: dict[Node, Tracer] = {}

    def add(node: Node, g: Tracer | None) -> None:
        if g is not None and node in active:
            g = _as_it_lies(g)
            pending[node] = g if node not in pending else _sum(pending[node], g)

    def add_all(node: Node, g: Tracer | None) -> None:
        add(node, g)
        known.note(node, None)  # all of it may be read

    for output, seed in seeds:
        add_all(output, seed)
    around = trace.where
    for node in reversed(nodes):
        rule = _rule(node, active, trace)
        if rule is not None:
            if node is rule.outputs[0]:  # the cotangents of all are known
                given = [pending.pop(o, None) for o in rule.outputs]
                if any(g is not None for g in given):
                    for source, part in zip(rule.inputs, rule.cotangents(given), strict=True):
                        add_all(source, part)
            continue
        if node in controlled:
            trace.where = node.where
            needs = [i in active for i in node.inputs]
            reached = _reached(node, needs, trace)
            of_results = controlled.pop(node)
            found = control_cotangents(trace, node, of_results, needs, reached, pulled_back)
            for source, part in zip(node.inputs, found, strict=True):
                add_all(source, part)
            continue
        g = pending.pop(node, None)
        if g is None:
            continue
        if node.op is CONTROL_RESULT:
            controlled.setdefault(node.inputs[0], {})[node.attrs["position"]] = g
            continue
        trace.where = node.where  # the user's line, for the gradient too
        needs = [i in active for i in node.inputs]
        operands = [value(i) for i in node.inputs]
        if not node.op.differentiable:
            raise GradientError(f"{_name(node, trace)} has no gradient rule ({node.where})")
        selected, attrs = known.take(node), dict(node.attrs)
        parts = cotangents(node.op, g, value(node), operands, attrs, needs, selected)
        shares = selections(node.op, selected, value(node), operands, attrs)
        for source, part, share in zip(node.inputs, parts, shares, strict=False):
            add(source, part)
            known.note(source, share)
    trace.where = around
    return [pending.get(n) for n in wanted]


def _as_it_lies(g: Tracer) -> Tracer:
    """A cotangent; for a product of matrices that is transposed, the product of the others, whose
    memory is in the order in which the gradient of a weight is read.
    """
    turned = type(g) is Tracer and g.node.op is views.TRANSPOSE and g.node.attrs["axes"] == (1, 0)
    if not turned or g.node.inputs[0].op is not MATMUL:
        return g
    operands = [g.trace.tracer(i) for i in g.node.inputs[0].inputs]
    if any(x.ndim != 2 for x in operands):
        return g
    y, x = (views.TRANSPOSE(v, axes=(1, 0)) for v in reversed(operands))
    product: Tracer = MATMUL(y, x)
    return product


def _sum(a: Tracer, b: Tracer) -> Tracer:
    """The sum of two cotangents; those of parts of an array that have nothing in common are put
    into one array of zeros.
    """
    parts, region = _parts_of_zeros(a), _parts_of_zeros(b)
    if len(region) == 1 and parts and all(_apart(part, region[0]) for part in parts):
        value = b.trace.tracer(b.node.inputs[1])
        joined: Tracer = views.UPDATE(a, value, slices=region[0])
        return joined
    total: Tracer = a + b
    return total


def _parts_of_zeros(g: Any) -> list[tuple[views.Slice, ...]]:
    """The parts that are written to in an array of zeros, if that is what it is."""
    found: list[tuple[views.Slice, ...]] = []
    if type(g) is not Tracer:
        return found
    node = g.node
    while node.op is views.UPDATE:
        found.append(node.attrs["slices"])
        node = node.inputs[0]
    zeros = node.op is views.FULL and node.inputs[0].op is CONSTANT
    return found if zeros and views.is_zero_bits(node.inputs[0].attrs["value"]) else []


def _apart(a: Sequence[views.Slice], b: Sequence[views.Slice]) -> bool:
    return any(views.are_disjoint(x, y) for x, y in zip(a, b, strict=True))


def _name(node: Node, trace: Trace) -> str:
    """What the user calls it."""
    if node.op is HOST_RESULT and trace.hosts:
        call: int = node.inputs[0].attrs["call"]
        return trace.hosts[call].name
    return node.op.name


def _active(nodes: Sequence[Node], wanted: set[Node], trace: Trace) -> set[Node]:
    """Floating-point values that depend on a wanted one by more than jumps."""
    active = set(wanted)
    reached: dict[Node, list[bool]] = {}  # results of loops and branches
    for node in nodes:
        rule = _rule(node, active, trace)
        if rule is not None:
            if any(i in active for i in rule.inputs):
                active.update(rule.outputs)
        elif node.op in (LOOP, COND):
            needs = [i in active for i in node.inputs]
            if any(needs):
                active.add(node)
                reached[node] = _reached(node, needs, trace)
        elif node.op is CONTROL_RESULT:
            if node.inputs[0] in active and reached[node.inputs[0]][node.attrs["position"]]:
                active.add(node)
        elif any(i in active for i in node.inputs) and (
            node.op is HOST or passes_gradients(node.op, node.spec.dtype.kind)
        ):
            active.add(node)
    return active


def _rule(node: Node, active: set[Node], trace: Trace) -> GradientRule | None:
    """The user's rule that a value is a result of; it speaks of its arguments only."""
    rule = trace.rules.get(node)
    if rule is None or not any(i in active for i in rule.free):
        return rule
    if rule.needed:
        raise GradientError(
            f"{rule.name} has a rule of its own and uses a value that is differentiated and is no "
            f"argument of it; make it one, or use stop_gradient ({node.where})"
        )
    return None


def _reached(node: Node, needs: Sequence[bool], trace: Trace) -> list[bool]:
    """Which results of a loop or a branch depend on its active inputs."""

    def ends(graph: Graph, flags: Sequence[bool], results: Sequence[Node]) -> list[bool]:
        start = {i for i, f in zip(graph.inputs, flags, strict=True) if f}
        active = _active(graph.nodes, start, trace)
        return [r in active and is_inexact(r.spec.dtype) for r in results]

    if node.op is COND:
        sides: list[Graph] = [node.attrs["taken"], node.attrs["otherwise"]]
        found = [ends(side, needs[1:], results_of_side(node, side)) for side in sides]
        return list(map(any, zip(*found, strict=True)))
    body: Graph = node.attrs["body"]
    results = (*(value for _, value in body.writes), *body.outputs)
    carried = len(body.writes) + len(body.outputs) - int(node.attrs["last"])
    flags = list(needs)
    while True:
        reached = ends(body, flags, results)
        after = [a or b for a, b in zip(flags[:carried], reached, strict=False)]
        if after == flags[:carried]:
            return [*after, *reached[carried:]]
        flags[:carried] = after


def _split(
    graph: Graph,
    trace: Trace,
    value: Mapping[Node, Tracer],
    before: int,
    gradients: Sequence[Tracer | None],
    hints: Mapping[str, int],
) -> Differentiated:
    reached = tuple(k for k, g in enumerate(gradients) if g is not None)
    results = tuple(g.node for g in gradients if g is not None)
    if not results:
        raise GradientError(f"{graph.name}: no output depends on a tensor that requires grad")
    nodes, became = with_superseded(trace.nodes, trace.superseded)

    def now(node: Node) -> Node:
        return became.get(node, node)

    everything = tuple(map(now, (*[value[o].node for o in graph.outputs], *results)))
    writes = tuple((value[i].node, now(value[final].node)) for i, final in graph.writes)
    joint = simplify(
        Graph(
            graph.name, tuple(trace.inputs), tuple(nodes), everything, graph.guards, writes,
            tuple(map(now, trace.checks([value[e].node for e in graph.effects]))),
        )
    )  # fmt: skip
    outputs, results = joint.outputs[: len(graph.outputs)], joint.outputs[len(graph.outputs) :]
    seeds = set(joint.inputs[before:])
    later = _depending_on(joint, seeds)
    nbytes = _nbytes(hints)
    kept, recomputed = kept_and_recomputed(joint, _read_by(results, later), outputs, nbytes)
    saved = {i: _copy(i) for i, _ in joint.writes if i in kept}  # as it is before the writes
    residuals = tuple(saved.get(k, k) for k in kept)
    ends = [*(final for _, final in joint.writes), *joint.effects]
    needed = reachable((*outputs, *kept, *ends))
    forward = Graph(
        graph.name, joint.inputs[:before], (*saved.values(), *_only(joint, needed, set())),
        (*outputs, *residuals), graph.guards, joint.writes, joint.effects,
    )  # fmt: skip
    return Differentiated(
        forward,
        _backward_graph(joint, kept, results, later | recomputed, before),
        _pullback(joint, results),
        len(outputs),
        reached,
        sum(map(nbytes, kept)),
        tuple(n for n in joint.nodes if n in recomputed and n.kind is Kind.ELEMENTWISE),
    )


def _pullback(joint: Graph, results: Sequence[Node]) -> Graph:
    nodes = _only(joint, reachable(results), set())
    name = f"{joint.name}_pullback"
    return simplify(Graph(name, joint.inputs, nodes, tuple(results), joint.guards))


def _copy(node: Node) -> Node:
    return Node(CAST, (node,), {"dtype": node.spec.dtype}, node.spec, node.where)


def _depending_on(graph: Graph, seeds: set[Node]) -> set[Node]:
    found = set(seeds)
    for node in graph.nodes:
        if any(i in found for i in node.inputs):
            found.add(node)
    return found


def _read_by(results: Sequence[Node], later: set[Node]) -> list[Node]:
    """What the backward pass reads of the forward's values."""
    found: dict[Node, None] = {}
    seen: set[Node] = set()
    stack = list(results)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in later:
            stack.extend(node.inputs)
        else:
            found[node] = None
    return list(found)


def _nbytes(hints: Mapping[str, int]) -> Callable[[Node], int]:
    """How large values are, for the sizes of the call that was captured."""

    def of(node: Node) -> int:
        size = product(node.spec.shape)
        known = {name: hints.get(name, UNKNOWN) for name in symbols(size)}
        return int(evaluate(size, known)) * node.spec.dtype.itemsize

    return of


def _only(graph: Graph, nodes: set[Node], without: set[Node]) -> tuple[Node, ...]:
    return tuple(n for n in graph.nodes if n in nodes and n not in without)


def _backward_graph(
    joint: Graph, kept: tuple[Node, ...], results: Sequence[Node], body: set[Node], before: int
) -> Graph:
    replace: dict[Node, Node] = {}
    for k, node in enumerate(kept):
        replace[node] = Node(
            INPUT, (), {"name": f"r{k}"}, Spec(node.spec.shape, node.spec.dtype, node.spec.weak)
        )
    for node in joint.inputs[before:]:
        replace[node] = node
    inputs = tuple(replace.values())
    nodes: list[Node] = []
    for node in joint.nodes:
        if node in body and node not in replace:
            made = Node(
                node.op, tuple(replace[i] for i in node.inputs), node.attrs, node.spec, node.where
            )
            replace[node] = made
            nodes.append(made)
    outputs = tuple(replace[r] for r in results)
    return simplify(Graph(f"{joint.name}_backward", inputs, tuple(nodes), outputs, joint.guards))
