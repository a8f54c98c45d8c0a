"""Hyperbolic functions and their inverses."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

from .. import lanes
from ..ir_values import DOUBLE, SINGLE, Value
from .exponential import (
    Power,
    exp_pair,
    expm1_pair,
    log1p_pair,
    reduce_exp,
    sigmoid,
)
from .pairs import fast_two_sum, quotient_pair, remainder, two_product, two_sum
from .tables import EXACT, Pieces, Point

LOWEST = -87.0  # of what exp in single precision is a normal number for
LARGE = 2.0**28  # sqrt(x**2 + 1) is x from here on


def tanh(x: Value) -> Value:
    """t / (t + 2) for t = expm1(2 * abs(x)), which is moderate where tanh is not 1 yet."""
    if x.real is SINGLE:
        return _tanh_by_tables(x) if lanes.available() else _tanh_of_single(x)
    t, t_low = expm1_pair(2.0 * x.magnitude().clamp(0.0, x.real.tanh_limit))
    d = t + 2.0
    d_low = t - (d - 2.0)  # exactly, as 2 is a short number
    quotient, low = quotient_pair(t, t_low, d, d_low + t_low)
    return (quotient + low).with_sign_of(x)


def _taylor_of_tanh(at: Decimal) -> list[Decimal]:
    """From the derivative 1 - tanh(x)**2."""
    with localcontext(EXACT):
        e = (-2 * at).exp()
        found = [(1 - e) / (1 + e)]
        for n in range(20):
            square = sum((found[k] * found[n - k] for k in range(n + 1)), Decimal(0))
            found.append(((n == 0) - square) / (n + 1))
        return found


_DISTANCE = 19 / 64
_TANH = Pieces(
    "tanh", SINGLE, [Point(k * _DISTANCE, _DISTANCE / 2) for k in range(32)], 6, _taylor_of_tanh
)


def _tanh_by_tables(x: Value) -> Value:
    value, difference = _TANH.near_multiple(x.magnitude().clamp(0.0, 31 * _DISTANCE))
    return (value + difference).with_sign_of(x)


def _tanh_of_single(x: Value) -> Value:
    """The same as in double precision; the rounding of t + 2 is made up for; 1 / (t + 2) is
    (1 - tanh(x)) / 2.

    One part of log(2) is enough: where its multiple is large, t is beside 2 as well.
    """
    y = 2.0 * x.magnitude().clamp(0.0, SINGLE.tanh_limit)
    k, n = (y * (1 / math.log(2))).nearest()
    r = y - k * math.log(2)
    power = Power(k, n).value()
    s = r + r * r * r.polynomial(SINGLE.exp)
    t = s * power + (power - 1.0)
    d = t + 2.0
    lost = t - (d - 2.0)
    quotient = t / d
    found = quotient + (quotient * lost) * (0.5 * quotient - 0.5)
    return found.constant(1.0).where(found > 1.0, found).with_sign_of(x)


def one_plus_tanh(x: Value) -> Value:
    """2 * e / (e + 1) for e = exp(2 * x), which loses no digits where tanh(x) is near -1."""
    if x.real is DOUBLE:
        return 2.0 * sigmoid(2.0 * x)
    power, r, _ = reduce_exp((2.0 * x).clamp(LOWEST, 2 * SINGLE.tanh_limit))
    e = (r * r * r.polynomial(SINGLE.exp) + r + 1.0) * power.value()
    return x.constant(0.0).where(2.0 * x < LOWEST, (e + e) / (e + 1.0))


def _halves_of_exp(a: Value) -> tuple[Value, Value, Value]:
    """exp(a) / 2 in two parts, and exp(-a) / 2, for a >= 0."""
    p, p_low, power = exp_pair(a.clamp(0.0, a.real.exp_limit))
    half = power.doubled(-1)
    high, low = half.times(p), half.times(p_low)
    return high, low, 0.25 / high


def _sum_below_infinity(high: Value, low: Value) -> Value:
    return (high + low).where(high < math.inf, high)


def sinh(x: Value) -> Value:
    a = x.magnitude()
    high, low, inverse = _halves_of_exp(a)
    total, error = fast_two_sum(high, -inverse)
    z = a * a
    small = a + a * z * z.polynomial(x.real.sinh)
    large = _sum_below_infinity(total, error + low)
    return small.where(a < 1.0, large).with_sign_of(x)


def cosh(x: Value) -> Value:
    high, low, inverse = _halves_of_exp(x.magnitude())
    total, error = fast_two_sum(high, inverse)
    return _sum_below_infinity(total, error + low)


def arcsinh(x: Value) -> Value:
    """log(1 + a + a**2 / (1 + sqrt(a**2 + 1))) for a = abs(x); log(2 * a) for a large one."""
    a = x.magnitude()
    large = a > LARGE
    b = a.clamp(0.0, LARGE)
    square = b * b
    root = (square + 1.0).intrinsic("llvm.sqrt")
    term = square / (1.0 + root)
    v, v_low = fast_two_sum(b, term)
    doublings = x.constant(1.0).where(large, 0.0)
    less, less_low = two_sum(a, x.constant(-1.0))
    v, v_low = less.where(large, v), less_low.where(large, v_low)
    high, low = log1p_pair(v, v_low, doublings)
    found = a.where(a == math.inf, high + low)
    return x.where((a < TINY) | (x != x), found.with_sign_of(x))


TINY = 2.0**-30  # arcsinh(x) is x below


def arccosh(x: Value) -> Value:
    """log(1 + y + sqrt(y * (y + 2))) for y = x - 1; log(2 * x) for a large x."""
    large = x > LARGE
    y = x.clamp(1.0, LARGE) - 1.0
    square, square_low = two_product(y, y)
    p, p_low = two_sum(2.0 * y, square)
    root = p.intrinsic("llvm.sqrt")
    rest = (remainder(p, root, root) + (p_low + square_low)) * 0.5
    root_low = (rest / root).where(root > 0.0, 0.0)
    v, v_low = two_sum(y, root)
    doublings = x.constant(1.0).where(large, 0.0)
    less, less_low = two_sum(x, x.constant(-1.0))
    v, v_low = less.where(large, v), less_low.where(large, v_low + root_low)
    high, low = log1p_pair(v, v_low, doublings)
    found = x.where(x == math.inf, high + low)
    return found.where(x >= 1.0, x.where(x != x, math.nan))


def arctanh(x: Value) -> Value:
    """log(1 + 2 * a / (1 - a)) / 2 for a = abs(x)"""
    a = x.magnitude()
    b = a.clamp(0.0, 1.0 - x.real.epsilon / 2)
    d = 1.0 - b
    v, v_low = fast_two_sum(*quotient_pair(2.0 * b, 0.0, d, (1.0 - d) - b))
    high, low = log1p_pair(v, v_low)
    found = (0.5 * (high + low)).where(a < 1.0, x.constant(math.inf).where(a == 1.0, math.nan))
    return x.where((a < TINY) | (x != x), found.with_sign_of(x))
