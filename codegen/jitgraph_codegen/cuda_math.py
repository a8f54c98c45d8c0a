"""The functions generated CUDA code calls, inlined into the kernel.

The names are those of `loop_math`; the elementary functions are libdevice's, through Python's
`math`.
"""

from __future__ import annotations

import math
from math import acos as arccos
from math import acosh as arccosh
from math import asin as arcsin
from math import asinh as arcsinh
from math import atan as arctan
from math import atan2 as arctan2
from math import atanh as arctanh
from math import (
    cos,
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
    pow,
    sin,
    sinh,
    tan,
    tanh,
)
from math import fmod as float_fmod
from typing import Any

import numpy as np
from numba import cuda

from .number_rules import RULES

__all__ = [
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "block_all",
    "block_any",
    "block_max",
    "block_min",
    "block_prod",
    "block_sum",
    "cbrt",
    "cos",
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
    "pow",
    "select",
    "sigmoid",
    "sin",
    "sinh",
    "softplus",
    "tan",
    "tanh",
    "uint_floor_divide",
    "uint_remainder",
    "uint_right_shift",
    "wrapped",
]  # fmt: skip

_inline = cuda.jit(device=True, inline="always")

(
    int_floor_divide, uint_floor_divide, int_remainder, uint_remainder, int_fmod, int_equal,
    int_less, left_shift, int_right_shift, uint_right_shift,
) = map(_inline, RULES)  # fmt: skip


@_inline
def float_remainder(x: Any, y: Any) -> Any:
    """fmod moved to the sign of y, as Python and NumPy define %; NaN where y is 0."""
    rest = float_fmod(x, y)
    if rest == 0:
        return math.copysign(rest, y)
    return rest + y if (y < 0) != (rest < 0) else rest


@_inline
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
    whole = type(x)(math.floor(quotient))
    return whole + type(x)(1) if quotient - whole > 0.5 else whole


@_inline
def maximum(x: Any, y: Any) -> Any:
    """The larger number; a NaN if either is one."""
    return x if x > y or x != x else y


@_inline
def minimum(x: Any, y: Any) -> Any:
    """The smaller number; a NaN if either is one."""
    return x if x < y or x != x else y


@_inline
def select(condition: Any, x: Any, y: Any) -> Any:
    """`x if condition else y`."""
    return x if condition else y


@_inline
def cbrt(x: Any) -> Any:
    """The real cube root."""
    return math.copysign(abs(x) ** (type(x)(1) / type(x)(3)), x)


@_inline
def wrapped(index: Any, size: Any) -> Any:
    """An index below twice the size, modulo the size."""
    return select(index < size, index, index - size)


@_inline
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return type(x)(1) / (type(x)(1) + math.exp(-x))


@_inline
def softplus(x: Any) -> Any:
    """log(1 + exp(x)) without overflow."""
    return max(x, type(x)(0)) + math.log1p(math.exp(-abs(x)))


@_inline
def logaddexp(x: Any, y: Any) -> Any:
    """log(exp(x) + exp(y)) without overflow."""
    return max(x, y) + math.log1p(math.exp(-abs(x - y))) if x != y else x + math.log(2.0)


@_inline
def _sum(x: Any, y: Any) -> Any:
    return x + y


@_inline
def _product(x: Any, y: Any) -> Any:
    return x * y


def _block(combine: Any) -> Any:
    """`function(value, shared)`: each thread's value combined in a fixed order, for all threads."""

    @_inline
    def function(value: Any, shared: Any) -> Any:
        thread = cuda.threadIdx.x
        shared[thread] = value
        cuda.syncthreads()
        step = cuda.blockDim.x // 2
        while step > 0:
            if thread < step:
                shared[thread] = combine(shared[thread], shared[thread + step])
            cuda.syncthreads()
            step //= 2
        total = shared[0]
        cuda.syncthreads()
        return total

    return function


block_sum, block_prod = _block(_sum), _block(_product)
block_max, block_min = _block(maximum), _block(minimum)


@_inline
def block_any(value: Any, shared: Any) -> Any:
    """Whether any thread's value is true."""
    return cuda.syncthreads_or(np.int32(value)) != 0


@_inline
def block_all(value: Any, shared: Any) -> Any:
    """Whether every thread's value is true."""
    return cuda.syncthreads_and(np.int32(value)) != 0
