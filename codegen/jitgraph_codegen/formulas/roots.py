"""Cube roots and hypotenuses."""

from __future__ import annotations

import math

from ..ir_values import DOUBLE, SINGLE, Value, pattern
from .pairs import fast_two_sum, remainder, two_product

# m**(-1/3) over m; 1 <= m < 2, to 17 bits in single precision, 20 in double
_INVERSE_ROOT = {
    SINGLE: (
        -0.017019006353406183, 0.15607145365930306, -0.5978727451057158, 1.2437858302563585,
        -1.566029171104517, 1.7810578903327743,
    ),
    DOUBLE: (
        0.010388471540598847, -0.11040919466863984, 0.5019900919950508, -1.2733602870592722,
        1.9769879615576431, -1.9853798001808476, 1.8797818640528745,
    ),
}  # fmt: skip

# 2**(1/3) and 2**(2/3), each in two parts
_ROOTS_OF_TWO = {
    SINGLE: (
        (1.2599210739135742, -2.4018701053982788e-08),
        (1.587401032447815, 1.9520384533345454e-08),
    ),
    DOUBLE: (
        (1.2599210498948732, -2.589933375300507e-17),
        (1.5874010519681996, -1.0869008194197823e-16),
    ),
}


def cbrt(x: Value) -> Value:
    """2**q * (2**r * m)**(1/3) for x = 2**(3q + r) * m, by Newton's method for the inverse root."""
    real = x.real
    a = x.magnitude()
    tiny = a < real.smallest_normal
    lift = 3 * (real.mantissa // 3 + 1)
    b = (a * 2.0**lift).where(tiny, a)
    exponent = (b.bits() >> real.mantissa) - real.bias  # of b; wraps around below zero
    m = ((b.bits() & ((1 << real.mantissa) - 1)) | pattern(real, 1.0)).float_from_bits()
    # the quotient by three, of a number made positive, by a product and a shift
    third = ((exponent + 3 * 2**10) * 21846) >> 16
    rest = (exponent + 3 * 2**10) - third * 3
    q = third - 2**10
    w = m.polynomial(_INVERSE_ROOT[real])
    steps = 2 if real is DOUBLE else 1
    for _ in range(steps):
        w = w + w * (1.0 - m * w * w * w) * (1 / 3)
    root = m * w * w
    low = _excess(root, m) * w * w * (-1 / 3)
    (one, one_low), (two, two_low) = _ROOTS_OF_TWO[real]
    first, second = rest == 1, rest == 2
    factor = x.constant(one).where(first, x.constant(two).where(second, 1.0))
    factor_low = x.constant(one_low).where(first, x.constant(two_low).where(second, 0.0))
    if real is DOUBLE:
        high, error = two_product(root, factor)
        found = high + (error + (low * factor + root * factor_low))
    else:
        found = (root + low) * factor
    back = x.constant(2.0 ** -(lift // 3)).where(tiny, 1.0)
    scale = ((q + real.bias) << real.mantissa).float_from_bits()
    found = found * (scale * back)
    ordinary = (a > 0.0) & (a < math.inf)
    return found.where(ordinary, a).with_sign_of(x)


def _excess(root: Value, m: Value) -> Value:
    """root**3 - m"""
    if root.real is SINGLE:
        return remainder(-m, -(root * root), root)
    square, square_low = two_product(root, root)
    cube, cube_low = two_product(square, root)
    return (cube - m) + (cube_low + square_low * root)


def hypot(x: Value, y: Value) -> Value:
    """sqrt(x**2 + y**2) of numbers scaled by a power of two, with the error of the root."""
    real = x.real
    a, b = x.magnitude(), y.magnitude()
    large, small = b.where(a < b, a), a.where(a < b, b)
    bound = 2.0 ** (real.bias // 2 - 2)
    huge, tiny = large > bound, large < 1 / bound
    shift = 2.0 ** (3 * real.bias // 4)
    down = x.constant(1 / shift).where(huge, x.constant(shift).where(tiny, 1.0))
    up = x.constant(shift).where(huge, x.constant(1 / shift).where(tiny, 1.0))
    p, q = large * down, small * down
    if real is DOUBLE:
        p2, p2_low = two_product(p, p)
        q2, q2_low = two_product(q, q)
        total, low = fast_two_sum(p2, q2)
        root = total.intrinsic("llvm.sqrt")
        rest = remainder(total, root, root) + (low + (p2_low + q2_low))
        root = root + (rest / (2.0 * root)).where(total > 0.0, 0.0)
    else:
        root = (p * p + q * q).intrinsic("llvm.sqrt")
    infinite = (a == math.inf) | (b == math.inf)
    found = (root * up).where((a == a) & (b == b), a + b)
    return x.constant(math.inf).where(infinite, found)
