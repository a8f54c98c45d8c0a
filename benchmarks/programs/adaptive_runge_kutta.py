"""A pendulum with friction by a second-order Runge-Kutta method that chooses its step."""

import numpy as np


def make(scale=1.0):
    return 1.0, 0.0, max(20.0 * scale, 1.0), 1e-6


def run(angle, speed, end, tolerance):
    time, step, steps = 0.0, 0.1, 0
    while time < end:
        step = min(step, end - time)
        a1, s1 = speed, -np.sin(angle) - 0.1 * speed
        middle = speed + step * s1
        a2, s2 = middle, -np.sin(angle + step * a1) - 0.1 * middle
        error = max(abs(a2 - a1), abs(s2 - s1)) * step / 2
        if error < tolerance:
            time += step
            angle += step * (a1 + a2) / 2
            speed += step * (s1 + s2) / 2
            steps += 1
        step *= min(2.0, max(0.2, 0.9 * np.sqrt(tolerance / (error + 1e-30))))
    return angle, speed, steps
