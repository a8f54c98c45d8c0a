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
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import lower_builtin, type_callable

from .formulas import (
    error_function,
    exponential,
    hyperbolic,
    inverse_trigonometric,
    roots,
    trigonometric,
)
from .ir_values import Value


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


exp = _elementary("exp", np.exp, exponential.exp)
exp2 = _elementary("exp2", np.exp2, exponential.exp2)
expm1 = _elementary("expm1", np.expm1, exponential.expm1)
log = _elementary("log", np.log, exponential.log)
log2 = _elementary("log2", np.log2, exponential.log_of_base(2))
log10 = _elementary("log10", np.log10, exponential.log_of_base(10))
log1p = _elementary("log1p", np.log1p, exponential.log1p)
logaddexp = _elementary("logaddexp", np.logaddexp, exponential.logaddexp, arity=2)
pow = _elementary("pow", np.power, exponential.pow, arity=2)
sigmoid = _elementary("sigmoid", lambda x: 1 / (1 + np.exp(-x)), exponential.sigmoid)
softplus = _elementary("softplus", lambda x: np.logaddexp(x, type(x)(0)), exponential.softplus)
cbrt = _elementary("cbrt", np.cbrt, roots.cbrt)
hypot = _elementary("hypot", np.hypot, roots.hypot, arity=2)
sin = _elementary("sin", np.sin, trigonometric.sin)
cos = _elementary("cos", np.cos, trigonometric.cos)
tan = _elementary("tan", np.tan, trigonometric.tan)
sin_moderate = _elementary("sin_moderate", np.sin, trigonometric.sin_moderate)
cos_moderate = _elementary("cos_moderate", np.cos, trigonometric.cos_moderate)
tan_moderate = _elementary("tan_moderate", np.tan, trigonometric.tan_moderate)
arcsin = _elementary("arcsin", np.arcsin, inverse_trigonometric.arcsin)
arccos = _elementary("arccos", np.arccos, inverse_trigonometric.arccos)
arctan = _elementary("arctan", np.arctan, inverse_trigonometric.arctan)
arctan2 = _elementary("arctan2", np.arctan2, inverse_trigonometric.arctan2, arity=2)
sinh = _elementary("sinh", np.sinh, hyperbolic.sinh)
cosh = _elementary("cosh", np.cosh, hyperbolic.cosh)
tanh = _elementary("tanh", np.tanh, hyperbolic.tanh)
one_plus_tanh = _elementary("one_plus_tanh", lambda x: 1 + np.tanh(x), hyperbolic.one_plus_tanh)
arcsinh = _elementary("arcsinh", np.arcsinh, hyperbolic.arcsinh)
arccosh = _elementary("arccosh", np.arccosh, hyperbolic.arccosh)
arctanh = _elementary("arctanh", np.arctanh, hyperbolic.arctanh)
erf = _elementary("erf", lambda x: type(x)(math.erf(x)), error_function.erf)
erfc = _elementary("erfc", lambda x: type(x)(math.erfc(x)), error_function.erfc)


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
