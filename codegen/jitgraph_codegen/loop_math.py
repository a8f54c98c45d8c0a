"""The functions that generated loops call, under one name each.

Vectorised elementary functions come from `vector_math`; here are NumPy's integer and division
rules.  All of them are plain Python functions as well, so that generated code can be stepped
through with NUMBA_DISABLE_JIT=1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numba.core import types
from numba.extending import lower_builtin, type_callable

from .array_view import scratch
from .number_rules import RULES
from .transposing import transpose_tile
from .vector_math import (
    add_reassoc,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    cbrt,
    cos,
    cos_moderate,
    cosh,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    hypot,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    maximum,
    minimum,
    mul_reassoc,
    one_plus_tanh,
    pow,
    sigmoid,
    sin,
    sin_moderate,
    sinh,
    softplus,
    tan,
    tan_moderate,
    tanh,
)

__all__ = [
    "add_reassoc",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "assume",
    "cbrt",
    "conjugate",
    "cos",
    "cos_moderate",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "float_floor_divide",
    "float_fmod",
    "float_remainder",
    "hypot",
    "imag_part",
    "int_equal",
    "int_floor_divide",
    "int_fmod",
    "int_less",
    "int_remainder",
    "int_right_shift",
    "left_shift",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "maximum",
    "minimum",
    "mul_reassoc",
    "one_plus_tanh",
    "pow",
    "real_part",
    "scratch",
    "select",
    "sigmoid",
    "sin",
    "sin_moderate",
    "sinh",
    "softplus",
    "tan",
    "tan_moderate",
    "tanh",
    "transpose_tile",
    "uint_floor_divide",
    "uint_remainder",
    "uint_right_shift",
    "wrapped",
]  # fmt: skip


def assume(condition: bool) -> None:
    """Tell the compiler that this holds.  `assume(i >= 0)` spares each subscript the test for a
    negative index.
    """
    assert condition


@type_callable(assume)
def _type_assume(context: Any) -> Callable[..., types.Type]:
    return lambda condition: types.void


@lower_builtin(assume, types.Boolean)
def _lower_assume(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    builder.assume(args[0])
    return context.get_dummy_value()


def select(condition: Any, x: Any, y: Any) -> Any:
    """`x if condition else y` with both computed: no branch, so a loop around it vectorises."""
    return x if condition else y


@type_callable(select)
def _type_select(context: Any) -> Callable[..., types.Type | None]:
    def typer(condition: types.Type, x: types.Type, y: types.Type) -> types.Type | None:
        first, second = types.unliteral(x), types.unliteral(y)
        return first if first == second else None

    return typer


@lower_builtin(select, types.Boolean, types.Any, types.Any)
def _lower_select(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    condition = context.cast(builder, args[0], signature.args[0], types.boolean)
    x, y = (
        context.cast(builder, value, given, signature.return_type)
        for value, given in zip(args[1:], signature.args[1:], strict=True)
    )
    return builder.select(condition, x, y)


_numpy = njit(error_model="numpy")


(
    int_floor_divide, uint_floor_divide, int_remainder, uint_remainder, int_fmod, int_equal,
    int_less, left_shift, int_right_shift, uint_right_shift,
) = map(_numpy, RULES)  # fmt: skip


def float_fmod(x: Any, y: Any) -> Any:
    """Remainder with the sign of x, exact; NaN where y is 0."""
    return np.fmod(x, y)


@type_callable(float_fmod)
def _type_fmod(context: Any) -> Callable[..., types.Type | None]:
    return lambda x, y: x if x == y else None


@lower_builtin(float_fmod, types.Float, types.Float)
def _lower_fmod(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.frem(*args)


@_numpy
def float_remainder(x: Any, y: Any) -> Any:
    """fmod moved to the sign of y, as Python and NumPy define %; NaN where y is 0."""
    rest = float_fmod(x, y)
    if rest == 0:
        return math.copysign(rest, y)
    return rest + y if (y < 0) != (rest < 0) else rest


@_numpy
def float_floor_divide(x: Any, y: Any) -> Any:
    """floor(x / y) computed from the exact remainder, as NumPy computes it."""
    if y == 0:
        return x / y
    rest = float_fmod(x, y)
    quotient = (x - rest) / y
    if rest != 0 and (y < 0) != (rest < 0):
        quotient -= type(x)(1)
    if quotient == 0:
        return math.copysign(quotient, x / y)
    whole = np.floor(quotient)
    return whole + type(x)(1) if quotient - whole > 0.5 else whole


@_numpy
def conjugate(x: Any) -> Any:
    """The conjugate of a complex number."""
    return x.conjugate()


@_numpy
def real_part(x: Any) -> Any:
    """The real part."""
    return x.real


@_numpy
def imag_part(x: Any) -> Any:
    """The imaginary part, 0 of a real number."""
    return x.imag


@_numpy
def wrapped(index: Any, size: Any) -> Any:
    """An index below twice the size, modulo the size."""
    return select(index < size, index, index - size)
