"""Nussinov's dynamic program for the folding of RNA: most pairs of bases in each part."""

import numpy as np


def make(scale=1.0):
    n = max(int(60 * scale ** (1 / 3)), 8)
    return (np.random.default_rng(6).integers(0, 4, n),)


def run(bases):
    n = bases.shape[0]
    table = np.zeros((n, n), np.int64)
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            best = max(table[i, j - 1], table[i + 1, j])
            inner = table[i + 1, j - 1]
            if i < j - 1 and bases[i] + bases[j] == 3:
                inner += 1
            best = max(best, inner)
            for k in range(i + 1, j):
                best = max(best, table[i, k] + table[k + 1, j])
            table[i, j] = best
    return table
