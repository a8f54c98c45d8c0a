"""Power spectrum of overlapping windows (Welch 1967)."""

import numpy as np


def make(scale=1.0):
    n = max(int(120 * scale), 2)
    return np.random.default_rng(17).standard_normal(n * 128 + 256), 256


def run(signal, size):
    window = np.hanning(size)
    count = (signal.shape[0] - size) // (size // 2) + 1
    start = np.arange(count)[:, None] * (size // 2)
    frames = signal[start + np.arange(size)] * window
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    power[:, 1:-1] *= 2
    return power.mean(axis=0) / (window**2).sum()
