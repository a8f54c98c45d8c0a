"""How a function comes to stand for NumPy's, and what it accepts as an array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..errors import CaptureError
from ..interpreter import current_trace
from ..ops.elementwise import CAST
from ..spec import PYTHON_SCALARS
from ..symbolic_int import SymbolicInt

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}  # NumPy's -> ours

F = TypeVar("F", bound=Callable[..., Any])


def implements(*numpy_functions: Callable[..., Any]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for numpy_function in numpy_functions:
            FUNCTIONS[numpy_function] = function
        return function

    return decorate


def ours_for(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """What stands for a function of NumPy's, None for nothing; ours stand for themselves."""
    is_ours = function.__module__.startswith("jitgraph.")
    return function if is_ours else FUNCTIONS.get(function)


def operand(x: Any) -> Any:
    """A value operations accept: lists become arrays, Python scalars stay as they are."""
    if type(x) in _WITH_AXES or type(x) in PYTHON_SCALARS:
        return x
    return x if hasattr(x, "ndim") or isinstance(x, SymbolicInt) else np.asarray(x)


_WITH_AXES: set[type] = {np.ndarray}  # classes of values that are arrays as they are


def array(x: Any) -> Any:
    """Like `operand`, with Python scalars as 0-d arrays too."""
    if type(x) in _WITH_AXES:
        return x
    if isinstance(x, SymbolicInt):
        return current_trace().apply(CAST, (x,), {"dtype": np.dtype(np.int64)})
    if not hasattr(x, "ndim"):
        return np.asarray(x)
    _WITH_AXES.add(type(x))
    return x


def refuse(name: str, **unsupported: Any) -> None:
    for key, value in unsupported.items():
        if value is not None and value is not np._NoValue:
            raise CaptureError(f"{name}: the argument {key}= is not supported; drop it")
