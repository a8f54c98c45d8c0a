"""The part of a matrix's inverse within a circle of the plane, by quadrature."""

import numpy as np


def make(scale=1.0):
    n = max(int(24 * scale**0.5), 4)
    rng = np.random.default_rng(17)
    return rng.standard_normal((n, n)) / np.sqrt(n), rng.standard_normal((n, 4)), 12


def run(matrix, right, points):
    total = np.zeros(right.shape, np.complex128)
    for k in range(points):
        z = 0.9 * np.exp(2j * np.pi * (k + 0.5) / points)
        total += z / points * np.linalg.solve(z * np.eye(matrix.shape[0]) - matrix, right + 0j)
    return total.real
