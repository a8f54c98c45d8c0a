"""Elementwise operations: what each computes eagerly, in a loop, and backwards.

Gradients of comparisons, logic and rounding are zero almost everywhere and have no rule.  `flops`
weighs an operation against a memory access when fusion asks whether to compute a value twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import DTypeError
from ..spec import Spec, broadcast, is_inexact, promotion_type, real_dtype
from ..symbolic_int import to_dim
from ..warming import Warming
from .op import (
    UFUNCS,
    DType,
    Kind,
    Loop,
    Op,
    Rule,
    elementwise,
    register,
    rules,
    ufunc_dtypes,
    undispatched,
)  # fmt: skip

POLYNOMIAL = 8  # a vectorised polynomial
LONG_POLYNOMIAL = 2 * POLYNOMIAL  # one with a division, or carried in two parts

# Arithmetic.  For booleans NumPy's + and * are "or" and "and".
ADD = elementwise(
    np.add,
    Loop("x + y", {"b": "x | y"}, on_complex=True),
    (lambda g, out, x, y: g, lambda g, out, x, y: g),
)
SUBTRACT = elementwise(
    np.subtract, Loop("x - y", on_complex=True), (lambda g, out, x, y: g, lambda g, out, x, y: -g)
)
MULTIPLY = elementwise(
    np.multiply,
    Loop("x * y", {"b": "x & y"}, on_complex=True),
    (lambda g, out, x, y: g * y, lambda g, out, x, y: g * x),
)
DIVIDE = elementwise(
    np.divide, "x / y", (lambda g, out, x, y: g / y, lambda g, out, x, y: -g * out / y), flops=4
)
FLOOR_DIVIDE = elementwise(
    np.floor_divide,
    Loop(
        "int_floor_divide(x, y)", {"u": "uint_floor_divide(x, y)", "f": "float_floor_divide(x, y)"}
    ),
    flops=LONG_POLYNOMIAL,
)
REMAINDER = elementwise(
    np.remainder,
    Loop("int_remainder(x, y)", {"u": "uint_remainder(x, y)", "f": "float_remainder(x, y)"}),
    (lambda g, out, x, y: g, lambda g, out, x, y: -g * FLOOR_DIVIDE(x, y)),
    flops=LONG_POLYNOMIAL,
)
FMOD = elementwise(
    np.fmod,
    Loop("int_fmod(x, y)", {"u": "uint_remainder(x, y)", "f": "float_fmod(x, y)"}),
    (lambda g, out, x, y: g, lambda g, out, x, y: -g * TRUNC(x / y)),
    flops=LONG_POLYNOMIAL,
)


def _one_less(y: Any) -> Any:
    """The exponent of a power's derivative; where y is 0 it is multiplied with 0, and 0**-1 is not
    to be computed.
    """
    if isinstance(y, (int, float)):
        return y - 1 if y else 1
    return WHERE(y == 0, 1.0, y - 1)


POWER: Op = elementwise(
    np.power,
    Loop("pow(x, y)", numpy_only="biu"),  # NumPy refuses negative integer exponents
    (
        lambda g, out, x, y: g * y * POWER(x, _one_less(y)),
        # d(x**y)/dy is 0 where x is 0; the inner where keeps log away from it
        lambda g, out, x, y: g * WHERE(x == 0, 0.0, out * LOG(WHERE(x == 0, 1.0, x))),
    ),
    flops=3 * POLYNOMIAL,
)
NEGATIVE = elementwise(np.negative, Loop("-x", on_complex=True), lambda g, out, x: -g)
POSITIVE = elementwise(np.positive, Loop("x", on_complex=True), lambda g, out, x: g)
ABSOLUTE = elementwise(
    np.absolute,
    Loop("abs(x)", {"b": "x", "u": "x"}),
    lambda g, out, x: g * (_direction(x, out) if _is_complex(x) else SIGN(x)),
)


def _is_complex(x: Any) -> bool:
    return bool(np.dtype(x.dtype).kind == "c")


def _direction(x: Any, magnitude: Any) -> Any:
    """A complex number over its magnitude; 0 for 0."""
    return x / WHERE(EQUAL(magnitude, 0), np.dtype(magnitude.dtype).type(1), magnitude)


SIGN: Op = elementwise(
    np.sign,
    Loop(
        "(x > 0) - (x < 0)",
        {"u": "x > 0", "f": "select(x > 0, 1, select(x < 0, -1, select(x == 0, 0, x)))"},
    ),
)
SQUARE = elementwise(
    np.square, Loop("x * x", {"b": "x"}, on_complex=True), lambda g, out, x: g * 2 * x
)
RECIPROCAL = elementwise(
    np.reciprocal, Loop("1 / x", numpy_only="bui"), lambda g, out, x: -g * out * out, flops=4
)
SQRT = elementwise(np.sqrt, "math.sqrt(x)", lambda g, out, x: g * 0.5 / out, flops=4)
CBRT = elementwise(np.cbrt, "cbrt(x)", lambda g, out, x: g / (3 * out * out), flops=LONG_POLYNOMIAL)

# Exponentials and logarithms.
EXP = elementwise(np.exp, "exp(x)", lambda g, out, x: g * out, flops=POLYNOMIAL)
EXP2 = elementwise(np.exp2, "exp2(x)", lambda g, out, x: g * out * math.log(2), flops=POLYNOMIAL)
EXPM1 = elementwise(np.expm1, "expm1(x)", lambda g, out, x: g * (out + 1), flops=POLYNOMIAL)
LOG: Op = elementwise(np.log, "log(x)", lambda g, out, x: g / x, flops=POLYNOMIAL)
LOG2 = elementwise(np.log2, "log2(x)", lambda g, out, x: g / (x * math.log(2)), flops=POLYNOMIAL)
LOG10 = elementwise(
    np.log10, "log10(x)", lambda g, out, x: g / (x * math.log(10)), flops=POLYNOMIAL
)
LOG1P = elementwise(np.log1p, "log1p(x)", lambda g, out, x: g / (1 + x), flops=POLYNOMIAL)
LOGADDEXP = elementwise(
    np.logaddexp,
    "logaddexp(x, y)",
    (lambda g, out, x, y: g * EXP(x - out), lambda g, out, x, y: g * EXP(y - out)),
    flops=LONG_POLYNOMIAL,
)

# Parts of complex numbers; of real ones they are the number itself and zero.
CONJUGATE: Op = elementwise(
    np.conjugate,
    Loop("x", {"c": "conjugate(x)"}, on_complex=True),
    lambda g, out, x: CONJUGATE(g) if _is_complex(x) else g,
    adjoint=True,
)


def _part(name: str, eval: Any, loop: str, unit: complex) -> Op:
    def rule(g: Any, out: Any, x: Any) -> Any:
        if not _is_complex(x):
            return g * unit.real
        return CAST(g, dtype=np.dtype(x.dtype)) if unit == 1 else g * np.dtype(x.dtype).type(unit)

    row = Loop(loop, flops=0, on_complex=True)
    return register(
        Op(
            name,
            Kind.ELEMENTWISE,
            lambda x: eval(np.asarray(x)).copy(),
            lambda x: Spec(x.shape, real_dtype(x.dtype)),
            (rule,),
            loop=row,
            loop_dtypes=lambda x: (x.dtype, real_dtype(x.dtype)),
        )
    )


REAL = _part("real", np.real, "real_part(x)", 1)
IMAG = _part("imag", np.imag, "imag_part(x)", 1j)

# Functions NumPy lacks; dtypes are those of np.exp.


def _like_exp(name: str, eval: Any, loop: str, vjp: Any, flops: int = POLYNOMIAL) -> Op:
    def dtypes(x: Spec) -> tuple[DType, ...]:
        return ufunc_dtypes(name, np.exp, (x,))

    def spec(x: Spec) -> Spec:
        return Spec(x.shape, dtypes(x)[-1])

    row = Loop(loop, flops=flops)
    return register(Op(name, Kind.ELEMENTWISE, eval, spec, (vjp,), loop=row, loop_dtypes=dtypes))


def _by_element(function: Callable[[float], float], op: Callable[[], Op]) -> Callable[[Any], Any]:
    """A function of Python's on arrays; on many large ones the operation as a kernel."""
    scalar = np.frompyfunc(function, 1, 1)

    def plain(x: Any) -> Any:
        dtype = np.exp(np.zeros((), np.asarray(x).dtype)).dtype
        return np.asarray(scalar(x)).astype(dtype)

    warming = Warming(plain, lambda x: op()(x), few=4096, many=1 << 20)

    def eval(x: Any) -> Any:
        is_plain = type(x) is np.ndarray and x.dtype.char in "fd"
        return warming(x.size, x) if is_plain else plain(x)

    return eval


_erf, _erfc = _by_element(math.erf, lambda: ERF), _by_element(math.erfc, lambda: ERFC)


def _softplus(x: Any) -> Any:
    return np.logaddexp(x, np.asarray(x).dtype.type(0))


def _sigmoid(x: Any) -> Any:
    """By the exponential that does not overflow."""
    decay = np.exp(-np.abs(x))
    return np.where(np.asarray(x) >= 0, 1 / (1 + decay), decay / (1 + decay))


ERF: Op = _like_exp(
    "erf", _erf, "erf(x)", lambda g, out, x: g * (2 / math.sqrt(math.pi)) * EXP(-x * x),
    flops=LONG_POLYNOMIAL,
)  # fmt: skip
ERFC: Op = _like_exp(
    "erfc", _erfc, "erfc(x)", lambda g, out, x: g * (-2 / math.sqrt(math.pi)) * EXP(-x * x),
    flops=3 * POLYNOMIAL,
)  # fmt: skip
SOFTPLUS = _like_exp("softplus", _softplus, "softplus(x)", lambda g, out, x: g * SIGMOID(x))
SIGMOID: Op = _like_exp("sigmoid", _sigmoid, "sigmoid(x)", lambda g, out, x: g * out * (1 - out))

# Trigonometry.
SIN = elementwise(np.sin, "sin(x)", lambda g, out, x: g * COS(x), flops=POLYNOMIAL)
COS: Op = elementwise(np.cos, "cos(x)", lambda g, out, x: -g * SIN(x), flops=POLYNOMIAL)
TAN = elementwise(np.tan, "tan(x)", lambda g, out, x: g * (1 + out * out), flops=LONG_POLYNOMIAL)
ARCSIN = elementwise(
    np.arcsin, "arcsin(x)", lambda g, out, x: g / SQRT(1 - x * x), flops=LONG_POLYNOMIAL
)
ARCCOS = elementwise(
    np.arccos, "arccos(x)", lambda g, out, x: -g / SQRT(1 - x * x), flops=LONG_POLYNOMIAL
)
ARCTAN = elementwise(
    np.arctan, "arctan(x)", lambda g, out, x: g / (1 + x * x), flops=LONG_POLYNOMIAL
)
ARCTAN2 = elementwise(
    np.arctan2,
    "arctan2(x, y)",
    (lambda g, out, x, y: g * y / (x * x + y * y), lambda g, out, x, y: -g * x / (x * x + y * y)),
    flops=LONG_POLYNOMIAL,
)
HYPOT = elementwise(
    np.hypot,
    "hypot(x, y)",
    (lambda g, out, x, y: g * x / out, lambda g, out, x, y: g * y / out),
    flops=LONG_POLYNOMIAL,
)
DEG2RAD = elementwise(
    np.deg2rad, "x * 0.017453292519943295", lambda g, out, x: g * (math.pi / 180), name="deg2rad"
)
RAD2DEG = elementwise(
    np.rad2deg, "x * 57.29577951308232", lambda g, out, x: g * (180 / math.pi), name="rad2deg"
)
UFUNCS[np.radians], UFUNCS[np.degrees] = DEG2RAD, RAD2DEG

# Hyperbolic functions.
SINH = elementwise(np.sinh, "sinh(x)", lambda g, out, x: g * COSH(x), flops=POLYNOMIAL)
COSH: Op = elementwise(np.cosh, "cosh(x)", lambda g, out, x: g * SINH(x), flops=POLYNOMIAL)
TANH = elementwise(np.tanh, "tanh(x)", lambda g, out, x: g * (1 - out * out), flops=POLYNOMIAL)
ARCSINH = elementwise(
    np.arcsinh, "arcsinh(x)", lambda g, out, x: g / SQRT(x * x + 1), flops=LONG_POLYNOMIAL
)
ARCCOSH = elementwise(
    np.arccosh,
    "arccosh(x)",
    lambda g, out, x: g / (SQRT(x - 1) * SQRT(x + 1) if _is_complex(x) else SQRT(x * x - 1)),
    flops=LONG_POLYNOMIAL,
)
ARCTANH = elementwise(
    np.arctanh, "arctanh(x)", lambda g, out, x: g / (1 - x * x), flops=LONG_POLYNOMIAL
)

# Rounding.
FLOOR = elementwise(np.floor, Loop("np.floor(x)", dict.fromkeys("bui", "x")))
CEIL = elementwise(np.ceil, Loop("np.ceil(x)", dict.fromkeys("bui", "x")))
TRUNC: Op = elementwise(np.trunc, Loop("np.trunc(x)", dict.fromkeys("bui", "x")))
RINT = elementwise(np.rint, "np.rint(x)")

# Extremes.  maximum and minimum hand on a NaN, fmax and fmin avoid it; ties share the gradient.


def _share(g: Any, x: Any, y: Any, first: Any) -> Any:
    """The part of the cotangent that goes to the operand that won: `first`, or half of it in a
    tie.
    """
    return WHERE(first, g, WHERE(x == y, 0.5 * g, 0.0))


MAXIMUM = elementwise(
    np.maximum,
    Loop("maximum(x, y)", {"b": "x | y"}),
    (lambda g, out, x, y: _share(g, x, y, x > y), lambda g, out, x, y: _share(g, x, y, x < y)),
)
MINIMUM = elementwise(
    np.minimum,
    Loop("minimum(x, y)", {"b": "x & y"}),
    (lambda g, out, x, y: _share(g, x, y, x < y), lambda g, out, x, y: _share(g, x, y, x > y)),
)
_FMAX = Loop("select((x >= y) | (y != y), x, y)", {"b": "x | y"})
_FMIN = Loop("select((x <= y) | (y != y), x, y)", {"b": "x & y"})
FMAX = elementwise(
    np.fmax,
    _FMAX,
    (
        lambda g, out, x, y: _share(g, x, y, (x > y) | (y != y)),
        lambda g, out, x, y: _share(g, x, y, (x < y) | (x != x)),
    ),
)
FMIN = elementwise(
    np.fmin,
    _FMIN,
    (
        lambda g, out, x, y: _share(g, x, y, (x < y) | (y != y)),
        lambda g, out, x, y: _share(g, x, y, (x > y) | (x != x)),
    ),
)
COPYSIGN: Op = elementwise(
    np.copysign,
    "math.copysign(x, y)",
    (lambda g, out, x, y: g * COPYSIGN(SIGN(x), y) * SIGN(x), None),
)

# Comparisons and tests.
EQUAL = elementwise(np.equal, Loop("x == y", mixed="int_equal(x, y)", on_complex=True))
NOT_EQUAL = elementwise(np.not_equal, Loop("x != y", mixed="not int_equal(x, y)", on_complex=True))
LESS = elementwise(np.less, Loop("x < y", mixed="int_less(x, y)"))
LESS_EQUAL = elementwise(np.less_equal, Loop("x <= y", mixed="not int_less(y, x)"))
GREATER = elementwise(np.greater, Loop("x > y", mixed="int_less(y, x)"))
GREATER_EQUAL = elementwise(np.greater_equal, Loop("x >= y", mixed="not int_less(x, y)"))
ISNAN = elementwise(np.isnan, "x != x")
ISINF = elementwise(np.isinf, Loop("math.isinf(x)", dict.fromkeys("bui", "False")))
ISFINITE = elementwise(np.isfinite, Loop("math.isfinite(x)", dict.fromkeys("bui", "True")))
SIGNBIT = elementwise(np.signbit, "math.copysign(1.0, x) < 0")

# Logic and bits.
LOGICAL_AND = elementwise(np.logical_and, "bool(x) & bool(y)")
LOGICAL_OR = elementwise(np.logical_or, "bool(x) | bool(y)")
LOGICAL_XOR = elementwise(np.logical_xor, "bool(x) != bool(y)")
LOGICAL_NOT = elementwise(np.logical_not, "not x")
BITWISE_AND = elementwise(np.bitwise_and, "x & y")
BITWISE_OR = elementwise(np.bitwise_or, "x | y")
BITWISE_XOR = elementwise(np.bitwise_xor, "x ^ y")
INVERT = elementwise(np.invert, Loop("~x", {"b": "not x"}))
LEFT_SHIFT = elementwise(np.left_shift, "left_shift(x, y)")
RIGHT_SHIFT = elementwise(
    np.right_shift, Loop("int_right_shift(x, y)", {"u": "uint_right_shift(x, y)"})
)


# Positions

IOTA = register(
    Op(
        "iota",  # 0, 1, 2, ... along the one axis
        Kind.ELEMENTWISE,
        lambda *, size, dtype: np.arange(size, dtype=dtype),
        lambda *, size, dtype: Spec((to_dim(size),), dtype),
        loop=Loop("x", flops=0),
    )
)


# Selection and conversion, which are no ufuncs.


def _where_dtypes(condition: Spec, x: Spec, y: Spec) -> tuple[DType, ...]:
    given = [_promoted_operand(s) for s in (x, y)]
    if x.weak and y.weak:
        given = [x.dtype, y.dtype]
    try:
        result = np.result_type(*given)
    except TypeError:
        raise DTypeError(f"where is not defined for {x.dtype} and {y.dtype}") from None
    return np.dtype(bool), result, result, result


def _promoted_operand(spec: Spec) -> Any:
    weak = promotion_type(spec)
    return weak(0) if isinstance(weak, type) else weak


def _where_spec(condition: Spec, x: Spec, y: Spec) -> Spec:
    shape = broadcast("where", [condition.shape, x.shape, y.shape])
    return Spec(shape, _where_dtypes(condition, x, y)[-1])


WHERE: Op = register(
    Op(
        "where",
        Kind.ELEMENTWISE,
        undispatched(np.where),
        _where_spec,
        (
            None,
            lambda g, out, c, x, y: WHERE(c, g, 0.0),
            lambda g, out, c, x, y: WHERE(c, 0.0, g),
        ),
        loop=Loop("select(x, y, z)", on_complex=True),
        loop_dtypes=_where_dtypes,
    )
)


def _cast_spec(x: Spec, *, dtype: DType) -> Spec:
    return Spec(x.shape, dtype)


def _cast_gradient(g: Any, out: Any, x: Any, *, dtype: DType) -> Any:
    return g if is_inexact(dtype) else None


CAST = register(
    Op(
        "cast",
        Kind.ELEMENTWISE,
        lambda x, *, dtype: np.asarray(x).astype(dtype),
        _cast_spec,
        (_cast_gradient,),
        loop=Loop("x", flops=0, on_complex=True),
        loop_dtypes=lambda x, *, dtype: (dtype, dtype),
    )
)


# the same values, for derivatives and for the memory that they take


def _same(name: str, vjp: Rule | None) -> Op:
    return register(
        Op(
            name,
            Kind.ELEMENTWISE,
            lambda x: np.array(x),
            lambda x: Spec(x.shape, x.dtype),
            rules(vjp),
            loop=Loop("x", flops=0, on_complex=True),
            loop_dtypes=lambda x: (x.dtype, x.dtype),
        )
    )


STOP = _same("stop_gradient", None)  # a constant for derivatives
AGAIN = _same("again", lambda g, out, x: g)  # what is computed from it is computed once more
