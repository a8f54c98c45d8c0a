"""Gradient descent for a classifier: sigmoid, loss and update."""

import numpy as np


def make(scale=1.0):
    n = max(int(4000 * scale), 8)
    rng = np.random.default_rng(9)
    x = rng.standard_normal((n, 16))
    return x, (x @ rng.standard_normal(16) > 0).astype(float), np.zeros(16), 0.5


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def run(x, y, w, rate):
    loss = 0.0
    for _ in range(4):
        p = sigmoid(x @ w)
        loss = -np.mean(y * np.log(p + 1e-12) + (1 - y) * np.log(1 - p + 1e-12))
        w -= rate * (x.T @ (p - y)) / len(y)
    return w, loss
