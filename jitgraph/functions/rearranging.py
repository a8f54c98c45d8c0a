"""Elements moved, repeated and put side by side."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import CaptureError, ShapeError
from ..ops import elementwise as ew
from ..ops import views
from ..spec import as_shape, broadcast, normalize_axis
from ..spec import dims as sizes
from ..symbolic_int import SymbolicInt, to_dim
from .base import array, implements, operand, refuse
from .creation import full
from .indexing import getitem
from .products import concatenate
from .reductions import max, min, sum
from .views import broadcast_to, expand_dims, flip, moveaxis, ravel, reshape, swapaxes

__all__ = [
    "append", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "column_stack",
    "count_nonzero", "cross", "diagonal", "diff", "dstack", "fliplr", "flipud", "kron", "pad",
    "ptp", "repeat", "roll", "rot90", "split", "tile", "trace",
]  # fmt: skip


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """Elements moved along axes; those pushed out come in again at the other end."""
    a = array(a)
    if axis is None:
        return reshape(roll(ravel(a), shift, 0), a.shape)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    shifts = shift if isinstance(shift, (tuple, list)) else (shift,) * len(axes)
    if len(axes) == 1:
        axes = axes * len(shifts)
    if len(shifts) == 1:
        shifts = shifts * len(axes)
    moved = a
    for step, k in zip(shifts, axes, strict=True):
        moved = _rolled(moved, step, normalize_axis("roll", k, a.ndim))
    return ew.CAST(a, dtype=a.dtype) if moved is a else moved


def _rolled(a: Any, shift: Any, axis: int) -> Any:
    size = a.shape[axis]
    if size == 0 or shift == 0:
        return a
    if not (shift < size and -shift < size):
        shift = int(shift) % int(size)
        if shift == 0:
            return a
    return views.ROLL(a, axis=axis, offset=to_dim(size - shift if shift > 0 else -shift))


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: str = "constant", **options: Any) -> Any:
    """Margins of a constant, or of the border's elements, around an array."""
    a = operand(array)
    constant = options.pop("constant_values", 0)
    if mode not in ("constant", "edge") or options or np.ndim(constant):
        raise CaptureError(f"pad: mode {mode!r} with these options is not captured")
    widths = np.broadcast_to(np.asarray(pad_width), (a.ndim, 2)).tolist()
    shape = tuple(d + low + high for d, (low, high) in zip(a.shape, widths, strict=True))
    inner = tuple((low, 1, to_dim(d)) for d, (low, _) in zip(a.shape, widths, strict=True))
    padded = a
    if mode == "edge":
        for axis, (low, high) in enumerate(widths):
            padded = _edges(padded, axis, low, high)
        return ew.CAST(padded, dtype=a.dtype)
    whole = full(shape, constant, a.dtype)
    return views.UPDATE(whole, a, slices=inner)


def _edges(a: Any, axis: int, low: int, high: int) -> Any:
    first = getitem(a, (*[slice(None)] * axis, slice(0, 1)))
    last = getitem(a, (*[slice(None)] * axis, slice(-1, None)))
    parts = [repeat(first, low, axis)] if low else []
    parts.append(a)
    if high:
        parts.append(repeat(last, high, axis))
    return concatenate(parts, axis=axis)


@implements(np.repeat)
def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    """Each element several times in a row."""
    a = array(a)
    if not isinstance(repeats, (int, np.integer, SymbolicInt)):
        raise CaptureError("repeat: counts that differ are not captured")
    if axis is None or a.ndim == 0:
        a, axis = ravel(a), 0 if axis is None else axis
    k = normalize_axis("repeat", axis, a.ndim)
    spread = broadcast_to(expand_dims(a, k + 1), (*a.shape[: k + 1], repeats, *a.shape[k + 1 :]))
    return reshape(spread, (*a.shape[:k], a.shape[k] * repeats, *a.shape[k + 1 :]))


@implements(np.tile)
def tile(A: Any, reps: Any) -> Any:
    """An array repeated as a whole along its axes."""
    a = array(A)
    counts = list(reps) if isinstance(reps, (tuple, list)) else [reps]
    counts = [1] * (a.ndim - len(counts)) + counts
    while a.ndim < len(counts):
        a = expand_dims(a, 0)
    shape = tuple(d * n for d, n in zip(a.shape, counts, strict=True))
    pairs = tuple(x for d, n in zip(a.shape, counts, strict=True) for x in (n, d))
    apart = expand_dims(a, tuple(range(0, 2 * a.ndim, 2)))
    return ew.CAST(reshape(broadcast_to(apart, pairs), shape), dtype=a.dtype)


@implements(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along an axis, `n` times over."""
    refuse("diff", prepend=prepend, append=append)
    a = array(a)
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n}")
    lead = [slice(None)] * normalize_axis("diff", axis, a.ndim)
    for _ in range(n):
        later, earlier = getitem(a, (*lead, slice(1, None))), getitem(a, (*lead, slice(None, -1)))
        a = ew.NOT_EQUAL(later, earlier) if a.dtype == bool else later - earlier
    return a


@implements(np.diag)
def _diag(v: Any, k: int = 0) -> Any:
    """The diagonal of a matrix."""
    if array(v).ndim != 2:
        raise CaptureError("diag: a matrix made from its diagonal is not captured")
    return diagonal(v, k)


@implements(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The elements whose two indices differ by `offset`."""
    a = array(a)
    if a.ndim < 2:
        raise ShapeError("diag requires an array of at least two dimensions")
    axis1, axis2 = (normalize_axis("diagonal", k, a.ndim) for k in (axis1, axis2))
    if (axis1, axis2) != (a.ndim - 2, a.ndim - 1):
        a = moveaxis(a, (axis1, axis2), (-2, -1))
    rows, columns = a.shape[-2:]
    row, column = (0, offset) if offset >= 0 else (-offset, 0)
    height, width = rows - row, columns - column
    count = height if height <= width else width
    if not count > 0:
        count = 0
    flat = reshape(a, (*a.shape[:-2], rows * columns))
    start = row * columns + column
    stop = start + (count - 1) * (columns + 1) + 1 if count > 0 else start
    return getitem(flat, (..., slice(start, stop, int(columns) + 1)))


@implements(np.trace)
def trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Any:
    """Sum of a diagonal."""
    refuse("trace", out=out)
    return sum(diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


@implements(np.cross)
def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None
) -> Any:
    """The vector product of three-dimensional vectors along the last axis."""
    a, b = array(a), array(b)
    if axis not in (None, -1) or (axisa, axisb, axisc) != (-1, -1, -1):
        raise CaptureError("cross: axes other than the last are not captured")
    if not (sizes.same(to_dim(a.shape[-1]), 3) and sizes.same(to_dim(b.shape[-1]), 3)):
        raise CaptureError("cross: only three-dimensional vectors are captured")
    x, y = ([v[..., k] for k in range(3)] for v in (a, b))
    parts = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]]
    return concatenate([expand_dims(p, -1) for p in parts], axis=-1)


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    """Blocks of `b`, each times an element of `a`."""
    a, b = array(a), array(b)
    while a.ndim < b.ndim:
        a = expand_dims(a, 0)
    while b.ndim < a.ndim:
        b = expand_dims(b, 0)
    apart = expand_dims(a, tuple(range(1, 2 * a.ndim, 2)))
    blocks = expand_dims(b, tuple(range(0, 2 * b.ndim, 2)))
    shape = tuple(m * n for m, n in zip(a.shape, b.shape, strict=True))
    return reshape(apart * blocks, shape)


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    """Largest element less the smallest."""
    refuse("ptp", out=out)
    return max(a, axis=axis, keepdims=keepdims) - min(a, axis=axis, keepdims=keepdims)


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """How many elements are not zero."""
    return sum(ew.NOT_EQUAL(operand(a), 0), axis=axis, keepdims=keepdims)


@implements(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    """Two arrays one after the other, flattened unless an axis is given."""
    return concatenate([arr, values], axis=axis)


@implements(np.flipud)
def flipud(m: Any) -> Any:
    """Rows in reverse order."""
    return flip(m, 0)


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    """Columns in reverse order."""
    return flip(m, 1)


@implements(np.rot90)
def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    """A quarter turn, `k` times, from the first of two axes to the second."""
    m = array(m)
    turns = int(k) % 4
    if turns == 2:
        return flip(m, axes)
    if turns == 1:
        return swapaxes(flip(m, axes[1]), *axes)
    return flip(swapaxes(m, *axes), axes[1]) if turns == 3 else m


def _atleast(a: Any, ndim: int) -> Any:
    a = array(a)
    if a.ndim == 0:
        return reshape(a, (1,) * ndim)
    if a.ndim == 1 and ndim > 1:
        a = expand_dims(a, 0)
    return expand_dims(a, -1) if a.ndim == 2 and ndim == 3 else a


def _each(arrays: tuple[Any, ...], ndim: int) -> Any:
    made = tuple(_atleast(a, ndim) for a in arrays)
    return made[0] if len(made) == 1 else made


@implements(np.atleast_1d)
def atleast_1d(*arys: Any) -> Any:
    """Arrays with one axis or more."""
    return _each(arys, 1)


@implements(np.atleast_2d)
def atleast_2d(*arys: Any) -> Any:
    """Arrays with two axes or more."""
    return _each(arys, 2)


@implements(np.atleast_3d)
def atleast_3d(*arys: Any) -> Any:
    """Arrays with three axes or more."""
    return _each(arys, 3)


@implements(np.column_stack)
def column_stack(tup: Sequence[Any]) -> Any:
    """Columns side by side."""
    parts = [_atleast(a, 1) for a in tup]
    return concatenate([p if p.ndim > 1 else expand_dims(p, 1) for p in parts], axis=1)


@implements(np.dstack)
def dstack(tup: Sequence[Any]) -> Any:
    """Arrays joined along a third axis."""
    return concatenate([_atleast(a, 3) for a in tup], axis=2)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    """Views of one shape."""
    arrays = [array(a) for a in args]
    shape = broadcast("broadcast_arrays", [as_shape(a.shape) for a in arrays])
    return tuple(broadcast_to(a, shape) for a in arrays)


@implements(np.array_split)
def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Parts along an axis; the first ones are longer by one where the size is no multiple."""
    if not isinstance(indices_or_sections, (int, np.integer)):
        return split(ary, indices_or_sections, axis)
    a, parts = array(ary), int(indices_or_sections)
    if parts <= 0:
        raise ValueError("number sections must be larger than 0.")
    each, longer = divmod(int(a.shape[normalize_axis("split", axis, a.ndim)]), parts)
    return split(a, [each * n + builtins.min(n, longer) for n in range(1, parts)], axis)


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Parts along an axis, at positions or of equal size."""
    a = array(ary)
    k = normalize_axis("split", axis, a.ndim)
    if isinstance(indices_or_sections, (int, np.integer)):
        size, parts = int(a.shape[k]), int(indices_or_sections)
        if size % parts:
            raise ShapeError("array split does not result in an equal division")
        bounds = [size // parts * n for n in range(parts + 1)]
    else:
        bounds = [0, *indices_or_sections, a.shape[k]]
    lead = [slice(None)] * k
    return [getitem(a, (*lead, slice(i, j))) for i, j in pairwise(bounds)]
