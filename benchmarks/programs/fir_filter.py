"""A finite impulse response filter and the envelope of a signal."""

import numpy as np


def make(scale=1.0):
    n = max(int(60_000 * scale), 40)
    t = np.arange(n) / 1000
    return np.sin(2 * np.pi * 5 * t) + 0.3 * np.sin(2 * np.pi * 90 * t), np.hanning(17)


def run(signal, window):
    taps = window / window.sum()
    n = signal.shape[0] - len(window) + 1
    smooth = np.zeros(n)
    for k in range(17):
        smooth += taps[k] * signal[k : k + n]
    rise = np.diff(smooth)
    peak = (rise[:-1] > 0) & (rise[1:] <= 0)
    energy = np.cumsum(smooth**2)
    return smooth, np.count_nonzero(peak), (energy[8:] - energy[:-8]) / 8
