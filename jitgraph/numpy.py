"""NumPy's namespace for arrays, Tensors and traced values alike, as the Python array API standard
(2024.12) names it plus NumPy's own names.

    import jitgraph.numpy as jnp
    jnp.concat([tensor, tensor])        # a Tensor, with its gradient
    jnp.linalg.solve(array, array)      # NumPy's result

Most names are NumPy's functions themselves, which hand Tensors and traced values to jitgraph; the
few that would turn them into arrays are replaced here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import fft, linalg

from .creation import tensor
from .functions import elementwise as _elementwise
from .functions.creation import asarray as _asarray
from .spec import promotion_type, spec_of
from .tensor import Tensor

__array_api_version__ = "2024.12"
__array_namespace_info__ = np.__array_namespace_info__

_OWN = frozenset(
    ("asarray", "astype", "can_cast", "fft", "from_dlpack", "isdtype", "linalg", "result_type")
)


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Any:
    """The object as an array: a Tensor or traced value stays one, all else is NumPy's."""
    if isinstance(obj, Tensor):
        if dtype is None or np.dtype(dtype) == obj.dtype:
            return tensor(obj) if copy else obj
        return _elementwise.astype(obj, dtype)
    if type(obj) is not np.ndarray and np.ndarray in type(obj).__mro__:
        return np.asanyarray(obj, dtype=dtype, copy=copy)
    return _asarray(obj, dtype, copy=copy, device=device)


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """Elements converted to `dtype`."""
    return _elementwise.astype(x, dtype, copy=copy)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """An array on the memory of another library's."""
    return np.from_dlpack(x, device=device, copy=copy)


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """The dtype that operations of these arrays, numbers and dtypes have."""
    found: np.dtype[Any] = np.result_type(*[_promoted(x) for x in arrays_and_dtypes])
    return found


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether a dtype, or that of an array, converts to another without loss."""
    is_dtype = isinstance(from_, (np.dtype, type, str))
    return bool(np.can_cast(from_ if is_dtype else from_.dtype, to))


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind, as in "real floating"."""
    return bool(np.isdtype(np.dtype(dtype), kind))


def _promoted(x: Any) -> Any:
    if isinstance(x, (np.dtype, type, str)):
        return x
    kind = promotion_type(spec_of(x)) if not hasattr(x, "dtype") else x.dtype
    return kind(0) if isinstance(kind, type) else kind


def __getattr__(name: str) -> Any:
    try:
        return getattr(np, name)
    except AttributeError:
        raise AttributeError(f"module 'jitgraph.numpy' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*dir(np), *_OWN})


__all__ = [
    "__array_api_version__", "__array_namespace_info__", "asarray", "astype", "can_cast", "fft",
    "from_dlpack", "isdtype", "linalg", "result_type",
]  # fmt: skip
