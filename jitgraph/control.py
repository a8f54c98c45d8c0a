"""Loops and branches as functions, for those who prefer to be explicit.

They are what one would write with Python's own statements: run as they stand in dynamic mode, and
loops and branches of the program in a compiled function.  Values may be arrays, numbers, and
tuples, lists and dicts of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .batching import Batched, any_of
from .errors import ShapeError
from .functions import stack, where
from .tensor import Tensor
from .tree import Tree, flatten


def cond(
    condition: Any, if_true: Callable[..., Any], if_false: Callable[..., Any], *operands: Any
) -> Any:
    """`if_true(*operands)` or `if_false(*operands)`, as a condition of no axes says.

    In a compiled function both have to give values of the same structure, shapes and dtypes; so in
    `vmap`, where both are computed if each element of the batch has a condition of its own.
    """
    if isinstance(condition, Batched):
        return _selected(condition, if_true(*operands), if_false(*operands))
    if condition:
        return if_true(*operands)
    return if_false(*operands)


def while_loop(condition: Callable[[Any], Any], step: Callable[[Any], Any], start: Any) -> Any:
    """`start`, and `step` of it again and again as long as `condition` of it holds.

    In `vmap` as long as it holds for any element of the batch; those for which it does not stay as
    they are.
    """
    value = start
    holds = condition(value)
    if isinstance(holds, Batched):
        while any_of(holds):
            value = _selected(holds, step(value), value)
            holds = condition(value)
        return value
    while holds:
        value = step(value)
        holds = condition(value)
    return value


def fori_loop(lower: int, upper: int, step: Callable[[int, Any], Any], start: Any) -> Any:
    """`start`, and `step(i, value)` of it for i from `lower` to below `upper`."""
    value = start
    for i in range(lower, upper):
        value = step(i, value)
    return value


def scan(
    step: Callable[[Any, Any], tuple[Any, Any]], start: Any, xs: Any, length: int | None = None
) -> tuple[Any, Any]:
    """What a state is at the end, and what each step has given, along a new first axis.

    `step(state, x)` gives the next state and a result, for x of the elements of `xs` along its
    first axis, or of those of all arrays in it; for `length` times None where `xs` is None.  Raises
    ShapeError where the arrays have different lengths, or none.
    """
    arrays, tree = flatten(xs)
    count = _length(arrays, length)
    state, first = step(start, _element(arrays, tree, 0))
    values, structure = flatten(first)
    if any(isinstance(v, Tensor) for v in values):  # which record what is done to them
        results = [values]
        for i in range(1, count):
            state, result = step(state, _element(arrays, tree, i))
            results.append(flatten(result)[0])
        return state, structure.unflatten([stack(parts) for parts in zip(*results, strict=True)])
    found = [_space(value, count) for value in values]
    for k in range(len(found)):
        found[k][0] = values[k]
    for i in range(1, count):
        state, result = step(state, _element(arrays, tree, i))
        values, _ = flatten(result)
        for k in range(len(found)):
            found[k][i] = values[k]
    return state, structure.unflatten(found)


def map(function: Callable[[Any], Any], xs: Any) -> Any:
    """`function` of each element of `xs` along its first axis, one after the other; results are
    along a new first axis.
    """
    _, found = scan(lambda state, x: (state, function(x)), (), xs)
    return found


def _selected(condition: Any, first: Any, second: Any) -> Any:
    """The values of one or the other for each element of a batch."""
    leaves, tree = flatten(first)
    others, structure = flatten(second)
    if tree != structure:
        raise ShapeError("the sides of a branch in a batch give values of different structures")
    return tree.unflatten([where(condition, a, b) for a, b in zip(leaves, others, strict=True)])


def _space(value: Any, count: int) -> Any:
    """Memory for as many of these."""
    known = value if hasattr(value, "dtype") else np.asarray(value)
    return np.empty((count, *known.shape), known.dtype)


def _length(arrays: list[Any], length: int | None) -> Any:
    if not arrays and length is None:
        raise ShapeError("scan: without arrays it needs a length")
    count: Any = arrays[0].shape[0] if arrays else length
    if any(a.shape[0] != count for a in arrays) or (length is not None and count != length):
        raise ShapeError("scan: the arrays have different lengths")
    if count < 1:
        raise ShapeError("scan: there is no step")
    return count


def _element(arrays: list[Any], tree: Tree, i: int) -> Any:
    return tree.unflatten([a[i] for a in arrays])
