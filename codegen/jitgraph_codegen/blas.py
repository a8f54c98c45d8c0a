"""NumPy's own BLAS, by the addresses of its functions, for programs that do not go by Python.

Functions with 64-bit sizes are looked for in the library that NumPy's products use, so that both
share one pool of threads.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Mapping
from functools import cache

DTYPES = {"float32": "s", "float64": "d"}
_ROUTINES = ("gemm", "gemv", "dot")
_NAMES = ("scipy_cblas_{}64_", "cblas_{}64_")  # of NumPy's wheels, and of other builds


@cache
def addresses() -> Mapping[str, int]:
    """Addresses by names as in "sgemm"; empty where NumPy's BLAS has other functions."""
    core = importlib.import_module("numpy._core._multiarray_umath")
    library = ctypes.CDLL(core.__file__)
    for form in _NAMES:
        found = {
            name: _found(library, form.format(name))
            for letter in DTYPES.values()
            for name in (letter + routine for routine in _ROUTINES)
        }
        if all(found.values()):
            return {name: address for name, address in found.items() if address is not None}
    return {}


def _found(library: ctypes.CDLL, name: str) -> int | None:
    try:
        return ctypes.cast(library[name], ctypes.c_void_p).value
    except AttributeError:
        return None
