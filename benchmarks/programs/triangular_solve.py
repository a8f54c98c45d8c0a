"""A lower triangular system, element by element."""

import numpy as np


def make(scale=1.0):
    n = max(int(120 * scale**0.5), 6)
    rng = np.random.default_rng(3)
    return np.tril(rng.random((n, n))) + n * np.eye(n), rng.random(n)


def run(lower, b):
    n = b.shape[0]
    x = np.zeros(n)
    for i in range(n):
        total = b[i]
        for j in range(i):
            total -= lower[i, j] * x[j]
        x[i] = total / lower[i, i]
    return x
