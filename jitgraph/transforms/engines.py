"""What runs a function and turns cotangents of its results into those of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..batching import Batched, Spread, apart
from ..errors import CaptureError, GradientError, user_line
from ..functions.creation import zeros_like
from ..interpreter import current_trace, is_recording, recording
from ..ops.elementwise import CAST
from ..tape import (
    closes_over,
    history,
    moment,
    record,
    record_together,
    running,
    walk_back,
)
from ..tensor import Tensor
from ..tree import flatten
from .leaves import is_differentiable

if TYPE_CHECKING:
    from ..capture import Trace
    from ..graph import Node

Function = Callable[..., Any]
Pullback = Callable[[Any], Any]


class Engine(Protocol):
    def variable(self, x: Any) -> Any:
        """A value that stands for an argument, and depends on nothing else in the function."""

    def with_rule(
        self, name: str, forward: Function, backward: Pullback, arguments: Sequence[Any],
        needed: bool,
    ) -> Any:  # fmt: skip
        """What `forward()` gives, where `backward` pulls its cotangent to the arguments.

        needed: the rules of the operations in `forward` would not give the same.
        """

    def zeros(self, like: Any) -> Any: ...

    def as_now(self, result: Any) -> Any:
        """A result as it is, whatever is written to it later."""

    def handed_out(self, result: Any) -> Any:
        """A result without what only its own gradient needs."""

    def call(self, function: Function, args: Any, kwargs: Any) -> Any: ...

    def cotangents(
        self, results: Sequence[Any], seeds: Sequence[Any], variables: Sequence[Any]
    ) -> list[Any]: ...


class Tape:
    """On Tensors, at once."""

    def __init__(self) -> None:
        self.variables: list[Tensor] = []

    def variable(self, x: Any) -> Tensor:
        source = x if isinstance(x, Tensor) else Tensor(np.asarray(x))
        made = Tensor(source.data)
        source = source if is_recording() else source.detach()
        record("variable", made, (source,), lambda g, output, create_graph: [g])
        self.variables.append(made)
        return made

    def zeros(self, like: Any) -> Tensor:
        return Tensor(np.zeros(like.shape, like.dtype))

    def call(self, function: Function, args: Any, kwargs: Any) -> Any:
        running.variables |= {*self.variables}
        try:
            with recording(True):
                return function(*args, **kwargs)
        finally:
            running.variables -= {*self.variables}

    def cotangents(
        self, results: Sequence[Any], seeds: Sequence[Any], variables: Sequence[Any]
    ) -> list[Any]:
        ends = set(variables)
        pending: dict[Tensor, Any] = {}
        for result, seed in zip(results, seeds, strict=True):
            if isinstance(result, Tensor) and result.requires_grad:
                pending[result] = seed if result not in pending else pending[result] + seed
        create_graph = self._is_part_of_more(pending.values()) or self._is_part_of_more(pending)
        if not create_graph:
            pending = {t: g.data if isinstance(g, Tensor) else g for t, g in pending.items()}
        with apart():
            found = walk_back(pending, create_graph, ends)
        return [None if v not in found else _tensor(found[v]) for v in variables]

    def with_rule(
        self, name: str, forward: Function, backward: Pullback, arguments: Sequence[Any],
        needed: bool,
    ) -> Any:  # fmt: skip
        start = moment()
        leaves, tree = flatten(forward())
        inputs = {k: a for k, a in enumerate(arguments) if isinstance(a, Tensor)}
        if not is_recording() or not any(t.requires_grad for t in inputs.values()):
            return tree.unflatten(leaves)
        if not Spread().sizes and closes_over(leaves, start, inputs.values()):
            if needed:
                raise GradientError(
                    f"{name} has a rule of its own and uses a tensor that requires grad and is no "
                    f"argument of it; make it one, or take its detach() ({user_line()})"
                )
            return tree.unflatten(leaves)
        results = [Tensor(leaf.data) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        floats = [r for r in results if is_differentiable(r) and isinstance(r, Tensor)]

        def pullback(given: dict[int, Any], create_graph: bool) -> list[Any]:
            found = (given.get(k) for k in range(len(floats)))
            parts = (self.zeros(r) if g is None else _tensor(g)
                     for r, g in zip(floats, found, strict=True))  # fmt: skip
            seeds = [next(parts) if any(r is f for f in floats) else None for r in results]
            cotangents = backward(tree.unflatten(seeds))
            wanted = [cotangents[k] for k in inputs]
            return wanted if create_graph else [None if w is None else _data(w) for w in wanted]

        record_together(name, floats, tuple(inputs.values()), pullback)
        return tree.unflatten(results)

    def as_now(self, result: Any) -> Any:
        return result

    def handed_out(self, result: Any) -> Any:
        if isinstance(result, Tensor) and not self._is_part_of_more([result]):
            return result.detach()
        return result

    def _is_part_of_more(self, values: Iterable[Any]) -> bool:
        """Whether values may be differentiated again: if the function that they belong to is, or if
        a Tensor takes part that collects gradients.
        """
        if not is_recording():
            return False
        ends = {*self.variables}
        tensors = [_innermost(v) for v in values]
        found = history([t for t in tensors if isinstance(t, Tensor) and t.requires_grad], ends)
        return any(
            _source(t).requires_grad if t in ends
            else t._maker is None or t in running.variables
            for t in found
        )  # fmt: skip


def _source(variable: Tensor) -> Tensor:
    """What a variable stands for."""
    source: Tensor = variable._inputs[0]
    return source


def _innermost(value: Any) -> Any:
    while isinstance(value, Batched):
        value = value.value
    return value


def _tensor(g: Any) -> Any:
    return g if isinstance(g, (Tensor, Batched)) else Tensor(np.asarray(g))


class Written:
    """In a function that is being captured: the nodes of its derivative follow its own."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.nodes = trace.nodes
        self.start = self.end = len(self.nodes)
        self.starts: dict[int, Node] = {}  # what variables are before the function writes to them

    def variable(self, x: Any) -> Any:
        made = self.trace.apply(CAST, (x,), {"dtype": np.dtype(x.dtype)})
        self.starts[id(made)] = made.node
        self.start = self.end = len(self.nodes)
        return made

    def zeros(self, like: Any) -> Any:
        with apart():
            return zeros_like(like)

    def as_now(self, result: Any) -> Any:
        if isinstance(result, Batched):
            return Batched(self.as_now(result.value), result.level)
        return self.trace.tracer(result.node) if hasattr(result, "node") else result

    def handed_out(self, result: Any) -> Any:
        return result

    def call(self, function: Function, args: Any, kwargs: Any) -> Any:
        from ..capture import captured_through

        result = captured_through(self.trace, function)(*args, **kwargs)
        self.end = len(self.nodes)
        return result

    def with_rule(
        self, name: str, forward: Function, backward: Pullback, arguments: Sequence[Any],
        needed: bool,
    ) -> Any:  # fmt: skip
        from ..capture.trace import GradientRule

        trace = self.trace
        if needed and trace.of_tensors and trace.recording:
            raise CaptureError(
                f"{name} has a rule of its own, which the gradient of a compiled function of "
                f"Tensors would not follow ({user_line()})"
            )
        start = len(trace.nodes)
        leaves, tree = flatten(forward())
        between = trace.nodes[start:]
        results = [
            trace.apply(CAST, (leaf,), {"dtype": np.dtype(leaf.dtype)})
            if is_differentiable(leaf) and hasattr(leaf, "dtype") else leaf for leaf in leaves
        ]  # fmt: skip
        floats = [r for r, leaf in zip(results, leaves, strict=True) if r is not leaf]
        inputs = {k: a.node for k, a in enumerate(arguments) if hasattr(a, "node")}

        def cotangents(given: Sequence[Any]) -> list[Any]:
            parts = (self.zeros(r) if g is None else g for r, g in zip(floats, given, strict=True))
            seeds = [next(parts) if r is not leaf else None
                     for r, leaf in zip(results, leaves, strict=True)]  # fmt: skip
            found = backward(tree.unflatten(seeds))
            return [
                None if found[k] is None else trace.tracer(trace.node_of(found[k], user_line()))
                for k in inputs
            ]

        if floats:
            outputs = tuple(r.node for r in floats)
            own = {*between, *inputs.values()}
            free = tuple({i: None for n in between for i in n.inputs if i not in own})
            rule = GradientRule(name, tuple(inputs.values()), outputs, cotangents, needed, free)
            trace.rules |= dict.fromkeys(outputs, rule)
        return tree.unflatten(results)

    def cotangents(
        self, results: Sequence[Any], seeds: Sequence[Any], variables: Sequence[Any]
    ) -> list[Any]:
        from ..autodiff import pulled_back

        made: dict[Node, Any] = {}

        def value(node: Node) -> Any:
            if node not in made:
                made[node] = trace.tracer(node)
            return made[node]

        trace = self.trace
        given = [
            (result.node, self._traced(seed))
            for result, seed in zip(results, seeds, strict=True)
            if hasattr(result, "node")
        ]
        between = self.nodes[self.start : self.end]
        wanted = [self.starts[id(v)] for v in variables]
        with apart():
            return pulled_back(between, given, wanted, value, trace)

    def _traced(self, seed: Any) -> Any:
        if isinstance(seed, Batched):
            return seed
        return self.trace.tracer(self.trace.node_of(seed, user_line()))


def _data(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value


def run_seen(function: Function, args: Sequence[Any]) -> Any:
    """A function of the user's, seen by the trace if there is one."""
    if current_trace() is None:
        return function(*args)
    from ..capture import captured_through

    return captured_through(current_trace(), function)(*args)


def engine_here() -> Engine:
    return Tape() if current_trace() is None else Written(current_trace())
