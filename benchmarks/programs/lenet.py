"""LeNet-5's forward pass (LeCun et al. 1998), convolutions as sums over the kernel's pixels."""

import numpy as np


def make(scale=1.0):
    n = max(int(8 * scale), 1)
    rng = np.random.default_rng(23)

    def weights(*shape):
        return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)

    return (
        rng.random((n, 28, 28, 1)).astype(np.float32), weights(5, 5, 1, 6), weights(6),
        weights(5, 5, 6, 16), weights(16), weights(256, 120), weights(120), weights(120, 84),
        weights(84), weights(84, 10), weights(10),
    )  # fmt: skip


def conv2d(x, weights):
    k, _, _, c_out = weights.shape
    n, h, w = x.shape[0], x.shape[1] - k + 1, x.shape[2] - k + 1
    out = np.zeros((n, h, w, c_out), dtype=x.dtype)
    for i in range(k):
        for j in range(k):
            out += x[:, i : i + h, j : j + w, :] @ weights[i, j]
    return out


def maxpool(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


def relu(x):
    return np.maximum(x, 0)


def run(x, c1, b1, c2, b2, f1, g1, f2, g2, f3, g3):
    x = maxpool(relu(conv2d(x, c1) + b1))
    x = maxpool(relu(conv2d(x, c2) + b2))
    x = x.reshape(x.shape[0], -1)
    x = relu(x @ f1 + g1)
    x = relu(x @ f2 + g2)
    return x @ f3 + g3
