"""Reductions along sorted tuples of axes.

Integers are summed as NumPy sums them: in the platform's integer.  Of a NaN and a number, max and
min give NaN; argmax and argmin give the first NaN's position.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..spec import Spec
from .elementwise import CAST, WHERE
from .op import Combine, DType, Kind, Op, reduced_shape, reduction, refuse_empty, register
from .views import BROADCAST_TO, EXPAND_DIMS


def _accumulator(dtype: DType) -> DType:
    if dtype.kind in "fc":
        return dtype
    return np.dtype(np.uint64 if dtype.kind == "u" else np.int64)


def _same(dtype: DType) -> DType:
    return dtype


def _boolean(dtype: DType) -> DType:
    return np.dtype(bool)


def expand(g: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """A reduction's result (or cotangent) laid out again over the elements it came from."""
    if not keepdims:
        g = EXPAND_DIMS(g, axes=axis)
    return BROADCAST_TO(g, shape=x.shape)


def _extreme_gradient(g: Any, out: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    winners = CAST(x == expand(out, x, axis, keepdims), dtype=x.dtype)
    count = SUM(winners, axis=axis, keepdims=keepdims)
    return winners * expand(g / count, x, axis, keepdims)


def _product_gradient(g: Any, out: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Product of the other elements; one zero leaves a gradient at its place, two leave none."""
    others = WHERE(x == 0, 1.0, x)
    product = PROD(others, axis=axis, keepdims=True)
    zeros = SUM(x == 0, axis=axis, keepdims=True)
    partial = WHERE(zeros == 0, product / others, WHERE((zeros == 1) & (x == 0), product, 0.0))
    return partial * expand(g, x, axis, keepdims)


SUM = reduction(
    "sum",
    np.add.reduce,
    _accumulator,
    lambda g, out, x, *, axis, keepdims: expand(g, x, axis, keepdims),
)
PROD = reduction("prod", np.multiply.reduce, _accumulator, _product_gradient)
MAX = reduction("max", np.maximum.reduce, _same, _extreme_gradient, empty=False)
MIN = reduction("min", np.minimum.reduce, _same, _extreme_gradient, empty=False)
ANY = reduction("any", np.any, _boolean)
ALL = reduction("all", np.all, _boolean)


def _argument(name: str) -> Op:
    def eval(x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
        whole = len(axis) != 1  # argmax of all axes counts through the flattened array
        return getattr(np.asarray(x), name)(None if whole else axis[0], keepdims=keepdims)

    def spec(x: Spec, *, axis: tuple[int, ...], keepdims: bool) -> Spec:
        refuse_empty(name, x, axis)
        return Spec(reduced_shape(x.shape, axis, keepdims), np.dtype(np.intp))

    return register(Op(name, Kind.REDUCE, eval, spec, combine=Combine(name)))


ARGMAX = _argument("argmax")
ARGMIN = _argument("argmin")
