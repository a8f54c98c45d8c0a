"""Contrast of an image evened out through its histogram."""

import numpy as np


def make(scale=1.0):
    n = max(int(300 * scale**0.5), 8)
    image = np.random.default_rng(11).beta(2, 5, (n, n)) * 255
    return (image.astype(np.uint8),)


def run(image):
    counts = np.bincount(image.ravel(), minlength=256)
    cumulative = counts.cumsum()
    lowest = cumulative[cumulative > 0].min()
    table = np.round((cumulative - lowest) / (image.size - lowest) * 255)
    return np.clip(table, 0, 255).astype(np.uint8)[image]
