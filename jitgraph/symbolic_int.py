"""Sizes as the user's function sees them: integers with Python's arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .symbolic import Dim, ShapeEnv, Size, add, floordiv, mod, mul, sub


class SymbolicInt:
    """`x.shape[0]` inside a captured function: an int whose value the graph does not depend on.

    Arithmetic stays symbolic, a comparison becomes a guard, and where Python needs the number
    itself (`range(n)`, `np.zeros(n)`) the graph is specialised on it.
    """

    __slots__ = ("dim", "env")

    def __init__(self, dim: Dim, env: ShapeEnv) -> None:
        self.dim, self.env = dim, env

    def _binary(
        self, other: object, name: str, op: Callable[[Dim, Dim], Dim], swap: bool = False
    ) -> Any:
        if isinstance(other, float):
            return self._number(name, *((other, self) if swap else (self, other)))
        dim = _as_dim(other)
        if dim is None:
            return NotImplemented
        a, b = (dim, self.dim) if swap else (self.dim, dim)
        return user_int(op(a, b), self.env)

    def __add__(self, other: object) -> Any:
        return self._binary(other, "add", add)

    __radd__ = __add__

    def __mul__(self, other: object) -> Any:
        return self._binary(other, "multiply", mul)

    __rmul__ = __mul__

    def __sub__(self, other: object) -> Any:
        return self._binary(other, "subtract", sub)

    def __rsub__(self, other: object) -> Any:
        return self._binary(other, "subtract", sub, swap=True)

    def __floordiv__(self, other: object) -> Any:
        return self._binary(other, "floor_divide", _checked(floordiv))

    def __rfloordiv__(self, other: object) -> Any:
        return self._binary(other, "floor_divide", _checked(floordiv), swap=True)

    def __mod__(self, other: object) -> Any:
        return self._binary(other, "remainder", _checked(mod))

    def __rmod__(self, other: object) -> Any:
        return self._binary(other, "remainder", _checked(mod), swap=True)

    def __divmod__(self, other: object) -> Any:
        return self // other, self % other

    def __neg__(self) -> Any:
        return user_int(mul(-1, self.dim), self.env)

    def __eq__(self, other: object) -> Any:
        if isinstance(other, float):
            return other.is_integer() and self.env.same(self.dim, int(other))
        dim = _as_dim(other)
        return NotImplemented if dim is None else self.env.same(self.dim, dim)

    def __ge__(self, other: object) -> Any:
        if isinstance(other, float):
            return self >= math.ceil(other) if math.isfinite(other) else other < 0
        dim = _as_dim(other)
        return NotImplemented if dim is None else self.env.at_least(self.dim, dim)

    def __le__(self, other: object) -> Any:
        if isinstance(other, float):
            return self <= math.floor(other) if math.isfinite(other) else other > 0
        dim = _as_dim(other)
        return NotImplemented if dim is None else self.env.at_least(dim, self.dim)

    def __gt__(self, other: object) -> Any:
        if isinstance(other, float):
            return self > math.floor(other) if math.isfinite(other) else other < 0
        dim = _as_dim(other)
        return NotImplemented if dim is None else not self.env.at_least(dim, self.dim)

    def __lt__(self, other: object) -> Any:
        if isinstance(other, float):
            return self < math.ceil(other) if math.isfinite(other) else other > 0
        dim = _as_dim(other)
        return NotImplemented if dim is None else not self.env.at_least(self.dim, dim)

    def __bool__(self) -> bool:
        return not self.env.same(self.dim, 0)

    def __index__(self) -> int:
        return self.env.value(self.dim)

    __int__ = __index__

    def __float__(self) -> float:
        return float(self.env.value(self.dim))

    def _number(self, operation: str, a: object, b: object) -> Any:
        known = all(isinstance(x, (int, float, complex, SymbolicInt)) for x in (a, b))
        return self.env.arithmetic(operation, a, b) if known else NotImplemented

    def __truediv__(self, other: object) -> Any:
        return self._number("divide", self, other)

    def __rtruediv__(self, other: object) -> Any:
        return self._number("divide", other, self)

    def __pow__(self, other: object) -> Any:
        if type(other) is int and other >= 0:
            total: Any = 1
            for _ in range(other):
                total = self * total
            return total
        return self._number("power", self, other)

    def __rpow__(self, other: object) -> Any:
        return other ** int(self) if isinstance(other, (int, float, complex)) else NotImplemented

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return self.env.ufunc(ufunc, method, *inputs, **kwargs)

    def __hash__(self) -> int:
        return hash(self.env.value(self.dim))

    def __repr__(self) -> str:
        return str(self.env.value(self.dim))

    def __format__(self, spec: str) -> str:
        return format(self.env.value(self.dim), spec)


def _by_value(name: str) -> Callable[..., Any]:
    """An operation of Python's integers that has no symbolic form: the graph is specialised."""
    operation = getattr(int, name)

    def by_value(self: SymbolicInt, *others: Any) -> Any:
        return operation(int(self), *[int(o) if isinstance(o, SymbolicInt) else o for o in others])

    return by_value


for _name in (
    "and", "rand", "or", "ror", "xor", "rxor", "lshift", "rlshift", "rshift", "rrshift",
    "invert", "abs", "round", "pos",
):  # fmt: skip
    setattr(SymbolicInt, f"__{_name}__", _by_value(f"__{_name}__"))


def user_int(dim: Dim, env: ShapeEnv) -> int | SymbolicInt:
    """An int where the size is known, a `SymbolicInt` where it is not."""
    dim = env.canonical(dim)
    return dim if isinstance(dim, int) else SymbolicInt(dim, env)


def _as_dim(value: object) -> Dim | None:
    if isinstance(value, SymbolicInt):
        return value.dim
    return int(value) if isinstance(value, (int, np.integer)) else None


def _checked(op: Callable[[Dim, Dim], Dim]) -> Callable[[Dim, Dim], Dim]:
    """Division of sizes, which by a literal zero is Python's error."""

    def divided(a: Dim, b: Dim) -> Dim:
        if b == 0:
            raise ZeroDivisionError("integer division or modulo by zero")
        return op(a, b)

    return divided


def to_dim(value: Any) -> Dim:
    """A size given by a user (int, NumPy integer or SymbolicInt) as an expression."""
    if type(value) is int or type(value) is Size:
        return value
    if isinstance(value, (int, Size)) and not isinstance(value, bool):
        return value
    dim = _as_dim(value)
    if dim is None:
        raise TypeError(f"{value!r} is no size: expected an integer")
    return dim
