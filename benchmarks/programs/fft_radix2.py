"""The fast Fourier transform of a power of two, in place after bit reversal (Cooley and Tukey)."""

import numpy as np


def make(scale=1.0):
    n = 1 << max(int(9 + np.log2(scale)), 4)
    rng = np.random.default_rng(11)
    return (rng.standard_normal(n) + 1j * rng.standard_normal(n),)


def run(x):
    n = x.shape[0]
    j = 0
    for i in range(1, n):
        bit = n >> 1
        while j & bit:
            j ^= bit
            bit >>= 1
        j ^= bit
        if i < j:
            x[i], x[j] = x[j], x[i]
    size = 2
    while size <= n:
        half = size // 2
        for start in range(0, n, size):
            for k in range(half):
                turn = np.exp(-2j * np.pi * k / size) * x[start + k + half]
                x[start + k + half] = x[start + k] - turn
                x[start + k] = x[start + k] + turn
        size *= 2
