"""How results change as arguments do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import GradientError, user_line
from ..tree import flatten, map_leaves
from .engines import Function, engine_here
from .leaves import array_of, as_array, is_float, of_arrays, seed_of
from .reverse import grad, pulled


def jvp(function: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of a function, and how it changes as its arguments do.

    primals, tangents: tuples of arguments, and of what each changes by, of the same structure.

    It is the pullback's transpose: a pullback is linear in its cotangent, and pulling the tangents
    back through it gives the value's tangent.
    """
    value, pullback, _ = pulled(function, tuple(primals), {}, range(len(primals)), False)
    results, structure = flatten(value)
    engine = engine_here()
    zeros = [engine.variable(engine.zeros(array_of(r))) if is_float(r) else r for r in results]
    back = engine.call(lambda: pullback(structure.unflatten(zeros)), (), {})
    pairs = _pairs(back, tuple(tangents))
    variables = [z for z, r in zip(zeros, results, strict=True) if is_float(r)]
    found = iter(engine.cotangents([c for c, _ in pairs], [t for _, t in pairs], variables))
    parts: list[Any] = [None] * len(results)
    for k, result in enumerate(results):
        if is_float(result):
            part = next(found)
            parts[k] = engine.zeros(result) if part is None else part
    both = value, structure.unflatten(parts)
    return map_leaves(as_array, both) if of_arrays((primals, tangents)) else both


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
    gradient = grad(function, tuple(range(len(primals))))._run  # type: ignore[attr-defined]
    return jvp(gradient, primals, tangents)[1]
