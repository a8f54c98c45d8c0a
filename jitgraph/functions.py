"""NumPy's functions on NumPy arrays, Tensors and tracers alike.

Each is written in operations of the table, so it runs eagerly, records on the tape, and is
captured.  Decorated with the NumPy function it stands for, so that `np.mean(x)` of a Tensor or a
tracer arrives here.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from .errors import CaptureError, DTypeError, ShapeError
from .ops import elementwise as ew
from .ops import library, reductions, views
from .ops.op import Op
from .spec import PYTHON_SCALARS, as_shape, check_dtype, normalize_axes, normalize_axis
from .spec import dims as sizes
from .symbolic import SymbolicInt, to_dim

__all__ = [
    "absolute",
    "add",
    "all",
    "any",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "argmax",
    "argmin",
    "astype",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "broadcast_to",
    "cbrt",
    "ceil",
    "clip",
    "concatenate",
    "copysign",
    "cos",
    "cosh",
    "deg2rad",
    "divide",
    "dot",
    "einsum",
    "equal",
    "exp",
    "exp2",
    "expand_dims",
    "expm1",
    "flip",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "greater",
    "greater_equal",
    "hypot",
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
    "log_softmax",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "moveaxis",
    "multiply",
    "nan_to_num",
    "negative",
    "not_equal",
    "positive",
    "power",
    "prod",
    "rad2deg",
    "ravel",
    "reciprocal",
    "relu",
    "remainder",
    "reshape",
    "right_shift",
    "rint",
    "round",
    "sigmoid",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "softmax",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "tan",
    "tanh",
    "transpose",
    "trunc",
    "var",
    "where",
]  # fmt: skip

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}  # NumPy's -> ours

F = TypeVar("F", bound=Callable[..., Any])


def implements(*numpy_functions: Callable[..., Any]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for numpy_function in numpy_functions:
            FUNCTIONS[numpy_function] = function
        return function

    return decorate


def operand(x: Any) -> Any:
    """A value operations accept: lists become arrays, Python scalars stay as they are."""
    return (
        x
        if hasattr(x, "ndim") or type(x) in PYTHON_SCALARS or isinstance(x, SymbolicInt)
        else np.asarray(x)
    )


def array(x: Any) -> Any:
    """Like `operand`, with Python scalars as 0-d arrays too."""
    return x if hasattr(x, "ndim") else np.asarray(x)


def _refuse(name: str, **unsupported: Any) -> None:
    for key, value in unsupported.items():
        if value is not None and value is not np._NoValue:
            raise CaptureError(f"{name}: the argument {key}= is not supported; drop it")


# elementwise


def _unary(op: Op) -> Callable[[Any], Any]:
    def function(x: Any, /) -> Any:
        return op(operand(x))

    return _documented(function, op)


def _binary(op: Op) -> Callable[[Any, Any], Any]:
    def function(x: Any, y: Any, /) -> Any:
        return op(operand(x), operand(y))

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
def where(condition: Any, x: Any, y: Any) -> Any:
    """`x` where the condition holds, `y` elsewhere; the three broadcast."""
    return ew.WHERE(operand(condition), operand(x), operand(y))


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
    _refuse("clip", out=out)
    low = a_min if a_min is not None else min
    high = a_max if a_max is not None else max
    x = operand(x)
    if low is not None:
        x = ew.MAXIMUM(x, operand(low))
    if high is not None:
        x = ew.MINIMUM(x, operand(high))
    return x


@implements(np.astype)
def astype(x: Any, dtype: Any, /, *, copy: bool = True) -> Any:
    """Elements converted to `dtype`, as C casts them."""
    target = np.dtype(dtype)
    check_dtype(target, "the target")
    x = array(x)
    return x if x.dtype == target and not isinstance(x, np.ndarray) else ew.CAST(x, dtype=target)


@implements(np.round)
def round(a: Any, decimals: int = 0, out: Any = None) -> Any:
    """Rounded to even in the given decimal place, by NumPy's own method: scale, rint, unscale."""
    _refuse("round", out=out)
    a = array(a)
    if a.dtype.kind in "iu" and decimals >= 0:
        return ew.POSITIVE(a)
    if decimals == 0:
        return ew.RINT(a)
    factor = 10.0 ** builtins.abs(decimals)
    return ew.RINT(a * factor) / factor if decimals > 0 else ew.RINT(a / factor) * factor


@implements(np.zeros_like, np.ones_like, np.full_like)
def _no_like(*args: Any, **kwargs: Any) -> Any:
    raise CaptureError("zeros_like, ones_like and full_like of a traced value are not captured yet")


@implements(np.nan_to_num)
def nan_to_num(
    x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    """NaN replaced by `nan`, infinities by the largest finite numbers or the ones given."""
    x = array(x)
    if x.dtype.kind != "f":
        return ew.POSITIVE(x)
    info = np.finfo(x.dtype)
    high = float(info.max) if posinf is None else posinf
    low = float(info.min) if neginf is None else neginf
    finite = ew.WHERE(x == np.inf, high, ew.WHERE(x == -np.inf, low, x))
    return ew.WHERE(ew.ISNAN(x), nan, finite)


# reductions


def _reduce(op: Op, x: Any, axis: Any, keepdims: Any) -> Any:
    axes = normalize_axes(op.name, axis, x.ndim)
    return op(x, axis=axes, keepdims=bool(keepdims) and keepdims is not np._NoValue)


def _accumulated(op: Op, x: Any, axis: Any, dtype: Any, keepdims: Any) -> Any:
    x = array(x)
    if dtype is not None:
        x = astype(x, dtype)
    elif x.ndim == 0 or axis == ():
        x = astype(x, op.spec(_scalar_spec(x), axis=(), keepdims=False).dtype)
    return x if x.ndim == 0 or axis == () else _reduce(op, x, axis, keepdims)


def _scalar_spec(x: Any) -> Any:
    from .spec import Spec

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
    _refuse("sum", out=out, initial=initial, where=where)
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
    _refuse("prod", out=out, initial=initial, where=where)
    return _accumulated(reductions.PROD, a, axis, dtype, keepdims)


def _extreme(op: Op, a: Any, axis: Any, out: Any, keepdims: Any, initial: Any, where: Any) -> Any:
    _refuse(op.name, out=out, initial=initial, where=where)
    a = array(a)
    return a if a.ndim == 0 or axis == () else _reduce(op, a, axis, keepdims)


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
    _refuse(op.name, out=out, where=where)
    a = array(a)
    return ew.NOT_EQUAL(a, 0) if a.ndim == 0 or axis == () else _reduce(op, a, axis, keepdims)


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
    _refuse(op.name, out=out)
    a = array(a)
    if a.ndim == 0:
        a = views.EXPAND_DIMS(a, axes=(0,))
    if isinstance(axis, tuple):
        raise DTypeError(f"{op.name}: axis must be one integer or None, not {axis}")
    return _reduce(op, a, axis, keepdims)


@implements(np.argmax)
def argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    """Position of the first largest element along an axis, or in the flattened array."""
    return _argument(reductions.ARGMAX, a, axis, out, keepdims)


@implements(np.argmin)
def argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    """Position of the first smallest element along an axis, or in the flattened array."""
    return _argument(reductions.ARGMIN, a, axis, out, keepdims)


def _count(x: Any, axis: Any) -> Any:
    total: Any = 1
    for k in normalize_axes("mean", axis, x.ndim):
        total = total * x.shape[k]
    return total


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
    _refuse("mean", out=out, where=where)
    a = array(a)
    if dtype is not None or a.dtype.kind in "biu":
        a = astype(a, dtype or np.float64)
    return sum(a, axis=axis, keepdims=keepdims) / _count(a, axis)


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
    _refuse("var", out=out, where=where)
    a = array(a)
    if dtype is not None or a.dtype.kind in "biu":
        a = astype(a, dtype or np.float64)
    if mean is None or mean is np._NoValue:
        mean = sum(a, axis=axis, keepdims=True) / _count(a, axis)
    if correction is not None and correction is not np._NoValue:
        ddof = correction
    deviation = a - mean
    divisor = _count(a, axis) - ddof
    if not isinstance(divisor, SymbolicInt):
        divisor = builtins.max(divisor, 0)
    return sum(deviation * deviation, axis=axis, keepdims=keepdims) / divisor


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
    top = max(x, axis=axis, keepdims=True)
    total = ew.LOG(sum(ew.EXP(x - top), axis=axis, keepdims=True)) + top
    return total if keepdims else squeeze(total, axis=normalize_axes("logsumexp", axis, x.ndim))


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) normalised to sum 1 along an axis."""
    e = ew.EXP(x - max(x, axis=axis, keepdims=True))
    return e / sum(e, axis=axis, keepdims=True)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Logarithm of `softmax`, without its underflow."""
    shifted = x - max(x, axis=axis, keepdims=True)
    return shifted - ew.LOG(sum(ew.EXP(shifted), axis=axis, keepdims=True))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + ew.EXP(-operand(x)))


def relu(x: Any) -> Any:
    """max(x, 0)."""
    return ew.MAXIMUM(operand(x), 0)


# views


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    """A view of the wanted shape, repeating along axes of size one."""
    return views.BROADCAST_TO(operand(array), shape=as_shape(shape))


@implements(np.reshape)
def reshape(a: Any, /, shape: Any = None, order: str = "C", *, copy: Any = None) -> Any:
    """The same elements in C order under another shape; one size may be -1."""
    if order != "C":
        raise CaptureError(f"reshape: order {order!r} is not supported; transpose first")
    return views.RESHAPE(array(a), shape=as_shape(shape))


@implements(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    """The elements in C order as one axis."""
    return reshape(a, (-1,), order=order)


@implements(np.transpose, np.permute_dims)
def transpose(a: Any, axes: Any = None) -> Any:
    """Axes permuted; reversed where none are given."""
    a = array(a)
    if axes is None:
        order = tuple(reversed(range(a.ndim)))
    else:
        order = tuple(normalize_axis("transpose", k, a.ndim) for k in axes)
    return views.TRANSPOSE(a, axes=order)


@implements(np.swapaxes)
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged."""
    a = array(a)
    order = list(range(a.ndim))
    i, j = (normalize_axis("swapaxes", k, a.ndim) for k in (axis1, axis2))
    order[i], order[j] = order[j], order[i]
    return views.TRANSPOSE(a, axes=tuple(order))


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """Axes moved to new positions, the others in their order."""
    a = array(a)
    sources = [normalize_axis("moveaxis", k, a.ndim) for k in _sequence(source)]
    targets = [normalize_axis("moveaxis", k, a.ndim) for k in _sequence(destination)]
    order = [k for k in range(a.ndim) if k not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        order.insert(target, axis)
    return views.TRANSPOSE(a, axes=tuple(order))


def _sequence(x: Any) -> Sequence[Any]:
    return x if isinstance(x, (tuple, list)) else (x,)


@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    """New axes of size one at these positions of the result."""
    a = array(a)
    ndim = a.ndim + len(_sequence(axis))
    return views.EXPAND_DIMS(a, axes=normalize_axes("expand_dims", axis, ndim))


@implements(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Any:
    """Without its axes of size one, or without the given ones."""
    a = array(a)
    if axis is None:
        axes = tuple(k for k, d in enumerate(a.shape) if d == 1)
    else:
        axes = normalize_axes("squeeze", axis, a.ndim)
    return views.SQUEEZE(a, axes=axes)


@implements(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    """Elements in reverse order along axes."""
    m = array(m)
    axes = normalize_axes("flip", axis, m.ndim)
    return getitem(m, tuple(slice(None, None, -1 if k in axes else None) for k in range(m.ndim)))


def getitem(x: Any, key: Any) -> Any:
    """`x[key]` for integers, slices, `...`, `None`, and one integer array in the first place."""
    from .errors import BoundsError

    items = list(key) if isinstance(key, tuple) else [key]
    if _is_index_array(items[0]) and len(items) == 1:
        return _take_rows(x, items[0])
    if bad := [i for i in items if not _is_basic(i)]:
        raise CaptureError(
            f"indexing with {type(bad[0]).__name__} is not captured yet; use np.take or where"
        )
    used = builtins.sum(i is not None and i is not Ellipsis for i in items)
    if used > x.ndim:
        raise BoundsError(f"too many indices: {used} for an array of {x.ndim} dimensions")
    at = next((k for k, i in enumerate(items) if i is Ellipsis), len(items))
    items[at : at + 1] = [slice(None)] * (x.ndim - used)
    return _basic_index(x, items)


def _basic_index(x: Any, items: list[Any]) -> Any:
    slices: list[views.Slice] = []
    dropped: list[int] = []
    new_axes: list[int] = []
    position = 0  # in the result
    for item in items:
        if item is None:
            new_axes.append(position)
            position += 1
            continue
        size = to_dim(x.shape[len(slices)])
        if isinstance(item, slice):
            slices.append(views.normalize_slice(item, size))
            position += 1
        else:
            dropped.append(len(slices))
            slices.append((_bounded(item, size, len(slices)), 1, 1))
    whole = [(0, 1, to_dim(d)) for d in x.shape]
    if slices != whole:
        x = views.SLICE(x, slices=tuple(slices))
    if dropped:
        x = views.SQUEEZE(x, axes=tuple(dropped))
    if new_axes:
        x = views.EXPAND_DIMS(x, axes=tuple(new_axes))
    return x


def _bounded(item: Any, size: Any, axis: int) -> Any:
    from .errors import BoundsError
    from .symbolic import add as plus

    position = to_dim(item)
    if not sizes.at_least(position, 0):
        position = plus(position, size)
    if not (sizes.at_least(position, 0) and not sizes.at_least(position, size)):
        raise BoundsError(
            f"index {item} is out of bounds for axis {axis} of size {sizes.shown([size])[1:-2]}"
        )
    return position


def _is_basic(item: Any) -> bool:
    if item is None or item is Ellipsis or isinstance(item, (slice, SymbolicInt)):
        return True
    return isinstance(item, (int, np.integer)) and not isinstance(item, bool)


def _is_index_array(item: Any) -> bool:
    if isinstance(item, (list, range)):
        return True
    return hasattr(item, "ndim") and item.ndim > 0 and np.dtype(item.dtype).kind in "iu"


def _take_rows(x: Any, index: Any) -> Any:
    index = array(index)
    rows = x.shape[0] if x.ndim else 0
    return library.TAKE(
        x, ew.WHERE(index < 0, index + rows, index) if _may_be_negative(index) else index
    )


def _may_be_negative(index: Any) -> bool:
    return bool(
        np.dtype(index.dtype).kind == "i"
        and not (isinstance(index, np.ndarray) and (index >= 0).all())
    )


# joining and products


@implements(np.concatenate)
def concatenate(arrays: Sequence[Any], /, axis: Any = 0, out: Any = None, **options: Any) -> Any:
    """Arrays joined along an existing axis (None: all of them flattened)."""
    _refuse("concatenate", out=out, **options)
    parts = [array(a) for a in arrays]
    if not parts:
        raise ShapeError("need at least one array to concatenate")
    if axis is None:
        parts, axis = [ravel(p) for p in parts], 0
    return library.CONCATENATE(*parts, axis=normalize_axis("concatenate", axis, parts[0].ndim))


@implements(np.stack)
def stack(arrays: Sequence[Any], axis: int = 0, out: Any = None) -> Any:
    """Arrays of one shape joined along a new axis."""
    _refuse("stack", out=out)
    parts = [expand_dims(a, axis) for a in arrays]
    if not parts:
        raise ShapeError("need at least one array to stack")
    return concatenate(parts, axis=normalize_axis("stack", axis, parts[0].ndim))


def matmul(x: Any, y: Any, /) -> Any:
    """Matrix product by NumPy's rules: leading axes broadcast, 1-d operands are a row and a
    column.
    """
    return library.MATMUL(array(x), array(y))


@implements(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    """Dot product of vectors, matrix product of matrices, `tensordot` of the last axes beyond."""
    _refuse("dot", out=out)
    a, b = array(a), array(b)
    if a.ndim == 0 or b.ndim == 0:
        return ew.MULTIPLY(a, b)
    if a.ndim <= 2 and b.ndim <= 2:
        return library.MATMUL(a, b)
    letters = "abcdefghijklmnopqrstuvwxyz"
    left = letters[: a.ndim]
    right = list(letters[a.ndim : a.ndim + b.ndim])
    right[-2 if b.ndim > 1 else 0] = left[-1]
    kept = left[:-1] + "".join(c for c in right if c != left[-1])
    return einsum(f"{left},{''.join(right)}->{kept}", a, b)


@implements(np.take)
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    """Elements at integer positions along an axis (None: of the flattened array)."""
    _refuse("take", out=out)
    if mode != "raise":
        raise CaptureError(f"take: mode {mode!r} is not supported")
    a = array(a)
    if axis is None:
        return _take_rows(ravel(a), indices)
    axis = normalize_axis("take", axis, a.ndim)
    index = array(indices)
    rows = _take_rows(moveaxis(a, axis, 0), index)
    return moveaxis(rows, tuple(range(index.ndim)), tuple(range(axis, axis + index.ndim)))


@implements(np.einsum)
def einsum(subscripts: str, *operands: Any, **options: Any) -> Any:
    """Einstein summation through matmul, multiplication and sum; operands contracted left to
    right.
    """
    from .einsum import contract

    options.pop("optimize", None)
    _refuse("einsum", **options)
    return contract(subscripts, [array(x) for x in operands])
