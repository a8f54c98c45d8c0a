import math

import numpy as np
from numba import njit
from jitgraph_codegen.loop_math import add_reassoc, assume, exp, maximum

float32 = np.float32


@njit(error_model="numpy", fastmath={"contract"})
def softmax_0(x, out, n1, lo, hi):
    """test_golden.py:19  max, subtract, exp
    test_golden.py:20  sum, divide
    """
    for i in range(lo, hi):
        assume(i >= 0)
        t0 = float32(-math.inf)
        for j in range(n1):
            t0 = maximum(t0, x[i, j])
        t2 = float32(0.0)
        for j in range(n1):
            t5 = exp(x[i, j] - t0)
            t2 = add_reassoc(t2, t5)
            out[i, j] = t5
        for j in range(n1):
            out[i, j] = out[i, j] / t2


def program(a0, sizes):
    (s0, s1) = sizes
    t0 = empty((s0, s1), float32)
    softmax_0((a0, t0), (s0, s1), s0, s0*s1*19)
    return (t0,)
