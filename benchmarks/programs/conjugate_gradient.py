"""A symmetric system by a few steps of conjugate gradients (Hestenes and Stiefel 1952)."""

import numpy as np


def make(scale=1.0):
    n = max(int(300 * scale**0.5), 5)
    rng = np.random.default_rng(13)
    m = rng.random((n, n))
    return m @ m.T + n * np.eye(n), rng.random(n)


def run(a, b):
    x = np.zeros_like(b)
    r = b - a @ x
    p = r.copy()
    rr = r @ r
    for _ in range(3):
        ap = a @ p
        alpha = rr / (p @ ap)
        x += alpha * p
        r -= alpha * ap
        new = r @ r
        p *= new / rr
        p += r
        rr = new
    return x, np.sqrt(rr)
