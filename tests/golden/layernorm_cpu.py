import math

import numpy as np
from numba import njit
from jitgraph_codegen.loop_math import add_reassoc, assume

float32 = np.float32


@njit(error_model="numpy", fastmath={"contract"})
def layernorm_0(x, weight, bias, out, n1, lo, hi):
    """test_golden.py:24  sum, divide
    test_golden.py:25  subtract, multiply, sum, divide, add, sqrt, divide, multiply, add
    """
    for i in range(lo, hi):
        assume(i >= 0)
        t0 = float32(0.0)
        for j in range(n1):
            t0 = add_reassoc(t0, x[i, j])
        t2 = float32(0.0)
        t4 = t0 / float32(n1)
        for j in range(n1):
            t5 = x[i, j] - t4
            t2 = add_reassoc(t2, t5 * t5)
        t11 = math.sqrt(t2 / float32(n1) + float32(1e-05))
        for j in range(n1):
            out[i, j] = (x[i, j] - t4) / t11 * weight[j] + bias[j]


def program(a0, a1, a2, sizes):
    (s0, s1, s2, s3) = sizes
    t0 = empty((s0, s1), float32)
    layernorm_0((a0, a1, a2, t0), (s0, s1), s0, s0*s1*31)
    return (t0,)
