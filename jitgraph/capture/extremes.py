"""Python's `max` and `min` of traced numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph import CONSTANT, Node
from ..ops import elementwise as ew
from ..spec import Spec
from .tracer import TRACERS, Tracer

if TYPE_CHECKING:
    from .trace import Trace

_EXACT = 1 << 53  # integers up to here are numbers of float64


def extreme(trace: Trace, largest: bool, values: Sequence[Any]) -> Tracer | None:
    """`max(values)` or `min(values)`; None where an operation can't tell what that is.

    Of a NumPy number and a Python one it is the number, in NumPy's dtype.  Which of the two kinds
    it is depends on the values, and so it may only be used where that makes no difference.
    """
    if not all(map(_is_number, values)) or not any(type(v) in TRACERS for v in values):
        return None
    nodes = [trace.node_of(v, trace.where or "?") for v in values]
    dtypes = {n.spec.dtype for n in nodes if not n.spec.weak}
    alike = len({n.spec for n in nodes}) == 1
    if not alike and not (trace.nested and len(dtypes) == 1 and _fit(nodes, *dtypes)):
        return None
    better = ew.GREATER if largest else ew.LESS

    def chosen(best: Any, value: Any) -> Any:
        return trace.apply(ew.WHERE, (better(value, best), value, best), {})

    found: Tracer = reduce(chosen, values)
    if not found.node.spec.weak:
        found = trace.apply(ew.POSITIVE, (found,), {})  # np.where gives an array of no axes
    if not alike:
        trace.loose.add(found.node)
    return found


def _is_number(value: Any) -> bool:
    if type(value) in TRACERS:
        mutable = type(value) is Tracer and value.storage.mutable
        return not value.ndim and not mutable and value.dtype.kind in "if"
    return type(value) in (int, float)


def _fit(nodes: Sequence[Node], dtype: np.dtype[Any]) -> bool:
    """Whether Python's numbers among these are numbers of NumPy's dtype as well."""
    python = [n for n in nodes if n.spec.weak]
    if dtype == np.int64:
        return all(n.op is CONSTANT and n.spec.dtype.kind == "i" for n in python)
    if dtype == np.float64:
        return all(
            n.spec.dtype.kind == "f" or (n.op is CONSTANT and abs(n.attrs["value"]) <= _EXACT)
            for n in python
        )
    return False


def as_python(spec: Spec) -> Spec:
    """What a number of NumPy's would be as one of Python's."""
    return Spec(spec.shape, spec.dtype, weak=True)
