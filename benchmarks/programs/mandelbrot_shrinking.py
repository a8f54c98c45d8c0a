"""Escape times of points of the plane, of which those that have left are dropped."""

import numpy as np


def make(scale=1.0):
    n = max(int(80 * scale**0.5), 5)
    return np.linspace(-2, 0.5, n), np.linspace(-1.2, 1.2, n), 60


def run(real, imaginary, most):
    c = (real + 1j * imaginary[:, None]).ravel()
    times = np.zeros(c.size, np.int64)
    place = np.arange(c.size)
    z = np.zeros_like(c)
    for step in range(most):
        z = z * z + c
        left = z.real**2 + z.imag**2 > 4.0
        times[place[left]] = step + 1
        stays = ~left
        z, c, place = z[stays], c[stays], place[stays]
        if z.size == 0:
            break
    return times.reshape(imaginary.size, real.size)
