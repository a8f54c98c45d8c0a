"""Implicit vertical diffusion: the tridiagonal system of every column, solved level by level."""

import numpy as np


def make(scale=1.0):
    n = max(int(6000 * scale), 4)
    rng = np.random.default_rng(4)
    return rng.random((12, n)), 0.5 + rng.random((12, n)), 0.3


def run(t, k, dt):
    levels = t.shape[0]
    upper = np.zeros_like(t)
    lower = np.zeros_like(t)
    upper[:-1] = -dt * 0.5 * (k[1:] + k[:-1])
    lower[1:] = upper[:-1]
    diagonal = 1 - upper - lower
    c = np.zeros_like(t)
    d = np.zeros_like(t)
    c[0] = upper[0] / diagonal[0]
    d[0] = t[0] / diagonal[0]
    for z in range(1, levels):
        pivot = diagonal[z] - lower[z] * c[z - 1]
        c[z] = upper[z] / pivot
        d[z] = (t[z] - lower[z] * d[z - 1]) / pivot
    t[-1] = d[-1]
    for z in range(levels - 2, -1, -1):
        t[z] = d[z] - c[z] * t[z + 1]
    return t
