"""Vectors and matrices as in linear algebra's textbooks: gemm, symmetric updates, traces."""

import numpy as np


def make(scale=1.0):
    n = max(int(200 * scale**0.5), 5)
    a, b, c = np.random.default_rng(15).random((3, n, n))
    return 1.5, 1.2, a, b, c


def run(alpha, beta, a, b, c):
    c *= beta
    c += alpha * (a @ b)
    s = np.tril(a @ a.T) + np.triu(b.T @ b, 1)
    u = np.outer(a[0], b[:, 0]) + np.kron(np.eye(1), c)
    return s, u, np.trace(c), np.einsum("ij,ji->", a, b)
