"""What a user's function asks only for being true or not, of traced values and of Python's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import CaptureError, user_line
from ..ops import elementwise as ew
from .tracer import TRACERS, ScalarTracer, Tracer

Conditions = Callable[[], Any]


def both(first: Any, then: Conditions) -> Any:
    """`first and then()`, asked for its truth."""
    if type(first) not in TRACERS or _settled(first) is not None:
        return first and then()
    return ew.LOGICAL_AND(_truth(first), _truth(then()))


def either(first: Any, then: Conditions) -> Any:
    """`first or then()`, asked for its truth."""
    if type(first) not in TRACERS or _settled(first) is not None:
        return first or then()
    return ew.LOGICAL_OR(_truth(first), _truth(then()))


def negated(value: Any) -> Any:
    if type(value) not in TRACERS or _settled(value) is not None:
        return not value
    return ew.LOGICAL_NOT(_truth(value))


def _settled(value: Any) -> Any:
    return None if value.ndim else value.trace.settled(value.node)


def _truth(value: Any) -> Any:
    if type(value) in (Tracer, ScalarTracer) and value.ndim:
        raise CaptureError(f"the truth of an array is asked ({user_line()})")
    return value
