"""The Cholesky factor of a positive definite matrix, in place, element by element."""

import numpy as np


def make(scale=1.0):
    n = max(int(60 * scale ** (1 / 3)), 6)
    m = np.random.default_rng(0).random((n, n))
    return (m @ m.T + n * np.eye(n),)


def run(a):
    n = a.shape[0]
    for i in range(n):
        for j in range(i):
            for k in range(j):
                a[i, j] -= a[i, k] * a[j, k]
            a[i, j] /= a[j, j]
        for k in range(i):
            a[i, i] -= a[i, k] * a[i, k]
        a[i, i] = np.sqrt(a[i, i])
    for i in range(n):
        for j in range(i + 1, n):
            a[i, j] = 0.0
