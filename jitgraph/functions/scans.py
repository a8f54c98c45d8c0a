"""Running sums, products and extremes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import CaptureError, DTypeError
from ..interpreter import apply
from ..ops import Op, scans
from ..spec import normalize_axis
from .base import array, implements, refuse
from .elementwise import astype
from .views import ravel

__all__ = ["cumprod", "cumsum"]


def _running(op: Op, a: Any, axis: Any, dtype: Any) -> Any:
    a = array(a)
    if dtype is not None:
        a = astype(a, dtype)
    if axis is None or a.ndim == 0:
        a, axis = ravel(a), 0 if axis is None else axis
    found = apply(op, (a,), {"axis": normalize_axis(op.name, axis, a.ndim)})
    return found if dtype is None or found.dtype == np.dtype(dtype) else astype(found, dtype)


def accumulate(ufunc: np.ufunc, a: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
    """`ufunc.accumulate` of add, multiply, maximum and minimum."""
    refuse("accumulate", out=out)
    op = _ACCUMULATED.get(ufunc)
    if op is None or (dtype is not None and op in (scans.CUMMAX, scans.CUMMIN)):
        raise CaptureError(f"np.{ufunc.__name__}.accumulate is not one of jitgraph's operations")
    if array(a).ndim == 0:
        raise DTypeError("cannot accumulate on a scalar")
    return _running(op, a, axis, dtype)


_ACCUMULATED: dict[np.ufunc, Op] = {
    np.add: scans.CUMSUM,
    np.multiply: scans.CUMPROD,
    np.maximum: scans.CUMMAX,
    np.minimum: scans.CUMMIN,
}


@implements(np.cumsum)
def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Sums of the first one, two, three... elements along an axis, or of all in C order."""
    if out is not None:
        refuse("cumsum", out=out)
    return _running(scans.CUMSUM, a, axis, dtype)


@implements(np.cumprod)
def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Products of the first one, two, three... elements along an axis, or of all in C order."""
    refuse("cumprod", out=out)
    return _running(scans.CUMPROD, a, axis, dtype)
