"""One step of the shallow water equations on a periodic staggered grid (Sadourny 1975)."""

import numpy as np


def make(scale=1.0):
    n = max(int(250 * scale**0.5), 6)
    x = np.linspace(0, 2 * np.pi, n, endpoint=False)
    h = 10 + 0.1 * np.sin(x)[:, None] * np.cos(x)
    return h, 0.1 * np.cos(x)[:, None] * np.ones(n), 0.1 * np.sin(x) * np.ones((n, 1)), 0.01, 0.1


def run(h, u, v, dt, dx):
    gravity = 9.81
    hu = 0.5 * (h + np.roll(h, 1, 0)) * u
    hv = 0.5 * (h + np.roll(h, 1, 1)) * v
    vorticity = (v - np.roll(v, 1, 0) - u + np.roll(u, 1, 1)) / dx
    corner = 0.25 * (h + np.roll(h, 1, 0) + np.roll(h, 1, 1) + np.roll(h, (1, 1), (0, 1)))
    q = (1e-4 + vorticity) / corner
    energy = gravity * h + 0.25 * (u**2 + np.roll(u, -1, 0) ** 2 + v**2 + np.roll(v, -1, 1) ** 2)
    hv_at_u = 0.25 * (hv + np.roll(hv, -1, 1) + np.roll(hv, 1, 0) + np.roll(hv, (1, -1), (0, 1)))
    hu_at_v = 0.25 * (hu + np.roll(hu, -1, 0) + np.roll(hu, 1, 1) + np.roll(hu, (-1, 1), (0, 1)))
    u += dt * (0.5 * (q + np.roll(q, -1, 1)) * hv_at_u - (energy - np.roll(energy, 1, 0)) / dx)
    v -= dt * (0.5 * (q + np.roll(q, -1, 0)) * hu_at_v + (energy - np.roll(energy, 1, 1)) / dx)
    h -= dt / dx * (np.roll(hu, -1, 0) - hu + np.roll(hv, -1, 1) - hv)
