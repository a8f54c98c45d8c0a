import math

import numpy as np
from numba import njit
from jitgraph_codegen.loop_math import assume

float32 = np.float32


@njit(error_model="numpy", fastmath={"contract"})
def laplace_0(x, out, n3, lo, hi):
    """test_golden.py:29  add, add, add, multiply"""
    for i in range(lo, hi):
        assume(i >= 0)
        for j in range(n3):
            t5 = x[i + 2, j + 1]
            t6 = x[i + 1, j] + x[i + 1, j + 2] + x[i, j + 1] + t5
            out[i, j] = float32(0.25) * t6


def program(a0, sizes):
    (s0, s1) = sizes
    t0 = empty((s0 - 2, s1 - 2), float32)
    laplace_0((a0, t0), (s0, s1, s0 - 2, s1 - 2), s0 - 2, (s0 - 2)*(s1 - 2)*8)
    return (t0,)
