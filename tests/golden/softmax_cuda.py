import math

import numpy as np
from numba import cuda
from jitgraph_codegen.cuda_math import block_max, block_sum, exp, maximum

float32 = np.float32
LAUNCH = "rows"  # how blocks are counted
THREADS = 128  # of a block
ARGUMENTS = (1,)  # of the sizes, those the kernel takes


def shapes(n0, n1):
    return ((n0, n1, ), (n0, n1, ), )


@cuda.jit
def softmax_0(x, out, n1, extent):
    """test_golden.py:19  max, subtract, exp
    test_golden.py:20  sum, divide
    """
    for i in range(cuda.blockIdx.x, extent, cuda.gridDim.x):
        t0 = float32(-math.inf)
        for j in range(cuda.threadIdx.x, n1, cuda.blockDim.x):
            t0 = maximum(t0, x[i, j])
        t0 = block_max(t0, cuda.shared.array(THREADS, float32))
        t2 = float32(0.0)
        for j in range(cuda.threadIdx.x, n1, cuda.blockDim.x):
            t2 = t2 + exp(x[i, j] - t0)
        t2 = block_sum(t2, cuda.shared.array(THREADS, float32))
        for j in range(cuda.threadIdx.x, n1, cuda.blockDim.x):
            out[i, j] = exp(x[i, j] - t0) / t2


def program(a0, sizes):
    (s0, s1) = sizes
    t0 = empty((s0, s1), float32)
    softmax_0((a0, t0), (s0, s1), s0, s0*s1*19)
    return (t0,)
