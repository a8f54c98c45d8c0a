"""Derivatives of all results by all arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..batching import Batched, repeated, running
from ..errors import GradientError, user_line
from ..functions import moveaxis, reshape
from ..functions.creation import eye, zeros
from ..spec import as_shape
from ..symbolic import product
from ..tree import flatten, map_leaves
from .engines import Function
from .forward import linearised
from .leaves import array_of
from .reverse import check_floats, grad, pulled
from .transformed import Transformed

MODES = ("reverse", "forward")


def jacobian(function: Function, argnums: int = 0, mode: str = "reverse") -> Function:
    """A function that gives the derivatives of an array-valued function by an argument: for a
    result of shape (a, b) and an argument of shape (c,) an array of shape (a, b, c).

    argnums: the position of the argument, which may be a container: then the result is one.
    mode: "reverse" runs back once for each element of the result, "forward" once for each element
    of the argument; all of these at once.
    """
    if mode not in MODES:
        raise ValueError(f"jacobian: mode {mode!r} is neither of {MODES}")
    by_mode = _by_results if mode == "reverse" else _by_arguments

    def run(*args: Any, **kwargs: Any) -> Any:
        check_floats([args[argnums]])
        return by_mode(function, args, kwargs, argnums % len(args))

    return Transformed(function, "jacobian", run)


def hessian(function: Function, argnums: int = 0) -> Function:
    """A function that gives the second derivatives of a function of one number's result by an
    argument, an array: for shape (a, b) an array of shape (a, b, a, b).
    """
    return jacobian(grad(function, argnums), argnums, mode="forward")


def _by_results(function: Function, args: Any, kwargs: Any, argnum: int) -> Any:
    value, pullback, _ = pulled(function, args, kwargs, (argnum,), False)
    value = _single(value)
    found = _for_each_element(value, lambda seed: pullback(seed)[0])
    return map_leaves(lambda part: reshape(part, (*value.shape, *part.shape[1:])), found)


def _by_arguments(function: Function, args: Any, kwargs: Any, argnum: int) -> Any:
    before, after = args[:argnum], args[argnum + 1 :]
    leaves, tree = flatten(args[argnum])
    leaves = [array_of(leaf) for leaf in leaves]

    def of_one(x: Any) -> Any:
        return function(*before, x, *after, **kwargs)

    value, push = linearised(of_one, (tree.unflatten(leaves),))
    value = _single(value)

    def pushed(k: int, tangent: Any) -> Any:
        tangents = [zeros(other.shape, other.dtype) for other in leaves]
        tangents[k] = tangent
        return push((tree.unflatten(tangents),))

    columns = []
    for k, leaf in enumerate(leaves):
        whole = _for_each_element(leaf, partial(pushed, k))
        columns.append(reshape(moveaxis(whole, 0, -1), (*value.shape, *leaf.shape)))
    return tree.unflatten(columns)


def _for_each_element(x: Any, run: Callable[[Any], Any]) -> Any:
    """What a linear function gives for each element of an array, along a first axis."""
    basis, size = _basis(x)
    with running(size) as level:
        found = run(Batched(basis, level))
    return map_leaves(lambda part: _elements(part, level, size), found)


def _elements(part: Any, level: int, size: Any) -> Any:
    """A derivative by each element; the same zeros for all where there is no dependence."""
    if isinstance(part, Batched) and part.level == level:
        return part.value
    return repeated(part, size)


def _single(value: Any) -> Any:
    if not hasattr(value, "ndim"):
        kind = type(value).__name__
        raise GradientError(f"the jacobian is that of an array, the function gives {kind} "
                            f"({user_line()})")  # fmt: skip
    return value


def _basis(x: Any) -> tuple[Any, Any]:
    """An array for each element of another, with a one there, and how many these are."""
    size = product(as_shape(x.shape))
    count = int(size) if isinstance(size, int) else x.size
    ones = eye(count, dtype=np.dtype(x.dtype))
    return reshape(ones, (count, *x.shape)), size
