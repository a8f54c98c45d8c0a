"""A sparse matrix in compressed rows by a vector."""

import numpy as np


def make(scale=1.0):
    n = max(int(2000 * scale), 10)
    rng = np.random.default_rng(7)
    indptr = np.concatenate([[0], np.cumsum(rng.integers(0, 8, n))])
    columns = rng.integers(0, n, indptr[-1])
    return indptr, columns, rng.random(indptr[-1]), rng.random(n)


def run(indptr, columns, values, x):
    y = np.zeros(indptr.shape[0] - 1)
    for i in range(indptr.shape[0] - 1):
        for k in range(indptr[i], indptr[i + 1]):
            y[i] += values[k] * x[columns[k]]
    return y
