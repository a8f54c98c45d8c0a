"""Flow through a channel driven by a pressure gradient, until it is steady."""

import numpy as np


def make(scale=1.0):
    n = max(int(21 * scale**0.25), 7)
    return np.zeros((n, n)), np.zeros((n, n)), 0.1, 1e-3


def run(u, v, viscosity, tolerance):
    dx, dt, force = 2 / (u.shape[0] - 1), 0.01, 1.0
    change, steps = 1.0, 0
    while change > tolerance:
        un, vn = u.copy(), v.copy()
        u[1:-1, 1:-1] = (
            un[1:-1, 1:-1]
            - un[1:-1, 1:-1] * dt / dx * (un[1:-1, 1:-1] - un[1:-1, :-2])
            - vn[1:-1, 1:-1] * dt / dx * (un[1:-1, 1:-1] - un[:-2, 1:-1])
            + viscosity * dt / dx**2 * (un[1:-1, 2:] - 2 * un[1:-1, 1:-1] + un[1:-1, :-2])
            + viscosity * dt / dx**2 * (un[2:, 1:-1] - 2 * un[1:-1, 1:-1] + un[:-2, 1:-1])
            + force * dt
        )
        u[1:-1, 0], u[1:-1, -1] = u[1:-1, -2], u[1:-1, 1]
        u[0], u[-1] = 0.0, 0.0
        change = (np.sum(u) - np.sum(un)) / np.sum(u)
        steps += 1
    return steps
