"""Orthonormal columns by the modified Gram-Schmidt process."""

import numpy as np


def make(scale=1.0):
    n = max(int(2000 * scale), 10)
    return (np.random.default_rng(14).random((n, 8)),)


def run(a):
    n = a.shape[1]
    q = np.zeros_like(a)
    r = np.zeros((n, n))
    for k in range(n):
        r[k, k] = np.sqrt((a[:, k] * a[:, k]).sum())
        q[:, k] = a[:, k] / r[k, k]
        if k + 1 < n:
            r[k, k + 1 :] = q[:, k] @ a[:, k + 1 :]
            a[:, k + 1 :] -= q[:, k : k + 1] * r[k, k + 1 :]
    return q, r
