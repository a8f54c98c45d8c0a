import math

import numpy as np
from numba import njit
from jitgraph_codegen.loop_math import add_reassoc, assume

float32 = np.float32


@njit(error_model="numpy", fastmath={"contract"})
def nearest_0(points, centers, out, n1, n2, lo, hi):
    """test_golden.py:33  subtract, square, sum, argmin"""
    for i in range(lo, hi):
        assume(i >= 0)
        t0 = float32(math.inf)
        t0_at = 0
        for j in range(n2):
            t1 = float32(0.0)
            for k in range(n1):
                t4 = points[i, k] - centers[j, k]
                t1 = add_reassoc(t1, t4 * t4)
            t0_new = t1
            if not t0_new >= t0 and t0 == t0:
                t0 = t0_new
                t0_at = j
        out[i] = t0_at


def program(a0, a1, sizes):
    (s0, s1, s2, s3) = sizes
    t0 = empty((s0,), int64)
    nearest_0((a0, a1, t0), (s0, s1, s2), s0, s0*s2*s1*10)
    return (t0,)
