"""Exponentials, logarithms, powers, and what is made of one of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from .. import lanes
from ..ir_values import DOUBLE, LOG_SERIES, SINGLE, THIRD, Value, pattern
from .pairs import fast_two_sum, half_inverse, remainder, two_product, two_sum
from .tables import EXACT, parts

LOG_2_ERROR = 2.3190468138462996e-17  # log(2) - math.log(2)


@dataclass(frozen=True)
class Power:
    """2**n for an integer n, which is kept as a number and as bits.

    Where `lanes` are available the number may be above n by less than 1; then it has no inverse.
    """

    number: Value
    bits: Value

    def doubled(self, offset: int) -> Power:
        """2**(n + offset)"""
        return Power(self.number + float(offset), self.bits + offset)

    def inverse(self) -> Power:
        return Power(-self.number, 0 - self.bits)

    def times(self, x: Value) -> Value:
        """x * 2**n, which may overflow and may be subnormal."""
        if lanes.available():
            return lanes.scaled(x, self.number)
        first, second = (_normal(n) for n in self._halves())
        return x * first * second

    def times_near_one(self, x: Value, seldom_small: bool = False) -> Value:
        """x * 2**n for x from 1/2 to 2.

        An instruction whose result is subnormal takes a hundred cycles.  So the integer that counts
        the last bit of such a result is rounded by a sum; or, where those are seldom, only what
        comes to zero is left out.
        """
        if seldom_small:
            zero, vanishing = x.constant(0.0), self._vanishes()
            if lanes.available():
                return zero.where(vanishing, lanes.scaled(x, self.number))
            first, second = (_normal(n) for n in self._halves())
            return x * zero.where(vanishing, first) * second
        real, number = x.real, self.number
        small = number < 1.0 - real.bias
        raised = real.bias - 1 + real.mantissa
        if lanes.available():
            found = lanes.scaled(x, (number + float(raised)).where(small, number))
        else:
            found = Power(number, (self.bits + raised).where(small, self.bits)).times(x)
        added = x.constant(2.0**real.mantissa).where(small, 0.0)
        return ((found + added).bits() - added.bits()).float_from_bits()

    def value(self) -> Value:
        """2**n where that is a normal number."""
        one = self.number.constant(1.0)
        return lanes.scaled(one, self.number) if lanes.available() else _normal(self.bits)

    def value_or_less(self) -> Value:
        """2**n where that is far below the overflow; a subnormal number or 0 where it is small."""
        zero, vanishing = self.number.constant(0.0), self._vanishes()
        if lanes.available():
            return zero.where(vanishing, self.value())
        raised = self.bits.real.bias // 2
        return zero.where(vanishing, _normal(self.bits + raised)) * 2.0**-raised

    def parted(self) -> tuple[Power, Power]:
        """Two powers of this product; neither overflows where n is at most twice the bias."""
        if lanes.available():
            most = self.number.constant(float(self.number.real.bias))
            first = most.where(self.number > most, self.number)
            return Power(first, self.bits), Power(self.number - first, self.bits)
        first, second = self._halves()
        return Power(self.number, first), Power(self.number, second)

    def _vanishes(self) -> Value:
        """Whether 2**(n + 1) comes to zero."""
        real = self.number.real
        return self.number < float(-real.bias - real.mantissa)

    def _halves(self) -> tuple[Value, Value]:
        bias = self.bits.real.bias
        biased = self.bits + 2 * bias
        half = biased >> 1
        return half - bias, (biased - half) - bias


def _normal(n: Value) -> Value:
    return ((n + n.real.bias) << n.real.mantissa).float_from_bits()


def reduce_exp(x: Value) -> tuple[Power, Value, Value]:
    """2**n, r and the error of r in ``x = n * log(2) + r``, for a clamped x."""
    high, low = x.real.ln2
    k, n = (x * (1 / math.log(2))).nearest()
    part, tail = x - k * high, k * low
    r = part - tail
    return Power(k, n), r, (part - r) - tail


def _exp_rest(r: Value, error: Value | None = None) -> Value:
    """exp(r + error) - 1 - r"""
    rest = r * r * r.polynomial(r.real.exp)
    return rest if error is None else rest + error


_SIXTEENTHS = [parts(EXACT.power(2, Decimal(k) / 16), DOUBLE) for k in range(16)]
_EXP_NEAR_ZERO = (  # (exp(r) - 1 - r) / r**2 over r; abs(r) <= log(2) / 32
    0.00019841464564034506, 0.0013889064139564714, 0.008333333332989351, 0.04166666666357083,
    0.16666666666666669, 0.5,
)  # fmt: skip


def _exp_by_table(
    x: Value, more: Value | float = 0.0, sign: int = 1
) -> tuple[Power, Value, Value, Value, Value, Value]:
    """2**n, t and its error, r and its error, and b in
    ``exp(sign * (x + more)) = 2**n * t * (1 + sign * r + b)``, where t is one of the powers
    2**(k / 16); for a tiny ``more``.
    """
    high, low = (sign * part for part in DOUBLE.ln2)
    k, index = (x * (sign / math.log(2))).nearest(16)
    rest = x - k * high
    r = rest - k * low
    error = (rest - r) - k * low
    if isinstance(more, Value):
        r, lost = fast_two_sum(r, more)
        error = error + lost
    t, t_low = (
        lanes.entry_of(table, index, f"exp.{n}")
        for n, table in enumerate(map(list, zip(*_SIXTEENTHS, strict=True)))
    )
    *later, half = _EXP_NEAR_ZERO
    signed = (c * sign**n for n, c in zip(range(len(later), 0, -1), later, strict=True))
    bent = r * r * r.polynomial([*signed, half])
    return Power(k, index), t, t_low, r, error, bent


def exp(x: Value, more: Value | None = None) -> Value:
    """exp(x + more), where ``more`` is tiny."""
    power, r, _ = reduce_exp(x.clamp(-x.real.exp_limit, x.real.exp_limit))
    r = r if more is None else r + more
    return power.times_near_one((_exp_rest(r) + r) + 1.0, seldom_small=True)


def exp_pair(x: Value, more: Value | float = 0.0) -> tuple[Value, Value, Power]:
    """p, its error and 2**n in ``exp(x + more) = p * 2**n`` for a clamped x and a tiny ``more``."""
    if x.real is DOUBLE and lanes.available():
        power, t, t_low, r, _, bent = _exp_by_table(x, more)
        q = r + bent  # so small that its error is nothing
        p = t.fma(q, t)
        return p, t.fma(q, t - p) + t_low, power
    power, r, error = reduce_exp(x)
    if isinstance(more, Value):
        r, lost = fast_two_sum(r, more)
        error = lost + error
    p, p_low = fast_two_sum(r.constant(1.0), r)
    p, p_low = fast_two_sum(p, p_low + _exp_rest(r, error))
    return p, p_low, power


def exp_negated_times(
    x: Value, more: Value, factor: Value, factor_low: Value
) -> tuple[Value, Value, Power]:
    """p, the small rest and 2**n in ``exp(-x - more) * (factor + factor_low) = p * 2**n``, for a
    clamped x, a tiny ``more``, and a small ``factor_low``.
    """
    if x.real is DOUBLE and lanes.available():
        power, t, t_low, r, _, bent = _exp_by_table(x, more, sign=-1)
        p, low = two_product(t, factor)
        low = t_low.fma(factor, t.fma(factor_low, low))
        return p, (p + low).fma(bent - r, low), power
    t, t_low, power = exp_pair(-x, -more)
    p, low = two_product(t, factor)
    return p, low + (t * factor_low + t_low * factor), power


def exp2(x: Value) -> Value:
    limit = math.ceil(x.real.exp_limit / math.log(2))
    x = x.clamp(-limit, limit)
    k, n = x.nearest()
    if x.real is SINGLE:
        r, error = (x - k) * math.log(2), None
    else:
        r, error = two_product(x - k, x.constant(math.log(2)))
        error = error + (x - k) * LOG_2_ERROR
    return Power(k, n).times_near_one((_exp_rest(r, error) + r) + 1.0, seldom_small=True)


def expm1_pair(x: Value) -> tuple[Value, Value]:
    """expm1(x) in two parts, for x >= 0 whose exponential is far below the overflow."""
    if x.real is DOUBLE and lanes.available():
        power, t, t_low, r, error, bent = _exp_by_table(x)
        q, q_low = fast_two_sum(r, bent + error)
        t, t_low = power.times(t), power.times(t_low)
        start = t - 1.0
        high = t.fma(q, start)
        return high, t.fma(q, start - high) + (t * q_low + t_low)
    scale, r, error = reduce_exp(x)
    power_of_two = scale.value()
    total, low = fast_two_sum(power_of_two - 1.0, r * power_of_two)
    return fast_two_sum(total, low + _exp_rest(r, error) * power_of_two)


def expm1(x: Value) -> Value:
    """With a part of the exponent until the end, so that what is below the overflow stays there."""
    least = -(x.real.mantissa + 3) * math.log(2)  # expm1 is -1 there
    power, r, error = reduce_exp(x.clamp(least, x.real.exp_limit))
    near, far = power.parted()
    first = near.value()
    start, lost = fast_two_sum(first, -far.inverse().value())
    total, low = fast_two_sum(start, r * first)
    rest = _exp_rest(r, error if x.real is DOUBLE else None)
    return far.times(total + (low + (lost + rest * first))).with_sign_of(x)


def decompose(x: Value) -> tuple[Value, Value]:
    """k and m in ``x = 2**k * m`` with 3/4 <= m < 3/2, for finite x > 0."""
    if lanes.available():
        m = lanes.significand_of(x)
        return lanes.exponent_of(x) - lanes.exponent_of(m), m
    real = x.real
    tiny = x < real.smallest_normal
    bits = (x * 2.0 ** (real.mantissa + 2)).where(tiny, x).bits()
    least = pattern(real, 0.75)
    shifted = bits + ((real.bias << real.mantissa) - least)
    magic = 2.0**real.mantissa
    biased = ((shifted >> real.mantissa) | pattern(real, magic)).float_from_bits()
    bias = x.constant(magic + real.bias + real.mantissa + 2).where(tiny, magic + real.bias)
    significand = (shifted & ((1 << real.mantissa) - 1)) + least
    return biased - bias, significand.float_from_bits()


def _log_specials(x: Value, y: Value, carried: bool = False) -> Value:
    """y = log(x) with the values at zero, below zero, at infinity and NaN put right.

    carried: whether those of k and m in `decompose` come through to y, if it has any.
    """
    if carried and lanes.available():
        return y
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


def _tables_of_log(base: Decimal, quantum: float) -> tuple[list[float], ...]:
    """For a significand by its four leading bits: a short number c next to its inverse, and
    -log(c) to a base in two parts, the first of which is a multiple of a power of two.
    """
    inverses, logarithms, rests = [], [], []
    for k in range(16):
        center = (1 + (k + 0.5) / 16) / (1 if k < 8 else 2)
        c = round(256 / center) / 256 if 0 < k < 15 else 1.0  # 1 on both sides of 1
        logarithm = -EXACT.divide(EXACT.ln(Decimal(c)), EXACT.ln(base))
        inverses.append(c)
        logarithms.append(round(float(logarithm) / quantum) * quantum)
        rests.append(float(EXACT.subtract(logarithm, Decimal(logarithms[-1]))))
    return inverses, logarithms, rests


_E = EXACT.exp(Decimal(1))
_TABLES = {  # quanta: so that a sum with a multiple of log(2) is exact
    "e": _tables_of_log(_E, 2.0**-32),
    "2": _tables_of_log(Decimal(2), 2.0**-40),
    "10": _tables_of_log(Decimal(10), 2.0**-40),
}
_LOG_NEAR_ONE = (  # (log(1 + f) - f) / f**2 over f; -1/32 < f < 1/16
    -0.08744709589578414, 0.11071475315743205, -0.12501881607732943, 0.142858204033048,
    -0.1666666615472538, 0.19999999927088222, -0.24999999999856423, 0.3333333333334774,
    -0.5000000000000002,
)  # fmt: skip
_SCALES = {  # log(2) and log(e) to a base, each in two parts
    "e": (DOUBLE.ln2, (1.0, 0.0)),
    "2": ((1.0, 0.0), (1.4426950408889634, 2.0355273740931033e-17)),
    "10": (DOUBLE.log10_2, (0.4342944819032518, 1.098319650216765e-17)),
}


def _log_by_tables(x: Value, base: str) -> Value:
    """log(2**k * m) = k * log(2) - log(c) + log(1 + f) with f = c * m - 1, for a c next to 1 / m"""
    (high, low), (scale, scale_low) = _SCALES[base]
    k, m = decompose(x)
    index = m.bits() >> (DOUBLE.mantissa - 4)
    c, logarithm, rest = (
        lanes.entry_of(table, index, f"{name}.{base}")
        for table, name in zip(_TABLES[base], ("inverse", "logarithm", "rest"), strict=True)
    )
    f = m.fma(c, m.constant(-1.0))
    whole = k.fma(k.constant(high), logarithm)
    if low:
        rest = k.fma(k.constant(low), rest)
    bent = f * f * f.polynomial(_LOG_NEAR_ONE)
    if base == "e":
        product, rest = f, bent + rest
    else:
        product = f.times(f.constant(scale))
        rest = bent * scale + ((f.fma(f.constant(scale), -product) + f * scale_low) + rest)
    total, error = fast_two_sum(whole, product)
    return (total + (error + rest)).where(k - k == 0.0, total)  # k is infinite where x is, or zero


def log(x: Value) -> Value:
    if x.real is DOUBLE and lanes.available():
        return _log_by_tables(x, "e")
    high, low = x.real.ln2
    k, m = decompose(x)
    f = m - 1.0
    if x.real is SINGLE:
        return _log_specials(x, k * high + (k * low + _log_of_single(f)), carried=True)
    half_square, tail = _log_tail(f)
    return _log_specials(x, k * high - ((half_square - (tail + k * low)) - f))


def log1p_pair(
    x: Value, x_low: Value | float = 0.0, doublings: Value | float = 0.0
) -> tuple[Value, Value]:
    """log(1 + x + x_low) + doublings * log(2) in two parts; -1 < x < inf."""
    high, low = x.real.ln2
    u = 1.0 + x
    k, m = decompose(u)
    inverse = lanes.near_inverse(u) if lanes.available() else 1.0 / u  # a few digits are enough
    lost = ((1.0 - (u - x)).where(u >= 2.0, x - (u - 1.0)) + x_low) * inverse
    direct = (x > -0.25) & (x < 0.5)
    f = x.where(direct, m - 1.0)
    half_square, tail = _log_tail(f)
    # k is 0 where `direct` holds, save for rounding next to its bounds.
    k = x.constant(0.0).where(direct, k)
    if isinstance(x_low, Value):  # what x lost is left out of `lost`, as f has all of x
        lost = (x_low * inverse).where(direct, lost)
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
            return _log_specials(x, k * high + (k * low + rest), carried=True)
        return _log_specials(x, k + rest, carried=True)

    def of_double(x: Value) -> Value:
        if lanes.available():
            return _log_by_tables(x, str(base))
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

    log2(1 + f) = f * (c - f * c / 2 + f**2 * (c / 3 - ...)), c = log2(e), for 3/4 <= 1 + f < 3/2;
    from the fifth power on the terms are small enough for single precision.
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
        -0.031159636758502033, 0.08006033341748785, -0.10596145087764758, 0.11413162174491565,
        -0.12498459957480376, 0.14266382976849723, -0.16665214058496483, 0.20000486250411603,
        -0.2500004152888022, 0.3333332884608402, -0.49999999751276997, 1.000000000073198,
    )),
)  # fmt: skip
_EXP2_OF_SINGLE = (
    0.00015345788418019075, 0.001339993210146075, 0.009618489068543325, 0.055503287737718426,
    0.24022646889073312, 0.6931472057402119, 1.0000000005548684,
)  # fmt: skip  # 2**r over r; abs(r) <= 1/2


def _tables_of_log2() -> tuple[list[float], ...]:
    """For a significand by its five leading bits: a short number c next to its inverse, and
    -log2(c) in two parts, the first of which ends in enough zero bits for a sum with any exponent.
    """
    inverses, logarithms, rest = [], [], []
    for k in range(32):
        center = (1 + (k + 0.5) / 32) / (1 if k < 16 else 2)
        c = round(512 / center) / 512 if 0 < k < 31 else 1.0  # 1 on both sides of 1
        inverses.append(c)
        logarithms.append(round(-math.log2(c) * 2**15) / 2**15)
        rest.append(-math.log2(c) - logarithms[-1])
    return inverses, logarithms, rest


_INVERSES, _LOGARITHMS, _RESTS = _tables_of_log2()
_LOG2_NEAR_ONE = (  # (log2(1 + f) / f - log2(e)) / f over f; -1/50 < f < 1/31
    -0.23444111411565427, 0.28863873012844954, -0.3606764114516009, 0.4808983350456169,
    -0.7213475203049665,
)  # fmt: skip
_LOG2_E = (1.4426950216293335, 1.9259629911266175e-08)


def _log2_pair_of_single(x: Value) -> tuple[Value, Value]:
    """log2 of a single precision x >= 0 in two parts, to about 31 bits.

    log2(2**k * m) = k - log2(c) + log2(1 + f) with f = c * m - 1, for a number c next to 1 / m.
    """
    m = lanes.significand_of(x)
    k = lanes.exponent_of(x) - lanes.exponent_of(m)
    index = m.bits() >> (SINGLE.mantissa - 5)
    c = lanes.entry_of(_INVERSES, index, "inverse")
    whole = k + lanes.entry_of(_LOGARITHMS, index, "logarithm")
    rest = lanes.entry_of(_RESTS, index, "rest")
    f = m.fma(c, m.constant(-1.0))
    less = -1.0 - f
    f_low = m.fma(c, less) + ((-1.0 - less) - f)
    slope, (high, low) = f.polynomial(_LOG2_NEAR_ONE), _LOG2_E
    factor = f.fma(slope, f.constant(high))
    factor_low = f.fma(slope, high - factor) + low
    product = f.times(factor)
    product_low = f.fma(factor, -product) + (f * factor_low + f_low * factor)
    total, error = fast_two_sum(whole, product)
    return total, error + (product_low + rest)


def _power_of_single_by_tables(a: Value, y: Value) -> Value:
    """a**y for a >= 0 and finite y"""
    high, low = _log2_pair_of_single(a)
    exponent = high.times(y)
    rest = high.fma(y, -exponent) + low * y
    k = exponent.intrinsic("llvm.rint")
    r = (exponent - k) + rest
    r = r.where(r < 1.0, 1.0)  # also where k is infinite, of which r is no number
    r = r.where(r > -1.0, -1.0)
    return lanes.scaled(r * r.polynomial(_EXP2_OF_SINGLE[:-1]) + 1.0, k)


def _power_of_single(a: Value, y: Value) -> Value:
    """a**y for a >= 0 and finite y, with its logarithm in double precision."""
    if lanes.available():
        return _power_of_single_by_tables(a, y)
    exponent = _log2_of_single(a) * y.double()
    exponent = exponent.clamp(-200.0, 200.0)
    k = exponent.intrinsic("llvm.rint")
    r = (exponent - k).rounded_to(SINGLE)
    power = Power(*(k.rounded_to(SINGLE)).nearest())
    return power.times(r * r.polynomial(_EXP2_OF_SINGLE[:-1]) + 1.0)


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
    power, r, error = reduce_exp(-x.clamp(-x.real.exp_limit, 2 * x.real.tanh_limit))
    scale = power.inverse().value_or_less()
    rest = r + _exp_rest(r, error)
    if x.real is SINGLE:
        p, p_low = fast_two_sum(x.constant(1.0), rest)
        return scale / (p + (scale + p_low))
    one, one_low = fast_two_sum(x.constant(1.0), scale)  # beside 2**54 and more, 1 is nothing
    d, d_low = fast_two_sum(one, rest)
    inverse = half_inverse(d)
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
    p, p_low, power = exp_pair(-distance.clamp(0.0, distance.real.exp_limit))
    scale = power.value_or_less()
    high, low = log1p_pair(p * scale, p_low * scale)
    total, error = two_sum(most, high)
    return most.where(most.magnitude() == math.inf, total + (error + low))
