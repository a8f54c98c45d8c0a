"""Prices and sensitivities of European options."""

import numpy as np


def make(scale=1.0):
    n = max(int(20_000 * scale), 5)
    rng = np.random.default_rng(22)
    return 80 + 40 * rng.random(n), 80 + 40 * rng.random(n), 0.1 + rng.random(n), 0.02, 0.3


def normal_cdf(x):
    """Abramowitz and Stegun 26.2.17."""
    k = 1 / (1 + 0.2316419 * np.abs(x))
    tail = (
        np.exp(-0.5 * x * x)
        / np.sqrt(2 * np.pi)
        * k
        * (
            0.319381530
            + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429)))
        )
    )
    return np.where(x >= 0, 1 - tail, tail)


def run(spot, strike, time, rate, volatility):
    root = volatility * np.sqrt(time)
    d1 = (np.log(spot / strike) + (rate + 0.5 * volatility**2) * time) / root
    d2 = d1 - root
    discount = strike * np.exp(-rate * time)
    call = spot * normal_cdf(d1) - discount * normal_cdf(d2)
    put = call - spot + discount
    vega = spot * np.sqrt(time) * np.exp(-0.5 * d1 * d1) / np.sqrt(2 * np.pi)
    return call, put, vega
