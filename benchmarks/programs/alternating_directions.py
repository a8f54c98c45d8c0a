"""The heat equation by alternating directions: a tridiagonal system along rows, then columns."""

import numpy as np


def make(scale=1.0):
    n = max(int(16 * scale**0.5), 5)
    return 2, np.random.default_rng(16).random((n, n))


def run(steps, u):
    n = u.shape[0]
    a, b = -0.5, 2.0
    v = np.zeros_like(u)
    p, q = np.zeros_like(u), np.zeros_like(u)
    for _ in range(steps):
        v[0, 1:-1] = 1.0
        p[1:-1, 0] = 0.0
        q[1:-1, 0] = v[0, 1:-1]
        for j in range(1, n - 1):
            p[1:-1, j] = -a / (a * p[1:-1, j - 1] + b)
            right = u[j, :-2] + u[j, 2:] - u[j, 1:-1]
            q[1:-1, j] = (right - a * q[1:-1, j - 1]) / (a * p[1:-1, j - 1] + b)
        v[-1, 1:-1] = 1.0
        for j in range(n - 2, 0, -1):
            v[j, 1:-1] = p[1:-1, j] * v[j + 1, 1:-1] + q[1:-1, j]
        u[1:-1, 0] = 1.0
        q[1:-1, 0] = u[1:-1, 0]
        for j in range(1, n - 1):
            right = v[:-2, j] + v[2:, j] - v[1:-1, j]
            q[1:-1, j] = (right - a * q[1:-1, j - 1]) / (a * p[1:-1, j - 1] + b)
        u[1:-1, -1] = 1.0
        for j in range(n - 2, 0, -1):
            u[1:-1, j] = p[1:-1, j] * u[1:-1, j + 1] + q[1:-1, j]
