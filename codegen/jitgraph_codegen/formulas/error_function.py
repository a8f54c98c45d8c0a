"""The error function and its complement."""

from __future__ import annotations

from ..ir_values import DOUBLE, Value
from .exponential import exp_pair
from .pairs import fast_two_sum, quotient_pair, remainder, two_product


def _erf_of_small(a: Value) -> tuple[Value, Value]:
    """erf(a) in two parts; 0 <= a < 1."""
    z = a * a
    return fast_two_sum(a, a * z.polynomial(a.real.erf))


def erf(x: Value) -> Value:
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
