"""Transport of several tracers by a changing wind, first order upwind, in place."""

import numpy as np


def make(scale=1.0):
    n = max(int(300 * scale**0.5), 6)
    rng = np.random.default_rng(3)
    return (
        rng.random((3, n, n)),
        rng.standard_normal((n, n)) * 0.3,
        rng.standard_normal((n, n)) * 0.3,
    )


def run(tracers, u, v):
    east, west = np.maximum(u, 0), np.minimum(u, 0)
    north, south = np.maximum(v, 0), np.minimum(v, 0)
    for q in tracers:
        flux = np.zeros_like(q)
        flux[1:-1] = east[1:-1] * (q[1:-1] - q[:-2]) + west[1:-1] * (q[2:] - q[1:-1])
        flux[:, 1:-1] += north[:, 1:-1] * (q[:, 1:-1] - q[:, :-2])
        flux[:, 1:-1] += south[:, 1:-1] * (q[:, 2:] - q[:, 1:-1])
        q -= 0.5 * flux
    return tracers.sum(axis=(1, 2))
