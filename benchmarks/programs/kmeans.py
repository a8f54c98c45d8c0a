"""Two rounds of k-means: assign each point to its nearest centre, move the centres."""

import numpy as np


def make(scale=1.0):
    rng = np.random.default_rng(10)
    n = max(int(3000 * scale), 12)
    return rng.random((n, 3)), rng.random((6, 3))


def run(points, centers):
    for _ in range(2):
        distance = ((points[:, None, :] - centers[None, :, :]) ** 2).sum(axis=-1)
        nearest = distance.argmin(axis=1)
        for k in range(centers.shape[0]):
            mine = (nearest == k)[:, None]
            count = mine.sum()
            centers[k] = np.where(mine, points, 0).sum(axis=0) / np.maximum(count, 1)
    return nearest, distance.min(axis=1).sum()
