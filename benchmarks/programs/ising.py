"""A sweep of a magnet's spins in checkerboard order, against given random numbers."""

import numpy as np


def make(scale=1.0):
    n = 2 * max(int(120 * scale**0.5), 3)
    rng = np.random.default_rng(21)
    return rng.choice([-1, 1], (n, n)).astype(np.int8), rng.random((2, n, n)), 0.44


def run(spins, draws, beta):
    rows, columns = np.indices(spins.shape)
    even = (rows + columns) % 2 == 0
    for colour, draw in ((even, draws[0]), (~even, draws[1])):
        around = np.roll(spins, 1, 0) + np.roll(spins, -1, 0)
        around = around + np.roll(spins, 1, 1) + np.roll(spins, -1, 1)
        flip = colour & (draw < np.exp(-2.0 * beta * spins * around))
        spins[flip] *= -1
    return np.abs(spins.mean(dtype=np.float64))
