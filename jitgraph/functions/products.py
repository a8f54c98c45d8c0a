"""Joining arrays, matrix products, and gathers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import CaptureError, ShapeError
from ..interpreter import apply
from ..ops import elementwise as ew
from ..ops import library
from ..spec import normalize_axis
from .base import array, implements, refuse
from .einsum import contract
from .indexing import take_axis
from .views import expand_dims, ravel

__all__ = [
    "concatenate",
    "dot",
    "einsum",
    "hstack",
    "matmul",
    "outer",
    "stack",
    "take",
    "vstack",
]  # fmt: skip


@implements(np.concatenate)
def concatenate(
    arrays: Sequence[Any], /, axis: Any = 0, out: Any = None, dtype: Any = None, casting: Any = None
) -> Any:
    """Arrays joined along an existing axis (None: all of them flattened)."""
    if not (out is dtype is casting is None):
        refuse("concatenate", out=out, dtype=dtype, casting=casting)
    parts = tuple(map(array, arrays))
    if not parts:
        raise ShapeError("need at least one array to concatenate")
    if axis is None:
        parts, axis = tuple(map(ravel, parts)), 0
    axis = normalize_axis("concatenate", axis, parts[0].ndim)
    return apply(library.CONCATENATE, parts, {"axis": axis})


@implements(np.stack)
def stack(arrays: Sequence[Any], axis: int = 0, out: Any = None) -> Any:
    """Arrays of one shape joined along a new axis."""
    refuse("stack", out=out)
    parts = [expand_dims(a, axis) for a in arrays]
    if not parts:
        raise ShapeError("need at least one array to stack")
    return concatenate(parts, axis=normalize_axis("stack", axis, parts[0].ndim))


@implements(np.vstack)
def vstack(tup: Sequence[Any]) -> Any:
    """Rows, or arrays of rows, one below the other."""
    parts = [a if a.ndim else expand_dims(a, 0) for a in map(array, tup)]
    return concatenate([p if p.ndim > 1 else expand_dims(p, 0) for p in parts])


@implements(np.hstack)
def hstack(tup: Sequence[Any]) -> Any:
    """Arrays joined along the second axis; vectors along their only one."""
    parts = [a if a.ndim else expand_dims(a, 0) for a in map(array, tup)]
    return concatenate(parts, axis=0 if parts and parts[0].ndim == 1 else 1)


@implements(np.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    """Products of all pairs of elements of two (flattened) arrays."""
    refuse("outer", out=out)
    a, b = (v if v.ndim == 1 else ravel(v) for v in (array(a), array(b)))
    return ew.MULTIPLY(expand_dims(a, 1), expand_dims(b, 0))


def matmul(x: Any, y: Any, /) -> Any:
    """Matrix product by NumPy's rules: leading axes broadcast, 1-d operands are a row and a
    column.
    """
    return apply(library.MATMUL, (array(x), array(y)), {})


@implements(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    """Dot product of vectors, matrix product of matrices, `tensordot` of the last axes beyond."""
    if out is not None:
        refuse("dot", out=out)
    a, b = array(a), array(b)
    if 1 <= a.ndim <= 2 and 1 <= b.ndim <= 2:
        return apply(library.MATMUL, (a, b), {})
    if a.ndim == 0 or b.ndim == 0:
        return ew.MULTIPLY(a, b)
    letters = "abcdefghijklmnopqrstuvwxyz"
    left = letters[: a.ndim]
    right = list(letters[a.ndim : a.ndim + b.ndim])
    right[-2 if b.ndim > 1 else 0] = left[-1]
    kept = left[:-1] + "".join(c for c in right if c != left[-1])
    return einsum(f"{left},{''.join(right)}->{kept}", a, b)


@implements(np.take)
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    """Elements at integer positions along an axis (None: of the flattened array)."""
    if out is not None:
        refuse("take", out=out)
    if mode != "raise":
        raise CaptureError(f"take: mode {mode!r} is not supported")
    a = array(a)
    if axis is None:
        return take_axis(ravel(a), indices, 0)
    return take_axis(a, indices, normalize_axis("take", axis, a.ndim))


@implements(np.einsum)
def einsum(subscripts: str, *operands: Any, **options: Any) -> Any:
    """Einstein summation through matmul, multiplication and sum; operands contracted left to
    right.
    """
    if not isinstance(subscripts, str):
        raise CaptureError("einsum of lists of axes is not captured; name them by letters")
    options.pop("optimize", None)
    refuse("einsum", **options)
    return contract(subscripts, [array(x) for x in operands])
