"""Smoothing along a line: two arrays updated in turn."""

import numpy as np


def make(scale=1.0):
    n = max(int(100_000 * scale), 8)
    return np.linspace(0.0, 1.0, n) ** 2, np.linspace(1.0, 0.0, n)


def run(a, b):
    for _ in range(4):
        b[1:-1] = (a[:-2] + a[1:-1] + a[2:]) / 3
        a[1:-1] = (b[:-2] + b[1:-1] + b[2:]) / 3
