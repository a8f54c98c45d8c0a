"""A user's function compiled by Numba as it stands, with the helpers it calls."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba
import numpy as np
from numba.core.errors import NumbaError, NumbaWarning

from .numba_overloads import numpy_for_numba


class NotCompilableError(Exception):
    """Numba's reason, in its first line."""


def compiled(
    function: FunctionType,
    helpers: set[FunctionType],
    prepared: Callable[[FunctionType], FunctionType],
) -> Callable[..., Any]:
    """The function under Numba: indices are checked, divisions by zero are NumPy's.

    helpers: functions among its globals that are compiled with it.  prepared: what is compiled for
    each.
    """
    made: dict[FunctionType, Any] = {}

    def jitted(written: FunctionType) -> Any:
        if written not in made:
            plain = prepared(written)
            made[written] = written  # one that calls itself stays Python's, and Numba says so
            known = plain.__globals__
            called = {n: known[n] for n in plain.__code__.co_names if is_helper(known.get(n))}
            ours = {n: numpy_for_numba() for n in plain.__code__.co_names if known.get(n) is np}
            copy = FunctionType(
                plain.__code__,
                known | ours | {n: jitted(helper) for n, helper in called.items()},
                plain.__name__,
                plain.__defaults__,
                plain.__closure__,
            )
            made[written] = numba.njit(error_model="numpy", boundscheck=True)(copy)
        return made[written]

    def is_helper(value: Any) -> bool:
        return isinstance(value, FunctionType) and value in helpers

    dispatcher = jitted(function)

    def call(*args: Any) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NumbaWarning)
                return dispatcher(*args)
        except NumbaError as error:
            raise NotCompilableError(str(error).strip().splitlines()[0]) from None

    return call
