"""Exponentials, logarithms, powers, and what is made of one of them."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..ir_values import DOUBLE, LOG_SERIES, SINGLE, THIRD, Value, pattern
from .pairs import fast_two_sum, remainder, two_product, two_sum

LOG_2_ERROR = 2.3190468138462996e-17  # log(2) - math.log(2)


def nearest(x: Value) -> tuple[Value, Value]:
    """The integer next to a moderate number, as a number and as an integer."""
    shifted = x + x.real.shifter
    return shifted - x.real.shifter, shifted.bits() - pattern(x.real, x.real.shifter)


def powers_of_two(n: Value) -> tuple[Value, Value]:
    """Two numbers of product 2**n, which may itself overflow."""
    real = n.real
    biased = n + 2 * real.bias
    half = biased >> 1
    first, second = ((i << real.mantissa).float_from_bits() for i in (half, biased - half))
    return first, second


def power_of_two(n: Value) -> Value:
    """2**n where that is a normal number."""
    return ((n + n.real.bias) << n.real.mantissa).float_from_bits()


def power_of_two_or_less(n: Value) -> Value:
    """2**n where that is below the overflow by far; a subnormal number or 0 where it is small."""
    raised = n.real.bias // 2
    return power_of_two(n + raised) * 2.0**-raised


def reduce_exp(x: Value) -> tuple[Value, Value, Value]:
    """n, r and the error of r in ``x = n * log(2) + r``, for a clamped x."""
    high, low = x.real.ln2
    k, n = nearest(x * (1 / math.log(2)))
    part, tail = x - k * high, k * low
    r = part - tail
    return n, r, (part - r) - tail


def _exp_rest(r: Value, error: Value | None = None) -> Value:
    """exp(r + error) - 1 - r"""
    rest = r * r * r.polynomial(r.real.exp)
    return rest if error is None else rest + error


def exp(x: Value, offset: int = 0, more: Value | None = None) -> Value:
    """exp(x + more) * 2**offset, where ``more`` is tiny."""
    n, r, error = reduce_exp(x.clamp(-x.real.exp_limit, x.real.exp_limit))
    first, second = powers_of_two(n + offset)
    r = r if more is None else r + more
    rest = _exp_rest(r, error if x.real is DOUBLE else None)
    return ((rest + r) + 1.0) * first * second


def exp_pair(x: Value, more: Value | float = 0.0) -> tuple[Value, Value, Value]:
    """p, its error and n in ``exp(x + more) = p * 2**n``, for a clamped x."""
    n, r, error = reduce_exp(x)
    if isinstance(more, Value):
        r, lost = two_sum(r, more)
        error = lost + error
    p, p_low = fast_two_sum(r.constant(1.0), r)
    p, p_low = fast_two_sum(p, p_low + _exp_rest(r, error))
    return p, p_low, n


def exp2(x: Value) -> Value:
    limit = math.ceil(x.real.exp_limit / math.log(2))
    x = x.clamp(-limit, limit)
    k, n = nearest(x)
    first, second = powers_of_two(n)
    if x.real is SINGLE:
        r, error = (x - k) * math.log(2), None
    else:
        r, error = two_product(x - k, x.constant(math.log(2)))
        error = error + (x - k) * LOG_2_ERROR
    return ((_exp_rest(r, error) + r) + 1.0) * first * second


def expm1_pair(x: Value) -> tuple[Value, Value]:
    """expm1(x) in two parts, for an x whose exponential is a normal number."""
    n, r, error = reduce_exp(x)
    power = power_of_two(n)
    total, low = fast_two_sum(power - 1.0, r * power)
    return fast_two_sum(total, low + _exp_rest(r, error) * power)


def expm1(x: Value) -> Value:
    """With half the exponent until the end, so that what is below the overflow stays there."""
    n, r, error = reduce_exp(x.clamp(-x.real.exp_limit, x.real.exp_limit))
    first, second = powers_of_two(n)
    inverse = ((2 * x.real.bias << x.real.mantissa) - second.bits()).float_from_bits()
    start, lost = fast_two_sum(first, -inverse)
    total, low = fast_two_sum(start, r * first)
    rest = _exp_rest(r, error if x.real is DOUBLE else None)
    return ((total + (low + (lost + rest * first))) * second).with_sign_of(x)


def decompose(x: Value) -> tuple[Value, Value]:
    """k and m in ``x = 2**k * m`` with sqrt(1/2) <= m < sqrt(2), for finite x > 0."""
    real = x.real
    tiny = x < real.smallest_normal
    bits = (x * 2.0 ** (real.mantissa + 2)).where(tiny, x).bits()
    root = pattern(real, math.sqrt(0.5))
    shifted = bits + ((real.bias << real.mantissa) - root)
    magic = 2.0**real.mantissa
    biased = ((shifted >> real.mantissa) | pattern(real, magic)).float_from_bits()
    bias = x.constant(magic + real.bias + real.mantissa + 2).where(tiny, magic + real.bias)
    significand = (shifted & ((1 << real.mantissa) - 1)) + root
    return biased - bias, significand.float_from_bits()


def _log_specials(x: Value, y: Value) -> Value:
    """y = log(x) with the values at zero, below zero, at infinity and NaN put right."""
    at_most_zero = x.constant(-math.inf).where(x == 0.0, math.nan)
    return x.where(x == math.inf, y.where(x > 0.0, at_most_zero))


def _log_tail(f: Value) -> tuple[Value, Value]:
    """h and t in ``log(1 + f) = f - h + t``"""
    half_square = 0.5 * f * f
    if f.real is SINGLE:
        return half_square, f * f * f * f.polynomial(SINGLE.log)
    s = f / (2.0 + f)
    z = s * s
    return half_square, s * (half_square + z * z.polynomial(DOUBLE.log))


def _log_of_single(f: Value) -> Value:
    """log(1 + f) in single precision"""
    return f + f * f * f.polynomial((*SINGLE.log, -0.5))


def log(x: Value) -> Value:
    high, low = x.real.ln2
    k, m = decompose(x)
    f = m - 1.0
    if x.real is SINGLE:
        return _log_specials(x, k * high + (k * low + _log_of_single(f)))
    half_square, tail = _log_tail(f)
    return _log_specials(x, k * high - ((half_square - (tail + k * low)) - f))


def log1p_pair(
    x: Value, x_low: Value | float = 0.0, doublings: Value | float = 0.0
) -> tuple[Value, Value]:
    """log(1 + x + x_low) + doublings * log(2) in two parts; -1 < x < inf."""
    high, low = x.real.ln2
    u = 1.0 + x
    k, m = decompose(u)
    lost = ((1.0 - (u - x)).where(u >= 2.0, x - (u - 1.0)) + x_low) / u
    direct = (x > math.sqrt(0.5) - 1) & (x < math.sqrt(2) - 1)
    f = x.where(direct, m - 1.0)
    half_square, tail = _log_tail(f)
    # k is 0 where `direct` holds, save for rounding next to its bounds.
    k = x.constant(0.0).where(direct, k)
    if isinstance(x_low, Value):  # what x lost is left out of `lost`, as f has all of x
        lost = (x_low / u).where(direct, lost)
    else:
        lost = x.constant(0.0).where(direct, lost)
    k = k + doublings
    total, error = two_sum(k * high, f)
    return total, error - (half_square - (tail + (k * low + lost)))


def log1p(x: Value) -> Value:
    high, low = log1p_pair(x)
    return _log_specials(1.0 + x, high + low).with_sign_of(x)


def log_of_base(base: int) -> Callable[[Value], Value]:
    def of_single(x: Value) -> Value:
        k, m = decompose(x)
        rest = _log_of_single(m - 1.0) * (1 / math.log(base))
        if base == 10:
            high, low = SINGLE.log10_2
            return _log_specials(x, k * high + (k * low + rest))
        return _log_specials(x, k + rest)

    def of_double(x: Value) -> Value:
        high, low = x.real.log_scale[base]
        k, m = decompose(x)
        f = m - 1.0
        half_square, tail = _log_tail(f)
        big = ((f - half_square).bits() & x.real.split_mask).float_from_bits()
        small = ((f - big) - half_square) + tail
        product = big * high
        rest = (small + big) * low + small * high
        if base == 10:
            rest, k = k * x.real.log10_2[1] + rest, k * x.real.log10_2[0]
        total = k + product
        return _log_specials(x, total + (rest + ((k - total) + product)))

    return lambda x: of_single(x) if x.real is SINGLE else of_double(x)


def _log_pair(x: Value) -> tuple[Value, Value]:
    """log(x) of a double precision x >= 0 in two parts, to about 65 bits."""
    k, m = decompose(x)
    f = m - 1.0
    d = 2.0 + f
    inverse = 1.0 / d
    s = f * inverse
    s_low = (remainder(f, s, d) - s * ((2.0 - d) + f)) * inverse
    z, z_low = two_product(s, s)
    z_low = z_low + 2.0 * s * s_low
    third, third_low = two_product(z, z.constant(THIRD[0]))
    third_low = third_low + (z_low * THIRD[0] + z * THIRD[1])
    term = z * z * z.polynomial(LOG_SERIES)
    total = third + term
    total_low = ((third - total) + term) + third_low
    cubic, cubic_low = two_product(s, total)
    cubic_low = cubic_low + (s * total_low + s_low * total)
    half = s + cubic
    half_low = ((s - half) + cubic) + (cubic_low + s_low)
    high, low = two_sum(k * DOUBLE.ln2[0], 2.0 * half)
    low = low + (2.0 * half_low + k * DOUBLE.ln2[1])
    return _log_specials(x, high), low


def _log2_of_single(x: Value) -> Value:
    """log2 in double precision, to about 31 bits, of a single precision x >= 0.

    log2(1 + f) = f * (c - f * c / 2 + f**2 * (c / 3 - ...)), c = log2(e), for sqrt(1/2) <= 1 + f <
    sqrt(2); from the fifth power on the terms are small enough for single precision.
    """
    k, m = decompose(x)
    k = x.constant(-math.inf).where(x == 0.0, k).where(x < math.inf, x)
    narrow = m - 1.0
    *rest, fourth, third, second, first = _LOG2_OF_SINGLE
    f, series = narrow.double(), narrow.polynomial(rest).double()
    square = f * f
    series = (f * second + first) + square * ((f * fourth + third) + square * series)
    return f * series + k.double()


_LOG2_OF_SINGLE = (
    *(c / math.log(2) for c in (
        -0.059766964457377836, 0.106319641694881, -0.10819632179797091, 0.11036222246598733,
        -0.12424390367761855, 0.14285116217604368, -0.16669406067950238, 0.20000090567618684,
        -0.24999966962149905, 0.33333332365415375, -0.5, 1.0,
    )),
)  # fmt: skip
_EXP2_OF_SINGLE = (
    0.00015345788418019075, 0.001339993210146075, 0.009618489068543325, 0.055503287737718426,
    0.24022646889073312, 0.6931472057402119, 1.0000000005548684,
)  # fmt: skip  # 2**r over r; abs(r) <= 1/2


def _power_of_single(a: Value, y: Value) -> Value:
    """a**y for a >= 0 and finite y, with its logarithm in double precision."""
    exponent = _log2_of_single(a) * y.double()
    exponent = exponent.clamp(-200.0, 200.0)
    k = exponent.intrinsic("llvm.rint")
    r = (exponent - k).rounded_to(SINGLE)
    _, n = nearest(k.rounded_to(SINGLE))
    first, second = powers_of_two(n)
    return (r * r.polynomial(_EXP2_OF_SINGLE[:-1]) + 1.0) * first * second


def pow(x: Value, y: Value) -> Value:
    a, most = x.magnitude(), x.real.largest
    finite = y.clamp(-most, most)  # so that 1 to the power of infinity is 1
    if x.real is SINGLE:
        power = _power_of_single(a, finite)
    else:
        high, low = _log_pair(a)
        exponent, rest = two_product(high, finite)
        rest = (rest + low * finite).where(exponent.magnitude() < DOUBLE.exp_limit, 0.0)
        power = exp(exponent, more=rest)
    integral, half = y.intrinsic("llvm.rint"), 0.5 * y
    whole = integral == y
    odd = whole & (half.intrinsic("llvm.rint") != half)
    power = power.with_sign_of(x).where(odd, power)
    invalid = (x < 0.0) & (a < math.inf) & (whole ^ 1)
    power = x.constant(math.nan).where(invalid, power)
    return x.constant(1.0).where((x == 1.0) | (y == 0.0), power)


def sigmoid(x: Value) -> Value:
    """2**-n / (2**-n + p) where exp(-x) = p * 2**n"""
    n, r, error = reduce_exp(-x.clamp(-x.real.exp_limit, 2 * x.real.tanh_limit))
    scale = power_of_two_or_less(0 - n)
    rest = r + _exp_rest(r, error)
    if x.real is SINGLE:
        p, p_low = fast_two_sum(x.constant(1.0), rest)
        return scale / (p + (scale + p_low))
    one, one_low = fast_two_sum(x.constant(1.0), scale)  # beside 2**54 and more, 1 is nothing
    d, d_low = fast_two_sum(one, rest)
    inverse = 1.0 / d
    short = remainder(x.constant(1.0), inverse, d) - inverse * (d_low + one_low)
    return (inverse + inverse * short) * scale


def softplus(x: Value) -> Value:
    """max(x, 0) + log(1 + exp(-abs(x)))"""
    found = _log_sum(x.magnitude(), x.constant(0.0).where(x < 0.0, x))
    return x.where(x != x, found)


def logaddexp(x: Value, y: Value) -> Value:
    """max(x, y) + log(1 + exp(-abs(x - y)))"""
    distance = (x - y).magnitude().where(x != y, 0.0)
    found = _log_sum(distance, y.where(x < y, x))
    return (x + y).where((x != x) | (y != y), found)


def _log_sum(distance: Value, most: Value) -> Value:
    """most + log(1 + exp(-distance))"""
    p, p_low, n = exp_pair(-distance.clamp(0.0, distance.real.exp_limit))
    scale = power_of_two_or_less(n)
    high, low = log1p_pair(p * scale, p_low * scale)
    total, error = two_sum(most, high)
    return most.where(most.magnitude() == math.inf, total + (error + low))
