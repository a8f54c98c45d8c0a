"""Mean intensity of an image by distance from its centre, in rings of equal width."""

import numpy as np


def make(scale=1.0):
    n = max(int(40 * scale**0.5), 8)
    return np.random.default_rng(10).random((n, n)), 10


def run(image, rings):
    height, width = image.shape
    total, count = np.zeros(rings), np.zeros(rings, np.int64)
    furthest = np.hypot(height / 2, width / 2)
    for i in range(height):
        for j in range(width):
            distance = np.hypot(i + 0.5 - height / 2, j + 0.5 - width / 2)
            ring = int(rings * distance / furthest)
            total[ring] += image[i, j]
            count[ring] += 1
    return total / np.maximum(count, 1)
