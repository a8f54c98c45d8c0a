"""Escape times of points of the plane, a fixed number of steps with masks."""

import numpy as np


def make(scale=1.0):
    n = max(int(150 * scale**0.5), 5)
    return np.linspace(-2, 0.5, n), np.linspace(-1.2, 1.2, n)


def run(x, y):
    cr, ci = np.meshgrid(x, y)
    zr, zi = np.zeros_like(cr), np.zeros_like(ci)
    count = np.zeros(cr.shape, dtype=np.int64)
    for _ in range(12):
        inside = zr * zr + zi * zi < 4
        new = zr * zr - zi * zi + cr
        zi = np.where(inside, 2 * zr * zi + ci, zi)
        zr = np.where(inside, new, zr)
        count[inside] += 1
    return count
