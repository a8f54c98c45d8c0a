"""Gradients, and pullbacks of cotangents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..batching import Spread
from ..errors import GradientError, user_line
from ..symbolic_int import SymbolicInt
from ..tree import flatten, map_leaves
from .engines import Function, Pullback, engine_here
from .leaves import array_of, as_array, is_differentiable, of_arrays, seed_of, with_aux
from .transformed import Transformed


def vjp(function: Function, *args: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """`function(*args)` and the function that pulls cotangents back through it.

    The second maps a cotangent of the value, of the same structure and shapes, to a tuple of
    cotangents of the arguments; None stands for those of integers and flags.
    has_aux: the function gives a pair, whose second part is handed on as a third result.
    """
    value, pullback, aux = pulled(function, args, {}, range(len(args)), has_aux)
    if of_arrays(args):
        value, aux = map_leaves(as_array, (value, aux))
        back = pullback
        pullback = lambda cotangent: map_leaves(as_array, back(cotangent))  # noqa: E731
    return (value, pullback, aux) if has_aux else (value, pullback)


def pulled(
    function: Function, args: Sequence[Any], kwargs: dict[str, Any], argnums: Sequence[int],
    has_aux: bool,
) -> tuple[Any, Pullback, Any]:  # fmt: skip
    """The value, what pulls its cotangent back to some of the arguments, and what comes with it."""
    engine, batches = engine_here(), Spread()
    leaves, tree = flatten(tuple(args[k] for k in argnums))
    positions = [k for k, leaf in enumerate(leaves) if is_differentiable(leaf)]
    variables = [engine.variable(batches.whole(array_of(leaves[k]))) for k in positions]
    given = list(leaves)
    for k, variable in zip(positions, variables, strict=True):
        given[k] = batches.any(variable)
    own = dict(zip(argnums, tree.unflatten(given), strict=True))
    result = engine.call(function, [own.get(k, arg) for k, arg in enumerate(args)], kwargs)
    result, aux = with_aux(result) if has_aux else (result, None)
    given_out, structure = flatten(result)
    results = [engine.as_now(r) for r in given_out]

    def pullback(cotangent: Any) -> Any:
        seeds, given_as = flatten(cotangent)
        if given_as != structure:
            raise GradientError(f"a cotangent has another structure than the value ({user_line()})")
        pairs = [
            (batches.whole(r), batches.whole(seed_of(s, r)))
            for s, r in zip(seeds, results, strict=True)
            if is_differentiable(r)
        ]
        found = engine.cotangents([r for r, _ in pairs], [s for _, s in pairs], variables)
        parts: list[Any] = [None] * len(leaves)
        for k, variable, part in zip(positions, variables, found, strict=True):
            parts[k] = batches.any(engine.zeros(variable) if part is None else part)
        return tree.unflatten(parts)

    value = structure.unflatten([engine.handed_out(r) for r in given_out])
    return value, pullback, map_leaves(engine.handed_out, aux)


def value_and_grad(
    function: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Function:
    """A function that gives the value of a function of one number's result, and its gradient.

    argnums: positions of the arguments to differentiate by, which may be containers; one position
    gives one gradient of the argument's structure, several a tuple.
    has_aux: the function gives a pair, and is differentiated by its first part; the value is then
    that pair.
    """
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def run(*args: Any, **kwargs: Any) -> Any:
        if not all(-len(args) <= k < len(args) for k in positions):
            raise GradientError(
                f"argument {max(positions)} is to be differentiated by, of a call with {len(args)} "
                f"arguments by position ({user_line()})"
            )
        chosen = [k % len(args) for k in positions]
        check_floats([args[k] for k in chosen])
        value, pullback, aux = pulled(function, args, kwargs, chosen, has_aux)
        if getattr(value, "ndim", None) != 0:
            kind = f"shape {value.shape}" if hasattr(value, "shape") else type(value).__name__
            raise GradientError(
                f"the gradient is that of a single number, the function gives {kind}; reduce it, "
                f"or see jacobian and vjp ({user_line()})"
            )
        if np.dtype(value.dtype).kind == "c":
            raise GradientError(
                "the gradient is that of a real number, the function gives a complex one; take its "
                f"real part or its magnitude, or see vjp ({user_line()})"
            )
        gradients = pullback(np.dtype(value.dtype).type(1))
        found = gradients[0] if isinstance(argnums, int) else gradients
        return ((value, aux) if has_aux else value), found

    return Transformed(function, "value_and_gradient", run)


def check_floats(arguments: Sequence[Any]) -> None:
    for leaf in flatten(tuple(arguments))[0]:
        if not is_differentiable(leaf):
            name = "int" if isinstance(leaf, SymbolicInt) else type(leaf).__name__
            kind = getattr(leaf, "dtype", name)
            raise GradientError(
                f"only floating-point and complex arguments have gradients, one is {kind} "
                f"({user_line()})"
            )


def grad(function: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """A function that gives the gradient of a function of one number's result.

    argnums, has_aux: as of `value_and_grad`; with `has_aux` it gives the gradient and what the
    function gives besides its value.
    """
    both = value_and_grad(function, argnums, has_aux)._run  # type: ignore[attr-defined]

    def run(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return Transformed(function, "gradient", run)
