"""Symmetric rank-k and rank-2k updates of the lower half of a matrix."""

import numpy as np


def make(scale=1.0):
    n = max(int(40 * scale ** (1 / 3)), 5)
    rng = np.random.default_rng(4)
    return 1.5, 1.2, rng.random((n, n)), rng.random((n, n + 2)), rng.random((n, n + 2))


def run(alpha, beta, c, a, b):
    for i in range(c.shape[0]):
        for j in range(i + 1):
            c[i, j] *= beta
            for k in range(a.shape[1]):
                c[i, j] += alpha * a[i, k] * a[j, k]
    for i in range(c.shape[0]):
        for j in range(i + 1):
            for k in range(a.shape[1]):
                c[i, j] += alpha * (a[j, k] * b[i, k] + b[j, k] * a[i, k])
