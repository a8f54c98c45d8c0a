"""Properties of seawater from salinity, temperature and pressure: EOS-80 (Fofonoff and Millard
1983, UNESCO Technical Papers in Marine Science 44), several hundred terms.
"""

import numpy as np


def make(scale=1.0):
    n = max(int(30_000 * scale), 8)
    rng = np.random.default_rng(5)
    return 30 + 8 * rng.random(n), 30 * rng.random(n), 5000 * rng.random(n)


def density_at_surface(s, t):
    water = 999.842594 + (6.793952e-2 + (-9.095290e-3 + (1.001685e-4 + (-1.120083e-6
            + 6.536332e-9 * t) * t) * t) * t) * t  # fmt: skip
    first = 8.24493e-1 + (-4.0899e-3 + (7.6438e-5 + (-8.2467e-7 + 5.3875e-9 * t) * t) * t) * t
    second = -5.72466e-3 + (1.0227e-4 - 1.6546e-6 * t) * t
    return water + first * s + second * s * np.sqrt(s) + 4.8314e-4 * s**2


def secant_bulk_modulus(s, t, p):
    bars = p / 10
    root = np.sqrt(s)
    aw = 3.239908 + (1.43713e-3 + (1.16092e-4 - 5.77905e-7 * t) * t) * t
    bw = 8.50935e-5 + (-6.12293e-6 + 5.2787e-8 * t) * t
    kw = 19652.21 + (148.4206 + (-2.327105 + (1.360477e-2 - 5.155288e-5 * t) * t) * t) * t
    a = aw + (2.2838e-3 + (-1.0981e-5 - 1.6078e-6 * t) * t + 1.91075e-4 * root) * s
    b = bw + (-9.9348e-7 + (2.0816e-8 + 9.1697e-10 * t) * t) * s
    k0 = kw + (54.6746 + (-0.603459 + (1.09987e-2 - 6.1670e-5 * t) * t) * t
               + (7.944e-2 + (1.6483e-2 - 5.3009e-4 * t) * t) * root) * s  # fmt: skip
    return k0 + (a + b * bars) * bars


def sound_speed(s, t, p):
    """Chen and Millero 1977."""
    p = p / 10
    cw = (1402.388 + (5.03711 + (-5.80852e-2 + (3.3420e-4 + (-1.47800e-6 + 3.1464e-9 * t) * t) * t)
          * t) * t)  # fmt: skip
    cw = cw + (0.153563 + (6.8982e-4 + (-8.1788e-6 + (1.3621e-7 - 6.1185e-10 * t) * t) * t) * t) * p
    cw = cw + (3.1260e-5 + (-1.7107e-6 + (2.5974e-8 + (-2.5335e-10 + 1.0405e-12 * t) * t) * t)
               * t) * p**2  # fmt: skip
    cw = cw + (-9.7729e-9 + (3.8504e-10 - 2.3643e-12 * t) * t) * p**3
    a = 1.389 + (-1.262e-2 + (7.164e-5 + (2.006e-6 - 3.21e-8 * t) * t) * t) * t
    a = a + (9.4742e-5 + (-1.2580e-5 + (-6.4885e-8 + (1.0507e-8 - 2.0122e-10 * t) * t) * t) * t) * p
    a = a + (-3.9064e-7 + (9.1041e-9 + (-1.6002e-10 + 7.988e-12 * t) * t) * t) * p**2
    a = a + (1.100e-10 + (6.649e-12 - 3.389e-13 * t) * t) * p**3
    b = -1.922e-2 - 4.42e-5 * t + (7.3637e-5 + 1.7945e-7 * t) * p
    d = 1.727e-3 - 7.9836e-6 * p
    return cw + a * s + b * s * np.sqrt(s) + d * s**2


def adiabatic_lapse_rate(s, t, p):
    """Bryden 1973."""
    return (
        3.5803e-5 + (8.5258e-6 + (-6.836e-8 + 6.6228e-10 * t) * t) * t
        + (1.8932e-6 - 4.2393e-8 * t) * (s - 35)
        + (1.8741e-8 + (-6.7795e-10 + (8.733e-12 - 5.4481e-14 * t) * t) * t
           + (-1.1351e-10 + 2.7759e-12 * t) * (s - 35)) * p
        + (-4.6206e-13 + (1.8676e-14 - 2.1687e-16 * t) * t) * p**2
    )  # fmt: skip


def potential_temperature(s, t, p):
    """Referred to the surface: one Runge-Kutta step of the lapse rate (Fofonoff 1977)."""
    step = -p
    first = step * adiabatic_lapse_rate(s, t, p)
    theta = t + 0.5 * first
    second = step * adiabatic_lapse_rate(s, theta, p + 0.5 * step)
    theta = theta + (1 - 1 / np.sqrt(2)) * (second - first)
    q = (2 - np.sqrt(2)) * second + (3 / np.sqrt(2) - 2) * first
    third = step * adiabatic_lapse_rate(s, theta, p + 0.5 * step)
    theta = theta + (1 + 1 / np.sqrt(2)) * (third - q)
    q = (2 + np.sqrt(2)) * third + (-2 - 3 / np.sqrt(2)) * q
    return theta + (step * adiabatic_lapse_rate(s, theta, p + step) - 2 * q) / 6


def run(s, t, p):
    density = density_at_surface(s, t) / (1 - (p / 10) / secant_bulk_modulus(s, t, p))
    theta = potential_temperature(s, t, p)
    return density, density_at_surface(s, theta) - 1000, sound_speed(s, t, p), theta
