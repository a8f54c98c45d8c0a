"""Covariance and correlation matrices of many observations."""

import numpy as np


def make(scale=1.0):
    n = max(int(3000 * scale), 6)
    return (np.random.default_rng(6).random((n, 40)),)


def run(data):
    data -= data.mean(axis=0)
    cov = data.T @ data / (data.shape[0] - 1)
    deviation = np.sqrt(np.diagonal(cov))
    return cov, cov / np.outer(deviation, deviation)
