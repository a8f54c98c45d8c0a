"""Gauss-Seidel sweeps over a grid: each point sees its neighbours' new values."""

import numpy as np


def make(scale=1.0):
    n = max(int(60 * scale**0.5), 6)
    return 3, np.random.default_rng(5).random((n, n))


def run(sweeps, a):
    n = a.shape[0]
    for _ in range(sweeps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                above = a[i - 1, j - 1] + a[i - 1, j] + a[i - 1, j + 1]
                here = a[i, j - 1] + a[i, j] + a[i, j + 1]
                below = a[i + 1, j - 1] + a[i + 1, j] + a[i + 1, j + 1]
                a[i, j] = (above + here + below) / 9.0
