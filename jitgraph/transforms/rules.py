"""Gradients of one's own: rules, constants, and what is computed again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from ..batching import Spread
from ..errors import GradientError, user_line
from ..interpreter import current_trace
from ..ops.elementwise import AGAIN, STOP
from ..tree import Tree, flatten, map_leaves
from .engines import Function, engine_here, run_seen
from .leaves import is_differentiable, with_aux
from .reverse import pulled
from .transformed import wrap


def stop_gradient(x: Any) -> Any:
    """The same values, constant for derivatives.  x: an array, or a container of arrays."""
    return map_leaves(lambda leaf: STOP(leaf) if is_differentiable(leaf) else leaf, x)


class _Running(threading.local):
    """Functions whose `forward` runs, which may call them as they are."""

    def __init__(self) -> None:
        self.forward: list[CustomVjp] = []


_running = _Running()


class CustomVjp:
    """A function with a rule of its own for its gradient; made by `custom_vjp`."""

    __name__: str

    def __init__(self, function: Function, needed: bool = True) -> None:
        wrap(self, function)
        self._needed = needed
        self._function = function
        self._forward: Function | None = None
        self._backward: Function | None = None

    def defvjp(self, forward: Function, backward: Function) -> CustomVjp:
        """Give the rule.

        forward: `forward(*args)` gives the function's value, and what `backward` wants to know.
        backward: `backward(known, cotangent)` gives a tuple of cotangents of the arguments, None
        for those that have none.
        """
        self._forward, self._backward = forward, backward
        return self

    def __call__(self, *args: Any) -> Any:
        make, pull = self._forward, self._backward
        if make is None or pull is None:
            raise GradientError(f"{self.__name__} has no rule yet; give it one by defvjp")
        if self in _running.forward:
            return run_seen(self._function, args)
        leaves, tree = flatten(args)
        engine, batches = engine_here(), Spread()
        wholes = [batches.whole(leaf) if is_differentiable(leaf) else leaf for leaf in leaves]
        known: Any = None

        def forward() -> Any:
            nonlocal known
            _running.forward.append(self)
            try:
                value, known = with_aux(run_seen(make, args))
            finally:
                _running.forward.pop()
            return _mapped(batches.whole, value)

        def backward(cotangent: Any) -> list[Any]:
            parts = run_seen(pull, (known, _mapped(batches.any, cotangent)))
            if not isinstance(parts, tuple) or len(parts) != len(args):
                raise GradientError(
                    f"the rule of {self.__name__} gives a tuple of {len(args)} cotangents, one for "
                    "each argument"
                )
            return [None if p is None else batches.whole(p) for p in _parts(parts, tree)]

        return _mapped(
            batches.any, engine.with_rule(self.__name__, forward, backward, wholes, self._needed)
        )


def _mapped(change: Callable[[Any], Any], value: Any) -> Any:
    return map_leaves(lambda leaf: change(leaf) if is_differentiable(leaf) else leaf, value)


def _parts(parts: Sequence[Any], tree: Tree) -> list[Any]:
    """Cotangents of arguments as leaves."""
    found: list[Any] = []
    for part, child in zip(parts, tree.children, strict=True):
        leaves, structure = flatten(part)
        if part is not None and structure != child:
            raise GradientError(
                f"a cotangent has another structure than its argument ({user_line()})"
            )
        found += [None] * child.size if part is None else leaves
    return found


def custom_vjp(function: Function) -> CustomVjp:
    """Let a function have a rule of its own for its gradient:

    @jitgraph.custom_vjp
    def log1pexp(x): return np.log(1 + np.exp(x))

    log1pexp.defvjp(lambda x: (log1pexp(x), x), lambda x, g: (g * jitgraph.sigmoid(x),))
    """
    return CustomVjp(function)


def checkpoint(function: Function) -> Function:
    """The function, of which nothing is kept for the gradient but its arguments: it runs again when
    the gradient is asked for.
    """
    own = CustomVjp(function, needed=False)
    own.defvjp(
        lambda *args: (run_seen(function, args), args),
        lambda args, g: pulled(function, _again(args), {}, range(len(args)), False)[1](g),
    )
    return own


def _again(args: Any) -> Any:
    """Arguments, as others to a program, which would not compute again what it has."""
    traced = current_trace() is not None
    return map_leaves(
        lambda leaf: AGAIN(leaf) if traced and is_differentiable(leaf) else leaf, args
    )
