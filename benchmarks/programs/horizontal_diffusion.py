"""Fourth-order diffusion with a flux limiter, as in weather models (COSMO's hdiff)."""

import numpy as np


def make(scale=1.0):
    n = max(int(90 * scale**0.5), 8)
    rng = np.random.default_rng(2)
    field, coefficient = rng.random((n + 4, n + 4, 16)), rng.random((n, n, 16))
    return field, np.zeros((n, n, 16)), coefficient


def run(field, out, coefficient):
    n, m = out.shape[:2]
    lap = 4.0 * field[1 : n + 3, 1 : m + 3] - (
        field[2 : n + 4, 1 : m + 3]
        + field[0 : n + 2, 1 : m + 3]
        + field[1 : n + 3, 2 : m + 4]
        + field[1 : n + 3, 0 : m + 2]
    )
    res = lap[1:, 1 : m + 1] - lap[:-1, 1 : m + 1]
    flux_i = np.where(res * (field[2 : n + 3, 2 : m + 2] - field[1 : n + 2, 2 : m + 2]) > 0, 0, res)
    res = lap[1 : n + 1, 1:] - lap[1 : n + 1, :-1]
    flux_j = np.where(res * (field[2 : n + 2, 2 : m + 3] - field[2 : n + 2, 1 : m + 2]) > 0, 0, res)
    out[...] = field[2 : n + 2, 2 : m + 2] - coefficient * (
        flux_i[1:] - flux_i[:-1] + flux_j[:, 1:] - flux_j[:, :-1]
    )
