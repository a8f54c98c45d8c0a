"""A bottleneck block of a residual network (He et al. 2016), with padding and batch statistics."""

import numpy as np


def make(scale=1.0):
    n = max(int(4 * scale), 1)
    rng = np.random.default_rng(24)

    def weights(*shape):
        return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)

    return (
        rng.random((n, 14, 14, 32)).astype(np.float32),
        weights(1, 1, 32, 16), weights(3, 3, 16, 16), weights(1, 1, 16, 32),
    )  # fmt: skip


def relu(x):
    return np.maximum(x, 0)


def conv2d(x, weights):
    k, _, _, c_out = weights.shape
    n, h, w = x.shape[0], x.shape[1] - k + 1, x.shape[2] - k + 1
    out = np.zeros((n, h, w, c_out), dtype=np.float32)
    for i in range(k):
        for j in range(k):
            out += x[:, i : i + h, j : j + w, :] @ weights[i, j]
    return out


def batchnorm(x, eps=1e-5):
    mean = np.mean(x, axis=(0, 1, 2), keepdims=True)
    return (x - mean) / np.sqrt(np.var(x, axis=(0, 1, 2), keepdims=True) + eps)


def run(x, w1, w2, w3):
    padded = np.zeros((x.shape[0], x.shape[1] + 2, x.shape[2] + 2, w1.shape[3]), dtype=np.float32)
    padded[:, 1:-1, 1:-1, :] = conv2d(x, w1)
    y = relu(batchnorm(padded))
    y = relu(batchnorm(conv2d(y, w2)))
    y = batchnorm(conv2d(y, w3))
    return relu(y + x)
