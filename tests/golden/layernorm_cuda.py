import math

import numpy as np
from numba import cuda
from jitgraph_codegen.cuda_math import block_sum

float32 = np.float32
LAUNCH = "rows"  # how blocks are counted
THREADS = 128  # of a block
ARGUMENTS = (1,)  # of the sizes, those the kernel takes


def shapes(n0, n1):
    return ((n0, n1, ), (n1, ), (n1, ), (n0, n1, ), )


@cuda.jit
def layernorm_0(x, weight, bias, out, n1, extent):
    """test_golden.py:24  sum, divide
    test_golden.py:25  subtract, multiply, sum, divide, add, sqrt, divide, multiply, add
    """
    for i in range(cuda.blockIdx.x, extent, cuda.gridDim.x):
        t0 = float32(0.0)
        for j in range(cuda.threadIdx.x, n1, cuda.blockDim.x):
            t0 = t0 + x[i, j]
        t0 = block_sum(t0, cuda.shared.array(THREADS, float32))
        t2 = float32(0.0)
        t4 = t0 / float32(n1)
        for j in range(cuda.threadIdx.x, n1, cuda.blockDim.x):
            t5 = x[i, j] - t4
            t2 = t2 + t5 * t5
        t2 = block_sum(t2, cuda.shared.array(THREADS, float32))
        t11 = math.sqrt(t2 / float32(n1) + float32(1e-05))
        for j in range(cuda.threadIdx.x, n1, cuda.blockDim.x):
            out[i, j] = (x[i, j] - t4) / t11 * weight[j] + bias[j]


def program(a0, a1, a2, sizes):
    (s0, s1, s2, s3) = sizes
    t0 = empty((s0, s1), float32)
    layernorm_0((a0, a1, a2, t0), (s0, s1), s0, s0*s1*31)
    return (t0,)
