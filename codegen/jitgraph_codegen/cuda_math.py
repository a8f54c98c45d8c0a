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
    "float_fmod",
    "hypot",
    "int_equal",
    "int_less",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "maximum",
    "minimum",
    "pow",
    "select",
    "sin",
    "sinh",
    "softplus",
    "tan",
    "tanh",
    "wrapped",
]  # fmt: skip

_inline = cuda.jit(device=True, inline="always")


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
def int_equal(x: Any, y: Any) -> Any:
    """x == y of a signed and an unsigned 64-bit integer."""
    return (x >= 0) & (y >= 0) & (np.uint64(x) == np.uint64(y))


@_inline
def int_less(x: Any, y: Any) -> Any:
    """x < y of a signed and an unsigned 64-bit integer."""
    return (x < 0) | ((y >= 0) & (np.uint64(x) < np.uint64(y)))


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
