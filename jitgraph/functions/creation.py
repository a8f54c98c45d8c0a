"""Arrays made from sizes and numbers: NumPy arrays, or values of the graph while one is captured.

Names and arguments are NumPy's; `jitgraph.zeros` and its like, which make Tensors, are in
`jitgraph.creation`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import CaptureError, DTypeError
from ..interpreter import create
from ..ops import elementwise as ew
from ..ops import views
from ..spec import PYTHON_SCALARS, as_shape, check_dtype
from ..symbolic_int import SymbolicInt, to_dim
from . import elementwise as fe
from .base import F, implements, refuse
from .base import array as as_operand
from .products import stack
from .views import broadcast_to, expand_dims, moveaxis, reshape

CREATORS: set[Any] = set()  # NumPy functions that make arrays from no array


def creates(*numpy_functions: Any) -> Callable[[F], F]:
    """For a function that makes an array whatever its arguments are."""
    CREATORS.update(numpy_functions)
    return implements(*numpy_functions)


def _c_order(name: str, order: Any, like: Any = None, device: Any = None) -> None:
    refuse(name, like=like)
    if order not in ("C", "K", "A", None):
        raise CaptureError(f"{name}: order {order!r} is not captured; transpose instead")
    if device not in (None, "cpu"):
        raise CaptureError(f"{name}: device {device!r} is not known; NumPy has the cpu")


def _dtype(dtype: Any) -> np.dtype[Any]:
    found = np.dtype(dtype if dtype is not None else np.float64)
    check_dtype(found, "the array to make")
    return found


@creates(np.full)
def full(
    shape: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "C",
    *,
    device: Any = None,
    like: Any = None,
) -> Any:
    """One value everywhere; its dtype decides unless one is given."""
    _c_order("full", order, like, device)
    if dtype is None and type(fill_value) in PYTHON_SCALARS:
        dtype = PYTHON_SCALARS[type(fill_value)]
    elif dtype is None:
        dtype = fill_value.dtype if hasattr(fill_value, "dtype") else np.asarray(fill_value).dtype
    found = _dtype(dtype)
    if type(fill_value) in PYTHON_SCALARS or isinstance(fill_value, np.generic):
        return create(views.FULL, np.array(fill_value, found)[()], shape=as_shape(shape))
    value = ew.CAST(as_operand(fill_value), dtype=found)
    if value.ndim:
        return ew.CAST(broadcast_to(value, as_shape(shape)), dtype=found)
    return create(views.FULL, value, shape=as_shape(shape))


@creates(np.zeros, np.empty)
def zeros(
    shape: Any, dtype: Any = float, order: str = "C", *, device: Any = None, like: Any = None
) -> Any:
    """Zeros.  `np.empty`, whose elements are anything, is zeros too."""
    return full(shape, 0, _dtype(dtype), order, device=device, like=like)


@creates(np.ones)
def ones(
    shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None, like: Any = None
) -> Any:
    """Ones."""
    return full(shape, 1, _dtype(dtype), order, device=device, like=like)


def _like(a: Any, value: Any, dtype: Any, order: str, subok: bool, shape: Any, device: Any) -> Any:
    a = as_operand(a)
    size = a.shape if shape is None else shape
    return full(size, value, a.dtype if dtype is None else dtype, order, device=device)


@implements(np.zeros_like, np.empty_like)
def zeros_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None,
    *, device: Any = None,
) -> Any:  # fmt: skip
    """Zeros of another array's shape and dtype."""
    return _like(a, 0, dtype, order, subok, shape, device)


@implements(np.ones_like)
def ones_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None,
    *, device: Any = None,
) -> Any:  # fmt: skip
    """Ones of another array's shape and dtype."""
    return _like(a, 1, dtype, order, subok, shape, device)


@implements(np.full_like)
def full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True,
    shape: Any = None, *, device: Any = None,
) -> Any:  # fmt: skip
    """One value everywhere, in another array's shape and dtype."""
    return _like(a, fill_value, dtype, order, subok, shape, device)


@creates(np.arange)
def arange(
    start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, *, device: Any = None,
    like: Any = None,
) -> Any:  # fmt: skip
    """`start + k * step` for k from 0 while below `stop`."""
    _c_order("arange", None, like, device)
    if stop is None:
        start, stop = 0, start
    if step is None:
        step = 1
    parts = (start, stop, step)
    if not all(isinstance(p, (int, float, SymbolicInt, np.integer, np.floating)) for p in parts):
        raise CaptureError("arange: bounds that are traced values make a size that is not known")
    if any(isinstance(p, (float, np.floating)) for p in parts):
        plain = [int(p) if isinstance(p, SymbolicInt) else p for p in parts]
        return _arange_of_floats(plain[0], plain[1], plain[2], dtype)
    size = _steps(start, stop, int(step))
    found = np.dtype(np.int64 if dtype is None else dtype)
    index = create(ew.IOTA, size=to_dim(size), dtype=found)
    if step != 1:
        index = index * int(step)
    return index if isinstance(start, int) and start == 0 else index + _scalar(start, found)


def _steps(start: Any, stop: Any, step: int) -> Any:
    if step == 0:
        raise ZeroDivisionError("arange: the step is zero")
    span = stop - start if step > 0 else start - stop
    width = abs(step)
    if not span > 0:
        return 0
    return span if width == 1 else (span + (width - 1)) // width


def _scalar(value: Any, dtype: np.dtype[Any]) -> Any:
    return value if isinstance(value, SymbolicInt) else dtype.type(value)


def _arange_of_floats(start: float, stop: float, step: float, dtype: Any) -> Any:
    size = max(0, math.ceil((stop - start) / step))
    found = np.dtype(dtype) if dtype is not None else np.result_type(start, stop, step, 1.0)
    index = create(ew.IOTA, size=size, dtype=found)
    first = found.type(start)
    return index * (found.type(start + step) - first) + first


@creates(np.linspace)
def linspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, retstep: bool = False,
    dtype: Any = None, axis: int = 0, *, device: Any = None,
) -> Any:  # fmt: skip
    """`num` values evenly from start to stop, which is the last one unless `endpoint` is false."""
    _c_order("linspace", None, None, device)
    numbers = all(isinstance(x, (int, float, SymbolicInt)) for x in (start, stop))
    if not numbers or isinstance(start, bool) or isinstance(stop, bool) or axis:
        raise CaptureError("linspace: bounds that are arrays are not captured")
    intervals = num - 1 if endpoint else num
    found = np.dtype(float if dtype is None else dtype)
    index = create(ew.IOTA, size=to_dim(num), dtype=np.dtype(float))
    step = (stop - start) / intervals if intervals > 0 else math.nan
    values = index * step + start if intervals > 0 else index * 1.0 + start
    if endpoint and num > 1:
        values = ew.WHERE(index == num - 1, stop * 1.0, values)
    if found.kind in "iu":
        values = fe.floor(values)
    values = fe.astype(values, found, copy=False)
    return (values, step) if retstep else values


@creates(np.eye, np.identity)
def eye(
    N: Any, M: Any = None, k: int = 0, dtype: Any = float, order: str = "C", *,
    device: Any = None, like: Any = None,
) -> Any:  # fmt: skip
    """Ones on the k-th diagonal, zeros elsewhere."""
    _c_order("eye", order, like, device)
    rows, columns = _positions(N, N if M is None else M)
    return fe.astype(columns - rows == k, _dtype(dtype))


def _positions(n: Any, m: Any) -> tuple[Any, Any]:
    """Row and column numbers of an n x m matrix, to broadcast."""
    rows = create(ew.IOTA, size=to_dim(n), dtype=np.dtype(np.int64))
    columns = create(ew.IOTA, size=to_dim(m), dtype=np.dtype(np.int64))
    return expand_dims(rows, 1), expand_dims(columns, 0)


@creates(np.tri)
def tri(N: Any, M: Any = None, k: int = 0, dtype: Any = float, *, like: Any = None) -> Any:
    """Ones at and below the k-th diagonal."""
    refuse("tri", like=like)
    rows, columns = _positions(N, N if M is None else M)
    return fe.astype(columns <= rows + k, _dtype(dtype))


def _triangle(m: Any, k: int, lower: bool) -> Any:
    m = as_operand(m)
    if m.ndim == 1:
        m = broadcast_to(m, (m.shape[0], m.shape[0]))
    rows, columns = _positions(*m.shape[-2:])
    kept = columns <= rows + k if lower else columns >= rows + k
    return ew.WHERE(kept, m, np.zeros((), m.dtype)[()])


@implements(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    """Zeros above the k-th diagonal of the last two axes."""
    return _triangle(m, k, lower=True)


@implements(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    """Zeros below the k-th diagonal of the last two axes."""
    return _triangle(m, k, lower=False)


@implements(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    """Coordinates of a grid from those of its axes."""
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    axes = [reshape(as_operand(x), (-1,)) for x in xi]
    count = len(axes)
    grids = [
        reshape(x, tuple(x.shape[0] if j == k else 1 for j in range(count)))
        for k, x in enumerate(axes)
    ]
    shape = tuple(x.shape[0] for x in axes)
    if not sparse:
        grids = [broadcast_to(g, shape) for g in grids]
    if indexing == "xy" and count > 1:
        grids = [moveaxis(g, 0, 1) for g in grids]
    return tuple(ew.CAST(g, dtype=g.dtype) for g in grids) if copy else tuple(grids)


@creates(np.indices)
def indices(dimensions: Any, dtype: Any = int, sparse: bool = False) -> Any:
    """Row numbers, column numbers, ... of an array's elements."""
    shape = as_shape(dimensions)
    grids = []
    for k, size in enumerate(shape):
        index = create(ew.IOTA, size=size, dtype=np.dtype(dtype))
        index = reshape(index, tuple(size if j == k else 1 for j in range(len(shape))))
        grids.append(index if sparse else broadcast_to(index, shape))
    return tuple(grids) if sparse else stack(grids)


@implements(np.array, np.asfortranarray)
def array(
    a: Any, dtype: Any = None, *, copy: Any = True, order: Any = "K", subok: bool = False,
    ndmin: int = 0, like: Any = None, device: Any = None,
) -> Any:  # fmt: skip
    """An array of its own from arrays, numbers and nested lists of them."""
    _c_order("array", order, like, device)
    if not copy:
        raise CaptureError("array: copy=None, which may give the array itself, is not captured")
    made = _joined(a)
    while made.ndim < ndmin:
        made = expand_dims(made, 0)
    return ew.CAST(made, dtype=np.dtype(dtype if dtype is not None else made.dtype))


@implements(np.copy)
def copy(a: Any, order: Any = "K", subok: bool = False) -> Any:
    """An array of its own with the same elements."""
    return array(a, order=order)


@implements(np.asarray, np.ascontiguousarray, np.asanyarray)
def asarray(
    a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, like: Any = None,
    device: Any = None,
) -> Any:  # fmt: skip
    """The same array where it has the dtype asked for, or a new one."""
    _c_order("asarray", order, like, device)
    made = _joined(a)
    target = np.dtype(dtype if dtype is not None else made.dtype)
    return made if made.dtype == target and not copy else ew.CAST(made, dtype=target)


def _joined(a: Any) -> Any:
    if not isinstance(a, (list, tuple)):
        return as_operand(a)
    parts = [_joined(item) for item in a]
    if not parts or not any(type(p) is not np.ndarray for p in parts):
        return np.array(a)
    dtype = _common_dtype(a)
    return stack([ew.CAST(p, dtype=dtype) for p in parts])


def _common_dtype(a: Any) -> np.dtype[Any]:
    if isinstance(a, (list, tuple)):
        common: np.dtype[Any] = np.result_type(*map(_common_dtype, a))
        return common
    if hasattr(a, "dtype"):
        own: np.dtype[Any] = np.dtype(a.dtype)
        return own
    if isinstance(a, SymbolicInt):
        return np.dtype(np.int64)
    found: np.dtype[Any] = np.asarray(a).dtype
    if found.kind == "O":
        raise DTypeError(f"an array of {type(a).__name__} objects can't be made")
    return found
