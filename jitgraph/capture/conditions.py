"""What a user's function asks only for being true or not, of traced values and of Python's."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import interpreter
from ..errors import CaptureError, user_line
from ..ops import Kind, scalars
from ..ops import elementwise as ew
from ..symbolic import LoopIndexError
from ..symbolic_int import SymbolicInt
from .refusal import RefusedError
from .tracer import TRACERS, ScalarTracer, Tracer
from .watched import Watched

if TYPE_CHECKING:
    from .trace import Trace

Conditions = Callable[[], Any]


def both(first: Any, then: Conditions) -> Any:
    """`first and then()`, asked for its truth."""
    if type(first) not in TRACERS or _settled(first) is not None:
        return first and then()
    return ew.LOGICAL_AND(_truth(first), _truth(_looked_at(first.trace, then)))


def either(first: Any, then: Conditions) -> Any:
    """`first or then()`, asked for its truth."""
    if type(first) not in TRACERS or _settled(first) is not None:
        return first or then()
    return ew.LOGICAL_OR(_truth(first), _truth(_looked_at(first.trace, then)))


def _looked_at(trace: Trace, then: Conditions) -> Any:
    """What Python might not look at: the program does, if that changes nothing and can't fail."""
    before, count = trace.writes.checkpoint(), len(trace.nodes)
    depth = 1
    while sys._getframe(depth).f_code.co_filename == __file__:
        depth += 1
    function = sys._getframe(depth)
    try:
        watched = Watched(function.f_locals)
        found = then()
    except (CaptureError, RefusedError):
        raise
    except Exception as error:
        raise CaptureError(f"{error}, unless the condition ends before ({user_line()})") from error
    nodes = trace.nodes[count:]
    changes = trace.writes.checkpoint() != before or watched.changed()
    if changes or not all(n.kind in _HARMLESS or n.op in _SAFE for n in nodes):
        raise CaptureError(
            f"a part of a condition that Python may skip does more than compute ({user_line()}); "
            "put it into an if of its own"
        )
    return found


_HARMLESS = (Kind.ELEMENTWISE, Kind.REDUCE, Kind.VIEW, Kind.SOURCE)
_SAFE = (scalars.ITEM, scalars.ABSOLUTE)  # library calls that never fail


def negated(value: Any) -> Any:
    if type(value) not in TRACERS or _settled(value) is not None:
        return not value
    return ew.LOGICAL_NOT(_truth(value))


def compared(comparison: str, a: Any, b: Any) -> Any:
    """`a < b` and its like, asked for its truth.  What a loop's index decides, which differs from
    step to step, is a value of the program.
    """
    try:
        return _COMPARISONS[comparison][0](a, b)
    except LoopIndexError:
        env = a.env if isinstance(a, SymbolicInt) else b.env
        trace = interpreter.current_trace()
        if trace is None or trace.env is not env:
            raise
        a, b = (trace.tracer(trace.node_of(v, user_line())) for v in (a, b))
        return _COMPARISONS[comparison][1](a, b)


def expected(value: Any) -> Any:
    """What has to be true for the function to go on, at an assertion or before a `raise`."""
    trace = interpreter.current_trace()
    if type(value) not in TRACERS or _settled(_truth(value)) is not None:
        if trace is None or not trace.nested or value:
            return value
        trace.expect(trace.tracer(trace.node_of(True, user_line())))  # if it comes to this step
        return True
    value.trace.expect(ew.LOGICAL_NOT(value))
    return True


def chained(comparisons: tuple[str, ...], first: Any, *others: Conditions) -> Any:
    """`first < second <= third`, each operand looked at once, and only as far as Python would."""
    found: Any = True
    for comparison, other in zip(comparisons, others, strict=True):
        second = _looked_at(found.trace, other) if type(found) in TRACERS else other()
        link = compared(comparison, first, second)
        found = link if found is True else both(found, partial(_same, link))
        if type(found) not in TRACERS and not found:
            return found
        first = second
    return found


def _same(value: Any) -> Any:
    return value


_COMPARISONS: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {
    "Eq": (operator.eq, ew.EQUAL), "NotEq": (operator.ne, ew.NOT_EQUAL),
    "Lt": (operator.lt, ew.LESS), "LtE": (operator.le, ew.LESS_EQUAL),
    "Gt": (operator.gt, ew.GREATER), "GtE": (operator.ge, ew.GREATER_EQUAL),
}  # fmt: skip


def _settled(value: Any) -> Any:
    return None if value.ndim else value.trace.settled(value.node)


def _truth(value: Any) -> Any:
    if type(value) in (Tracer, ScalarTracer) and value.ndim:
        raise CaptureError(f"the truth of an array is asked ({user_line()})")
    return value
