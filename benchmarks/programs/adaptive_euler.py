"""A stiff decay by Euler steps, halved and doubled by the difference of one step and two halves."""

import numpy as np


def make(scale=1.0):
    return 1.0, max(10.0 * scale, 0.5), 1e-5


def run(y, end, tolerance):
    time, step, taken = 0.0, 0.01, 0
    while time < end:
        if time + step > end:
            step = end - time
        whole = y + step * (-15.0 * (y - np.cos(time)))
        half = y + step / 2 * (-15.0 * (y - np.cos(time)))
        two = half + step / 2 * (-15.0 * (half - np.cos(time + step / 2)))
        if abs(two - whole) > tolerance:
            step /= 2
            continue
        y = two
        time += step
        taken += 1
        if abs(two - whole) < tolerance / 4:
            step *= 2
    return y, taken
