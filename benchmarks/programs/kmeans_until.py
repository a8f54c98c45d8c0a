"""k-means (Lloyd 1982) until no centre moves any more."""

import numpy as np


def make(scale=1.0):
    n = max(int(1500 * scale), 30)
    points = np.random.default_rng(18).standard_normal((n, 2))
    return points, points[:5].copy(), 1e-6


def run(points, centers, tolerance):
    moved, rounds = 1.0, 0
    while moved > tolerance:
        square = ((points[:, None, :] - centers[None, :, :]) ** 2).sum(axis=2)
        nearest = square.argmin(axis=1)
        old = centers.copy()
        for k in range(centers.shape[0]):
            mine = nearest == k
            centers[k] = (points * mine[:, None]).sum(axis=0) / max(mine.sum(), 1)
        moved = np.abs(centers - old).max()
        rounds += 1
    return rounds, nearest
