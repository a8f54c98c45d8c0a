"""NumPy's rules for integers, as plain functions that both machines' loops are given.

An unsigned integer and a literal would meet in float64, so these write zero as x ^ x.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def int_floor_divide(x: Any, y: Any) -> Any:
    """x // y rounded down; 0 where y is 0, and -x (which may wrap) where y is -1."""
    if y == 0:
        return x ^ x
    return -x if y == -1 else x // y


def uint_floor_divide(x: Any, y: Any) -> Any:
    """x // y; 0 where y is 0."""
    return x ^ x if y == 0 else x // y


def int_remainder(x: Any, y: Any) -> Any:
    """x % y with the sign of y; 0 where y is 0."""
    return x ^ x if y == 0 or y == -1 else x % y


def uint_remainder(x: Any, y: Any) -> Any:
    """x % y; 0 where y is 0."""
    return x ^ x if y == 0 else x % y


def int_fmod(x: Any, y: Any) -> Any:
    """Remainder with the sign of x; 0 where y is 0."""
    if y == 0 or y == -1:
        return x ^ x
    rest = x % y
    return rest - y if rest != 0 and (x < 0) != (y < 0) else rest


def int_equal(x: Any, y: Any) -> Any:
    """x == y of a signed and an unsigned 64-bit integer."""
    return (x >= 0) & (y >= 0) & (np.uint64(x) == np.uint64(y))


def int_less(x: Any, y: Any) -> Any:
    """x < y of a signed and an unsigned 64-bit integer."""
    return (x < 0) | ((y >= 0) & (np.uint64(x) < np.uint64(y)))


def left_shift(x: Any, y: Any) -> Any:
    """x << y; 0 once all bits are gone."""
    return x << y if 0 <= y < 64 else x ^ x


def int_right_shift(x: Any, y: Any) -> Any:
    """x >> y; the sign's bit once all others are gone."""
    return x >> y if 0 <= y < 64 else x >> 63


def uint_right_shift(x: Any, y: Any) -> Any:
    """x >> y; 0 once all bits are gone."""
    return x >> y if y < 64 else x ^ x


RULES = (
    int_floor_divide, uint_floor_divide, int_remainder, uint_remainder, int_fmod, int_equal,
    int_less, left_shift, int_right_shift, uint_right_shift,
)  # fmt: skip
