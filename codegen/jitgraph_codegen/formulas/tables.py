"""Functions by a short polynomial around each of a few points, whose coefficients are in tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import cached_property

import numpy as np

from .. import lanes
from ..ir_values import DOUBLE, LEAST_IN_TWO_CHAINS, SINGLE, Real, Value

EXACT = Context(prec=90)
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")


@dataclass(frozen=True)
class Point:
    at: float
    reach: float  # the largest distance from there at which the polynomial is taken


def parts(number: Decimal, real: Real) -> tuple[float, float]:
    """A number and the error of its rounding."""
    first = float(np.float32(number)) if real is SINGLE else float(number)
    return first, float(EXACT.subtract(number, Decimal(first)))


def _economised(series: Sequence[Decimal], bound: Decimal, degree: int) -> list[Decimal]:
    """A polynomial of lower degree, as near as Chebyshev's come for abs(t) <= bound; coefficients
    start from the constant.
    """
    with localcontext(EXACT):
        series = list(series)
        chebyshev = [[Decimal(1)], [Decimal(0), 1 / bound]]
        for _ in range(2, len(series)):
            last, before = chebyshev[-1], chebyshev[-2]
            twice = [Decimal(0), *(2 * c / bound for c in last)]
            padded = [*before, *[Decimal(0)] * (len(twice) - len(before))]
            chebyshev.append([a - b for a, b in zip(twice, padded, strict=True)])
        for n in range(len(series) - 1, degree, -1):
            factor = series[n] / chebyshev[n][n]
            series = [a - factor * b for a, b in zip(series, chebyshev[n], strict=False)][:n]
        return series


@dataclass(frozen=True, eq=False)
class Pieces:
    """A function's values at some points, and the coefficients of its polynomials over the distance
    from there: Taylor's, economised.
    """

    name: str
    real: Real
    points: Sequence[Point]
    degree: int
    taylor: Callable[[Decimal], Sequence[Decimal]]  # from the constant on

    @cached_property
    def _columns(self) -> list[list[float]]:
        """The values in two parts, then the coefficients from the linear one on; by point."""
        rows = []
        for point in self.points:
            series = self.taylor(Decimal(point.at))
            value, *rest = _economised(series, Decimal(point.reach), self.degree)
            rows.append([*parts(value, self.real), *map(float, rest)])
        return [list(column) for column in zip(*rows, strict=True)]

    def near(self, index: Value, t: Value) -> tuple[Value, Value]:
        """The function's value at the point of this index, and its difference at a distance t."""
        value, value_low, linear, rest = self._taken(index, t)
        return value, t * linear + (rest if value_low is None else rest + value_low)

    def near_multiple(self, a: Value) -> tuple[Value, Value]:
        """The same next to a, for points at all multiples of a short number."""
        distance = self.points[1].at
        k, index = (a * (1 / distance)).nearest()
        return self.near(index, a - k * distance)

    def pair_near(self, index: Value, t: Value) -> tuple[Value, Value]:
        """The function at a distance t from the point of this index, in two parts."""
        value, value_low, linear, rest = self._taken(index, t)
        high = t.fma(linear, value)
        low = t.fma(linear, value - high)
        return high, low + (rest if value_low is None else rest + value_low)

    def _taken(self, index: Value, t: Value) -> tuple[Value, Value | None, Value, Value]:
        """The value in two parts, the linear coefficient, and the sum of all later terms."""

        def entry(n: int) -> Value:
            return lanes.entry_of(self._columns[n], index, f"{self.name}.{n}")

        value_low = entry(1) if self.real is DOUBLE else None
        square = t * t
        later = [entry(n) for n in range(3, len(self._columns))]
        if len(later) < LEAST_IN_TWO_CHAINS:
            return entry(0), value_low, entry(2), square * _chain(t, later)
        total = _chain(square, later[::2]) + t * _chain(square, later[1::2])
        return entry(0), value_low, entry(2), square * total


def _chain(t: Value, coefficients: Sequence[Value]) -> Value:
    total = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        total = total * t + coefficient
    return total
