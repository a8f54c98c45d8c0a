"""How results change as arguments do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..batching import Spread
from ..errors import GradientError, user_line
from ..tree import flatten
from .engines import Function, Pullback, engine_here
from .leaves import array_of, is_differentiable, seed_of
from .reverse import grad, pulled
from .transformed import run_or_compile


def jvp(function: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of a function, and how it changes as its arguments do.

    primals, tangents: tuples of arguments, and of what each changes by, of the same structure.

    It is the pullback's transpose: a pullback is linear in its cotangent, and pulling the tangents
    back through it gives the value's tangent.
    """
    both: tuple[Any, Any] = run_or_compile(function, "jvp", _jvp, primals, tangents)
    return both


def _jvp(function: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    value, push = linearised(function, tuple(primals))
    return value, push(tuple(tangents))


def linearised(function: Function, primals: tuple[Any, ...]) -> tuple[Any, Pullback]:
    """The value of a function, and what pushes tangents of its arguments forward through it."""
    value, pullback, _ = pulled(function, primals, {}, range(len(primals)), False)
    results, structure = flatten(value)
    engine, batches = engine_here(), Spread()
    floats = [k for k, r in enumerate(results) if is_differentiable(r)]
    variables = [engine.variable(engine.zeros(batches.whole(array_of(results[k])))) for k in floats]
    zeros: list[Any] = list(results)
    for k, variable in zip(floats, variables, strict=True):
        zeros[k] = batches.any(variable)
    back = engine.call(lambda: pullback(structure.unflatten(zeros)), (), {})

    def push(tangents: Any) -> Any:
        pairs = [(batches.whole(c), batches.whole(t)) for c, t in _pairs(back, tangents)]
        found = engine.cotangents([c for c, _ in pairs], [t for _, t in pairs], variables)
        parts: list[Any] = [None] * len(results)
        for k, variable, part in zip(floats, variables, found, strict=True):
            parts[k] = batches.any(engine.zeros(variable) if part is None else part)
        return structure.unflatten(parts)

    return value, push


def _pairs(cotangents: Any, tangents: Any) -> list[tuple[Any, Any]]:
    """What the pullback gives with the tangents that are pulled back through it."""
    given, tree = flatten(tangents)
    found, structure = flatten(cotangents)
    if tree.size != structure.size and tree != structure:
        raise GradientError(f"tangents have another structure than the primals ({user_line()})")
    return [(c, seed_of(t, c)) for c, t in zip(found, given, strict=True) if c is not None]


def hvp(function: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian of a function of one number's result times a vector: how the gradient changes as
    the arguments do.

    primals, tangents: tuples of arguments, and of what each changes by.
    """
    return run_or_compile(function, "hvp", _hvp, primals, tangents)


def _hvp(function: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    gradient = grad(function, tuple(range(len(primals))))._run  # type: ignore[attr-defined]
    return _jvp(gradient, primals, tangents)[1]
