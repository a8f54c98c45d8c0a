import math

import numpy as np
from numba import cuda

float32 = np.float32
LAUNCH = "elements"  # how blocks are counted
THREADS = 128  # of a block
ARGUMENTS = (3,)  # of the sizes, those the kernel takes


def shapes(n0, n1, n2, n3):
    return ((n0, n1, ), (n2, n3, ), )


@cuda.jit
def laplace_0(x, out, n3, extent):
    """test_golden.py:29  add, add, add, multiply"""
    for i in range(cuda.grid(1), extent, cuda.gridsize(1)):
        for j in range(n3):
            t5 = x[i + 2, j + 1]
            t6 = x[i + 1, j] + x[i + 1, j + 2] + x[i, j + 1] + t5
            out[i, j] = float32(0.25) * t6


def program(a0, sizes):
    (s0, s1) = sizes
    t0 = empty((s0 - 2, s1 - 2), float32)
    laplace_0((a0, t0), (s0, s1, s0 - 2, s1 - 2), s0 - 2, (s0 - 2)*(s1 - 2)*8)
    return (t0,)
