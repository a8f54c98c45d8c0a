"""Electromagnetic waves on a staggered grid (Yee 1966)."""

import numpy as np


def make(scale=1.0):
    n = max(int(400 * scale**0.5), 6)
    rng = np.random.default_rng(1)
    return (*rng.standard_normal((3, n, n)), np.arange(5.0))


def run(ex, ey, hz, source):
    for t in range(3):
        ey[0, :] = source[t]
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])
