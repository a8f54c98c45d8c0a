"""What transforms take for arguments and results: arrays, Tensors, traced values and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functions as F
from ..errors import ShapeError, user_line
from ..interpreter import current_trace
from ..spec import is_inexact
from ..tape import is_differentiated
from ..tensor import Tensor
from ..tree import flatten

_INEXACT = (float, complex, np.inexact)


def of_arrays(arguments: Any) -> bool:
    """Whether a call is one of NumPy's arrays, not of Tensors or of values that are traced."""
    leaves, _ = flatten(arguments)
    return current_trace() is None and not any(isinstance(leaf, Tensor) for leaf in leaves)


def as_array(leaf: Any) -> Any:
    if not isinstance(leaf, Tensor) or is_differentiated(leaf):
        return leaf
    return leaf.data if leaf.ndim else leaf.data[()]


def with_aux(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError("the function is to give a pair: its value, and what comes with it")
    return result


def is_differentiable(leaf: Any) -> bool:
    """Whether it is a real or complex number, or an array of these."""
    if isinstance(leaf, _INEXACT):
        return True
    return hasattr(leaf, "dtype") and is_inexact(leaf.dtype)


def array_of(leaf: Any) -> Any:
    """Python's numbers are differentiated in double precision."""
    return np.asarray(leaf) if isinstance(leaf, (float, complex)) else leaf


def seed_of(seed: Any, result: Any) -> Any:
    """A cotangent in the dtype of the value."""
    shape = np.shape(seed) if not hasattr(seed, "shape") else seed.shape
    wanted = getattr(result, "shape", ())
    if len(shape) != len(wanted) or any(a != b for a, b in zip(shape, wanted, strict=True)):
        raise ShapeError(
            f"a cotangent of shape {tuple(shape)} is given for a value of shape {tuple(wanted)} "
            f"({user_line()})"
        )
    dtype = np.dtype(getattr(result, "dtype", np.float64))
    return F.astype(seed, dtype, copy=False) if hasattr(seed, "ndim") else dtype.type(seed)
