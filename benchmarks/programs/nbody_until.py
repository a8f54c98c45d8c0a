"""Bodies that attract each other, by leapfrog steps to an end time."""

import numpy as np


def make(scale=1.0):
    n = max(int(12 * scale**0.5), 4)
    rng = np.random.default_rng(13)
    return rng.standard_normal((n, 3)), rng.standard_normal((n, 3)) / 4, rng.random(n) + 0.1, 0.2


def run(position, velocity, mass, end):
    n = mass.shape[0]
    time, dt = 0.0, 0.02
    pull = np.zeros((n, 3))
    while time < end:
        pull[:] = 0.0
        for i in range(n):
            for j in range(n):
                if i != j:
                    square = 0.01
                    for k in range(3):
                        square += (position[j, k] - position[i, k]) ** 2
                    for k in range(3):
                        pull[i, k] += mass[j] * (position[j, k] - position[i, k]) / square**1.5
        velocity += dt * pull
        position += dt * velocity
        time += dt
    return time
