"""Shortest paths between all pairs of nodes (Floyd 1962)."""

import numpy as np


def make(scale=1.0):
    n = max(int(50 * scale**0.5), 6)
    return (np.random.default_rng(15).integers(1, 100, (n, n)),)


def run(path):
    for k in range(path.shape[0]):
        path[:] = np.minimum(path, np.add.outer(path[:, k], path[k, :]))
