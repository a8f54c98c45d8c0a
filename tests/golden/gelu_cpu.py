import math

import numpy as np
from numba import njit
from jitgraph_codegen.loop_math import assume, one_plus_tanh

float32 = np.float32


@njit(error_model="numpy", fastmath={"contract"})
def gelu_0(x, b, out, n1, lo, hi):
    """test_golden.py:14  add
    test_golden.py:15  multiply, power, multiply, add, multiply, tanh, add, multiply
    """
    for i in range(lo, hi):
        assume(i >= 0)
        for j in range(n1):
            t2 = x[i, j] + b[j]
            out[i, j] = float32(0.5) * t2 * one_plus_tanh(float32(0.79788456) * (t2 + float32(0.044715) * (t2 * t2 * t2)))


def program(a0, a1, sizes):
    (s0, s1, s2) = sizes
    t0 = empty((s0, s1), float32)
    gelu_0((a0, a1, t0), (s0, s1), s0, s0*s1*45)
    return (t0,)
