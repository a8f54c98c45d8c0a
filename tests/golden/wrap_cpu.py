import math

import numpy as np
from numba import njit
from jitgraph_codegen.loop_math import assume, int_floor_divide

int32 = np.int32


@njit(error_model="numpy", fastmath={"contract"})
def wrap_0(a, b, out, lo, hi):
    """test_golden.py:37  add, floor_divide, bitwise_and"""
    for i in range(lo, hi):
        assume(i >= 0)
        out[i] = int32(int32(int_floor_divide(int32(a[i] + b[i]), int32(3))) & int32(7))


def program(a0, a1, sizes):
    (s0, s1, s2, s3) = sizes
    t0 = empty((s0, s1), int32)
    wrap_0((a0, a1, t0), (s0*s1,), s0*s1, s0*s1*24)
    return (t0,)
