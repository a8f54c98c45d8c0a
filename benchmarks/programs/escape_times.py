"""The Mandelbrot set, a point at a time until it escapes."""

import numpy as np


def make(scale=1.0):
    n = max(int(24 * scale**0.5), 6)
    return np.linspace(-2.0, 0.5, n), np.linspace(-1.2, 1.2, n), 60


def run(real, imaginary, most):
    times = np.zeros((imaginary.shape[0], real.shape[0]), np.int64)
    for i in range(imaginary.shape[0]):
        for j in range(real.shape[0]):
            c = complex(real[j], imaginary[i])
            z = 0j
            for _ in range(most):
                if z.real * z.real + z.imag * z.imag > 4.0:
                    break
                z = z * z + c
                times[i, j] += 1
    return times
