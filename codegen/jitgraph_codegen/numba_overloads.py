"""What a function compiled as it stands calls instead of some of NumPy's functions."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numba.core import types
from numba.extending import overload

LONG = 512  # elements of vectors side by side, from which on BLAS's call is worth it


def dot(a: Any, b: Any, out: Any = None) -> Any:
    """`np.dot`; of vectors a loop, where Numba would copy parts of rows and columns for BLAS."""
    return np.dot(a, b) if out is None else np.dot(a, b, out)


@overload(dot, jit_options={"fastmath": {"reassoc", "contract"}})  # type: ignore[untyped-decorator]
def _dot(a: Any, b: Any, out: Any = None) -> Any:
    def into(a: Any, b: Any, out: Any = None) -> Any:
        return np.dot(a, b, out)

    if out is not None and not isinstance(out, (types.Omitted, types.NoneType)):
        return into

    def by_blas(a: Any, b: Any, out: Any = None) -> Any:
        return np.dot(a, b)

    if not _are_vectors(a, b):
        return by_blas
    zero = np.dtype(str(a.dtype)).type(0)
    adjacent = a.layout == b.layout == "C"

    def of_vectors(a: Any, b: Any, out: Any = None) -> Any:
        if a.shape[0] != b.shape[0]:
            raise ValueError("np.dot: the vectors have different lengths")
        if adjacent and a.shape[0] >= LONG:
            return np.dot(a, b)
        total = zero
        for k in range(a.shape[0]):
            total += a[k] * b[k]
        return total

    return of_vectors


def _are_vectors(a: Any, b: Any) -> bool:
    return all(
        isinstance(x, types.Array) and x.ndim == 1 and isinstance(x.dtype, types.Float)
        for x in (a, b)
    ) and bool(a.dtype == b.dtype)


@cache
def numpy_for_numba() -> ModuleType:
    """NumPy with these functions in place of its own."""
    module = ModuleType("numpy")
    vars(module).update(vars(np))
    module.dot = dot  # type: ignore[attr-defined]
    return module
