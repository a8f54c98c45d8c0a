"""Scaled dot-product attention with a causal mask, and layer normalisation."""

import numpy as np


def make(scale=1.0):
    n = max(int(96 * scale**0.5), 4)
    q, k, v = np.random.default_rng(25).standard_normal((3, 4, n, 16)).astype(np.float32)
    return q, k, v, np.ones(16, np.float32), np.zeros(16, np.float32)


def run(q, k, v, gain, bias):
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(np.float32(q.shape[-1]))
    hidden = np.triu(np.ones(scores.shape[-2:], dtype=bool), 1)
    scores[:, hidden] = -np.inf
    scores -= scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores)
    weights /= weights.sum(axis=-1, keepdims=True)
    out = weights @ v
    mean = out.mean(axis=-1, keepdims=True)
    out = (out - mean) / np.sqrt(out.var(axis=-1, keepdims=True) + np.float32(1e-5))
    return out * gain + bias
