"""Values in two parts, of which the second holds what rounding took from the first."""

from __future__ import annotations

from .. import lanes
from ..ir_values import SINGLE, Value, has_fma


def two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """The rounded sum and its error."""
    total = a + b
    rest = total - a
    return total, (a - (total - rest)) + (b - rest)


def fast_two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """The same where a is zero or abs(a) >= abs(b)."""
    total = a + b
    return total, b - (total - a)


def _halves(a: Value) -> tuple[Value, Value]:
    high = (a.bits() & a.real.half_mask).float_from_bits()
    return high, a - high


def two_product(a: Value, b: Value) -> tuple[Value, Value]:
    """The rounded product and its error."""
    product = a.times(b)
    if has_fma():
        return product, a.fma(b, -product)
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    error = ((a_high * b_high - product) + a_high * b_low) + a_low * b_high
    return product, error + a_low * b_low


def remainder(a: Value, quotient: Value, b: Value) -> Value:
    """a - quotient * b, where that is small beside a."""
    if has_fma():
        return (-quotient).fma(b, a)
    product, error = two_product(quotient, b)
    return (a - product) - error


def half_inverse(b: Value) -> Value:
    """1 / b to half of the digits at least; for a b far from the ends of the range."""
    if not lanes.available():
        return 1.0 / b
    near = lanes.near_inverse(b)
    return near if b.real is SINGLE else near.fma((-near).fma(b, b.constant(1.0)), near)


def quotient_pair(
    a: Value, a_low: Value | float, b: Value, b_low: Value | float, inverse: Value | None = None
) -> tuple[Value, Value]:
    """(a + a_low) / (b + b_low) in two parts, the first of which is right to half of the digits at
    least; their sum has the sign of a zero a.

    The inverse of b needs half of the digits, too; without it b has to be far from the ends of the
    range.
    """
    inverse = half_inverse(b) if inverse is None else inverse
    quotient = a * inverse
    if has_fma():
        over = quotient.fma(b, -a)
    else:
        product, error = two_product(quotient, b)
        over = (product - a) + error
    over = (over - a_low) + quotient * b_low  # +0 where all are zeros
    return quotient, -(over * inverse)
