"""Haar's transform of a signal, level by level, and its noise removed."""

import numpy as np


def make(scale=1.0):
    n = max(int(1024 * scale), 1) * 64
    rng = np.random.default_rng(16)
    return np.sin(np.linspace(0, 20, n)) + 0.1 * rng.standard_normal(n), 0.15


def run(signal, threshold):
    half = np.sqrt(0.5)
    smooth = signal.copy()
    details = []
    for _ in range(4):
        even, odd = smooth[::2], smooth[1::2]
        detail = (even - odd) * half
        detail[np.abs(detail) < threshold] = 0
        details.append(detail)
        smooth = (even + odd) * half
    for detail in reversed(details):
        joined = np.empty(2 * smooth.shape[0])
        joined[::2] = (smooth + detail) * half
        joined[1::2] = (smooth - detail) * half
        smooth = joined
    return smooth
