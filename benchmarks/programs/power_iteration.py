"""The largest eigenvalue of a matrix and its vector."""

import numpy as np


def make(scale=1.0):
    n = max(int(400 * scale**0.5), 5)
    a = np.random.default_rng(12).random((n, n))
    return a + a.T, np.ones(n)


def run(a, v):
    for _ in range(5):
        w = a @ v
        v = w / np.linalg.norm(w)
    return v, v @ (a @ v)
