"""Arithmetic of Python numbers that are known only when a program runs.

It is Python's own: the results are `float`, `int` or `bool`, do not decide the dtype of arrays, and
a division by zero raises.  What can raise is carried out by Python between the kernels.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from jitgraph_codegen.program import DeoptimisedError

from ..spec import PYTHON_SCALARS, Spec
from .op import DType, Kind, Loop, Op, register

_FLOAT, _BOOL = np.dtype(np.float64), np.dtype(bool)


def _number(*specs: Spec) -> DType:
    for dtype in (np.dtype(np.complex128), _FLOAT):
        if any(s.dtype == dtype for s in specs):
            return dtype
    return np.dtype(np.int64)


def _quotient(*specs: Spec) -> DType:
    return _number(*specs, Spec((), _FLOAT))


def _magnitude(x: Spec) -> DType:
    return _FLOAT if x.dtype.kind == "c" else _number(x)


def _row(
    name: str, python: Callable[..., Any], loop: str | None, result: Any, within: Any = _number
) -> Op:
    """within: the dtype that operands are converted to."""

    def dtypes(*specs: Spec) -> tuple[DType, ...]:
        return *[within(*specs)] * len(specs), result(*specs)

    def spec(*specs: Spec) -> Spec:
        return Spec((), result(*specs), weak=True)

    kind = Kind.OPAQUE if loop is None else Kind.ELEMENTWISE
    row = None if loop is None else Loop(loop)
    return register(Op(f"scalar_{name}", kind, python, spec, loop=row, loop_dtypes=dtypes))


def _power(x: Any, y: Any) -> Any:
    result = x**y
    if isinstance(result, complex) and not isinstance(x, complex) and not isinstance(y, complex):
        raise DeoptimisedError(f"{x} ** {y} is complex")
    return result if isinstance(result, complex) else float(result)


ADD = _row("add", operator.add, "x + y", _number)
SUBTRACT = _row("subtract", operator.sub, "x - y", _number)
MULTIPLY = _row("multiply", operator.mul, "x * y", _number)
DIVIDE = _row("divide", operator.truediv, None, _quotient)
RATIO = _row("ratio", operator.truediv, "x / y", _quotient, _quotient)  # by what is not zero
SQRT = _row("sqrt", math.sqrt, "math.sqrt(x)", _quotient, _quotient)  # of what is not negative
FLOOR_DIVIDE = _row("floor_divide", operator.floordiv, None, _number)
REMAINDER = _row("remainder", operator.mod, None, _number)
POWER = _row("power", _power, None, _quotient)
NEGATIVE = _row("negative", operator.neg, "-x", _number)
POSITIVE = _row("positive", operator.pos, "x", _number)
ABSOLUTE = _row("absolute", abs, None, _magnitude)

ITEM = register(
    Op(
        "item",  # the element of an array of size one as a Python number
        Kind.OPAQUE,
        lambda x: np.asarray(x).item(),
        lambda x: Spec((), _number(x) if x.dtype.kind != "b" else _BOOL, weak=True),
    )
)

_truth: dict[str, Any] = {"result": lambda *specs: _BOOL}
EQUAL = _row("equal", operator.eq, "x == y", **_truth)
NOT_EQUAL = _row("not_equal", operator.ne, "x != y", **_truth)
LESS = _row("less", operator.lt, "x < y", **_truth)
LESS_EQUAL = _row("less_equal", operator.le, "x <= y", **_truth)
GREATER = _row("greater", operator.gt, "x > y", **_truth)
GREATER_EQUAL = _row("greater_equal", operator.ge, "x >= y", **_truth)


def is_python_number(value: Any) -> bool:
    return type(value) in PYTHON_SCALARS
