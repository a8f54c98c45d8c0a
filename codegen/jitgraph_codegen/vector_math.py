"""Elementary functions that LLVM's loop vectoriser turns into full SIMD code.

Each public function is an ordinary Python function (NumPy does the work when it is called from the
interpreter) which Numba lowers to straight-line LLVM IR: no branch and no call, hence a loop around
it vectorises; only sin, cos and tan load numbers, from constant tables.

Numba adds the ``fastmath`` flags of a kernel to operations without any, so every operation of the
formulas carries its own: ``contract`` where a product and a sum may fuse into one FMA (nothing
relies on that it does), and ``arcp``, which means nothing outside a division, on the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import lower_builtin, type_callable

from .ir_values import (
    DOUBLE,
    LOG_SERIES,
    PI_ERROR,
    SINGLE,
    THIRD,
    TINY_ANGLE,
    Real,
    Table,
    Value,
    pattern,
)


def _nearest(x: Value) -> tuple[Value, Value]:
    """The integer next to a moderate number, as a number and as an integer."""
    shifted = x + x.real.shifter
    return shifted - x.real.shifter, shifted.bits() - pattern(x.real, x.real.shifter)


def _two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """The rounded sum and its error."""
    total = a + b
    rest = total - a
    return total, (a - (total - rest)) + (b - rest)


def _halves(a: Value) -> tuple[Value, Value]:
    high = (a.bits() & 0xFFFFFFFFF8000000).float_from_bits()
    return high, a - high


def _two_product(a: Value, b: Value) -> tuple[Value, Value]:
    """The rounded product and its error, in double precision and without FMA."""
    product = a.times(b)
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    error = ((a_high * b_high - product) + a_high * b_low) + a_low * b_high
    return product, error + a_low * b_low


def _powers_of_two(n: Value) -> tuple[Value, Value, Value]:
    """Two numbers of product 2**n, which may itself overflow, and the inverse of the second."""
    real = n.real
    biased = n + 2 * real.bias
    half = biased >> 1
    rest = biased - half
    first, second, inverse = (
        (i << real.mantissa).float_from_bits() for i in (half, rest, 2 * real.bias - rest)
    )
    return first, second, inverse


def _reduce_exp(x: Value) -> tuple[Value, Value, Value]:
    """k, r and the error of r in ``x = k * log(2) + r``, for a clamped x; k as an integer."""
    high, low = x.real.ln2
    k, n = _nearest(x * (1 / math.log(2)))
    part, tail = x - k * high, k * low
    r = part - tail
    return n, r, (part - r) - tail


def _exp_of_small(r: Value, error: Value | float = 0.0) -> Value:
    rest = r * r * r.polynomial(r.real.exp)
    return ((rest + error if isinstance(error, Value) else rest) + r) + 1.0


def _exp(x: Value, offset: int = 0, more: Value | None = None) -> Value:
    """exp(x + more) * 2**offset, where ``more`` is tiny."""
    n, r, error = _reduce_exp(x.clamp(-x.real.exp_limit, x.real.exp_limit))
    first, second, _ = _powers_of_two(n + offset)
    return _exp_of_small(r if more is None else r + more, error) * first * second


def _exp2(x: Value) -> Value:
    limit = math.ceil(x.real.exp_limit / math.log(2))
    x = x.clamp(-limit, limit)
    k, n = _nearest(x)
    first, second, _ = _powers_of_two(n)
    return _exp_of_small((x - k) * math.log(2)) * first * second


def _expm1(x: Value) -> Value:
    n, r, error = _reduce_exp(x.clamp(-x.real.exp_limit, x.real.exp_limit))
    first, second, inverse = _powers_of_two(n)
    rest = r * r * r.polynomial(r.real.exp) + error
    return ((rest * first + (r * first + (first - inverse))) * second).with_sign_of(x)


def _decompose(x: Value) -> tuple[Value, Value]:
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
    special = x.constant(-math.inf).where(x == 0.0, x.constant(math.nan).where(x < 0.0, x))
    return y.where((x > 0.0) & (x < math.inf), special)


def _log_tail(f: Value) -> tuple[Value, Value]:
    """h and t in ``log(1 + f) = f - h + t``"""
    half_square = 0.5 * f * f
    s = f / (2.0 + f)
    z = s * s
    return half_square, s * (half_square + z * z.polynomial(f.real.log))


def _log(x: Value) -> Value:
    high, low = x.real.ln2
    k, m = _decompose(x)
    f = m - 1.0
    half_square, tail = _log_tail(f)
    return _log_specials(x, k * high - ((half_square - (tail + k * low)) - f))


def _log1p(x: Value) -> Value:
    high, low = x.real.ln2
    u = 1.0 + x
    k, m = _decompose(u)
    lost = (1.0 - (u - x)).where(u >= 2.0, x - (u - 1.0)) / u
    direct = (x > math.sqrt(0.5) - 1) & (x < math.sqrt(2) - 1)
    f = x.where(direct, m - 1.0)
    half_square, tail = _log_tail(f)
    # k is 0 where `direct` holds, save for rounding next to its bounds.
    k, lost = x.constant(0.0).where(direct, k), x.constant(0.0).where(direct, lost)
    y = k * high - ((half_square - (tail + (k * low + lost))) - f)
    return _log_specials(u, y).with_sign_of(x)


def _log_of_base(base: int) -> Callable[[Value], Value]:
    def formula(x: Value) -> Value:
        high, low = x.real.log_scale[base]
        k, m = _decompose(x)
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

    return formula


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


def _reduce_single(x: Value, divisor: int, shift: float) -> tuple[Value, Value, None]:
    row = (x.bits() >> SINGLE.mantissa) << 1
    turns = x.double() * divisor
    first, second = row.entry_of(SINGLE_TURNS), (row | 1).entry_of(SINGLE_TURNS)
    exact = turns * first
    k, n = _nearest(turns * second + exact + shift)
    k = k - shift
    return n, ((exact - k) + turns * second) * (math.pi / divisor), None


def _reduce_double(x: Value, divisor: int, shift: float) -> tuple[Value, Value, Value]:
    bits = x.constant(TINY_ANGLE).where(x < TINY_ANGLE, x).bits()
    row = (bits >> DOUBLE.mantissa) - TINY_EXPONENT
    fraction = bits & ((1 << DOUBLE.mantissa) - 1)
    integers, rests = DOUBLE_TURNS
    # As integers that wrap around at two periods, hence exactly, and with half a period too much:
    product = (fraction | 1 << DOUBLE.mantissa) * row.entry_of(integers)
    position = product * divisor + (int((shift + 0.5) * 2**63) % 2**64)
    n, part = position >> 63, position << 1
    high = ((part >> 32) | pattern(DOUBLE, 2.0**20)).float_from_bits() - (2.0**20 + 0.5)
    low = ((part & 0xFFFFFFFF) | pattern(DOUBLE, 2.0**-12)).float_from_bits() - 2.0**-12

    significand = (fraction | pattern(DOUBLE, divisor)).float_from_bits()
    first, second = (row << 1).entry_of(rests), ((row << 1) | 1).entry_of(rests)
    rest, rest_error = _two_product(significand, first)
    low, low_error = _two_sum(low, rest)
    high, high_error = _two_sum(high, low)
    low = high_error + (low_error + (rest_error + significand * second))
    turns = high + low
    turns_error = (high - turns) + low

    pi = math.pi / divisor
    r, r_error = _two_product(turns, turns.constant(pi))
    r_error = r_error + (turns_error * pi + turns * (PI_ERROR / divisor))
    total = r + r_error
    return n, total, (r - total) + r_error


def _reduce_angle(x: Value, divisor: int, shift: float = 0.0) -> tuple[Value, Value, Value | None]:
    """n, r and the error of r in ``x = (n - shift) * pi / divisor + r``, where x >= 0.

    This is Payne and Hanek's reduction: abs(r) is hardly more than half a period for any x, and
    only the last bit of n counts.  r is in double precision, NaN for an infinite x.
    """
    reduce = _reduce_double if x.real is DOUBLE else _reduce_single
    return reduce(x, divisor, shift)


def _sin_of_small(real: Real, r: Value, error: Value | None) -> Value:
    z = r * r
    rest = r * z * z.polynomial(real.sin)
    return r + (rest if error is None else rest + error * (1.0 - 0.5 * z))


def _odd(formula: Callable[[Value], Value]) -> Callable[[Value], Value]:
    """An odd function that is about x at a small x, from its formula for x >= 0."""

    def whole(x: Value) -> Value:
        y = formula(x.magnitude()).rounded_to(x.real)
        sign = x.bits() & (1 << x.real.integer.width - 1)
        return x.where(x.magnitude() < TINY_ANGLE, (y.bits() ^ sign).float_from_bits())

    return whole


def _sine(x: Value, shift: float) -> Value:
    """sin(x + shift * pi) for x >= 0"""
    n, r, error = _reduce_angle(x, 1, shift)
    return (_sin_of_small(x.real, r, error).bits() ^ (n << 63)).float_from_bits()


def _sin(x: Value) -> Value:
    return _odd(lambda a: _sine(a, 0.0))(x)


def _cos(x: Value) -> Value:
    return _sine(x.magnitude(), 0.5).rounded_to(x.real)


def _tan_of_positive(x: Value) -> Value:
    n, r, error = _reduce_angle(x, 2)
    sine = _sin_of_small(x.real, r, error)
    z = r * r
    half = 0.5 * z
    one = 1.0 - half
    rest = z * z * z.polynomial(x.real.cos)
    if error is not None:
        rest = rest + (((1.0 - one) - half) - r * error)
    cosine = one + rest
    even = (n & 1) == 0
    return sine.where(even, -cosine) / cosine.where(even, sine)


_tan = _odd(_tan_of_positive)


def _arctan(x: Value) -> Value:
    a = x.magnitude()
    middle, large = a > math.tan(math.pi / 8), a > math.tan(3 * math.pi / 8)
    numerator = x.constant(-1.0).where(large, (a - 1.0).where(middle, a))
    denominator = a.where(large, (a + 1.0).where(middle, 1.0))

    right = math.pi / 2  # in two parts: `right` rounded to the type, and the rest
    right_high = right if x.real is DOUBLE else float(np.float32(right))
    right_low = (right - right_high) + 6.123233995736766e-17
    high = x.constant(right_high).where(large, x.constant(right_high / 2).where(middle, 0.0))
    low = x.constant(right_low).where(large, x.constant(right_low / 2).where(middle, 0.0))
    t = numerator / denominator
    z = t * t
    return (high + (t + (t * z * z.polynomial(x.real.atan) + low))).with_sign_of(x)


def _odd_series(r: Value, coefficients: Sequence[float]) -> Value:
    z = r * r
    return r + r * z * z.polynomial(coefficients)


def _tanh(x: Value) -> Value:
    """t / (t + 2) for t = expm1(2 * abs(x)), which is moderate where tanh is not 1 yet."""
    real = x.real
    n, r, error = _reduce_exp(2.0 * x.magnitude().clamp(0.0, real.tanh_limit))
    power = ((n + real.bias) << real.mantissa).float_from_bits()
    t = (r * r * r.polynomial(real.exp) + error) * power + (r * power + (power - 1.0))
    return (t / (t + 2.0)).with_sign_of(x)


def _sinh(x: Value) -> Value:
    a = x.magnitude()
    half = _exp(a, -1)
    return _odd_series(a, x.real.sinh).where(a < 1.0, half - 0.25 / half).with_sign_of(x)


def _cosh(x: Value) -> Value:
    half = _exp(x.magnitude(), -1)
    return half + 0.25 / half


def _sigmoid(x: Value) -> Value:
    e = _exp(-x.magnitude())
    inverse = 1.0 / (1.0 + e)
    return inverse.where(x >= 0.0, e - e * (e * inverse))


def _erf(x: Value) -> Value:
    a = x.magnitude()
    b = a.clamp(0.0, x.real.erf_limit)
    large = 1.0 - _exp(-b * b) * (1.0 / (b + 2.0)).polynomial(x.real.erfcx)
    small = a + a * (a * a).polynomial(x.real.erf)
    return small.where(a < 1.0, large).with_sign_of(x)


def _log_pair(x: Value) -> tuple[Value, Value]:
    """log(x) of a double precision x >= 0 in two parts, to about 65 bits."""
    k, m = _decompose(x)
    f = m - 1.0
    d = 2.0 + f
    inverse = 1.0 / d
    s = f * inverse
    product, product_low = _two_product(s, d)
    s_low = (((f - product) - product_low) - s * ((2.0 - d) + f)) * inverse
    z, z_low = _two_product(s, s)
    z_low = z_low + 2.0 * s * s_low
    third, third_low = _two_product(z, z.constant(THIRD[0]))
    third_low = third_low + (z_low * THIRD[0] + z * THIRD[1])
    term = z * z * z.polynomial(LOG_SERIES)
    total = third + term
    total_low = ((third - total) + term) + third_low
    cubic, cubic_low = _two_product(s, total)
    cubic_low = cubic_low + (s * total_low + s_low * total)
    half = s + cubic
    half_low = ((s - half) + cubic) + (cubic_low + s_low)
    high, low = _two_sum(k * DOUBLE.ln2[0], 2.0 * half)
    low = low + (2.0 * half_low + k * DOUBLE.ln2[1])
    return _log_specials(x, high), low


def _pow(x: Value, y: Value) -> Value:
    a = x.magnitude()
    if x.real is SINGLE:
        power = _exp(_log(a.double()) * y.double()).rounded_to(SINGLE)
    else:
        high, low = _log_pair(a)
        exponent, rest = _two_product(high, y)
        rest = (rest + low * y).where(exponent.magnitude() < DOUBLE.exp_limit, 0.0)
        power = _exp(exponent, more=rest)
    integral, half = y.intrinsic("llvm.rint"), 0.5 * y
    odd = (integral == y) & (half.intrinsic("llvm.rint") != half)
    power = power.with_sign_of(x).where(odd, power)
    invalid = (x < 0.0) & (a < math.inf) & (integral != y)
    power = x.constant(math.nan).where(invalid, power)
    one = (x == 1.0) | (y == 0.0) | ((x == -1.0) & (y.magnitude() == math.inf))
    return x.constant(1.0).where(one, power)


def _cbrt(x: Value) -> Value:
    a = x.magnitude()
    if x.real is SINGLE:
        root = _exp(_log(a.double()) * THIRD[0]).rounded_to(SINGLE)
    else:
        high, low = _log_pair(a)
        exponent, rest = _two_product(high, a.constant(THIRD[0]))
        rest = rest + (low * THIRD[0] + high * THIRD[1])
        root = _exp(exponent, more=rest.where(exponent.magnitude() < DOUBLE.exp_limit, 0.0))
    return root.with_sign_of(x)


def _same_real(first: types.Type, second: types.Type | None = None) -> types.Type | None:
    same = first in (types.float32, types.float64) and second in (None, first)
    return first if same else None


def _same_number(first: types.Type, second: types.Type) -> types.Type | None:
    number = isinstance(first, types.Integer | types.Boolean) or _same_real(first)
    return first if number and first == second else None


def _elementary(
    name: str, reference: Callable[..., Any], formula: Callable[..., Value], arity: int = 1
) -> Callable[..., Any]:
    """A function that is ``reference`` when interpreted, and ``formula`` when Numba compiles it."""
    if arity == 1:
        function: Callable[..., Any] = lambda x: reference(x)  # noqa: E731
        type_callable(function)(lambda context: lambda x: _same_real(x))
    else:
        function = lambda x, y: reference(x, y)  # noqa: E731
        type_callable(function)(lambda context: lambda x, y: _same_real(x, y))
    function.__name__ = function.__qualname__ = name

    def lower(context: Any, builder: ir.IRBuilder, signature: Any, operands: Any) -> ir.Value:
        return formula(*(Value(builder, operand) for operand in operands)).ir

    for real in (types.float32, types.float64):
        lower_builtin(function, *[real] * arity)(lower)
    return function


exp = _elementary("exp", np.exp, _exp)
cbrt = _elementary("cbrt", np.cbrt, _cbrt)
exp2 = _elementary("exp2", np.exp2, _exp2)
expm1 = _elementary("expm1", np.expm1, _expm1)
log = _elementary("log", np.log, _log)
log2 = _elementary("log2", np.log2, _log_of_base(2))
log10 = _elementary("log10", np.log10, _log_of_base(10))
log1p = _elementary("log1p", np.log1p, _log1p)
sin = _elementary("sin", np.sin, _sin)
cos = _elementary("cos", np.cos, _cos)
tan = _elementary("tan", np.tan, _tan)
arctan = _elementary("arctan", np.arctan, _arctan)
sinh = _elementary("sinh", np.sinh, _sinh)
cosh = _elementary("cosh", np.cosh, _cosh)
tanh = _elementary("tanh", np.tanh, _tanh)
sigmoid = _elementary("sigmoid", lambda x: 1 / (1 + np.exp(-x)), _sigmoid)
erf = _elementary("erf", lambda x: type(x)(math.erf(x)), _erf)
pow = _elementary("pow", np.power, _pow, arity=2)


def _reassociating(name: str) -> Callable[..., ir.Value]:
    def lower(context: Any, builder: ir.IRBuilder, signature: Any, operands: Any) -> ir.Value:
        if isinstance(signature.return_type, types.Float):
            return getattr(builder, "f" + name)(*operands, flags=("reassoc", "contract"))
        return getattr(builder, name)(*operands)

    return lower


def _extremum(name: str, order: str) -> Callable[..., ir.Value]:
    def lower(context: Any, builder: ir.IRBuilder, signature: Any, operands: Any) -> ir.Value:
        left, right = operands
        if isinstance(signature.return_type, types.Float):
            extremum = Value(builder, left).intrinsic("llvm." + name, Value(builder, right)).ir
            extremum.fastmath.add("nsz")  # zeros of either sign are equal
            return extremum
        signed = getattr(signature.return_type, "signed", False)
        compare = builder.icmp_signed if signed else builder.icmp_unsigned
        return builder.select(compare(order, left, right), left, right)

    return lower


def _lowerednumbers(lower: Callable[..., ir.Value]) -> Callable[[Any], Any]:
    """Make Numba emit ``lower`` for a function of two numbers of the same type."""

    def register(function: Any) -> Any:
        type_callable(function)(lambda context: lambda a, b: _same_number(a, b))
        for kind in (types.Float, types.Integer, types.Boolean):
            lower_builtin(function, kind, kind)(lower)
        return function

    return register


@_lowerednumbers(_reassociating("add"))
def add_reassoc(a: Any, b: Any) -> Any:
    """``a + b``, for the accumulator of a sum that may be taken in any order."""
    return a + b


@_lowerednumbers(_reassociating("mul"))
def mul_reassoc(a: Any, b: Any) -> Any:
    """``a * b``, for the accumulator of a product that may be taken in any order."""
    return a * b


@_lowerednumbers(_extremum("maximum", ">"))
def maximum(a: Any, b: Any) -> Any:
    return np.maximum(a, b)


@_lowerednumbers(_extremum("minimum", "<"))
def minimum(a: Any, b: Any) -> Any:
    return np.minimum(a, b)
