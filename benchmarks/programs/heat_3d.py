"""Heat conduction in a block, explicit steps."""

import numpy as np


def make(scale=1.0):
    n = max(int(60 * scale ** (1 / 3)), 5)
    i, j, k = np.indices((n, n, n))
    return (i + j + (n - k)) * 10.0 / n, 0.125


def run(u, alpha):
    for _ in range(2):
        lap = u[2:, 1:-1, 1:-1] - 2.0 * u[1:-1, 1:-1, 1:-1] + u[:-2, 1:-1, 1:-1]
        lap += u[1:-1, 2:, 1:-1] - 2.0 * u[1:-1, 1:-1, 1:-1] + u[1:-1, :-2, 1:-1]
        lap += u[1:-1, 1:-1, 2:] - 2.0 * u[1:-1, 1:-1, 1:-1] + u[1:-1, 1:-1, :-2]
        u[1:-1, 1:-1, 1:-1] += alpha * lap
    return u
