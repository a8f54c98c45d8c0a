"""Norms; the rest of `numpy.linalg` is LAPACK's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import CaptureError
from ..ops import elementwise as ew
from . import reductions
from .base import array, implements
from .elementwise import astype


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    """The 2-norm of all elements or along axes; of vectors also by `ord` 1, 2, inf, -inf and 0.

    Integers are taken as float64.  Matrix norms other than Frobenius's are left to NumPy.
    """
    x = array(x)
    kind = np.dtype(x.dtype).kind
    if kind not in "fiub":
        raise CaptureError(f"norm of {x.dtype} is not captured")
    x = x if kind == "f" else astype(x, np.float64)
    axes = (axis,) if isinstance(axis, (int, np.integer)) else axis
    count = x.ndim if axes is None else len(axes)
    options = {"axis": axes, "keepdims": keepdims}
    if ord is None or (ord == "fro" and count == 2) or (ord == 2 and count == 1):
        if ord is None and axes is not None and count > 2:
            raise CaptureError("NumPy refuses such axes")
        return ew.SQRT(reductions.sum(x * x, **options))
    if count != 1 or ord not in (1, 0, math.inf, -math.inf):
        raise CaptureError(f"norm of order {ord!r} over {count} axes is not captured")
    if ord == 0:
        return reductions.sum(astype(ew.NOT_EQUAL(x, 0), x.dtype), **options)
    if ord == 1:
        return reductions.sum(ew.ABSOLUTE(x), **options)
    extreme = reductions.max if ord > 0 else reductions.min
    return extreme(ew.ABSOLUTE(x), **options)
