"""Capture: running a function on tracers, and the graph that comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import interpreter
from ..access import memory_of
from ..components import short_axes
from ..errors import CaptureError
from ..graph import Graph, Node, everywhere
from ..ops.host import HOST_RESULT
from ..spec import Spec, dims
from ..symbolic import LoopIndexError, ShapeEnv, Size
from .host import HostCall
from .loops import ControlPolicy
from .refusal import EndedError, RefusedError
from .superseding import with_superseded
from .surroundings import Fixture, Lifted
from .trace import Trace
from .tracer import Tracer


@dataclass(frozen=True)
class Captured:
    """A graph with what a call must add to it.

    lifted: arrays of the surroundings, the graph's last inputs.
    fixtures: values of the surroundings that must be what they were.
    hosts: the functions its host nodes call.
    trains: whether its backward passes are a part of it; makes_tensors: whether its results are
    Tensors, though no argument is.
    afterwards: what Python does at the end of each run.
    """

    graph: Graph
    lifted: tuple[Lifted, ...]
    fixtures: tuple[Fixture, ...]
    hosts: tuple[HostCall, ...]
    env: ShapeEnv
    trains: bool = False
    makes_tensors: bool = False
    afterwards: tuple[Callable[[], None], ...] = ()

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
    policy: ControlPolicy | None = None,
) -> Captured:
    """The graph of `function(tracers) -> values`.

    of_tensors: whether arrays stand for Tensors.  policy: which loops become loops of the graph.
    Raises `CaptureError` for what a graph can't hold, the errors NumPy would raise for wrong shapes
    and dtypes, and `RefusedError` for a loop that is to be run step by step.
    """
    trace = Trace(env, of_tensors or (policy is not None and policy.trains), policy)
    outer = interpreter.set_trace(trace)
    dims.push(env)
    try:
        tracers = [trace.input(a.name, a.spec, a.value, a.order, a.mutable) for a in arguments]
        results = function(tracers)
        if trace.refused is not None:
            raise trace.refused  # which the function caught itself
        writes = trace.writes.final()
        _check_repeatable(trace)
        outputs = [trace.node_of(r, "?") for r in results]
        for memory in map(memory_of, outputs):
            if memory.op is HOST_RESULT:
                trace.hosts[memory.inputs[0].attrs["call"]].apart = True
        for dim in short_axes(list(everywhere(trace.nodes)), env):
            env.value(dim)
        try:
            trace.nodes, became = with_superseded(trace.nodes, trace.superseded)
            outputs = [became.get(o, o) for o in outputs]
            writes = [(i, became.get(value, value)) for i, value in writes]
            nodes, replace = _canonical(trace, env)
            ends = [replace[n] for n in (*outputs, *(value for _, value in writes))]
            effects = [*trace.checks(trace.expected), *filter(None, [trace.last_call])]
            effects = [became.get(e, e) for e in effects]
        except KeyError:  # by an object that the capture does not look into
            trace.policy.allowed = False
            raise RefusedError("", "a value of a step is kept outside of its loop") from None
    except (RefusedError, EndedError):
        raise
    except Exception as error:
        if trace.nested:
            raise RefusedError(trace.nested[-1].key, str(error)) from error
        if isinstance(error, LoopIndexError):  # kept by an object, for after the loop
            trace.policy.allowed = False
            raise RefusedError("", str(error)) from error
        raise
    finally:
        interpreter.set_trace(outer)
        dims.pop()
        changed = trace.undo()
    if changed is not None:
        raise CaptureError(f"it changes {changed!r}, which it finds outside; return the value")
    graph = Graph(
        name,
        tuple(replace[i] for i in trace.inputs),
        tuple(nodes),
        tuple(ends[: len(outputs)]),
        tuple(env.guards),
        tuple((replace[i], new) for (i, _), new in zip(writes, ends[len(outputs) :], strict=True)),
        tuple(replace[n] for n in effects),
    )
    return Captured(
        graph, tuple(trace.lifted), tuple(trace.fixtures.values()), tuple(trace.hosts), env,
        trace.trains, trace.makes_tensors, tuple(trace.training.afterwards),
    )  # fmt: skip


def _check_repeatable(trace: Trace) -> None:
    """A call that ends at an assertion, or where another function gives something else than it did,
    is made once more in Python: arguments are as they were then, but what is shown would be shown
    twice, as would other calls and random numbers.
    """
    differing = next((call for call in trace.hosts if call.may_differ), None)
    if differing is not None and any(call.function is print for call in trace.hosts):
        raise CaptureError(
            f"it shows something, and {differing.name} may give something of another kind "
            f"({differing.where}), after which it would be shown twice"
        )
    if not trace.expected:
        return
    if trace.last_call is not None or trace.generators:
        raise CaptureError(
            f"it asserts something of an array's value, or raises ({trace.expected[0].where}), and "
            "changes something as well, which could not be undone"
        )


def _canonical(trace: Trace, env: ShapeEnv) -> tuple[list[Node], dict[Node, Node]]:
    """All nodes with sizes in the symbols that are left once every equality is known."""
    replace: dict[Node, Node] = {}
    return _canonical_nodes(trace.inputs, trace.nodes, env, replace), replace


def _canonical_nodes(
    inputs: Sequence[Node], nodes: Sequence[Node], env: ShapeEnv, replace: dict[Node, Node]
) -> list[Node]:
    for node in inputs:
        replace[node] = Node(node.op, (), node.attrs, _canonical_spec(node.spec, env), node.where)
    made = []
    for node in nodes:
        own = node.op is HOST_RESULT and node.attrs["brings"]
        replace[node] = Node(
            node.op,
            tuple(replace[i] for i in node.inputs),
            dict(node.attrs)
            if own
            else {key: _canonical_attr(value, env) for key, value in node.attrs.items()},
            _canonical_spec(node.spec, env),
            node.where,
        )
        made.append(replace[node])
    return made


def _canonical_graph(graph: Graph, env: ShapeEnv) -> Graph:
    replace: dict[Node, Node] = {}
    nodes = _canonical_nodes(graph.inputs, graph.nodes, env, replace)
    return Graph(
        graph.name, tuple(replace[i] for i in graph.inputs), tuple(nodes),
        tuple(replace[o] for o in graph.outputs), (),
        tuple((replace[i], replace[value]) for i, value in graph.writes),
        tuple(replace[e] for e in graph.effects),
    )  # fmt: skip


def _canonical_spec(spec: Spec, env: ShapeEnv) -> Spec:
    return Spec(tuple(env.canonical(d) for d in spec.shape), spec.dtype, spec.weak)


def _canonical_attr(value: Any, env: ShapeEnv) -> Any:
    if isinstance(value, tuple):
        return tuple(_canonical_attr(v, env) for v in value)
    if isinstance(value, Graph):
        return _canonical_graph(value, env)
    return env.canonical(value) if isinstance(value, Size) else value
