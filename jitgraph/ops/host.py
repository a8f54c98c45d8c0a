"""Calls of functions that the graph does not know, in the middle of a program.

A `host` node calls the function; `host_result` nodes are the arrays and numbers it gave.  Sizes of
results are known when the program runs: they are symbols that the result brings; but in a loop or a
branch they are known before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import CaptureError
from ..spec import Spec, as_shape
from ..symbolic import Shape
from .op import DType, opaque


def _no_eval(*args: Any, **attrs: Any) -> Any:
    raise CaptureError("a host call belongs to the program it was captured in")


def _result(
    values: Any,
    *,
    position: int,
    shape: Shape,
    dtype: DType,
    weak: bool,
    scalar: bool,
    brings: bool,
) -> Any:
    return np.asarray(values[position])


HOST = opaque(
    "host",  # (token of the call before or none, arrays) -> token
    _no_eval,
    lambda *specs, call, after: Spec((), np.dtype(bool)),
)
HOST_RESULT = opaque(
    "host_result",
    _result,
    lambda token, *, position, shape, dtype, weak, scalar, brings: Spec(
        as_shape(shape), np.dtype(dtype), weak
    ),
)
