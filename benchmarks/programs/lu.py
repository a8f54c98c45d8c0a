"""The LU decomposition of a matrix without pivoting, in place (Doolittle)."""

import numpy as np


def make(scale=1.0):
    n = max(int(50 * scale ** (1 / 3)), 6)
    return (np.random.default_rng(1).random((n, n)) + n * np.eye(n),)


def run(a):
    n = a.shape[0]
    for i in range(n):
        for j in range(i):
            for k in range(j):
                a[i, j] -= a[i, k] * a[k, j]
            a[i, j] /= a[j, j]
        for j in range(i, n):
            for k in range(i):
                a[i, j] -= a[i, k] * a[k, j]
