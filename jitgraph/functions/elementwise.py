"""Elementwise functions, and those made of them."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import CaptureError, DTypeError
from ..interpreter import apply
from ..ops import elementwise as ew
from ..ops.op import Op
from ..spec import check_dtype
from .base import F, array, implements, operand, refuse

__all__ = [
    "absolute",
    "add", "angle",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "astype",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "cbrt",
    "ceil",
    "clip", "conjugate",
    "copysign",
    "cos",
    "cosh",
    "deg2rad",
    "divide",
    "equal", "erf", "erfc",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "greater",
    "greater_equal",
    "hypot", "imag",
    "invert",
    "isfinite",
    "isinf",
    "isnan",
    "left_shift",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "nan_to_num",
    "negative",
    "not_equal",
    "positive",
    "power",
    "rad2deg",
    "real", "reciprocal",
    "relu",
    "remainder",
    "right_shift",
    "rint",
    "round",
    "sigmoid",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "square",
    "subtract",
    "tan",
    "tanh",
    "trunc",
    "where",
]  # fmt: skip


def _unary(op: Op) -> Callable[[Any], Any]:
    def function(x: Any, /) -> Any:
        return apply(op, (operand(x),), {})

    return _documented(function, op)


def _binary(op: Op) -> Callable[[Any, Any], Any]:
    def function(x: Any, y: Any, /) -> Any:
        return apply(op, (operand(x), operand(y)), {})

    return _documented(function, op)


def _documented(function: F, op: Op) -> F:
    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = (
        f"`np.{op.name}` on arrays, Tensors and traced values; same shapes, dtypes and errors."
    )
    return function


add, subtract, multiply, divide = map(_binary, (ew.ADD, ew.SUBTRACT, ew.MULTIPLY, ew.DIVIDE))
floor_divide, remainder, fmod, power = map(
    _binary, (ew.FLOOR_DIVIDE, ew.REMAINDER, ew.FMOD, ew.POWER)
)
negative, positive, absolute, sign = map(_unary, (ew.NEGATIVE, ew.POSITIVE, ew.ABSOLUTE, ew.SIGN))
conjugate = _unary(ew.CONJUGATE)
square, reciprocal, sqrt, cbrt = map(_unary, (ew.SQUARE, ew.RECIPROCAL, ew.SQRT, ew.CBRT))
exp, exp2, expm1, log, log2 = map(_unary, (ew.EXP, ew.EXP2, ew.EXPM1, ew.LOG, ew.LOG2))
log10, log1p, sin, cos, tan = map(_unary, (ew.LOG10, ew.LOG1P, ew.SIN, ew.COS, ew.TAN))
arcsin, arccos, arctan = map(_unary, (ew.ARCSIN, ew.ARCCOS, ew.ARCTAN))
sinh, cosh, tanh = map(_unary, (ew.SINH, ew.COSH, ew.TANH))
arcsinh, arccosh, arctanh = map(_unary, (ew.ARCSINH, ew.ARCCOSH, ew.ARCTANH))
deg2rad, rad2deg = map(_unary, (ew.DEG2RAD, ew.RAD2DEG))
logaddexp, arctan2, hypot, copysign = map(
    _binary, (ew.LOGADDEXP, ew.ARCTAN2, ew.HYPOT, ew.COPYSIGN)
)
floor, ceil, trunc, rint = map(_unary, (ew.FLOOR, ew.CEIL, ew.TRUNC, ew.RINT))
maximum, minimum, fmax, fmin = map(_binary, (ew.MAXIMUM, ew.MINIMUM, ew.FMAX, ew.FMIN))
equal, not_equal, less = map(_binary, (ew.EQUAL, ew.NOT_EQUAL, ew.LESS))
less_equal, greater, greater_equal = map(_binary, (ew.LESS_EQUAL, ew.GREATER, ew.GREATER_EQUAL))
isnan, isinf, isfinite, signbit = map(_unary, (ew.ISNAN, ew.ISINF, ew.ISFINITE, ew.SIGNBIT))
logical_and, logical_or, logical_xor = map(_binary, (ew.LOGICAL_AND, ew.LOGICAL_OR, ew.LOGICAL_XOR))
bitwise_and, bitwise_or, bitwise_xor = map(_binary, (ew.BITWISE_AND, ew.BITWISE_OR, ew.BITWISE_XOR))
logical_not, invert = map(_unary, (ew.LOGICAL_NOT, ew.INVERT))
left_shift, right_shift = map(_binary, (ew.LEFT_SHIFT, ew.RIGHT_SHIFT))


@implements(np.where)
def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    """`x` where the condition holds, `y` elsewhere; the three broadcast.  Without these the
    positions where it holds.
    """
    if x is None and y is None:
        return np.nonzero(condition)
    return apply(ew.WHERE, tuple(map(operand, (condition, x, y))), {})


@implements(np.clip)
def clip(
    x: Any,
    a_min: Any = None,
    a_max: Any = None,
    out: Any = None,
    *,
    min: Any = None,
    max: Any = None,
) -> Any:
    """Elements limited to [a_min, a_max]; None leaves a side open."""
    if out is not None:
        refuse("clip", out=out)
    low = a_min if a_min is not None else min
    high = a_max if a_max is not None else max
    x = operand(x)
    if type(low) is int or type(high) is int:
        low, high = _beyond_dtype(x, low, high)
    if low is not None:
        x = apply(ew.MAXIMUM, (x, operand(low)), {})
    if high is not None:
        x = apply(ew.MINIMUM, (x, operand(high)), {})
    return astype(x, array(x).dtype) if low is None and high is None else x


def _beyond_dtype(x: Any, low: Any, high: Any) -> tuple[Any, Any]:
    """The limits but for integers that no element reaches; None in their place."""
    dtype = np.dtype(array(x).dtype)
    if dtype.kind not in "iu":
        return low, high
    info = np.iinfo(dtype)
    if type(low) is int and low <= info.min:
        low = None
    if type(high) is int and high >= info.max:
        high = None
    return low, high


@implements(np.astype)
def astype(x: Any, dtype: Any, /, *, copy: bool = True) -> Any:
    """Elements converted to `dtype`, as C casts them.  copy=False: only where that is needed."""
    target = np.dtype(dtype)
    check_dtype(target, "the target")
    x = array(x)
    if not copy and x.dtype == target:
        return x
    return apply(ew.CAST, (x,), {"dtype": target})


@implements(np.round)
def round(a: Any, decimals: int = 0, out: Any = None) -> Any:
    """Rounded to even in the given decimal place, by NumPy's own method: scale, rint, unscale."""
    refuse("round", out=out)
    a = array(a)
    if a.dtype.kind in "iu" and decimals >= 0:
        return ew.POSITIVE(a)
    if decimals == 0:
        return ew.RINT(a)
    if a.dtype.kind == "b":
        raise DTypeError("round: an array of bool has no decimal places; convert it first")
    factor = 10.0 ** builtins.abs(decimals)
    if a.dtype.kind in "iu":
        return ew.CAST(ew.RINT(a / factor) * factor, dtype=a.dtype)
    return ew.RINT(a * factor) / factor if decimals > 0 else ew.RINT(a / factor) * factor


@implements(np.nan_to_num)
def nan_to_num(
    x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    """NaN replaced by `nan`, infinities by the largest finite numbers or the ones given."""
    if not copy:
        raise CaptureError("nan_to_num: copy=False, which writes to the array, is not captured")
    x = array(x)
    if x.dtype.kind == "c":
        raise CaptureError("nan_to_num of complex numbers is not captured")
    if x.dtype.kind != "f":
        return ew.CAST(x, dtype=np.dtype(x.dtype))
    info = np.finfo(x.dtype)
    high = float(info.max) if posinf is None else posinf
    low = float(info.min) if neginf is None else neginf
    finite = ew.WHERE(x == np.inf, high, ew.WHERE(x == -np.inf, low, x))
    return ew.WHERE(ew.ISNAN(x), nan, finite)


@implements(np.real)
def real(val: Any) -> Any:
    """Real parts."""
    x = array(val)
    return x if x.dtype.kind != "c" else ew.REAL(x)


@implements(np.imag)
def imag(val: Any) -> Any:
    """Imaginary parts, zero for real numbers."""
    return ew.IMAG(array(val))


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """The argument of complex numbers, in radians unless `deg`."""
    z = array(z)
    if z.dtype.kind in "biu":
        z = astype(z, np.float64)
    found = ew.ARCTAN2(ew.IMAG(z), ew.REAL(z))
    return found * (180 / np.pi) if deg else found


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return ew.SIGMOID(operand(x))


def erf(x: Any) -> Any:
    """The error function, 2/sqrt(pi) times the integral of exp(-t**2) from 0 to x."""
    return ew.ERF(operand(x))


def erfc(x: Any) -> Any:
    """1 - erf(x), accurate where that is small."""
    return ew.ERFC(operand(x))


def softplus(x: Any) -> Any:
    """log(1 + exp(x))."""
    return ew.SOFTPLUS(operand(x))


def relu(x: Any) -> Any:
    """max(x, 0)."""
    return ew.MAXIMUM(operand(x), 0)
