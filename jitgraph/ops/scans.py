"""Scans: running totals and extremes along an axis, and the last of them.

A scan's elements are computed in order, so the loop that runs along its axis has the accumulator
that a reduction has, and what is computed from the elements joins that loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..interpreter import create, made
from ..spec import Spec, as_shape
from ..symbolic import sub
from .elementwise import CAST, IOTA, WHERE
from .indexing import INDEX_ADD, places_along
from .op import Combine, Kind, Op, reduced_shape, register
from .reductions import MAX, MIN, PROD, SUM
from .views import EXPAND_DIMS, FULL, SLICE, whole_slices


def _scan(name: str, eval: Callable[..., Any], reduction: Op, vjp: Any = None) -> Op:
    combine = reduction.name

    def spec(x: Spec, *, axis: int) -> Spec:
        return Spec(x.shape, reduction.spec(Spec((1,), x.dtype), axis=(0,), keepdims=False).dtype)

    rules = () if vjp is None else (vjp,)
    return register(Op(name, Kind.SCAN, eval, spec, rules, combine=Combine(combine)))


def _reversed(x: Any, axis: int) -> Any:
    slices = list(whole_slices(x.shape))
    _, _, size = slices[axis]
    slices[axis] = (sub(size, 1), -1, size)
    return SLICE(x, slices=tuple(slices))


def _sum_gradient(g: Any, out: Any, x: Any, *, axis: int) -> Any:
    return _reversed(CUMSUM(_reversed(g, axis), axis=axis), axis)


def _product_gradient(g: Any, out: Any, x: Any, *, axis: int) -> Any:
    """Before the first zero what follows is divided by the element; at the zero it is the products
    without it; behind it all products are zero.
    """
    zeros = CUMSUM(CAST(x == 0, dtype=np.dtype(np.int64)), axis=axis)
    first = (zeros == 1) & (x == 0)
    without = CUMPROD(WHERE(first, np.dtype(x.dtype).type(1), x), axis=axis)
    before = _sum_gradient(g * out, out, x, axis=axis) / WHERE(x == 0, 1, x)
    at = _sum_gradient(WHERE(zeros > 0, g * without, 0), out, x, axis=axis)
    return WHERE(zeros == 0, before, WHERE(first, at, 0))


def _extreme_gradient(g: Any, out: Any, x: Any, *, axis: int) -> Any:
    """Each running extreme is that of the latest element that is equal to it."""
    shape = as_shape(x.shape)
    count = made(IOTA, size=shape[axis], dtype=np.dtype(np.int64))
    others = tuple(k for k in range(len(shape)) if k != axis)
    places = WHERE(x == out, EXPAND_DIMS(count, axes=others) if others else count, 0)
    index = places_along(shape, CUMMAX(places, axis=axis), axis)
    zeros = create(FULL, np.zeros((), g.dtype)[()], shape=shape)
    return INDEX_ADD(zeros, g, *index, axes=tuple(range(len(shape))), front=False)


CUMSUM: Op = _scan("cumsum", lambda x, *, axis: np.asarray(x).cumsum(axis), SUM, _sum_gradient)
CUMPROD: Op = _scan("cumprod", np.cumprod, PROD, _product_gradient)
CUMMAX: Op = _scan("cummax", np.maximum.accumulate, MAX, _extreme_gradient)
CUMMIN: Op = _scan("cummin", np.minimum.accumulate, MIN, _extreme_gradient)


def _last(x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    found = np.take(x, -1, axis=axis[0])
    return np.expand_dims(found, axis[0]) if keepdims else found


LAST = register(
    Op(
        "last",  # the element at the end of one axis: what a scan has come to
        Kind.REDUCE,
        _last,
        lambda x, *, axis, keepdims: Spec(reduced_shape(x.shape, axis, keepdims), x.dtype),
        combine=Combine("last"),
    )
)
