"""Inverse sine, cosine and tangent."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from functools import cache

import numpy as np

from .. import lanes
from ..ir_values import DOUBLE, PI_ERROR, SINGLE, Real, Value
from .pairs import fast_two_sum, quotient_pair, remainder
from .tables import EXACT, parts
from .tables import PI as PI_DIGITS

# each in two parts
PI = math.pi, PI_ERROR
HALF_PI = math.pi / 2, PI_ERROR / 2
QUARTER_PI = math.pi / 4, PI_ERROR / 4


def _constant_pair(real: Real, high: float, low: float) -> tuple[float, float]:
    """A constant given in two doubles, in two numbers of a format."""
    if real is DOUBLE:
        return high, low
    rounded = float(np.float32(high))
    return rounded, (high - rounded) + low


def _half_angle(a: Value) -> tuple[Value, Value, Value]:
    """s, its error and t in ``asin(s) = s + t``: s is a up to 1/2, sqrt((1 - a) / 2) above."""
    large = a > 0.5
    z = (0.5 - 0.5 * a).where(large, a * a)
    root = z.intrinsic("llvm.sqrt")
    s = root.where(large, a)
    # the error of the root counts where it is above 1/4, for which a line is near 1 / (2 * root)
    error = a.constant(0.0)
    if a.real is DOUBLE:
        error = (remainder(z, root, root) * (2.4 - 6.0 * z)).where(large, error)
    return s, error, s * z * z.polynomial(a.real.asin)


def arcsin(x: Value) -> Value:
    a = x.magnitude()
    s, error, t = _half_angle(a)
    high, low = _constant_pair(x.real, *HALF_PI)
    total, rest = fast_two_sum(x.constant(high), -2.0 * s)
    large = total + (rest + (low - 2.0 * (t + error)))
    return (s + t).where(a <= 0.5, large).with_sign_of(x)


def arccos(x: Value) -> Value:
    a = x.magnitude()
    s, error, t = _half_angle(a)
    high, low = _constant_pair(x.real, *HALF_PI)
    s_signed, t_signed = (
        s.with_sign_of(x),
        (t.bits() ^ (x.bits() & x.real.sign_mask)).float_from_bits(),
    )
    total, rest = fast_two_sum(x.constant(high), -s_signed)
    small = total + (rest + (low - t_signed))
    double, double_low = 2.0 * s, 2.0 * (t + error)
    high, low = _constant_pair(x.real, *PI)
    total, rest = fast_two_sum(x.constant(high), -double)
    large = (double + double_low).where(x > 0.0, total + (rest + (low - double_low)))
    return small.where(a <= 0.5, large)


def _arctan_of_ratio(numerator: Value, denominator: Value) -> tuple[Value, Value]:
    """atan(numerator / denominator) in two parts, for 0 <= numerator <= denominator.

    Above tan(pi / 8) it is pi / 4 + atan((n - d) / (n + d)).
    """
    real = numerator.real
    middle = numerator > denominator * math.tan(math.pi / 8)
    n, n_low = fast_two_sum(denominator, -numerator)  # d - n
    d, d_low = fast_two_sum(denominator, numerator)
    zero = n.constant(0.0)
    n, n_low = (-n).where(middle, numerator), (-n_low).where(middle, zero)
    d, d_low = d.where(middle, denominator), d_low.where(middle, zero)
    if real is DOUBLE:
        t, t_low = quotient_pair(n, n_low, d, d_low, inverse=1.0 / d)
    else:
        t, t_low = n / d, zero
    z = t * t
    high, constant_low = _constant_pair(real, *QUARTER_PI)
    total, rest = fast_two_sum(n.constant(high).where(middle, zero), t)
    total, rest = total.where(middle, t), rest.where(middle, zero)
    low = n.constant(constant_low).where(middle, zero)
    return total, (rest + (low + t_low)) + t * z * z.polynomial(real.atan)


def _reflected(
    value: Value, low: Value, condition: Value, constant: tuple[float, float]
) -> tuple[Value, Value]:
    """The pair taken from a constant where a condition holds."""
    high, rest = _constant_pair(value.real, *constant)
    total, error = fast_two_sum(value.constant(high), -value)
    return total.where(condition, value), (error + (rest - low)).where(condition, low)


_NEAR_ZERO = {  # (atan(t) - t) / t**3 over t**2; abs(t) < 0.0715, in single precision 0.0355
    DOUBLE: (
        -0.08993300142194405, 0.11110675484993368, -0.1428571349116384,
        0.19999999999492493, -0.3333333333333328,
    ),
    SINGLE: (0.19982011856062407, -0.3333333049998567),
}  # fmt: skip


@cache
def _tables_of_arctan(real: Real) -> tuple[list[float], ...]:
    """p, q and atan(p / q) in two parts for ratios about k / (last - k) of short numbers, one of
    which is 1; those below 1 end at half of the least number that comes to them or further below,
    so that its difference is exact.
    """
    last = 31 if real is SINGLE else 15
    rows = []
    for k in range(last + 1):
        low = k < last - k
        c = Decimal(max(256 * min(k, last - k) // max(k, last - k) - 1, 0)) / 256
        with localcontext(EXACT):
            arc = _arctan_of_at_most_one(c) if low else PI_DIGITS / 2 - _arctan_of_at_most_one(c)
        p, q = (float(c), 1.0) if low else (1.0, float(c))
        rows.append((p, q, *parts(arc, real)))
    return tuple(list(column) for column in zip(*rows, strict=True))


def _arctan_of_at_most_one(c: Decimal) -> Decimal:
    """By Euler's series."""
    term = c / (1 + c * c)
    total, factor, n = Decimal(0), c * c / (1 + c * c), 0
    while term > Decimal(10) ** -80:
        total += term
        n += 1
        term *= factor * (2 * n) / (2 * n + 1)
    return total


def _arctan_by_tables(x: Value) -> Value:
    """atan(p / q) + atan((a * q - p) / (a * p + q)) for a = abs(x) and a near p / q"""
    real = x.real
    a = x.magnitude().clamp(0.0, 2.0 ** (real.bias // 2))
    tables = _tables_of_arctan(real)
    last = float(len(tables[0]) - 1)
    shifted = lanes.near_inverse(a + 1.0) * -last + (real.shifter + last)
    p, q, arc, arc_low = (
        lanes.entry_of(table, shifted.bits(), f"arctan.{n}") for n, table in enumerate(tables)
    )
    n, d = a.fma(q, -p), a.fma(p, q)
    if real is DOUBLE:
        inverse = 1.0 / d
        near = n * inverse
        low = (remainder(n, near, d) - near * a.fma(p, q - d)) * inverse
        t = near + low
        arc_low = arc_low + low
    else:
        t = near = n / d
    z = t * t
    total, error = fast_two_sum(arc, near)
    found = total + ((error + arc_low) + t * z * z.polynomial(_NEAR_ZERO[real]))
    return found.with_sign_of(x)


def arctan(x: Value) -> Value:
    if lanes.available():
        return _arctan_by_tables(x)
    a = x.magnitude()
    large = a > 1.0
    value, low = _arctan_of_ratio(
        x.constant(1.0).where(large, a), a.clamp(0.0, 2.0**x.real.bias).where(large, 1.0)
    )
    value, low = _reflected(value, low, large, HALF_PI)
    return (value + low).with_sign_of(x)


def arctan2(y: Value, x: Value) -> Value:
    """Both scaled to a moderate size; infinities are large numbers, and zeros keep their signs."""
    a, b = y.magnitude(), x.magnitude()
    swapped = a > b
    large, small = a.where(swapped, b), b.where(swapped, a)
    zero, infinite = large == 0.0, large == math.inf
    real = x.real
    huge = large > 2.0 ** (real.bias // 2)
    scale = x.constant(2.0 ** -(real.bias // 2)).where(huge, 2.0 ** (real.bias // 2))
    n, d = small * scale, large * scale
    both = small == math.inf
    n = x.constant(1.0).where(both, x.constant(0.0).where(infinite | zero, n))
    d = x.constant(1.0).where(infinite | zero, d)
    value, low = _arctan_of_ratio(n, d)
    value, low = _reflected(value, low, swapped, HALF_PI)
    negative = (x.bits() & real.sign_mask) != 0
    value, low = _reflected(value, low, negative, PI)
    invalid = (x != x) | (y != y)
    return (x + y).where(invalid, (value + low).with_sign_of(y))
