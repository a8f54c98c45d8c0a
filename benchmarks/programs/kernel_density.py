"""Density at points of a grid from a sample, Gaussian kernel."""

import numpy as np


def make(scale=1.0):
    rng = np.random.default_rng(8)
    return rng.standard_normal(max(int(600 * scale), 5)), np.linspace(-3, 3, 200), 0.2


def run(sample, grid, width):
    distance = (grid[:, None] - sample[None, :]) / width
    weight = np.exp(-0.5 * distance * distance) / np.sqrt(2 * np.pi)
    return weight.sum(axis=1) / (len(sample) * width)
