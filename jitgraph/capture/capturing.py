"""Capture: running a function on tracers, and the graph that comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import interpreter
from ..components import short_axes
from ..errors import CaptureError
from ..graph import Graph, Node
from ..ops.host import HOST_RESULT
from ..spec import Spec, dims
from ..symbolic import ShapeEnv, Size
from .host import HostCall
from .surroundings import Fixture, Lifted
from .trace import Trace
from .tracer import Tracer


@dataclass(frozen=True)
class Captured:
    """A graph with what a call must add to it.

    lifted: arrays of the surroundings, the graph's last inputs.
    fixtures: values of the surroundings that must be what they were.
    hosts: the functions its host nodes call.
    """

    graph: Graph
    lifted: tuple[Lifted, ...]
    fixtures: tuple[Fixture, ...]
    hosts: tuple[HostCall, ...]
    env: ShapeEnv

    @property
    def written(self) -> tuple[int, ...]:
        """Positions of the inputs that are written to."""
        return tuple(self.graph.inputs.index(i) for i, _ in self.graph.writes)


@dataclass(frozen=True)
class Argument:
    """An input of the function: its spec, with sizes that belong to the capture, and its value."""

    name: str
    spec: Spec
    value: Any
    order: str = "?"
    mutable: bool = True


def capture(
    function: Callable[[Sequence[Tracer]], Sequence[Any]],
    arguments: Sequence[Argument],
    env: ShapeEnv,
    name: str,
    of_tensors: bool = False,
) -> Captured:
    """The graph of `function(tracers) -> values`.

    of_tensors: whether arrays stand for Tensors.  Raises `CaptureError` for what a graph can't
    hold, and the errors NumPy would raise for wrong shapes and dtypes.
    """
    trace = Trace(env, of_tensors)
    outer, interpreter.tracing.trace = interpreter.tracing.trace, trace
    dims.push(env)
    try:
        tracers = [trace.input(a.name, a.spec, a.value, a.order, a.mutable) for a in arguments]
        results = function(tracers)
        if trace.refused is not None:
            raise trace.refused  # which the function caught itself
        writes = trace.writes.final()
        outputs = [trace.node_of(r, "?") for r in results]
        for dim in short_axes(trace.nodes, env):
            env.value(dim)
        nodes, replace = _canonical(trace, env)
    finally:
        interpreter.tracing.trace = outer
        dims.pop()
        changed = trace.undo()
    if changed is not None:
        raise CaptureError(f"it changes {changed!r}, which it finds outside; return the value")
    graph = Graph(
        name,
        tuple(replace[i] for i in trace.inputs),
        tuple(nodes),
        tuple(replace[o] for o in outputs),
        tuple(env.guards),
        tuple((replace[i], replace[value]) for i, value in writes),
        () if trace.last_call is None else (replace[trace.last_call],),
    )
    return Captured(
        graph, tuple(trace.lifted), tuple(trace.fixtures.values()), tuple(trace.hosts), env
    )


def _canonical(trace: Trace, env: ShapeEnv) -> tuple[list[Node], dict[Node, Node]]:
    """All nodes with sizes in the symbols that are left once every equality is known."""
    replace: dict[Node, Node] = {}
    for node in trace.inputs:
        replace[node] = Node(node.op, (), node.attrs, _canonical_spec(node.spec, env), node.where)
    nodes = []
    for node in trace.nodes:
        own = node.op is HOST_RESULT  # brings its symbols
        made = Node(
            node.op,
            tuple(replace[i] for i in node.inputs),
            dict(node.attrs)
            if own
            else {key: _canonical_attr(value, env) for key, value in node.attrs.items()},
            _canonical_spec(node.spec, env),
            node.where,
        )
        replace[node] = made
        nodes.append(made)
    return nodes, replace


def _canonical_spec(spec: Spec, env: ShapeEnv) -> Spec:
    return Spec(tuple(env.canonical(d) for d in spec.shape), spec.dtype, spec.weak)


def _canonical_attr(value: Any, env: ShapeEnv) -> Any:
    if isinstance(value, tuple):
        return tuple(_canonical_attr(v, env) for v in value)
    return env.canonical(value) if isinstance(value, Size) else value
