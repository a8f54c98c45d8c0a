"""Reductions, and what statistics and softmax make of them."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from ..errors import CaptureError, DTypeError
from ..interpreter import apply
from ..ops import elementwise as ew
from ..ops import reductions, views
from ..ops.op import Op
from ..spec import Spec, normalize_axes
from ..symbolic_int import SymbolicInt
from .base import array, implements, refuse
from .elementwise import astype
from .views import squeeze

__all__ = [
    "all", "any", "argmax", "argmin", "log_softmax", "logsumexp", "max", "mean", "min", "prod",
    "softmax", "std", "sum", "var",
]  # fmt: skip


_ALL: tuple[tuple[int, ...], ...] = (), (0,), (0, 1), (0, 1, 2)  # axes of an array


def reduced(op: Op, x: Any, axis: Any, keepdims: Any) -> Any:
    """An array reduced along axes, in the dtype that the operation has."""
    ndim = x.ndim
    if axis is None and ndim < 4:
        axes = _ALL[ndim]
    elif type(axis) is int and 0 <= axis < ndim:
        axes = (axis,)
    else:
        axes = normalize_axes(op.name, axis, ndim) if ndim or axis not in (0, -1) else ()
    if not axes:  # each element by itself
        return astype(x, op.spec(_scalar_spec(x), axis=(), keepdims=False).dtype)
    kept = bool(keepdims and keepdims is not np._NoValue)
    return apply(op, (x,), {"axis": axes, "keepdims": kept})


def _accumulated(op: Op, x: Any, axis: Any, dtype: Any, keepdims: Any) -> Any:
    x = array(x)
    if dtype is None:
        return reduced(op, x, axis, keepdims)
    total = reduced(op, astype(x, dtype), axis, keepdims)
    # NumPy adds in the dtype asked for; integers wrap alike whether that is done before or after
    return total if total.dtype == np.dtype(dtype) else astype(total, dtype)


def _scalar_spec(x: Any) -> Any:
    return Spec((), np.dtype(x.dtype))


@implements(np.sum)
def sum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """Sum along axes.  Integers are summed in 64 bits, float32 in float32."""
    if not (out is initial is where is None):
        refuse("sum", out=out, initial=initial, where=where)
    return _accumulated(reductions.SUM, a, axis, dtype, keepdims)


@implements(np.prod)
def prod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """Product along axes."""
    refuse("prod", out=out, initial=initial, where=where)
    return _accumulated(reductions.PROD, a, axis, dtype, keepdims)


def _extreme(op: Op, a: Any, axis: Any, out: Any, keepdims: Any, initial: Any, where: Any) -> Any:
    refuse(op.name, out=out, initial=initial, where=where)
    return reduced(op, array(a), axis, keepdims)


@implements(np.max, np.amax)
def max(
    a: Any,
    axis: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """Largest element along axes; NaN where there is one."""
    return _extreme(reductions.MAX, a, axis, out, keepdims, initial, where)


@implements(np.min, np.amin)
def min(
    a: Any,
    axis: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """Smallest element along axes; NaN where there is one."""
    return _extreme(reductions.MIN, a, axis, out, keepdims, initial, where)


def _logical(op: Op, a: Any, axis: Any, out: Any, keepdims: Any, where: Any) -> Any:
    refuse(op.name, out=out, where=where)
    return reduced(op, array(a), axis, keepdims)


@implements(np.any)
def any(
    a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = None
) -> Any:
    """Whether any element along axes is true."""
    return _logical(reductions.ANY, a, axis, out, keepdims, where)


@implements(np.all)
def all(
    a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = None
) -> Any:
    """Whether all elements along axes are true."""
    return _logical(reductions.ALL, a, axis, out, keepdims, where)


def _argument(op: Op, a: Any, axis: Any, out: Any, keepdims: Any) -> Any:
    refuse(op.name, out=out)
    a = array(a)
    if a.ndim == 0:
        a, keepdims = views.EXPAND_DIMS(a, axes=(0,)), False
    if isinstance(axis, tuple):
        raise DTypeError(f"{op.name}: axis must be one integer or None, not {axis}")
    return reduced(op, a, axis, keepdims)


@implements(np.argmax)
def argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    """Position of the first largest element along an axis, or in the flattened array."""
    return _argument(reductions.ARGMAX, a, axis, out, keepdims)


@implements(np.argmin)
def argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    """Position of the first smallest element along an axis, or in the flattened array."""
    return _argument(reductions.ARGMIN, a, axis, out, keepdims)


def _inexact(name: str, x: Any, dtype: Any) -> Any:
    """What a mean is taken of: integers as float64, or all in the dtype that is asked for."""
    if dtype is None:
        return astype(x, np.float64) if x.dtype.kind in "biu" else x
    if np.dtype(dtype).kind not in "fc" or (x.dtype.kind == "c" and np.dtype(dtype).kind == "f"):
        raise CaptureError(f"{name} of {x.dtype} in {np.dtype(dtype)} is not captured")
    return astype(x, dtype)


def _count(x: Any, axis: Any) -> Any:
    shape = x.shape
    return math.prod(
        shape if axis is None else [shape[k] for k in normalize_axes("mean", axis, x.ndim)]
    )


@implements(np.mean)
def mean(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    *,
    where: Any = None,
) -> Any:
    """Arithmetic mean along axes; integers in float64."""
    if not (out is where is None):
        refuse("mean", out=out, where=where)
    a = _inexact("mean", array(a), dtype)
    return reduced(reductions.SUM, a, axis, keepdims) / _count(a, axis)


@implements(np.var)
def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: Any = False,
    *,
    where: Any = None,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """Variance along axes with divisor n - ddof, in two passes as NumPy computes it."""
    refuse("var", out=out, where=where)
    a = _inexact("var", array(a), dtype)
    if mean is None or mean is np._NoValue:
        mean = sum(a, axis=axis, keepdims=True) / _count(a, axis)
    if correction is not None and correction is not np._NoValue:
        ddof = correction
    deviation = a - mean
    if deviation.dtype.kind == "c":
        square = ew.REAL(deviation) ** 2 + ew.IMAG(deviation) ** 2
    else:
        square = deviation * deviation
    divisor = _count(a, axis) - ddof
    if isinstance(divisor, SymbolicInt):
        divisor = divisor if divisor >= 0 else 0
    else:
        divisor = builtins.max(divisor, 0)
    return sum(square, axis=axis, keepdims=keepdims) / divisor


@implements(np.std)
def std(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: Any = False,
    *,
    where: Any = None,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """Standard deviation along axes: the root of `var`."""
    return ew.SQRT(
        var(a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction)
    )


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log of the sum of exponentials along axes, shifted by the maximum so that none overflows."""
    x = array(x)
    top = _top(x, axis)
    total = ew.LOG(sum(ew.EXP(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else squeeze(total, axis=normalize_axes("logsumexp", axis, x.ndim))


def _top(x: Any, axis: Any) -> Any:
    """The maximum as a constant: what is shifted by it and back does not depend on it."""
    return ew.STOP(max(x, axis=axis, keepdims=True))


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) normalised to sum 1 along an axis."""
    e = ew.EXP(x - _top(x, axis))
    return e / sum(e, axis=axis, keepdims=True)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Logarithm of `softmax`, without its underflow."""
    shifted = x - _top(x, axis)
    return shifted - ew.LOG(sum(ew.EXP(shifted), axis=axis, keepdims=True))
