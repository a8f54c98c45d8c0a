"""A step of gravitating bodies: softened forces, pairs at no distance masked out."""

import numpy as np


def make(scale=1.0):
    n = max(int(150 * scale**0.5), 5)
    rng = np.random.default_rng(18)
    return rng.random(n), rng.standard_normal((n, 3)), np.zeros((n, 3)), 0.01


def acceleration(mass, position):
    x, y, z = position[:, 0:1], position[:, 1:2], position[:, 2:3]
    dx, dy, dz = x.T - x, y.T - y, z.T - z
    inverse = dx**2 + dy**2 + dz**2 + 1e-4
    inverse[inverse > 0] = inverse[inverse > 0] ** (-1.5)
    return np.hstack(((dx * inverse) @ mass[:, None], (dy * inverse) @ mass[:, None],
                      (dz * inverse) @ mass[:, None]))  # fmt: skip


def run(mass, position, velocity, dt):
    force = acceleration(mass, position)
    velocity += 0.5 * dt * force
    position += dt * velocity
    velocity += 0.5 * dt * acceleration(mass, position)
    return 0.5 * (mass[:, None] * velocity**2).sum()
