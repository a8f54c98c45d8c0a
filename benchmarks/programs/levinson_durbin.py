"""The Yule-Walker equations of a Toeplitz matrix (Durbin 1960)."""

import numpy as np


def make(scale=1.0):
    n = max(int(150 * scale**0.5), 6)
    return (0.9 ** np.arange(1, n + 1) * np.random.default_rng(14).random(n),)


def run(r):
    n = r.shape[0]
    y = np.zeros(n)
    z = np.zeros(n)
    alpha, beta = -r[0], 1.0
    y[0] = -r[0]
    for k in range(1, n):
        beta *= 1.0 - alpha * alpha
        total = r[k]
        for i in range(k):
            total += r[k - 1 - i] * y[i]
        alpha = -total / beta
        for i in range(k):
            z[i] = y[i] + alpha * y[k - 1 - i]
        for i in range(k):
            y[i] = z[i]
        y[k] = alpha
    return y
