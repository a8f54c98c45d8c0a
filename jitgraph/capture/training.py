"""Training steps: `backward()`, `.grad` and an optimiser's `step()` in a function being captured.

    @jitgraph.compile
    def step(model, optimiser, x, y):
        optimiser.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()                          the nodes of the derivative follow the loss's
        optimiser.step()                         writes to the arrays of the parameters
        return loss

A Tensor of the surroundings is the array in it, read anew at every call, and written in place.
What is in `.grad` at the end is a result of the program.  A function that never calls `backward()`
is captured in another way: its gradient is asked for afterwards, see `autodiff`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CaptureError, GradientError, user_line
from ..graph import Node
from ..ops import views
from ..place import Place
from ..tensor import Tensor
from .refusal import RefusedError
from .tracer import TRACERS, Tracer

if TYPE_CHECKING:
    from .trace import Trace


class Training:
    """The gradients of the Tensors that a trace has met."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.pulled_back: Callable[..., list[Any]]  # of `autodiff`, which knows of captures
        self.afterwards: list[Callable[[], None]] = []  # called at the end of each run
        self._gradients: dict[int, tuple[Tensor, Any]] = {}  # by the Tensor's identity

    def begin(self, what: str) -> None:
        """Capture the function as one that trains, and not in a loop or a branch of the program."""
        trace = self.trace
        if not trace.trains:
            trace.policy.trains = True
            raise RefusedError("", what)
        if trace.nested:
            trace.nested[-1].refuse(f"{what} ({user_line()})")

    def backward(self, result: Tracer, gradient: Any = None) -> None:
        """Add the gradient of a result to that of every Tensor it depends on."""
        self.begin("its backward pass is a part of it")
        trace = self.trace
        if gradient is None and any(d != 1 for d in result.shape):
            raise GradientError(
                f"backward() starts from a single number, this tensor has shape "
                f"{tuple(result.shape)} ({user_line()}). Reduce it first, as in z.sum().backward()"
            )
        if result.dtype.kind != "f":
            raise GradientError(
                f"backward() of an array of {result.dtype} finds no gradient ({user_line()})"
            )
        for tensor in trace.tensors:
            trace.rely_on(Place(tensor, "requires_grad"), tensor.requires_grad)
        leaves = [t for t in trace.tensors if t.requires_grad]
        wanted = [trace.lift(t).node for t in leaves]
        if gradient is None:
            gradient = np.ones(result.node.spec.ndim * (1,), result.dtype)
        seed = trace.tracer(trace.node_of(gradient, user_line()))
        found = self._cotangents(result.node, seed, wanted)
        if all(g is None for g in found):
            raise GradientError(
                "backward() found nothing to differentiate: no input of this tensor requires grad "
                f"({user_line()})"
            )
        for tensor, part in zip(leaves, found, strict=True):
            if part is not None:
                before = self.of(tensor)
                total = part if before is None else before + part
                self.set(tensor, views.DETACHED(total))

    def _cotangents(self, result: Node, seed: Tracer, wanted: Sequence[Node]) -> list[Any]:
        trace, made = self.trace, dict[Node, Tracer]()

        def value(node: Node) -> Tracer:
            if node not in made:
                made[node] = trace.tracer(node)
            return made[node]

        ends = set(wanted)  # a parameter that was written to is what it became then
        nodes = [node for node in trace.nodes if node not in ends]
        return list(self.pulled_back(nodes, [(result, seed)], wanted, value, trace))

    def of(self, tensor: Tensor) -> Any:
        """What `.grad` is: a tracer or None."""
        if id(tensor) in self._gradients:
            return self._gradients[id(tensor)][1]
        if tensor._grad is None:
            self.trace.rely_on(Place(tensor, "_grad"), None)
            return None
        return self.trace.lift(tensor._grad.data, _GradientOf(tensor, "_grad"))

    def set(self, tensor: Tensor, gradient: Any) -> None:
        """`tensor.grad = gradient`"""
        self.begin("it sets the gradient of a Tensor")
        if gradient is not None and type(gradient) not in TRACERS:
            raise CaptureError(f".grad is set to what is no part of the program ({user_line()})")
        self._gradients[id(tensor)] = tensor, gradient

    def left(self) -> list[tuple[Tensor, Any]]:
        """The Tensors whose `.grad` was set, with what it is at the end."""
        return list(self._gradients.values())

    @contextmanager
    def on_arrays(self) -> Iterator[None]:
        """While it runs, what is traced stands for NumPy arrays, which `+=` changes in place."""
        before, self.trace.of_tensors = self.trace.of_tensors, False
        try:
            yield
        finally:
            self.trace.of_tensors = before

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function with its calls and surroundings known to the trace."""
        from .runtime import captured_through

        return captured_through(self.trace, function)(*args, **kwargs)


@dataclass(frozen=True)
class _GradientOf(Place):
    """The array in a Tensor's gradient."""

    def read(self) -> Any:
        gradient = self.owner._grad
        return None if gradient is None else gradient.data
