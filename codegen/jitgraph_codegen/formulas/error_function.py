"""The error function and its complement."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from functools import cache

import numpy as np

from .. import lanes
from ..ir_values import DOUBLE, SINGLE, Real, Value
from .exponential import exp_pair, nearest
from .pairs import fast_two_sum, quotient_pair, remainder, two_product


def _erf_of_small(a: Value) -> tuple[Value, Value]:
    """erf(a) in two parts; 0 <= a < 1."""
    z = a * a
    return fast_two_sum(a, a * z.polynomial(a.real.erf))


# for the tables of erf: the distance of their points, how many there are, and the degree
_POINTS = {"float": (9 / 64, 32, 6), "double": (13 / 32, 16, 14)}


@cache
def _tables_of_erf(real: Real) -> tuple[list[float], list[float], list[list[float]]]:
    """erf at each point in two parts, and the coefficients of its polynomial over the distance
    from there, from the linear one on: Taylor's, economised by Chebyshev polynomials.
    """
    distance, count, degree = _POINTS[str(real.type)]
    values, rests, coefficients = [], [], []
    for k in range(count):
        value, *series = _economised(_taylor_of_erf(Decimal(k) * Decimal(distance)),
                                     Decimal(distance) / 2, degree)  # fmt: skip
        first = float(np.float32(value)) if real is SINGLE else float(value)
        values.append(first)
        rests.append(float(_EXACT.subtract(value, Decimal(first))))
        coefficients.append(list(map(float, series)))
    return values, rests, [list(column) for column in zip(*coefficients, strict=True)]


_EXACT = Context(prec=90)
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
_TERMS = 30


def _taylor_of_erf(at: Decimal) -> list[Decimal]:
    """erf(at + t) over t, from the constant on; the n-th derivative of exp(-x**2) is that times a
    Hermite polynomial, by its recurrence.
    """
    with localcontext(_EXACT):
        term = total = at
        n = 0
        while abs(term) > Decimal(10) ** -60:
            n += 1
            term = -term * at * at / n
            total += term / (2 * n + 1)
        scale = 2 / _PI.sqrt()
        found = [scale * total]
        before, last = Decimal(0), (-at * at).exp() * scale
        factorial = Decimal(1)
        for n in range(1, _TERMS):
            factorial *= n
            found.append(last / factorial)
            before, last = last, -2 * at * last - 2 * (n - 1) * before
        return found


def _economised(series: list[Decimal], bound: Decimal, degree: int) -> list[Decimal]:
    """A polynomial of lower degree, as near as Chebyshev's come for abs(t) <= bound."""
    with localcontext(_EXACT):
        series = list(series)
        chebyshev = [[Decimal(1)], [Decimal(0), 1 / bound]]
        for _ in range(2, len(series)):
            last, before = chebyshev[-1], chebyshev[-2]
            twice = [Decimal(0), *(2 * c / bound for c in last)]
            padded = [*before, *[Decimal(0)] * (len(twice) - len(before))]
            chebyshev.append([a - b for a, b in zip(twice, padded, strict=True)])
        for n in range(len(series) - 1, degree, -1):
            factor = series[n] / chebyshev[n][n]
            series = [a - factor * b for a, b in zip(series, chebyshev[n], strict=False)][:n]
        return series


def _erf_by_tables(x: Value) -> Value:
    """erf(c) + t * (...) for the point c next to abs(x), and t = abs(x) - c"""
    distance, _, _ = _POINTS[str(x.real.type)]
    values, rests, coefficients = _tables_of_erf(x.real)
    a = x.magnitude().clamp(0.0, x.real.erf_limit)
    k, index = nearest(a * (1 / distance))
    t = a - k * distance

    def entry(table: list[float], name: str) -> Value:
        return lanes.entry_of(table, index, f"erf.{name}")

    linear, *higher = (entry(c, str(n)) for n, c in enumerate(coefficients))
    total = higher[-1]
    for coefficient in higher[-2::-1]:
        total = total * t + coefficient
    rest = t * t * total
    if x.real is DOUBLE:
        rest = rest + entry(rests, "rest")
    return (entry(values, "value") + (t * linear + rest)).with_sign_of(x)


def erf(x: Value) -> Value:
    if lanes.available():
        return _erf_by_tables(x)
    a = x.magnitude()
    b = a.clamp(0.0, x.real.erf_limit)
    square, square_low = two_product(b, b)
    p, p_low, power = exp_pair(-square, -square_low)
    d = b + 2.0
    inverse = 1.0 / d
    t = inverse - 0.25
    *coefficients, last = x.real.erfcx
    g, g_low = fast_two_sum(x.constant(last), t * t.polynomial(coefficients))
    if x.real is DOUBLE:  # the slope is 2.5 where the error of the inverse matters
        rest = remainder(x.constant(1.0), inverse, d) - inverse * (b - (d - 2.0))
        g_low = g_low + 2.5 * (rest * inverse)
    scale = power.value()
    product, low = p * g, p * g_low + p_low * g
    if x.real is DOUBLE:
        product, product_low = two_product(p, g)
        low = low + product_low
    high, rest = fast_two_sum(x.constant(1.0), -product * scale)
    large = high + (rest - low * scale)
    small, small_low = _erf_of_small(a)
    return (small + small_low).where(a < 1.0, large).with_sign_of(x)


def erfc(x: Value) -> Value:
    """1 - erf(x) for abs(x) < 1/2, exp(-x**2) * erfcx(x) above, 2 - erfc(-x) below.

    (1 + 2 * x) * erfcx(x) is a polynomial over (x - 3) / (x + 3), as in Shepherd and Laframboise,
    "Chebyshev approximation of (1 + 2x) exp(x**2) erfc(x)", 1981.
    """
    a = x.magnitude()
    b = a.clamp(0.0, x.real.erfc_limit)
    square, square_low = two_product(b, b)
    p, p_low, power = exp_pair(-square, -square_low)
    t = (b - 3.0) / (b + 3.0)
    *coefficients, last = x.real.erfcx_wide
    g, g_low = fast_two_sum(x.constant(last), t * t.polynomial(coefficients))
    product, product_low = two_product(p, g)
    product_low = product_low + (p * g_low + p_low * g)
    d, d_low = fast_two_sum(2.0 * b, x.constant(1.0))
    d_low = d_low.where(b > 0.5, 0.0)
    quotient, low = quotient_pair(product, product_low, d, d_low)
    tail = power.times(quotient + low)
    small, small_low = _erf_of_small(a)
    sign = x.bits() & x.real.sign_mask
    small, small_low = ((v.bits() ^ sign).float_from_bits() for v in (small, small_low))
    high, low = fast_two_sum(x.constant(1.0), -small)
    far = tail.where(x > 0.0, 2.0 - tail)
    return x.where(x != x, (high + (low - small_low)).where(a < 0.5, far))
