"""The error function and its complement."""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import partial
from itertools import pairwise

import numpy as np

from .. import lanes
from ..ir_values import DOUBLE, SINGLE, Value
from .exponential import exp_negated_times, exp_pair
from .pairs import fast_two_sum, quotient_pair, remainder, two_product
from .tables import EXACT, PI, Pieces, Point


def _erf_of_small(a: Value) -> tuple[Value, Value]:
    """erf(a) in two parts; 0 <= a < 1."""
    z = a * a
    return fast_two_sum(a, a * z.polynomial(a.real.erf))


_TERMS = 30  # of Taylor series


def _taylor_of_erf(at: Decimal) -> list[Decimal]:
    """The n-th derivative of exp(-x**2) is that times a Hermite polynomial, by its recurrence."""
    with localcontext(EXACT):
        term = total = at
        n = 0
        while abs(term) > Decimal(10) ** -60:
            n += 1
            term = -term * at * at / n
            total += term / (2 * n + 1)
        scale = 2 / PI.sqrt()
        found = [scale * total]
        before, last = Decimal(0), (-at * at).exp() * scale
        factorial = Decimal(1)
        for n in range(1, _TERMS):
            factorial *= n
            found.append(last / factorial)
            before, last = last, -2 * at * last - 2 * (n - 1) * before
        return found


# exponents, for erfcx of a large number to come to about 1 where small results are many
_RAISED = {SINGLE: 4, DOUBLE: 0}
_SCALE = {SINGLE: 2.9375, DOUBLE: 1.0859375}  # by which the limit of erfc comes to about 30


def _taylor_of_erfcx(raised: int, at: Decimal) -> list[Decimal]:
    """Of erfcx times a power of two, from erf or by a continued fraction, which converges slowly
    near zero, and from the derivative 2 * x * erfcx(x) - 2 / sqrt(pi).
    """
    with localcontext(EXACT):
        root = PI.sqrt()
        if at < 2:
            found = [(at * at).exp() * (1 - _taylor_of_erf(at)[0])]
        else:
            fraction = at
            for n in range(600, 0, -1):
                fraction = at + n / (2 * fraction)
            found = [1 / (root * fraction)]
        found.append(2 * at * found[0] - 2 / root)
        for n in range(1, _TERMS - 1):
            found.append(2 * (at * found[n] + found[n - 1]) / (n + 1))
        return [2**raised * c for c in found]


def _at_even_distances(distance: float, count: int) -> list[Point]:
    return [Point(k * distance, distance / 2) for k in range(count)]


def _in_octaves(count: int, scale: float) -> list[Point]:
    """Points from 0 to 30 / scale, by the exponent and the first bits of x * scale + 2."""
    each = count // 4
    edges = [(2.0 ** (1 + k // each) * (1 + k % each / each) - 2) / scale for k in range(count + 1)]
    middles = [float(np.float32((a + b) / 2)) for a, b in pairwise(edges)]
    return [Point(c, b - c) for c, b in zip(middles, edges[1:], strict=True)]


_ERF = {
    SINGLE: Pieces("erf", SINGLE, _at_even_distances(9 / 64, 32), 6, _taylor_of_erf),
    DOUBLE: Pieces("erf", DOUBLE, _at_even_distances(13 / 32, 16), 14, _taylor_of_erf),
}
_ERFCX = {
    real: Pieces(
        "erfcx", real, _in_octaves(count, _SCALE[real]), degree,
        partial(_taylor_of_erfcx, _RAISED[real]),
    )
    for real, count, degree in ((SINGLE, 32, 4), (DOUBLE, 16, 14))
}  # fmt: skip


def _erf_by_tables(x: Value) -> Value:
    a = x.magnitude().clamp(0.0, x.real.erf_limit)
    value, difference = _ERF[x.real].near_multiple(a)
    return (value + difference).with_sign_of(x)


def _erfc_by_tables(x: Value) -> Value:
    """exp(-x**2) * erfcx(x) above zero, 2 - erfc(-x) below."""
    real, pieces = x.real, _ERFCX[x.real]
    b = x.magnitude().clamp(0.0, real.erfc_limit)
    centers = [point.at for point in pieces.points]
    leading = (len(centers) // 4 - 1).bit_length()  # bits of a significand that count
    index = (b * _SCALE[real] + 2.0).bits() >> (real.mantissa - leading)
    t = b - lanes.entry_of(centers, index, f"{pieces.name}.center")
    g, g_low = pieces.pair_near(index, t)
    square, square_low = two_product(b, b)
    product, low, power = exp_negated_times(square, square_low, g, g_low)
    if _RAISED[real]:
        power = power.doubled(-_RAISED[real])
    tail = power.times_near_one(product + low, seldom_small=real is DOUBLE)
    return (2.0 - tail).where(x < 0.0, tail)


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
    """By tables, or 1 - erf(x) for abs(x) < 1/2, exp(-x**2) * erfcx(x) above, 2 - erfc(-x) below.

    (1 + 2 * x) * erfcx(x) is a polynomial over (x - 3) / (x + 3), as in Shepherd and Laframboise,
    "Chebyshev approximation of (1 + 2x) exp(x**2) erfc(x)", 1981.
    """
    if lanes.available():
        return _erfc_by_tables(x)
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
