"""Flow in a cavity under a moving lid: Poisson's equation for the pressure at each step."""

import numpy as np


def make(scale=1.0):
    n = max(int(30 * scale**0.25), 7)
    return np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n)), 10, 8


def run(u, v, p, steps, sweeps):
    dx, dt, density, viscosity = 2 / (u.shape[0] - 1), 0.001, 1.0, 0.1
    for _ in range(steps):
        du, dv = (u[1:-1, 2:] - u[1:-1, :-2]) / (2 * dx), (v[2:, 1:-1] - v[:-2, 1:-1]) / (2 * dx)
        cross = (u[2:, 1:-1] - u[:-2, 1:-1]) * (v[1:-1, 2:] - v[1:-1, :-2]) / (4 * dx * dx)
        b = density * ((du + dv) / dt - du**2 - 2 * cross - dv**2)
        for _ in range(sweeps):
            q = p.copy()
            around = q[1:-1, 2:] + q[1:-1, :-2] + q[2:, 1:-1] + q[:-2, 1:-1]
            p[1:-1, 1:-1] = around / 4 - dx * dx / 4 * b
            p[:, -1], p[0, :], p[:, 0], p[-1, :] = p[:, -2], p[1, :], p[:, 1], 0.0
        un, vn = u.copy(), v.copy()
        c = dt / dx
        d = viscosity * dt / dx**2
        uc, vc = un[1:-1, 1:-1], vn[1:-1, 1:-1]
        for now, old, slope in (
            (u, un, p[1:-1, 2:] - p[1:-1, :-2]), (v, vn, p[2:, 1:-1] - p[:-2, 1:-1]),
        ):  # fmt: skip
            centre = old[1:-1, 1:-1]
            around = old[1:-1, 2:] + old[1:-1, :-2] + old[2:, 1:-1] + old[:-2, 1:-1]
            now[1:-1, 1:-1] = (
                centre
                - uc * c * (centre - old[1:-1, :-2])
                - vc * c * (centre - old[:-2, 1:-1])
                - c / (2 * density) * slope
                + d * (around - 4 * centre)
            )
        u[0, :], u[:, 0], u[:, -1], u[-1, :] = 0.0, 0.0, 0.0, 1.0
        v[0, :], v[-1, :], v[:, 0], v[:, -1] = 0.0, 0.0, 0.0, 0.0
