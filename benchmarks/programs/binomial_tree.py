"""An American put option on a binomial tree (Cox, Ross and Rubinstein 1979)."""

import numpy as np


def make(scale=1.0):
    return 100.0, 105.0, 1.0, 0.05, 0.2, max(int(80 * scale**0.5), 8)


def run(spot, strike, years, rate, volatility, steps):
    dt = years / steps
    up = np.exp(volatility * np.sqrt(dt))
    discount = np.exp(-rate * dt)
    p = (np.exp(rate * dt) - 1 / up) / (up - 1 / up)
    values = np.zeros(steps + 1)
    for i in range(steps + 1):
        values[i] = max(strike - spot * up ** (2.0 * i - steps), 0.0)
    for n in range(steps - 1, -1, -1):
        for i in range(n + 1):
            held = discount * (p * values[i + 1] + (1 - p) * values[i])
            values[i] = max(held, strike - spot * up ** (2.0 * i - n))
    return values[0]
