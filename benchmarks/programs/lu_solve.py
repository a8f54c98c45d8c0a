"""A linear system by LU decomposition and two triangular solves, a row at a time."""

import numpy as np


def make(scale=1.0):
    n = max(int(60 * scale ** (1 / 3)), 6)
    rng = np.random.default_rng(2)
    return rng.random((n, n)) + n * np.eye(n), rng.random(n)


def run(a, b):
    n = a.shape[0]
    for i in range(n):
        for j in range(i):
            a[i, j] = (a[i, j] - np.dot(a[i, :j], a[:j, j])) / a[j, j]
        for j in range(i, n):
            a[i, j] -= np.dot(a[i, :i], a[:i, j])
    y = np.zeros(n)
    for i in range(n):
        y[i] = b[i] - np.dot(a[i, :i], y[:i])
    x = np.zeros(n)
    for i in range(n - 1, -1, -1):
        x[i] = (y[i] - np.dot(a[i, i + 1 :], x[i + 1 :])) / a[i, i]
    return x
