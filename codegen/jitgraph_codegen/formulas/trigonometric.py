"""Sine, cosine and tangent.

Angles below `angles.MODERATE` are reduced by Cody and Waite's method, with pi / 2 in parts; all
others by Payne and Hanek's, whose tables have 1 / pi to as many bits as an exponent needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cached_property

from .. import lanes
from ..ir_values import (
    DOUBLE,
    PI_ERROR,
    SINGLE,
    TINY_ANGLE,
    Table,
    Value,
    has_fma,
    pattern,
)
from .pairs import fast_two_sum, quotient_pair, two_product, two_sum
from .tables import EXACT, PI, parts

_HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
_SINGLE_PI = (3.1415927410125732, -8.742277657347586e-08, -3.4302490200117637e-15)


# Payne and Hanek


def _inverse_pi(precision: int) -> int:
    """``2**precision / pi``, rounded down, with Machin's formula for pi."""
    one = 1 << (precision + 64)

    def arctan_of_inverse(n: int) -> int:
        total, power, k = 0, one // n, 1
        while power:
            total, power, k = total + power // k, -power // (n * n), k + 2
        return total

    pi = 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))
    return (one << precision) // pi


INVERSE_PI = _inverse_pi(1300)


def _turns(exponent: int) -> int:
    """``2**exponent / pi`` modulo 2, times 2**300."""
    return (INVERSE_PI >> (1000 - exponent)) % 2**301


def _single_turns() -> Table:
    """For each exponent of x, 1/pi less a number whose product with x is an even integer.

    It has two parts: the first is of 29 bits, so that its product with x is exact.
    """
    numbers = []
    for biased in range(2 * SINGLE.bias + 2):
        exponent = max(biased, 1) - SINGLE.bias - SINGLE.mantissa
        turns = _turns(exponent)
        drop = turns.bit_length() - 29
        high = ((turns >> drop - 1) + 1 >> 1) << drop
        scale = 2.0 ** (-exponent - 150) * 2.0**-150
        numbers += [high * scale, (turns - high) * scale]
    return Table("turns.single", DOUBLE.type, numbers)


def _double_turns() -> tuple[Table, Table]:
    """For each exponent of x from that of TINY_ANGLE on, 1/pi times its last bit, modulo 2.

    It has three parts: an integer that counts 2**-63, whose product with the significand of x wraps
    around as it should, and the rest in two numbers, times 2**52.
    """
    integers, rests = [], []
    for biased in range(TINY_EXPONENT, 2 * DOUBLE.bias + 1):
        turns = _turns(biased - DOUBLE.bias - DOUBLE.mantissa)
        integer = (turns >> 236) + 1 >> 1
        rest = turns - (integer << 237)
        high = int(float(rest))
        integers.append(integer % 2**64)
        rests += [high * 2.0**-248, (rest - high) * 2.0**-248]
    integers.append(0)
    rests += [math.nan, math.nan]
    return Table("turns.double", DOUBLE.integer, integers), Table("rest.double", DOUBLE.type, rests)


TINY_EXPONENT = pattern(DOUBLE, TINY_ANGLE) >> DOUBLE.mantissa
SINGLE_TURNS, DOUBLE_TURNS = _single_turns(), _double_turns()


def _reduce_any_single(x: Value, divisor: int, shift: float) -> tuple[Value, Value]:
    """n and r in ``x = (n - shift) * pi / divisor + r``, r in double precision, for x >= 0.

    Only the last bit of n counts; r is NaN for an infinite x.
    """
    row = (x.bits() >> SINGLE.mantissa) << 1
    turns = x.double() * divisor
    first, second = row.entry_of(SINGLE_TURNS), (row | 1).entry_of(SINGLE_TURNS)
    exact = turns * first
    k, n = (turns * second + exact + shift).nearest()
    k = k - shift
    return n, ((exact - k) + turns * second) * (math.pi / divisor)


def _reduce_any_double(x: Value) -> tuple[Value, Value, Value]:
    """n, r and the error of r in ``x = n * pi / 2 + r``, for x >= 0.

    Only the last two bits of n count; r is NaN for an infinite x.
    """
    bits = x.constant(TINY_ANGLE).where(x < TINY_ANGLE, x).bits()
    row = (bits >> DOUBLE.mantissa) - TINY_EXPONENT
    fraction = bits & ((1 << DOUBLE.mantissa) - 1)
    integers, rests = DOUBLE_TURNS
    # As integers that wrap around at two periods, hence exactly, and with half a quarter too much:
    product = (fraction | 1 << DOUBLE.mantissa) * row.entry_of(integers)
    position = product + 2**61
    n, part = position >> 62, position << 2
    high = ((part >> 32) | pattern(DOUBLE, 2.0**20)).float_from_bits() - (2.0**20 + 0.5)
    low = ((part & 0xFFFFFFFF) | pattern(DOUBLE, 2.0**-12)).float_from_bits() - 2.0**-12

    significand = (fraction | pattern(DOUBLE, 2.0)).float_from_bits()
    first, second = (row << 1).entry_of(rests), ((row << 1) | 1).entry_of(rests)
    rest, rest_error = two_product(significand, first)
    low, low_error = two_sum(low, rest)
    high, high_error = two_sum(high, low)
    low = high_error + (low_error + (rest_error + significand * second))
    quarters, quarters_error = fast_two_sum(high, low)

    half_pi = math.pi / 2
    r, r_error = two_product(quarters, quarters.constant(half_pi))
    r_error = r_error + (quarters_error * half_pi + quarters * (PI_ERROR / 2))
    return n, *fast_two_sum(r, r_error)


# Cody and Waite


def _reduce_moderate_double(x: Value) -> tuple[Value, Value, Value]:
    """n, r and the error of r in ``x = n * pi / 2 + r``; the first subtraction is exact."""
    k, n = (x * (2 / math.pi)).nearest()
    first, second, third = _HALF_PI
    rest = (-k).fma(k.constant(first), x)
    product, product_error = two_product(k, k.constant(second))
    r, r_error = two_sum(rest, -product)
    return n, r, (r_error - product_error) - k * third


def _reduce_moderate_single(x: Value) -> tuple[Value, Value, Value]:
    """The same in single precision."""
    k, n = (x * (2 / math.pi)).nearest()
    k = -k
    first, second, third = (k.constant(part / 2) for part in _SINGLE_PI)
    product, product_error = two_product(k, second)
    r, r_error = two_sum(k.fma(first, x), product)
    return n, r, k.fma(third, r_error + product_error)


# the functions of a reduced angle


def _sin_of_half_period(r: Value) -> Value:
    """sin(r) to single precision; abs(r) <= pi / 2."""
    z = r * r
    return r + r * z * z.polynomial(SINGLE.sin)


def _sin_and_cos(r: Value, error: Value) -> tuple[Value, Value, Value, Value]:
    """sin(r + error) and cos(r + error), each in two parts; abs(r) <= pi / 4."""
    z = r * r
    half = 0.5 * z
    sine, sine_low = fast_two_sum(r, r * z * z.polynomial(DOUBLE.sin))
    one = 1.0 - half
    cosine_low = ((1.0 - one) - half) + (z * z * z.polynomial(DOUBLE.cos) - r * error)
    cosine, cosine_low = fast_two_sum(one, cosine_low)
    return sine, sine_low + error * one, cosine, cosine_low


def _quadrant(n: Value, r: Value, error: Value) -> Value:
    """sin(n * pi / 2 + r + error)"""
    sine, sine_low, cosine, cosine_low = _sin_and_cos(r, error)
    value = (sine + sine_low).where((n & 1) == 0, cosine + cosine_low)
    return (value.bits() ^ ((n & 2) << 62)).float_from_bits()


def _tangent(n: Value, r: Value, error: Value) -> Value:
    sine, sine_low, cosine, cosine_low = _sin_and_cos(r, error)
    even = (n & 1) == 0
    quotient, low = quotient_pair(
        sine.where(even, -cosine), sine_low.where(even, -cosine_low),
        cosine.where(even, sine), cosine_low.where(even, sine_low),
    )  # fmt: skip
    return quotient + low


# by tables


@dataclass(frozen=True, eq=False)
class _Circle:
    """Sines and cosines of 16 angles at even distances, over one circle or half of it."""

    name: str
    halves: int

    @cached_property
    def _tables(self) -> tuple[list[float], ...]:
        sines = [parts(_sine_of_sixteenths(k * self.halves), DOUBLE) for k in range(16)]
        sines[0] = (-0.0, 0.0)  # for the sign of a sum with a zero
        cosines = [parts(_sine_of_sixteenths(k * self.halves + 8), DOUBLE) for k in range(16)]
        return tuple(list(c) for pairs in (sines, cosines) for c in zip(*pairs, strict=True))

    def reduce(self, x: Value, shift: int) -> tuple[Value, Value, Value]:
        """The index of an angle, r and the error of r; for a moderate x plus some such angles.

        The first subtraction is exact.
        """
        shifter = DOUBLE.shifter + shift
        per_radian = 16 / (self.halves * math.pi)
        shifted = x.fma(x.constant(per_radian), x.constant(shifter))
        k = -(shifted - shifter)
        first, second, third = (k.constant(p * self.halves / 8) for p in _HALF_PI)
        rest = k.fma(first, x)
        product = k.times(second)
        # exact where the product is the larger one as well: then the two have few bits in common
        r, error = fast_two_sum(rest, product)
        return shifted.bits(), r, error + k.fma(third, k.fma(second, -product))

    def at(self, index: Value) -> tuple[tuple[Value, Value], tuple[Value, Value]]:
        """Sine and cosine, each in two parts."""
        sin, sin_low, cos, cos_low = (
            lanes.entry_of(table, index, f"{self.name}.{n}") for n, table in enumerate(self._tables)
        )
        return (sin, sin_low), (cos, cos_low)


_CIRCLE, _HALF_CIRCLE = _Circle("circle", 2), _Circle("half.circle", 1)


def _sine_of_sixteenths(k: int) -> Decimal:
    """sin(k * pi / 16)"""
    with localcontext(EXACT):
        if k % 16 == 0:
            return Decimal(0)
        sign, k = (-1 if k % 32 > 16 else 1), min(k % 16, 16 - k % 16)
        x = PI * k / 16
        total, term, n = Decimal(0), x, 1
        while abs(term) > Decimal(10) ** -80:
            total += term
            n += 2
            term = -term * x * x / (n * (n - 1))
        return sign * total


def _advanced(a: Value, a_low: Value, b: Value, b_low: Value, r: Value) -> tuple[Value, Value]:
    """a + b * r rounded, and what that is above the sum, for numbers a and b in two parts;
    abs(a) >= abs(b * r) or a is 0.
    """
    high = r.fma(b, a)
    return high, (-r).fma(b, high - a) - r.fma(b_low, a_low)


# (sin(r) - r) / r**3 and (cos(r) - 1) / r**2 over r**2; abs(r) <= pi / 16
_SIN = (2.7537970410147485e-06, -0.0001984126517019755, 0.008333333332972459, -0.16666666666666624)
_COS = (
    -2.753716429871165e-07, 2.4801580489668854e-05, -0.0013888888887949127,
    0.04166666666666621, -0.5,
)  # fmt: skip
# (tan(r) - r) / r**3 over r**2; abs(r) <= pi / 32
_TAN = (
    0.008950518157486232, 0.02186874946809849, 0.053968256519715624, 0.13333333333025196,
    0.3333333333333339,
)  # fmt: skip


def _sine_by_tables(x: Value, quarters: int) -> Value:
    """sin(x + quarters * pi / 2) of a moderate x.

    sin(c + r) = (sin(c) + cos(c) * r) + (cos(c) * (sin(r) - r) + sin(c) * (cos(r) - 1))
    """
    index, r, error = _CIRCLE.reduce(x, 4 * quarters)
    sin, cos = _CIRCLE.at(index)
    z = r * r
    bent, fallen = r * z * z.polynomial(_SIN) + error, z * z.polynomial(_COS)
    high, over = _advanced(*sin, *cos, r)
    return high - (over - (bent * cos[0] + fallen * sin[0]))


def _tangent_by_tables(x: Value) -> Value:
    """tan(c + r) = (sin(c) + cos(c) * tan(r)) / (cos(c) - sin(c) * tan(r)) of a moderate x."""
    index, r, error = _HALF_CIRCLE.reduce(x, 0)
    (sin, sin_low), (cos, cos_low) = _HALF_CIRCLE.at(index)
    z = r * r
    unbent = (-(r * z)).fma(z.polynomial(_TAN), -error)  # r - tan(r), and +0 for -0
    t = r - unbent
    t_over = (t - r) + unbent
    n, n_over = _advanced(sin, sin_low, cos, cos_low, t)
    d, d_over = _advanced(cos, cos_low, -sin, -sin_low, t)
    near, low = quotient_pair(n, -(cos * t_over + n_over), d, sin * t_over - d_over)
    return near + low


# of any angle


def _odd(formula: Callable[[Value], Value]) -> Callable[[Value], Value]:
    """An odd function that is about x at a small x, from its formula for x >= 0."""

    def whole(x: Value) -> Value:
        y = formula(x.magnitude()).rounded_to(x.real)
        sign = x.bits() & x.real.sign_mask
        return x.where(x.magnitude() < TINY_ANGLE, (y.bits() ^ sign).float_from_bits())

    return whole


def _sine_of_positive(x: Value, shift: int) -> Value:
    """sin(x + shift * pi / 2) for x >= 0"""
    if x.real is DOUBLE:
        n, r, error = _reduce_any_double(x)
        return _quadrant(n + shift, r, error)
    n, r = _reduce_any_single(x, 1, 0.5 * shift)
    return (_sin_of_half_period(r).bits() ^ (n << 63)).float_from_bits()


def _tangent_of_positive(x: Value) -> Value:
    if x.real is DOUBLE:
        return _tangent(*_reduce_any_double(x))
    n, r = _reduce_any_single(x, 2, 0.0)
    z = r * r
    sine = _sin_of_half_period(r)
    cosine = (1.0 - 0.5 * z) + z * z * z.polynomial(SINGLE.cos)
    even = (n & 1) == 0
    return sine.where(even, -cosine) / cosine.where(even, sine)


def sin(x: Value) -> Value:
    return _odd(lambda a: _sine_of_positive(a, 0))(x)


def cos(x: Value) -> Value:
    return _sine_of_positive(x.magnitude(), 1).rounded_to(x.real)


tan = _odd(_tangent_of_positive)


def _zero_itself(x: Value, found: Value) -> Value:
    """A zero x, with its sign, or what is found for another."""
    return x.where(x == 0.0, found)


def _moderate_sine(x: Value, shift: int) -> Value:
    if x.real is DOUBLE:
        if lanes.available():
            return _sine_by_tables(x, shift)
        n, r, error = _reduce_moderate_double(x)
        found = _quadrant(n + shift, r, error)
        return found if shift else _zero_itself(x, found)
    k, n = (x * (1 / math.pi) + 0.5 * shift).nearest()
    k, r = -(k - 0.5 if shift else k), x
    for part in _SINGLE_PI:
        r = k.fma(k.constant(part), r)
    found = (_sin_of_half_period(r).bits() ^ (n << 31)).float_from_bits()
    return found if shift else _zero_itself(x, found)


def sin_moderate(x: Value) -> Value:
    """sin(x) for a moderate x."""
    return _moderate_sine(x, 0) if has_fma() else sin(x)


def cos_moderate(x: Value) -> Value:
    """cos(x) for a moderate x."""
    return _moderate_sine(x, 1) if has_fma() else cos(x)


def tan_moderate(x: Value) -> Value:
    """tan(x) for a moderate x."""
    if not has_fma():
        return tan(x)
    if x.real is DOUBLE:
        if lanes.available():
            return _tangent_by_tables(x)
        return _zero_itself(x, _tangent(*_reduce_moderate_double(x)))
    n, r, error = _reduce_moderate_single(x)
    z = r * r
    t = r + (r * z * z.polynomial(SINGLE.tan) + error)
    return _zero_itself(x, t.where((n & 1) == 0, -1.0 / t))
